"""The interfaces of detectors and sources, what they exchange, and the decision from their readings."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from gpuwatch_tray.i18n import N_
from gpuwatch_tray.model import Presence, PresenceResult

if TYPE_CHECKING:
    from collections.abc import Iterable


# The names of the sources that a desktop has or lacks, whose modules it loads only for the former.
X_SERVER, COMPOSITOR, SWAYIDLE = "XScreenSaver", "ext-idle-notify", "swayidle"
FRESH = 15.0  # seconds, suspends included, for which a reading counts
UNKNOWN_RESULT = PresenceResult(Presence.UNKNOWN, N_("nothing here can tell"))


class Evidence(Enum):
    """The kind of a reading."""

    LOCKED = N_("the screen is locked")
    IDLE = N_("this long without input")
    IDLE_AT_LEAST = N_("at least this long without input")  # a small number is no sign of a person
    INPUT = N_("there was input within AWAY_MIN")


class PresenceReading(Struct, frozen=True):
    """A reading of one source, true at `at` (a Moment's `boot`); `idle` is in seconds."""

    source: str
    evidence: Evidence
    at: float
    idle: float = 0.0


class PresenceDetector(Protocol):
    """The interface of a presence detector; from any thread."""

    def check(self) -> PresenceResult:
        """Return whether the person is at the desk, as far as is known now; never waits."""

    def sources(self) -> tuple[str, ...]:
        """Describe the answer, then each source with its reading or the reason for none; for `doctor`."""

    def close(self) -> None:
        """End what was started, within a second or two."""


class PresenceSource(Protocol):
    """The interface of a source, which asks or listens by itself; `reading` never waits."""

    name: str

    def reading(self, now: Moment) -> PresenceReading | None:
        """Return what is known by now; None for nothing."""

    def state(self) -> str:
        """Explain a missing reading in one line."""

    def close(self) -> None:
        """End what the source started; by default nothing."""
        return


class AbsentSource(PresenceSource):
    """A source that is not used here, and why."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self._why = why

    def reading(self, now: Moment) -> PresenceReading | None:
        """Return None."""

    def state(self) -> str:
        """Explain why the source is not used."""
        return self._why


def decide(readings: Iterable[PresenceReading], now: float, away: float) -> PresenceResult:
    """Decide by a locked screen, else by the first source that knows; only fresh input is presence."""
    fresh = [reading for reading in readings if now - reading.at <= FRESH]
    for reading in fresh:
        if reading.evidence is Evidence.LOCKED:
            return PresenceResult(Presence.AWAY, reading.source)
    for reading in fresh:
        if reading.evidence is Evidence.INPUT:
            return PresenceResult(Presence.PRESENT, reading.source)
        if 0 < away <= reading.idle:
            return PresenceResult(Presence.AWAY, reading.source, reading.idle)
        if reading.evidence is Evidence.IDLE:
            return PresenceResult(Presence.PRESENT, reading.source, reading.idle)
    return UNKNOWN_RESULT


MIN_SUSPEND = 1.0  # seconds by which the clocks must part for a suspend


class Moment(Struct, frozen=True):
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

    Input between waking and observation counts as before the suspend: away for some seconds too long, at
    worst.
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
