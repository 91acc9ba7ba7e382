"""
The tray as the application uses it: show a status, run, stop.

The icon's loop runs on the main thread; `show` keeps the latest status and wakes that loop. Actions run on
threads of their own, so that a slow one freezes no menu and delays neither a quick one nor Quit.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gpuwatch_tray import drawing
from gpuwatch_tray.model import IconStyle
from gpuwatch_tray.tray import menu
from gpuwatch_tray.tray.choice import headless_backend, select_backend
from gpuwatch_tray.tray.worker import ActionWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpuwatch_tray.bus import SessionBus
    from gpuwatch_tray.model import Status
    from gpuwatch_tray.tray.menu import ActionKind, MenuAction, MenuExtras, MenuRow


@dataclass(frozen=True, slots=True)
class TrayView:
    """One state of the icon, the tooltip and the menu."""

    look: drawing.IconLook
    title: str
    rows: tuple[MenuRow, ...]


class Backend(Protocol):
    """The interface of the backends, each of which draws a tray icon on one kind of desktop."""

    def run(self, ready: Callable[[], None]) -> None:
        """Draw on this thread, the main one, until `stop`; call `ready` once the icon takes clicks."""

    def stop(self) -> None:
        """Make `run` return; from any thread, also before `run`."""

    def post(self, job: Callable[[], None]) -> None:
        """Schedule `job` on the drawing thread; from any thread, also before `run`."""

    def present(self, view: TrayView) -> None:
        """Draw `view`; on the drawing thread."""


class Tray:
    """
    The tray icon; `has_icon` is False where there is nothing to draw on.

    `handlers` carry out the menu's actions, given the target; a row is shown only where its kind has a
    handler. That of ActionKind.QUIT ends in `stop`. With `badge` the icon bears the number of GPUs in use.
    """

    def __init__(
        self,
        bus: SessionBus | None,
        handlers: Mapping[ActionKind, Callable[[str], None]],
        *,
        name: str = "gpuwatch-tray",
        style: IconStyle = IconStyle.AUTO,
        badge: bool = False,
    ) -> None:
        self._offered = frozenset(handlers)
        self._style = style
        self._badge = badge
        self._worker = ActionWorker(handlers)
        self._lock = threading.Lock()
        self._status: Status | None = None
        self._extras = menu.MenuExtras()
        self._posted = False
        backend = select_backend(bus, name, self._worker.perform)
        self.has_icon = backend is not None
        self._backend: Backend = backend or headless_backend(bus)

    def perform(self, action: MenuAction) -> None:
        """Carry out `action` as if its row had been clicked; never blocks."""
        self._worker.perform(action)

    @property
    def needs_panel(self) -> bool:
        """Whether the icon is visible only through a panel."""
        return bool(getattr(self._backend, "needs_panel", False))

    @property
    def notify(self) -> Callable[[str, str], None] | None:
        """The icon's own function to show a popup (title, body), if any."""
        return getattr(self._backend, "notify", None)

    def run(self, ready: Callable[[], None]) -> None:
        """
        Show the icon on the main thread until `stop`.

        Call `ready` once when the icon is exported, with an icon on a thread of its own; what `ready` raises
        ends the tray and is raised here.
        """
        failed: list[BaseException] = []

        def begin() -> None:
            try:
                ready()
            except BaseException as error:  # noqa: BLE001  # handed whole to the main thread
                failed.append(error)
                self.stop()

        try:
            self._backend.run(begin)
        finally:
            self._worker.stop()
        if failed:
            raise failed[0]

    def stop(self) -> None:
        """Make `run` return; from any thread, also before `run`, also twice."""
        self._backend.stop()

    def show(self, status: Status) -> None:
        """Show `status`; from any thread, and the latest wins."""
        with self._lock:
            self._status = status
        self._post()

    def show_extras(self, extras: MenuExtras) -> None:
        """Show `extras` beside the status; from any thread, and the latest wins."""
        with self._lock:
            self._extras = extras
        self._post()

    def set_icon_style(self, style: IconStyle, *, badge: bool) -> None:
        """Draw the icon in this style from now on; from any thread."""
        with self._lock:
            self._style, self._badge = style, badge
        self._post()

    def _post(self) -> None:
        with self._lock:
            waiting, self._posted = self._posted, True
        if not waiting:
            self._backend.post(self._drain)

    def _drain(self) -> None:
        with self._lock:
            status, extras, self._posted = self._status, self._extras, False
        if status is not None:
            self._backend.present(self._view(status, extras))

    def _view(self, status: Status, extras: MenuExtras) -> TrayView:
        badge = status.in_use if self._badge else None
        look = drawing.IconLook(status.level, self._style, badge)
        return TrayView(look, menu.tooltip(status), menu.build_menu(status, self._offered, extras))
