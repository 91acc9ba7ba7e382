"""The threads that carry out the menu's actions."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from gpuwatch_tray.tray.menu import ActionKind
from gpuwatch_tray.within import QueueThread, start_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpuwatch_tray.tray.menu import MenuAction

log = logging.getLogger(__name__)

QUICK = "tray-actions"
# The programs of the desktop answer within seconds, a mail server within minutes.
LANES = {
    ActionKind.TEST_ALERT: "tray-test",
    ActionKind.COPY_PID: "tray-desktop",
    ActionKind.COPY_COMMAND: "tray-desktop",
    ActionKind.OPEN_SETTINGS: "tray-desktop",
    ActionKind.OPEN_LOG: "tray-desktop",
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
