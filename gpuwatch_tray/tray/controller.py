"""
The tray as the application uses it: show a status, run, stop.

The icon's loop runs on the main thread; `show` keeps the latest status and wakes that loop. Actions run on
threads of their own, so that a slow one freezes no menu and delays neither a quick one nor Quit.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from gpuwatch_tray import drawing
from gpuwatch_tray.common.queue_thread import QueueThread
from gpuwatch_tray.common.threads import start_thread
from gpuwatch_tray.model import IconStyle
from gpuwatch_tray.tray import menu
from gpuwatch_tray.tray.backends.base import Backend, TrayView
from gpuwatch_tray.tray.backends.select import headless_backend, select_backend
from gpuwatch_tray.tray.menu import ActionKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpuwatch_tray.desktop.dbus import SessionBus
    from gpuwatch_tray.model import Status
    from gpuwatch_tray.tray.menu import MenuAction, MenuExtras


log = logging.getLogger(__name__)

QUICK = "tray-actions"
# The programs of the desktop answer within seconds, a host of the lab and its Alertmanager within ten or so,
# a mail server within minutes.
LANES = {
    ActionKind.TEST_ALERT: "tray-test",
    ActionKind.COPY_PID: "tray-desktop",
    ActionKind.COPY_COMMAND: "tray-desktop",
    ActionKind.OPEN_SETTINGS: "tray-desktop",
    ActionKind.OPEN_LOG: "tray-desktop",
    ActionKind.SET_UP_MAIL: "tray-desktop",
    ActionKind.COPY_SSH: "tray-desktop",
    ActionKind.OPEN_LINK: "tray-desktop",
    ActionKind.ASK_HOST: "tray-host",
    ActionKind.LAB_SILENCE: "tray-silence",
    ActionKind.LAB_EXPIRE: "tray-silence",
}
MAX_PENDING = 64  # actions that may wait; nobody clicks faster


class ActionWorker:
    """
    The queues and threads that carry out the menu's actions through `handlers`, one after another each.

    What may take long has a thread of its own: acknowledging an alert never waits behind a test mail.
    """

    def __init__(self, handlers: Mapping[ActionKind, Callable[[str], None]]) -> None:
        self._handlers = dict(handlers)
        self._pending: set[MenuAction] = set()
        self._lock = threading.Lock()
        self._lanes = {name: QueueThread(self._run_action, name) for name in (QUICK, *LANES.values())}

    def stop(self, timeout: float = 0.0) -> bool:
        """End the threads after what waits; False where one takes longer than `timeout` seconds."""
        ended = [lane.stop(timeout) for lane in self._lanes.values()]  # each, whichever is slow
        return all(ended)

    def perform(self, action: MenuAction) -> None:
        """Queue `action`, unless the same one is still under way; never blocks."""
        log.info("menu: %s", action.kind.value)
        with self._lock:
            if action in self._pending:
                return
            if len(self._pending) >= MAX_PENDING and action.kind is not ActionKind.QUIT:
                log.warning("the menu's '%s' is dropped: too much is under way", action.kind.value)
                return
            self._pending.add(action)
        if action.kind is ActionKind.QUIT:
            start_thread("tray-quit", self._run_action, action)
        else:
            self._lanes[LANES.get(action.kind, QUICK)].put(action)

    def _run_action(self, action: MenuAction) -> None:
        try:
            self._handlers[action.kind](action.target)
        except Exception:  # the menu must go on working
            log.exception("the menu's '%s' failed", action.kind.value)
        finally:
            with self._lock:
                self._pending.discard(action)


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
        self._shown_processes = menu.ShownProcesses()
        self._shown_hosts = menu.ShownHosts()
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
        shown = self._shown_processes, self._shown_hosts
        rows = menu.LazyRows(menu.build_menu, status, self._offered, extras, *shown)
        title, *details = menu.tooltip(status)
        return TrayView(look, title, rows, tuple(details), menu.menu_outline(status, extras))
