"""The decision: what the sources have read -> away, present or unknown, and by whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.desktop.presence.types import FRESH, UNKNOWN_RESULT, Evidence, PresenceReading, decide
from gpuwatch_tray.model import Presence, PresenceResult

NOW = 1000.0
AWAY = 300.0


def idle(seconds, at=NOW, source="X"):
    return PresenceReading(source, Evidence.IDLE, at, seconds)


def at_least(seconds, at=NOW, source="logind"):
    return PresenceReading(source, Evidence.IDLE_AT_LEAST, at, seconds)


LOCKED = PresenceReading("locker", Evidence.LOCKED, NOW)
INPUT = PresenceReading("swayidle", Evidence.INPUT, NOW)


@pytest.mark.parametrize(
    ("readings", "away", "expected"),
    [
        # nobody tells
        ([], AWAY, UNKNOWN_RESULT),
        # one source, either side of the limit and on it
        ([idle(299.9)], AWAY, PresenceResult(Presence.PRESENT, "X", 299.9)),
        ([idle(300.0)], AWAY, PresenceResult(Presence.AWAY, "X", 300.0)),
        ([INPUT], AWAY, PresenceResult(Presence.PRESENT, "swayidle")),
        # a lower bound shows that somebody is away, and never that somebody is there
        ([at_least(300.0)], AWAY, PresenceResult(Presence.AWAY, "logind", 300.0)),
        ([at_least(299.9)], AWAY, UNKNOWN_RESULT),
        ([at_least(0.0), INPUT], AWAY, PresenceResult(Presence.PRESENT, "swayidle")),
        # a lock counts before all input, wherever it stands: who types a password is not back yet
        ([idle(0.0), INPUT, LOCKED], AWAY, PresenceResult(Presence.AWAY, "locker")),
        # the first that knows is believed
        ([idle(5.0), idle(900.0, source="Y")], AWAY, PresenceResult(Presence.PRESENT, "X", 5.0)),
        ([idle(5.0), at_least(900.0)], AWAY, PresenceResult(Presence.PRESENT, "X", 5.0)),
        # an old reading says nothing: neither present, nor away, nor locked
        ([idle(0.0, NOW - FRESH - 0.1)], AWAY, UNKNOWN_RESULT),
        ([idle(900.0, NOW - FRESH - 0.1)], AWAY, UNKNOWN_RESULT),
        ([PresenceReading("locker", Evidence.LOCKED, NOW - 60)], AWAY, UNKNOWN_RESULT),
        ([idle(0.0, NOW - 60), idle(900.0, source="Y")], AWAY, PresenceResult(Presence.AWAY, "Y", 900.0)),
        ([idle(0.0, NOW - FRESH)], AWAY, PresenceResult(Presence.PRESENT, "X", 0.0)),
        # AWAY_MIN=0: nobody is away by idling, only by locking
        ([idle(90_000.0)], 0.0, PresenceResult(Presence.PRESENT, "X", 90_000.0)),
        ([at_least(90_000.0)], 0.0, UNKNOWN_RESULT),
        ([idle(0.0), LOCKED], 0.0, PresenceResult(Presence.AWAY, "locker")),
    ],
)
def test_each_row_of_the_table(readings, away, expected):
    """What the comment above each row says."""
    assert decide(readings, NOW, away) == expected


seconds = st.floats(0, 1e6)
some_readings = st.lists(
    st.builds(PresenceReading, st.sampled_from("abc"), st.sampled_from(Evidence), st.floats(0, NOW), seconds),
    max_size=6,
)


@given(some_readings, st.sampled_from([0.0, 60.0, 300.0]))
def test_nobody_is_present_without_a_fresh_sign_of_input(readings, away):
    """Whatever the sources say, PRESENT rests on a fresh count below the limit, or on input that was told."""
    sighting = decide(readings, NOW, away)
    if sighting.presence is Presence.PRESENT:
        grounds = [
            one
            for one in readings
            if one.source == sighting.source
            and NOW - one.at <= FRESH
            and (
                one.evidence is Evidence.INPUT
                or (one.evidence is Evidence.IDLE and (away == 0 or one.idle < away))
            )
        ]
        assert grounds


@given(some_readings, seconds)
def test_a_fresh_lock_is_always_away(readings, away):
    """Nothing that another source says takes it back."""
    assert decide([*readings, LOCKED], NOW, away).presence is Presence.AWAY
