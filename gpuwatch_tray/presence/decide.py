"""The interfaces of detectors and sources, what they exchange, and the decision from their readings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from gpuwatch_tray.language import N_
from gpuwatch_tray.model import Presence, PresenceResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuwatch_tray.presence.clock import Moment

FRESH = 15.0  # seconds, suspends included, for which a reading counts
UNKNOWN_RESULT = PresenceResult(Presence.UNKNOWN, N_("nothing here tells"))


class Evidence(Enum):
    """The kind of a reading."""

    LOCKED = N_("the screen is locked")
    IDLE = N_("so long without input")
    IDLE_AT_LEAST = N_("so long or longer without input")  # a small number is no sign of a person
    INPUT = N_("input within the time that counts as away")


@dataclass(frozen=True, slots=True)
class PresenceReading:
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
    """
    Decide by a locked screen, else by the first source that knows, in the order given.

    A person is away after `away` seconds without input; with 0 only behind a locked screen. Without a fresh
    sign of input nobody counts as present.
    """
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
