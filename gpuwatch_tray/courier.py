"""
The tray's way to the outbox: a short-lived child process sends what is due.

The mail libraries live and die with the child, so the tray's memory stays flat; a child that hangs is
ended after its deadline, and its leased mails become due again. A child outlives the tray's end. It takes
the mails from the outbox itself; while that is in memory only, they are handed to it.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from gpuwatch_tray.store import OutboxSummary, Store, StoreError, handover

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.store import Gather

log = logging.getLogger(__name__)

DEADLINE = 180.0  # seconds for one child; a mail's own time-outs end well before
LEASE = DEADLINE + 20.0  # seconds for which what was handed over is left alone: until that child is ended
PAUSE = 60.0  # seconds before the next child when the last one left the outbox as it was
REFRESH = 60.0  # seconds after which the outbox is looked at unasked: another process may have changed it
HANDED = 2.0  # seconds that the child may take to begin to read what it is handed
AGAIN = 1.0  # seconds between attempts to record what it answered
REAPED = 5.0  # seconds for a killed child to go; one that hangs in the kernel does not


class Courier:
    """
    Starts `command` whenever a mail is due, one child at a time; with `--handed` it reads the mails.

    `gather` makes one mail of a stale backlog, where it is not the child that takes it from the outbox.

    `tick` is called about once a second from one thread; `kick` may be called from any. `clock` is wall
    time (the outbox's), `monotonic` measures the deadline.
    """

    def __init__(
        self,
        store: Store,
        command: Sequence[str],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        gather: Gather | None = None,
    ) -> None:
        self._store = store
        self._gather = gather
        self._command = list(command)
        self._clock = clock
        self._monotonic = monotonic
        self._look = threading.Event()
        self._look.set()
        self._looked = monotonic()
        self._child: subprocess.Popen[bytes] | None = None
        self._talk: _Talk | None = None
        self._killed = False
        self._started = 0.0
        self._waiting = OutboxSummary()
        self._unmoved: OutboxSummary | None = None  # what the last child found, and had to find changed

    @property
    def waiting(self) -> OutboxSummary:
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
            self._waiting = self._store.outbox_summary(now)
            if self._waiting.next_at is not None and self._waiting.next_at <= now and not self._resting():
                self._start(now)
        except (StoreError, OSError) as error:
            log.warning("the mail delivery could not be started: %s", error)
            return False
        return self._waiting != before

    def _resting(self) -> bool:
        """Whether the last child died without a word: the next one would fare alike, and not wait either."""
        return self._waiting == self._unmoved and self._monotonic() - self._started < PAUSE

    def _start(self, now: float) -> None:
        self._started, self._unmoved = self._monotonic(), self._waiting
        self._store.try_writing()  # a disk that is full shows itself only then
        if self._store.trouble is None:
            self._child = self._popen(subprocess.DEVNULL, subprocess.DEVNULL)
            return
        rows = self._store.lease_due(now, LEASE, self._gather)
        self._child = self._popen(subprocess.PIPE, subprocess.PIPE, "--handed")
        self._talk = _Talk(self._store, self._child, handover.encode_mails(rows))
        self._talk.handed.wait(HANDED)

    def _popen(self, source: int, sink: int, *more: str) -> subprocess.Popen[bytes]:
        # Its own session: the terminal's Ctrl-C and the tray's end leave it to finish.
        return subprocess.Popen([*self._command, *more], stdin=source, stdout=sink, start_new_session=True)

    def _reaped(self, child: subprocess.Popen[bytes]) -> bool:
        if child.poll() is None or (self._talk is not None and self._talk.is_alive()):
            if self._monotonic() - self._started < DEADLINE:
                return False
            if not self._killed:
                log.error("the mail delivery (PID %d) did not end within %g s: ended", child.pid, DEADLINE)
                child.kill()
                self._killed = True
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(REAPED)
            if child.poll() is None:
                return False  # on a disk that does not answer, say, the next one would hang as well
        self._child = self._talk = None
        self._killed = False
        self._look.set()
        return True


class _Talk(threading.Thread):
    """Hands the mails to the child, and records each of its answers; ends with the child."""

    def __init__(self, store: Store, child: subprocess.Popen[bytes], mails: bytes) -> None:
        super().__init__(name="mail handover", daemon=True)
        self.handed = threading.Event()
        self._store = store
        self._child = child
        self._mails = mails
        self._until = time.monotonic() + DEADLINE
        self.start()

    def run(self) -> None:
        """On its own thread: a pipe waits for the other side."""
        assert self._child.stdin is not None  # noqa: S101  # both are pipes
        assert self._child.stdout is not None  # noqa: S101
        try:
            with self._child.stdin as mails:
                mails.write(self._mails)
        except OSError as error:
            log.warning("the mail delivery took no mail: %s", error)
        self.handed.set()
        with self._child.stdout as answers:
            for line in answers:
                self._record(line)

    def _record(self, line: bytes) -> None:
        """As long as the lease lasts: a mail that was sent and is not recorded would be sent again."""
        while True:
            try:
                handover.record_answer(self._store, line)
            except StoreError as error:
                if time.monotonic() >= self._until:
                    log.warning("an answer of the mail delivery cannot be recorded: %s", error)
                    return
                time.sleep(AGAIN)
            else:
                return
