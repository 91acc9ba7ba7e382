"""
The readings on their way into the samples: added up on the poller's thread, written on one of their own.

A disk that is slow, full or gone holds up neither a poll nor the look whether polls still come. No fault in
here may cost an alert: it is logged, said in `trouble`, and the samples are the poorer for it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gpuwatch_tray.model import Alert, Instant, Limits, Snapshot
    from gpuwatch_tray.sampling import FinishedMinute, Sampler
    from gpuwatch_tray.store.samples import SampleStore

log = logging.getLogger(__name__)

MOST_WAITING = 10  # minutes that wait for a disk that does not answer; the oldest go first


class Recorder:
    """`start`, then `take` each reading, then `stop`; `trouble` says why nothing is recorded, if so."""

    def __init__(self, store: SampleStore, sampler: Sampler, clock: Callable[[], Instant]) -> None:
        self.trouble: str | None = None
        self._store = store
        self._sampler = sampler
        self._clock = clock
        self._waiting: deque[FinishedMinute] = deque(maxlen=MOST_WAITING)
        self._asked: deque[threading.Event] = deque()  # by those who wait until all is written
        self._wake = threading.Event()
        self._stopping = False
        # A daemon: a disk that never answers must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="samples", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def take(self, snapshot: Snapshot, alerts: Iterable[Alert]) -> None:
        """Add a reading and the alerts that are there by it; on the poller's thread."""
        try:
            over = self._sampler.add(snapshot, alerts, self._clock())
        except Exception:
            log.exception("a reading was not recorded")
            return
        if over:
            self._waiting.extend(over)
            self._wake.set()

    def adjust(self, limits: Limits, gap: float) -> None:
        """Go by these from the next reading on; `gap` is in seconds."""
        self._sampler.reconfigure(limits, gap)

    def flush(self, timeout: float) -> bool:
        """Write the minutes that are over; False where that takes longer than `timeout` seconds."""
        done = threading.Event()
        self._asked.append(done)
        self._wake.set()
        return self._thread.is_alive() and done.wait(timeout)

    def stop(self, timeout: float) -> bool:
        """Write the rest, after the last `take`, and end the thread; False where it is stuck."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            self._wake.wait()
            self._wake.clear()
            stopping = self._stopping
            asked = list(self._asked)
            self._try(self._flushed if asked else self._write)
            for done in asked:
                self._asked.remove(done)
                done.set()
        self._try(self._end)

    def _write(self) -> None:
        while self._waiting:
            self._store.add(self._waiting.popleft()())

    def _flushed(self) -> None:
        self._write()
        self._store.flush()

    def _end(self) -> None:
        try:
            for minute in self._sampler.finish_minute():
                self._store.add(minute())
        finally:
            self._store.close()

    def _try(self, work: Callable[[], None]) -> None:
        trouble = None
        try:
            work()
        except StoreError as error:
            trouble = str(error)
            if trouble != self.trouble:
                log.warning("%s", trouble)
        except Exception:
            log.exception("samples were lost")
            trouble = _("samples were lost: the log tells why")
        self.trouble = trouble
