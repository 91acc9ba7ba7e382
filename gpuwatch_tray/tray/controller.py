"""
The tray as the application knows it: show a status, run, stop.

The icon's main loop has the main thread. `show` leaves the latest status in a mailbox of one slot and wakes
the loop. Clicks are carried out away from the loop, so that a slow action never freezes the menu.
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
    """What is to be seen: the icon, the tooltip and the menu."""

    look: drawing.Look
    title: str
    rows: tuple[MenuRow, ...]


class Backend(Protocol):
    """One system's way to draw a tray icon."""

    def run(self, ready: Callable[[], None]) -> None:
        """Draw on this thread, the main one, until `stop`; call `ready` once clicks and pictures can pass."""

    def stop(self) -> None:
        """Make `run` return; from any thread, also before it."""

    def post(self, job: Callable[[], None]) -> None:
        """Have the drawing thread run `job` soon; from any thread, also before `run`."""

    def present(self, view: TrayView) -> None:
        """Draw `view`; on the drawing thread only."""


class Tray:
    """
    The tray icon; `drawn` is False where there is nothing to draw on and it runs headless.

    `actions` do what the rows ask for, given the deed's target; a row is shown only where its act is among
    them. That of Act.QUIT shall end in `stop`. With `badge` the icon bears the number of GPUs in use.
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
        """Have this done as if its row had been clicked; never blocks."""
        self._worker.perform(action)

    @property
    def needs_panel(self) -> bool:
        """Whether the icon is seen only where a panel shows it, whatever was asked for."""
        return bool(getattr(self._backend, "needs_panel", False))

    @property
    def notify(self) -> Callable[[str, str], None] | None:
        """The icon's own way to show a popup (title, body), where it has one."""
        return getattr(self._backend, "notify", None)

    def run(self, ready: Callable[[], None]) -> None:
        """
        Show the icon on the main thread until `stop`.

        `ready` is called once, on a thread of its own where there is an icon, when the icon is exported; what
        it raises ends the tray and is raised here.
        """
        failed: list[BaseException] = []

        def begin() -> None:
            try:
                ready()
            except BaseException as error:  # noqa: BLE001  # handed to the main thread, whole
                failed.append(error)
                self.stop()

        self._worker.start()
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
        """Show this beside the status; from any thread, and the latest wins."""
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
        look = drawing.Look(status.level, self._style, badge)
        return TrayView(look, menu.tooltip(status), menu.build_menu(status, self._offered, extras))
