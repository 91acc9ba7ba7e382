"""The decision from the sources' readings: away, present or unknown, and by which source. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from gpuwatch_tray.language import N_
from gpuwatch_tray.model import Presence, Sighting

if TYPE_CHECKING:
    from collections.abc import Iterable

FRESH = 15.0  # seconds, suspends included, for which a reading counts
NOBODY_TELLS = Sighting(Presence.UNKNOWN, N_("nothing here tells"))


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


def decide(readings: Iterable[PresenceReading], now: float, away: float) -> Sighting:
    """
    Decide by a locked screen, else by the first source that knows, in the order given.

    A person is away after `away` seconds without input; with 0 only behind a locked screen. Without a fresh
    sign of input nobody counts as present.
    """
    fresh = [reading for reading in readings if now - reading.at <= FRESH]
    for reading in fresh:
        if reading.evidence is Evidence.LOCKED:
            return Sighting(Presence.AWAY, reading.source)
    for reading in fresh:
        if reading.evidence is Evidence.INPUT:
            return Sighting(Presence.PRESENT, reading.source)
        if 0 < away <= reading.idle:
            return Sighting(Presence.AWAY, reading.source, reading.idle)
        if reading.evidence is Evidence.IDLE:
            return Sighting(Presence.PRESENT, reading.source, reading.idle)
    return NOBODY_TELLS
