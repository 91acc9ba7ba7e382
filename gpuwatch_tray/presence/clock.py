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

from gpuwatch_tray.presence.decide import Evidence, Reading

_SLEEP = 1.0  # seconds by which the clocks must part before it counts as one


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


class Sleeps:
    """
    The suspends seen so far, by the clocks' parting; from any thread.

    A suspend is noticed a little later than the machine woke. Input between the two counts as given before
    the suspend: that is a few seconds of away too much, and never somebody present who is not there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parted: float | None = None
        self._noticed: deque[tuple[float, float]] = deque(maxlen=32)

    def note(self, now: Moment) -> None:
        """Look for a suspend before `now`."""
        parted = now.boot - now.awake
        with self._lock:
            if self._parted is not None and parted - self._parted >= _SLEEP:
                self._noticed.append((now.awake, parted - self._parted))
            self._parted = parted

    def after(self, awake: float) -> float:
        """How many seconds were slept through after this time of the `awake` clock."""
        with self._lock:
            return sum(length for noticed, length in self._noticed if noticed > awake)

    def woke(self) -> float:
        """When the last suspend was noticed, on the `awake` clock; 0 for never."""
        with self._lock:
            return self._noticed[-1][0] if self._noticed else 0.0


class Counter:
    """The last answer of a source that counts the seconds since the last input; from any thread."""

    def __init__(self, source: str, sleeps: Sleeps) -> None:
        self._source = source
        self._sleeps = sleeps
        self._last: tuple[Moment, float] | None = None

    def take(self, at: Moment, idle: float) -> None:
        """The source said at `at` that the last input was `idle` seconds ago."""
        self._sleeps.note(at)
        self._last = (at, idle)

    def forget(self) -> None:
        """The source is gone."""
        self._last = None

    def reading(self) -> Reading | None:
        """What it said last, however long ago, with the suspends since that input added."""
        last = self._last
        if last is None:
            return None
        at, idle = last
        return Reading(self._source, Evidence.IDLE, at.boot, idle + self._sleeps.after(at.awake - idle))
