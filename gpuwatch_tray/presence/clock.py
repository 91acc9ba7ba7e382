"""Time with suspends, for the counters of X, Mutter and logind stand still while the machine sleeps."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from dataclasses import dataclass

from gpuwatch_tray.presence.decide import Evidence, PresenceReading, PresenceSource

MIN_SUSPEND = 1.0  # seconds by which the clocks must part for a suspend


@dataclass(frozen=True, slots=True)
class Moment:
    """A time on two clocks that nobody sets: `boot` runs through suspends, `awake` stands still."""

    boot: float
    awake: float


def moment() -> Moment:
    """Return now; on Windows both clocks run through suspends, as its input counter does."""
    boot = awake = time.monotonic()
    if sys.platform != "win32":
        boot = time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
    return Moment(boot, awake)


class SuspendLog:
    """
    The suspends seen so far, by the growing distance of the clocks; from any thread.

    Input between the waking and its observation counts as given before the suspend: a few seconds of away
    too much, but never somebody present who is not there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset: float | None = None
        self._seen: deque[tuple[float, float]] = deque(maxlen=32)

    def observe(self, now: Moment) -> None:
        """Record a suspend before `now`, if there was one."""
        offset = now.boot - now.awake
        with self._lock:
            if self._offset is not None and offset - self._offset >= MIN_SUSPEND:
                self._seen.append((now.awake, offset - self._offset))
            self._offset = offset

    def slept_since(self, awake: float) -> float:
        """Return the seconds of suspend after this time of the `awake` clock."""
        with self._lock:
            return sum(length for noticed, length in self._seen if noticed > awake)

    def last_resume(self) -> float:
        """Return when the last suspend was seen, on the `awake` clock; 0 for never."""
        with self._lock:
            return self._seen[-1][0] if self._seen else 0.0


class IdleCounter(PresenceSource):
    """A source whose last answer counts the seconds without input; from any thread."""

    def __init__(self, name: str, suspends: SuspendLog) -> None:
        self.name = name
        self._suspends = suspends
        self._last: tuple[Moment, float] | None = None

    def record(self, at: Moment, idle: float) -> None:
        """Record an answer at `at`: `idle` seconds without input."""
        self._suspends.observe(at)
        self._last = (at, idle)

    def forget(self) -> None:
        """Forget the answer: the source is gone."""
        self._last = None

    def reading(self, now: Moment) -> PresenceReading | None:
        """Return the last answer, however old, with the suspends since that input added."""
        del now  # the answer has a time of its own
        last = self._last
        if last is None:
            return None
        at, idle = last
        return PresenceReading(
            self.name, Evidence.IDLE, at.boot, idle + self._suspends.slept_since(at.awake - idle)
        )
