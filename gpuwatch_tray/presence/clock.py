"""
Time as presence counts it, suspends included.

The counters of X, Mutter and logind stand still while the machine sleeps: after a night's suspend they would
say that the last key was pressed a moment ago.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from dataclasses import dataclass

from gpuwatch_tray.presence.decide import Evidence, PresenceReading

MIN_SUSPEND = 1.0  # seconds by which the clocks must part before it counts as one


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment on two clocks that nobody sets: `boot` runs through suspends, `awake` stands still there."""

    boot: float
    awake: float


def moment() -> Moment:
    """Now. On Windows both clocks run through suspends, as its input counter does."""
    awake = time.monotonic()
    if sys.platform == "win32":
        return Moment(awake, awake)
    else:  # noqa: RET505  # mypy knows a platform's code by its branch
        return Moment(time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)), awake)


class SuspendLog:
    """
    The suspends seen so far, by the clocks' parting; from any thread.

    A suspend is noticed a little later than the machine woke. Input between the two counts as given before
    the suspend: that is a few seconds of away too much, and never somebody present who is not there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset: float | None = None
        self._suspends: deque[tuple[float, float]] = deque(maxlen=32)

    def observe(self, now: Moment) -> None:
        """Look for a suspend before `now`."""
        offset = now.boot - now.awake
        with self._lock:
            if self._offset is not None and offset - self._offset >= MIN_SUSPEND:
                self._suspends.append((now.awake, offset - self._offset))
            self._offset = offset

    def slept_since(self, awake: float) -> float:
        """How many seconds were slept through after this time of the `awake` clock."""
        with self._lock:
            return sum(length for noticed, length in self._suspends if noticed > awake)

    def last_resume(self) -> float:
        """When the last suspend was noticed, on the `awake` clock; 0 for never."""
        with self._lock:
            return self._suspends[-1][0] if self._suspends else 0.0


class IdleCounter:
    """The last answer of a source that counts the seconds since the last input; from any thread."""

    def __init__(self, source: str, sleeps: SuspendLog) -> None:
        self._source = source
        self._sleeps = sleeps
        self._last: tuple[Moment, float] | None = None

    def record(self, at: Moment, idle: float) -> None:
        """The source said at `at` that the last input was `idle` seconds ago."""
        self._sleeps.observe(at)
        self._last = (at, idle)

    def forget(self) -> None:
        """The source is gone."""
        self._last = None

    def reading(self) -> PresenceReading | None:
        """What it said last, however long ago, with the suspends since that input added."""
        last = self._last
        if last is None:
            return None
        at, idle = last
        return PresenceReading(
            self._source, Evidence.IDLE, at.boot, idle + self._sleeps.slept_since(at.awake - idle)
        )
