"""Whatever the readings: told once at most, never on unknown data, and a restart changes nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gpuwatch_tray.alerts.reminder_types import (
    CommandEnds,
    GpusFree,
    Observation,
    ProcessEnds,
    Reminder,
    reminder_from_json,
    reminder_to_json,
)
from gpuwatch_tray.alerts.reminders import step_reminder
from gpuwatch_tray.model import Gpu, Problem, Severity
from tests.support.fakes import BOOT, MIB, Clock, process, snapshot

GAP = 15.0
FAULTS = st.sampled_from([{}, {}, {}, {"problem": "lost"}, {"process_problem": "no permission"}])
PROCESSES = st.builds(
    process,
    st.sampled_from([7, 8]),
    st.sampled_from([0, 1, None]),
    st.floats(0, 1e6),
    kinds=st.sampled_from(["C", "G", "C+G"]),
    identity=st.sampled_from(["start-7", "start-7", "other", ""]),
    memory=st.integers(0, 80_000).map(lambda mib: mib * MIB),
)
READINGS = st.builds(
    lambda first, second, processes, dark: snapshot(
        *processes,
        gpus=(Gpu(0, "GPU-0000", **first), Gpu(1, "GPU-0001", **second)),
        problem=Problem("driver not loaded") if dark else None,
    ),
    FAULTS,
    FAULTS,
    st.lists(PROCESSES, max_size=3),
    st.sampled_from([False, False, False, True]),
)
# (seconds since the last look, a reboot before it, the reading, what the system says of the process)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([1.0, 5.0, 5.0, 12.0, 40.0]),
        st.sampled_from([False] * 9 + [True]),
        READINGS,
        st.sampled_from([None, True, True, False]),
    ),
    max_size=25,
)
WISHES = st.one_of(
    st.builds(GpusFree, st.integers(1, 3), st.sampled_from([5.0, 20.0])),
    st.builds(
        ProcessEnds, st.just(7), st.sampled_from(["start-7", ""]), st.just("x"), st.just(BOOT), st.booleans()
    ),
    st.builds(CommandEnds, st.just(7), st.just("start-7"), st.just("x")),
)


def replay(condition, steps, *, in_loop=True, restarts=()):
    """The watch after each look; before each of `restarts` it has been to the disk and back."""
    clock = Clock()
    watch = Reminder(1, clock.instant(), condition)
    after = []
    for place, (seconds, reboot, reading, lives) in enumerate(steps):
        if reboot:
            clock.reboot(seconds)
        else:
            clock.advance(seconds)
        if place in restarts:
            watch = reminder_from_json(1, json.loads(json.dumps(reminder_to_json(watch))))
        watch = step_reminder(watch, Observation(reading, clock.instant(), GAP, in_loop, lives))
        after.append(watch)
    return after


@given(WISHES, STEPS, st.booleans(), st.sets(st.integers(0, 24)))
def test_a_restart_between_any_two_looks_changes_nothing(condition, steps, in_loop, restarts):
    """From the file a watch goes on as if it had never been put there."""
    assert replay(condition, steps, in_loop=in_loop) == replay(
        condition, steps, in_loop=in_loop, restarts=restarts
    )


@given(WISHES, STEPS)
def test_what_has_come_about_stays_as_it_was_told(condition, steps):
    """There is one notice at most: it neither goes away nor changes."""
    notices = [watch.notice for watch in replay(condition, steps)]
    first = next((notice for notice in notices if notice is not None), None)
    seen = notices[notices.index(first) :] if first is not None else []
    assert all(notice == first for notice in seen)


@given(st.integers(1, 3), st.sampled_from([5.0, 20.0]), STEPS)
def test_free_is_told_only_of_gpus_that_were_seen_free_all_the_time(count, hold, steps):
    """
    In every reading within the hold, so many of the same GPUs were known to be free, without a gap.

    A reading that failed is none: it takes nothing from the hold, and the pause around it is one pause.
    """
    after = replay(GpusFree(count, hold), steps)
    told = next((place for place, watch in enumerate(after) if watch.notice is not None), None)
    if told is None:
        return
    common, spent, pause = None, 0.0, 0.0
    for seconds, reboot, reading, _ in reversed(steps[: told + 1]):
        if reading.problem is None:
            free = set(reading.free_gpus or {})
            common = free if common is None else common & free
            pause = 0.0
        if spent >= hold:
            break
        spent += seconds
        pause += seconds
        if reboot or pause > GAP:
            break
    assert spent >= hold
    assert len(common) >= count


@given(st.booleans(), st.sampled_from(["start-7", ""]), STEPS)
def test_an_end_is_told_only_where_it_is_known(local, identity, steps):
    """A process is gone by the system's word, by another boot, by another holder, or by complete lists."""
    condition = ProcessEnds(7, identity, "x", BOOT, local)
    after = replay(condition, steps)
    told = next((place for place, watch in enumerate(after) if watch.notice is not None), None)
    if told is None:
        return
    _, _, reading, lives = steps[told]
    assert (
        not any((each.pid, each.identity) == (7, identity) for each in reading.processes) or reading.problem
    )
    reused = identity and any(each.pid == 7 and each.identity for each in reading.processes)
    complete = not reading.problem and not any(gpu.problem or gpu.process_problem for gpu in reading.gpus)
    assert lives is False or reused or (complete and not local)


@given(WISHES, st.integers(1, 40))
def test_nothing_is_told_where_nothing_can_be_read(condition, looks):
    """A driver that does not answer ends nothing and frees nothing, for however long."""
    dark = snapshot(problem=Problem("driver not loaded"))
    after = replay(condition, [(5.0, False, dark, None)] * looks)
    assert all(watch.notice is None for watch in after)


@pytest.mark.parametrize("change", [{"wish": {"kind": "x"}}, {"asked": 3}, {"notice": {"title": "t"}}, {}])
def test_what_nobody_has_written_is_no_watch(change):
    """A damaged record raises one of the errors that the store takes for damage."""
    body = reminder_to_json(Reminder(1, Clock().instant(), GpusFree(1, 60.0)))
    body = body | change if change else {}
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        reminder_from_json(1, body)


def test_a_notice_comes_back_from_the_file():
    """What has come about and is to be told is on file whole."""
    clock = Clock()
    watch = Reminder(4, clock.instant(), CommandEnds(7, "a", "x", peak=3))
    done = step_reminder(
        replace(watch, condition=replace(watch.condition, boot="b")),
        Observation(snapshot(), clock.instant(), GAP),
    )
    assert done.notice is not None
    body = json.loads(json.dumps(reminder_to_json(done)))
    assert reminder_from_json(4, body) == done
    del body["notice"]["severity"]  # as a version wrote it that had none
    assert reminder_from_json(4, body) == replace(done, notice=replace(done.notice, severity=Severity.INFO))
