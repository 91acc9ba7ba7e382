"""What the answers of a poll say of each host, poll after poll."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.lab.host_states import READING_AGE, HostMemory, LabAnswers, PollTime, judge_hosts
from gpuwatch_tray.model import UNKNOWN, UNSUPPORTED, HostState
from gpuwatch_tray.model.units import GIB

STEP = 15.0
START = 1_700_000_000.0


def answers(at, reading=None, *, room=(), untold=frozenset(), **values):
    """Of one host that was scraped this moment; `values` by the names of the questions."""
    told = {name: {"h1": value} for name, value in values.items()}
    if reading is not None:
        told["reading"] = {"h1": reading}
    return LabAnswers(at, {"h1": at}, values=told, room=room, untold=untold)


def states(readings, polls):
    """The host's state at each poll, where `readings` gives what it tells at a time."""
    memory, found = HostMemory(), []
    for poll in range(polls):
        at = START + poll * STEP
        now = PollTime(at, poll * STEP)
        views, memory = judge_hosts(answers(at, readings(at), gpus=4), memory, now, interval=STEP)
        found.append(views["h1"].state)
    return found


LATE = int(READING_AGE / STEP) + 2


@pytest.mark.parametrize(
    "reading",
    [
        77.0,  # an uptime, as nvitop-exporter has it
        START - 10.0,
        START + 3600.0,  # a clock that is ahead: in an hour this is the present
        START - 5000.0,
    ],
)
def test_a_reading_that_was_never_seen_to_move_is_old_in_the_end(reading):
    """An exporter that hung before we looked for the first time is no better than one that hangs later."""
    found = states(lambda _at: reading, 300)
    assert set(found[LATE:]) == {HostState.STALE}


@pytest.mark.parametrize("off", [0.0, 3600.0, -3600.0, 100.0 - START])
def test_a_reading_that_moves_is_the_present_whatever_the_hosts_clock(off):
    """Each minute is enough, as for a file that is read."""
    found = states(lambda at: off + at // 60 * 60, 40)
    assert set(found[LATE:]) == {HostState.OK}


def test_one_that_stops_moving_is_old():
    """Whatever it did before."""
    found = states(lambda at: min(at, START + 300.0), 60)
    assert found[20] is HostState.OK
    assert set(found[20 + LATE :]) == {HostState.STALE}


def test_what_a_host_told_once_and_does_not_now_is_lacking():
    """Whether we have seen it or Prometheus remembers it; not what comes back, or never was there."""
    memory = HostMemory()
    start = answers(START, START, gpus=4, expected=4)
    for answer, lacks in (
        (replace(start, lacking={"h1": frozenset({"hottest"})}), ("hottest",)),
        (start, ("hottest",)),
        (answers(START, START, gpus=4), ("expected", "hottest")),
        (replace(start, firing={"h1": ()}), ("hottest",)),
        (start, ("firing", "hottest")),
        (answers(START, START, gpus=4, expected=4, hottest=40), ("firing",)),
    ):
        views, memory = judge_hosts(answer, memory, PollTime(START, 0.0), interval=STEP)
        assert views["h1"].lacks == lacks
    views, memory = judge_hosts(answers(START, START), memory, PollTime(START, 0.0), interval=STEP)
    assert (views["h1"].state, views["h1"].lacks) == (HostState.UNKNOWN, ())


def test_for_how_long_the_same_reading_is_told():
    """From its first telling on; 0 where readings cannot be told apart, and where the host is not well."""
    for reading, stills in (
        (lambda _at: START, [0.0, 15.0, 30.0]),
        (lambda at: at, [0.0] * 3),
        (lambda _at: 0.0, [0.0] * 3),
    ):
        memory, found = HostMemory(), []
        for poll in range(3):
            at = START + poll * STEP
            now = PollTime(at, poll * STEP)
            views, memory = judge_hosts(answers(at, reading(at), gpus=4), memory, now, interval=STEP)
            found.append(views["h1"].still)
        assert found == stills


def of(**told):
    views, _memory = judge_hosts(
        answers(START, START, gpus=4, **told), HostMemory(), PollTime(START, 0.0), interval=STEP
    )
    return views["h1"]


def test_memory_on_free_gpus_is_no_more_than_are_free():
    """What was asked alone; without a row, or where it is not known which are free, it is not known."""
    told = {"room": (40 * GIB, 80 * GIB), f"roomy {40 * GIB}": 3.0}
    assert of(free=2.0, **told).roomy == ((40 * GIB, 2),)
    assert of(**told).roomy == ()
    assert of(looks_free=4.0, **told).roomy == ()
    assert of(looks_free=4.0, **told, **{f"looks_roomy {80 * GIB}": 1.0}).roomy == ((80 * GIB, 1),)


def test_what_no_host_tells_is_told_apart_from_what_this_one_does_not():
    """Of the one nothing can be waited for, of the other it may be known with the next poll."""
    assert of().free == UNKNOWN
    assert of(untold=frozenset({"free"})).free == UNSUPPORTED
    assert of(untold=frozenset({"free"}), free=1.0).free == 1
