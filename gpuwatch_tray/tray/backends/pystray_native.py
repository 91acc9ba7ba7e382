"""
pystray's icon on Windows and macOS.

Their toolkits take changes on the UI thread only, and Windows destroys an open menu that is changed: a view
that comes while the menu is open waits until it closes.
"""

from __future__ import annotations

import logging
import queue
import sys
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from gpuwatch_tray.common.text import clip_utf16
from gpuwatch_tray.tray.backends import toolkit

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.tray.backends.base import TrayView
    from gpuwatch_tray.tray.menu import MenuAction


log = logging.getLogger(__name__)

TOOLTIP_UNITS = 127  # UTF-16 units in a Windows tooltip (NOTIFYICONDATA)
WM_WAKE = 0x8000 + 1  # WM_APP + 1, for applications to use


class NativeBackend(toolkit.PystrayBackend):
    """The tray on Windows and macOS; `_wake` makes the UI thread call `_drain`."""

    def __init__(self, name: str, perform: Callable[[MenuAction], None]) -> None:
        super().__init__(toolkit.Icon, name, perform, _escape_ampersands)
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._waiting: TrayView | None = None
        self._menu_open = False
        self._running = False
        self._stopped = False
        self._wake: Callable[[], None] = self._create_waker()

    @property
    def notify(self) -> Callable[[str, str], None] | None:
        """The function that shows a popup (title, body) through the icon, if any."""
        if not self.icon.HAS_NOTIFICATION:
            return None
        return lambda title, body: self.icon.notify(body, title)

    def run(self, ready: Callable[[], None]) -> None:
        """Show the icon until `stop`."""

        def begin(icon: Any) -> None:
            icon.visible = True
            self._running = True
            self._wake()
            ready()
            if self._stopped:
                icon.stop()

        self.icon.run(begin)

    def stop(self) -> None:
        """Make `run` return."""
        self._stopped = True
        if self._running:
            self.icon.stop()

    def post(self, job: Callable[[], None]) -> None:
        """Schedule `job` on the UI thread."""
        self._jobs.put(job)
        if self._running:
            self._wake()

    def present(self, view: TrayView) -> None:
        """Show `view`, or keep it until the menu has closed."""
        if self._menu_open:
            self._waiting = view
        else:
            super().present(replace(view, title=_tooltip(view)))

    def menu_toggled(self, *, is_open: bool) -> None:
        """Note that the menu has opened or closed; on the UI thread."""
        self._menu_open = is_open
        if not is_open and self._waiting is not None:
            view, self._waiting = self._waiting, None
            self.present(view)

    def _drain(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            try:
                job()
            except Exception:  # the next jobs must still run
                log.exception("drawing failed")

    def _create_waker(self) -> Callable[[], None]:
        wake = self._drain
        if sys.platform == "win32":
            wake = _windows_waker(self.icon, self._drain, self.menu_toggled)
        elif sys.platform == "darwin":
            wake = _macos_waker(self._drain)
        return wake


def _tooltip(view: TrayView) -> str:
    """Return the title with those of the lines below it that fit whole into a tooltip of Windows."""
    text = clip_utf16(view.title, TOOLTIP_UNITS)
    for line in view.details:
        longer = f"{text}\n{line}"
        if clip_utf16(longer, TOOLTIP_UNITS) != longer:
            break
        text = longer
    return text


def _escape_ampersands(label: str) -> str:
    """Escape a label for Windows, where a single `&` marks the mnemonic."""
    return label.replace("&", "&&") if sys.platform == "win32" else label


def _windows_waker(
    icon: Any, drain: Callable[[], None], menu_toggled: Callable[..., None]
) -> Callable[[], None]:
    """Handle a message of our own in pystray's window, and note its menu, which runs inside WM_NOTIFY."""
    from pystray._util import win32  # exists on Windows only

    handlers = icon._message_handlers  # noqa: SLF001  # pystray has no other way in
    handle_notify = handlers[win32.WM_NOTIFY]

    def on_notify(wparam: int, lparam: int) -> Any:
        menu_toggled(is_open=True)
        try:
            return handle_notify(wparam, lparam)
        finally:
            menu_toggled(is_open=False)

    def on_wake(_wparam: int, _lparam: int) -> int:
        drain()
        return 0

    handlers[win32.WM_NOTIFY] = on_notify
    handlers[WM_WAKE] = on_wake
    return lambda: win32.PostMessage(icon._hwnd, WM_WAKE, 0, 0)  # noqa: SLF001  # as above


def _macos_waker(drain: Callable[[], None]) -> Callable[[], None]:
    from PyObjCTools import AppHelper  # type: ignore[import-not-found]  # macOS only

    return lambda: AppHelper.callAfter(drain)
