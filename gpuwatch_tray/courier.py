"""
The tray's way to the outbox: a short-lived child process sends what is due.

The mail libraries live and die with the child, so the tray's memory stays flat; a child that hangs is
ended after its deadline, and its leased mails become due again. A child outlives the tray's end.
"""

from __future__ import annotations

import logging
import subprocess
import threading
from typing import TYPE_CHECKING

from gpuwatch_tray.store import Store, StoreError, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

DEADLINE = 180.0  # seconds for one child; a mail's own time-outs end well before
PAUSE = 60.0  # seconds before the next child when the last one left the outbox as it was
REFRESH = 60.0  # seconds after which the outbox is looked at unasked: another process may have changed it


class Courier:
    """
    Starts `command` whenever a mail is due, one child at a time.

    `tick` is called about once a second from one thread; `kick` may be called from any. `clock` is wall
    time (the outbox's), `monotonic` measures the deadline.
    """

    def __init__(
        self,
        store: Store,
        command: Sequence[str],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._command = list(command)
        self._clock = clock
        self._monotonic = monotonic
        self._look = threading.Event()
        self._look.set()
        self._looked = monotonic()
        self._child: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._waiting = Waiting()
        self._unmoved: Waiting | None = None  # what the last child found, and had to find changed

    @property
    def waiting(self) -> Waiting:
        """What waits in the outbox, as last seen."""
        return self._waiting

    def kick(self) -> None:
        """Look at the outbox at the next tick: something was queued."""
        self._look.set()

    def tick(self) -> bool:
        """One round: reap, look, start. True when what waits has changed."""
        if self._child is not None and not self._reaped(self._child):
            return False
        now = self._clock()
        due = self._waiting.next_at is not None and self._waiting.next_at <= now
        if not (self._look.is_set() or due or self._monotonic() - self._looked >= REFRESH):
            return False
        before = self._waiting
        self._look.clear()
        self._looked = self._monotonic()
        try:
            self._waiting = self._store.waiting(now)
        except StoreError as error:
            log.warning("%s", error)
            return False
        if self._waiting.next_at is not None and self._waiting.next_at <= now and not self._resting():
            self._start()
        return self._waiting != before

    def _resting(self) -> bool:
        """Whether the last child died without a word: the next one would fare alike, and not wait either."""
        return self._waiting == self._unmoved and self._monotonic() - self._started < PAUSE

    def _start(self) -> None:
        self._started, self._unmoved = self._monotonic(), self._waiting
        # Its own session: the terminal's Ctrl-C and the tray's end leave it to finish.
        self._child = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )

    def _reaped(self, child: subprocess.Popen[bytes]) -> bool:
        if child.poll() is None:
            if self._monotonic() - self._started < DEADLINE:
                return False
            log.error("the mail delivery (PID %d) did not end within %g s: ended", child.pid, DEADLINE)
            child.kill()
            child.wait(5.0)
        self._child = None
        self._look.set()
        return True
