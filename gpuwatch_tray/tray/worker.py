"""The threads that carry out the menu's actions."""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING

from gpuwatch_tray.tray.menu import ActionKind

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
        self._lanes: dict[str, queue.SimpleQueue[MenuAction | None]] = {
            name: queue.SimpleQueue() for name in (QUICK, *LANES.values())
        }
        self.threads = [
            threading.Thread(target=self._run, args=(lane,), name=name, daemon=True)
            for name, lane in self._lanes.items()
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """Let the threads end after what waits; return at once."""
        for lane in self._lanes.values():
            lane.put(None)

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
            threading.Thread(target=self._run_action, args=(action,), name="tray-quit", daemon=True).start()
        else:
            self._lanes[LANES.get(action.kind, QUICK)].put(action)

    def _run(self, lane: queue.SimpleQueue[MenuAction | None]) -> None:
        while (action := lane.get()) is not None:
            self._run_action(action)

    def _run_action(self, action: MenuAction) -> None:
        try:
            self._handlers[action.kind](action.target)
        except Exception:  # the menu must go on working
            log.exception("the menu's '%s' failed", action.kind.value)
        finally:
            with self._lock:
                self._pending.discard(action)
