"""Threads: one that repeats its work, one that begins again after errors, and calls with a time limit."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


class PeriodicThread:
    """
    Calls `work` every `interval` seconds on a daemon thread.

    The ticks do not drift: slow work shortens the wait after it, and ticks that were missed are left out. An
    error of `work` is logged, and the next tick comes all the same. The first comes after `delay` seconds.
    """

    def __init__(
        self,
        work: Callable[[], None],
        interval: float,
        name: str,
        *,
        delay: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work = work
        self._interval = interval
        self._delay = delay
        self._clock = clock
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._last_success = clock()
        self._last_error = ""
        # A daemon: a driver call that never returns must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._last_success = self._clock()
        self._thread.start()

    def run_now(self) -> None:
        """Have the next tick come at once; the later ones count from it."""
        self._wake.set()

    def reconfigure(self, interval: float) -> None:
        """Tick every `interval` seconds from now on, and once at once."""
        self._interval = interval
        self.run_now()

    def stop(self, timeout: float) -> bool:
        """End the thread; False when it is stuck in a call and did not end within `timeout` seconds."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def seconds_since_success(self) -> float:
        """Return the seconds since `work` last returned without an error, or since the start."""
        return self._clock() - self._last_success

    def tick(self) -> None:
        """Call `work` once; its errors end here, in the log."""
        try:
            self._work()
            self._last_success = self._clock()
        except Exception as error:
            if repr(error) != self._last_error:  # the same error again would only fill the log
                log.exception("%s: failed; tried again in %g s", self._thread.name, self._interval)
            self._last_error = repr(error)
        else:
            self._last_error = ""

    def _run(self) -> None:
        due = self._clock() + self._delay
        if self._delay:
            self._wake.wait(self._delay)
        while True:
            self._wake.clear()
            if self._stopping.is_set():  # checked after the clearing, so that no stop is lost
                return
            due = min(due, self._clock())  # woken early: the ticks count from here
            self.tick()
            due = max(due + self._interval, self._clock())
            self._wake.wait(due - self._clock())
