"""
What was clicked, carried out: away from the drawing thread, one after another.

What may take long has a lane of its own, so that acknowledging an alert never waits behind a test mail that
a server is slow to take; and Quit waits behind nothing.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING

from gpuwatch_tray.tray.menu import Act

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpuwatch_tray.tray.menu import Deed

log = logging.getLogger(__name__)

QUICK = "tray-actions"
# The programs of the desktop answer within seconds, a mail server within minutes.
LANES = {
    Act.TEST_ALERT: "tray-test",
    Act.COPY_PID: "tray-desktop",
    Act.COPY_COMMAND: "tray-desktop",
    Act.OPEN_SETTINGS: "tray-desktop",
    Act.OPEN_LOG: "tray-desktop",
}
LONGEST = 64  # deeds that may wait; a hand does not click faster


class Worker:
    """Does the deeds of the menu through `actions`, which are given the deed's target."""

    def __init__(self, actions: Mapping[Act, Callable[[str], None]]) -> None:
        self._actions = dict(actions)
        self._pending: set[Deed] = set()
        self._lock = threading.Lock()
        self._lanes: dict[str, queue.SimpleQueue[Deed | None]] = {
            name: queue.SimpleQueue() for name in (QUICK, *LANES.values())
        }
        self.threads = [
            threading.Thread(target=self._run, args=(lane,), name=name, daemon=True)
            for name, lane in self._lanes.items()
        ]

    def start(self) -> None:
        """Begin to do what is asked."""
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        """Let the threads end when they have done what waits; nobody need wait for that."""
        for lane in self._lanes.values():
            lane.put(None)

    def perform(self, deed: Deed) -> None:
        """Have it done soon; a click on what is still under way is not a second one. Never blocks."""
        log.info("menu: %s", deed.act.value)
        with self._lock:
            if deed in self._pending:
                return
            if len(self._pending) >= LONGEST and deed.act is not Act.QUIT:
                log.warning("the menu's '%s' is dropped: too much is under way", deed.act.value)
                return
            self._pending.add(deed)
        if deed.act is Act.QUIT:
            threading.Thread(target=self._do, args=(deed,), name="tray-quit", daemon=True).start()
        else:
            self._lanes[LANES.get(deed.act, QUICK)].put(deed)

    def _run(self, lane: queue.SimpleQueue[Deed | None]) -> None:
        while (deed := lane.get()) is not None:
            self._do(deed)

    def _do(self, deed: Deed) -> None:
        try:
            self._actions[deed.act](deed.target)
        except Exception:  # a fault in one action must not leave a menu that does nothing
            log.exception("the menu's '%s' failed", deed.act.value)
        finally:
            with self._lock:
                self._pending.discard(deed)
