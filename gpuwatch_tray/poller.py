"""The thread that polls, and the one that watches whether it still does."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.model import Snapshot

log = logging.getLogger(__name__)


class Poller:
    """
    Calls `read` every `interval` seconds on a thread of its own and hands the snapshot to `use`.

    The ticks do not drift: a slow poll shortens the wait after it, and polls that were missed are left
    out. An error of `read` or `use` is logged and the next poll comes all the same.
    """

    def __init__(
        self,
        read: Callable[[], Snapshot],
        use: Callable[[Snapshot], None],
        interval: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._use = use
        self._interval = interval
        self._clock = clock
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._last_good = clock()
        self._fault = ""
        # A daemon: a driver call that never returns must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="poller", daemon=True)

    def start(self) -> None:
        """Poll for the first time now, and from then on."""
        self._last_good = self._clock()
        self._thread.start()

    def wake(self) -> None:
        """Poll now rather than at the next tick."""
        self._wake.set()

    def pace(self, interval: float) -> None:
        """Poll every `interval` seconds from now on, and once at once."""
        self._interval = interval
        self.wake()

    def stop(self, timeout: float) -> bool:
        """End the thread; False when it is stuck in a call and did not end within `timeout` seconds."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def silence(self) -> float:
        """Seconds since the last poll came back and was used."""
        return self._clock() - self._last_good

    def tick(self) -> None:
        """One poll. Every error ends here, in the log: the next poll must come."""
        try:
            self._use(self._read())
            self._last_good = self._clock()
        except Exception as error:
            if repr(error) != self._fault:  # the first one's traceback says it all: the log is not endless
                log.exception("a poll failed; the next one is due in %g s", self._interval)
            self._fault = repr(error)
        else:
            self._fault = ""

    def _run(self) -> None:
        due = self._clock()
        while True:
            self._wake.clear()
            if self._stopping.is_set():  # looked at after the clearing: a stop's wake is never lost
                return
            due = min(due, self._clock())  # woken early: the ticks count from here
            self.tick()
            due = max(due + self._interval, self._clock())
            self._wake.wait(due - self._clock())


class Housekeeper:
    """Calls `keep` every `period` seconds on a thread of its own, whatever happens to the poller's."""

    def __init__(self, keep: Callable[[], None], period: float = 1.0, name: str = "housekeeper") -> None:
        self._keep = keep
        self._period = period
        self._stopping = threading.Event()
        self._fault = ""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.wait(self._period):
            try:
                self._keep()
            except Exception as error:
                if repr(error) != self._fault:
                    log.exception("%s: failed; tried again in %g s", self._thread.name, self._period)
                self._fault = repr(error)
            else:
                self._fault = ""
