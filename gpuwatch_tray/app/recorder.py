"""The recorder of samples: a slow, full or missing disk holds up no poll, and costs no alert."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from gpuwatch_tray.i18n import _
from gpuwatch_tray.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gpuwatch_tray.history import FinishedMinute, Sampler
    from gpuwatch_tray.history.sample_store import SampleStore
    from gpuwatch_tray.model import Alert, GpuSample, Instant, Limits, Minute, Snapshot


log = logging.getLogger(__name__)

MOST_WAITING = 10  # minutes that wait for a disk that does not answer; the oldest are dropped first


class Recorder:
    """
    Records each reading from `start` to `stop`; `trouble` says why nothing is recorded, None if all is.

    A demo's `past` is written before everything else.
    """

    def __init__(
        self,
        store: SampleStore,
        sampler: Sampler,
        clock: Callable[[], Instant],
        past: Iterable[Minute] = (),
    ) -> None:
        self.trouble: str | None = None
        self.on_minute: Callable[[Iterable[GpuSample]], None] | None = None  # told each minute that has ended
        self._store = store
        self._sampler = sampler
        self._clock = clock
        self._past = past
        self._waiting: deque[FinishedMinute] = deque(maxlen=MOST_WAITING)
        self._flush_requests: deque[threading.Event] = deque()  # set once everything is written
        self._wake = threading.Event()
        self._stopping = False
        # A daemon: a disk that never answers must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="samples", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def record(self, snapshot: Snapshot, alerts: Iterable[Alert]) -> None:
        """Add a reading and its alerts; on the poller's thread."""
        try:
            over = self._sampler.add(snapshot, alerts, self._clock())
        except Exception:
            log.exception("a reading was not recorded")
            return
        if over:
            self._waiting.extend(over)
            self._wake.set()

    def reconfigure(self, limits: Limits, gap: float) -> None:
        """Apply these from the next reading on; `gap` is in seconds."""
        self._sampler.reconfigure(limits, gap)

    def flush(self, timeout: float) -> bool:
        """Write the complete minutes; False where that takes longer than `timeout` seconds."""
        done = threading.Event()
        self._flush_requests.append(done)
        self._wake.set()
        return self._thread.is_alive() and done.wait(timeout)

    def stop(self, timeout: float) -> bool:
        """Write the rest, after the last `record`, and end the thread; False where it is stuck."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        stopping = False
        if self._past:
            self._try(lambda: self._store.add_past(self._past))
        while not stopping:
            self._wake.wait()
            self._wake.clear()
            stopping = self._stopping
            requests = list(self._flush_requests)
            self._try(self._flush_now if requests else self._write)
            for done in requests:
                self._flush_requests.remove(done)
                done.set()
        self._try(self._write_rest)

    def _write(self) -> None:
        while self._waiting:
            minute = self._waiting.popleft()()
            if self.on_minute is not None:
                self.on_minute(minute.stretch.gpus)
            self._store.add(minute)

    def _flush_now(self) -> None:
        self._write()
        self._store.flush()

    def _write_rest(self) -> None:
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
            trouble = _("samples were lost: see the log")
        self.trouble = trouble
