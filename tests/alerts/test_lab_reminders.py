"""Reminders about a lab: a host of which nothing is known has no free GPU, and no process that has ended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gpuwatch_tray.alerts.lab_reminders import (
    MOST_ROOM,
    free_on,
    hosts_awaited,
    matches,
    room_wanted,
)
from gpuwatch_tray.alerts.reminder_types import (
    LabGpusFree,
    LabProcessEnds,
    Observation,
    Reminder,
    reminder_from_json,
    reminder_to_json,
)
from gpuwatch_tray.alerts.reminders import describe_reminder, step_reminder
from gpuwatch_tray.model import (
    UNKNOWN,
    HostState,
    Instant,
    Problem,
    ReminderNotice,
    RoomWanted,
    Snapshot,
)
from gpuwatch_tray.model.units import GIB
from tests.engine.lab_world import START, STEP, away, counted, detailed, lab

HOLD = 60.0


def at(poll):
    return Instant(START + poll * STEP, poll * STEP, "boot")


def observe(view, poll):
    return Observation(Snapshot("lab", START), at(poll), 60.0, lab=view)


def run(condition, views):
    """Step the reminder by these views, 15 s apart; the number of the view that brought a notice, and it."""
    reminder = Reminder(1, at(0), condition)
    for poll, view in enumerate(views):
        reminder = step_reminder(reminder, observe(view, poll))
        if reminder.notice is not None:
            return poll, reminder.notice
    return None


FREE = lab(counted("gpu1", 2), counted("gpu2", 4))


def test_it_is_told_once_the_gpus_have_been_free_for_the_hold():
    """Host, number and what to type are in the notice."""
    poll, notice = run(LabGpusFree(2, HOLD, on="gpu*"), [FREE] * 10)
    assert poll == 4
    assert notice.title == "2 GPUs free"
    assert notice.text == "2 GPUs are free on gpu1 (2)"
    assert "ssh gpu1" in notice.details


def test_a_host_with_enough_free_gpus_is_asked_which_they_are():
    """So the notice names them, where the view has counts alone; a host that has fewer is not asked."""
    reminder = Reminder(1, at(0), LabGpusFree(2, HOLD, on="gpu*"))
    gpus = detailed("gpu1", 2).detail
    asked = [hosts_awaited([reminder])]
    for poll in range(5):
        wanted = hosts_awaited([reminder])
        view = replace(FREE, details=tuple((name, gpus) for name in wanted))
        reminder = step_reminder(reminder, observe(view, poll))
        asked.append(wanted)
    assert asked == [frozenset(), frozenset(), *([frozenset({"gpu1"})] * 4)]
    assert reminder.notice.details == ("gpu1: GPU 2, GPU 3", "ssh gpu1")
    assert hosts_awaited([reminder]) == frozenset()  # it has been told


def test_of_many_hosts_with_enough_the_ones_with_the_most_are_asked():
    """Five at most, the one that would be told among them."""
    many = lab(*(counted(f"gpu{n}", 9 - n, gpus=9) for n in range(1, 9)))
    reminder = step_reminder(Reminder(1, at(0), LabGpusFree(2, HOLD, on="gpu*")), observe(many, 0))
    assert hosts_awaited([reminder]) == {"gpu4", "gpu5", "gpu6", "gpu7", "gpu8"}


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        (LabGpusFree(3, HOLD, on="gpu*"), False),
        (LabGpusFree(2, HOLD, on="gpu2"), False),
        (LabGpusFree(2, HOLD, on="gpu9, gpu1"), True),
        (LabGpusFree(3, HOLD, on="*", spread=True), False),
        (LabGpusFree(2, HOLD, on="*", spread=True), True),
        (LabGpusFree(1, HOLD, on="gpu1", memory=2**30), False),
    ],
)
def test_on_one_host_or_over_several(condition, told):
    """At once on one of the hosts, unless they may be spread; memory that is not known is not enough."""
    assert (run(condition, [FREE] * 10) is not None) is told


def roomy(name, *counts, **more):
    """A host of which it was asked how many free GPUs have 40 GiB free."""
    return replace(counted(name, **more), roomy=tuple((40 * GIB, count) for count in counts))


@pytest.mark.parametrize(
    ("condition", "hosts", "told"),
    [
        (LabGpusFree(2, HOLD, memory=40 * GIB), [roomy("a", 1), roomy("b", 2)], "b (2)"),
        (LabGpusFree(2, HOLD, memory=40 * GIB), [roomy("a", 1), roomy("b", 1)], ""),
        (
            LabGpusFree(2, HOLD, memory=40 * GIB, spread=True),
            [roomy("a", 1), roomy("b", 1)],
            "a (1), b (1)",
        ),
        (LabGpusFree(2, HOLD, memory=40 * GIB, spread=True), [roomy("a", 1), away("b")], ""),
        (LabGpusFree(2, HOLD, memory=40 * GIB, spread=True), [roomy("a", 1), roomy("b")], ""),
        (LabGpusFree(1, HOLD, memory=41 * GIB), [roomy("a", 4)], ""),  # of so much nobody has told
        (LabGpusFree(3, HOLD, memory=40 * GIB), [roomy("a", 4, free=2)], ""),  # more than are free
        (LabGpusFree(1, HOLD, memory=40 * GIB), [roomy("a", 4, free=UNKNOWN)], ""),
        (LabGpusFree(1, HOLD, memory=40 * GIB), [roomy("a", 4, free=UNKNOWN, looks_free=4)], ""),
        (
            LabGpusFree(4, HOLD, memory=40 * GIB, looks=True),
            [roomy("a", 4, free=UNKNOWN, looks_free=4)],
            "a (4)",
        ),
    ],
)
def test_memory_counts_gpu_by_gpu(condition, hosts, told):
    """Where hosts were asked for it; what was not told, of a GPU or of the whole host, does not count."""
    found = run(condition, [lab(*hosts)] * 10)
    assert ("" if found is None else found[1].text.partition(" on ")[2].partition(":")[0]) == told


def test_what_is_to_be_asked_follows_from_what_is_waited_for():
    """Each amount once, with the fewest GPUs that matter; what has come about already asks for nothing."""
    conditions = [
        LabGpusFree(2, HOLD),
        LabGpusFree(3, HOLD, memory=GIB),
        LabGpusFree(2, HOLD, memory=GIB),
        LabGpusFree(4, HOLD, memory=2 * GIB, spread=True),
        LabProcessEnds("gpu1", 7, "python"),
    ]
    waiting = [Reminder(number, at(0), condition) for number, condition in enumerate(conditions)]
    assert room_wanted(waiting) == (RoomWanted(GIB, 2), RoomWanted(2 * GIB, 1))
    told = ReminderNotice("title", "text", START)
    assert room_wanted([replace(one, notice=told) for one in waiting]) == ()
    many = [Reminder(n, at(0), LabGpusFree(1, HOLD, memory=n * GIB)) for n in range(1, 99)]
    assert len(room_wanted(many)) == MOST_ROOM


@pytest.mark.parametrize("name", ["gpu1;reboot", "-oProxyCommand=x", "$(reboot)", "gpu1 #1234abcd"])
def test_no_name_of_a_host_becomes_a_command(name):
    """The notice offers `ssh HOST` to paste into a shell, and whoever labels the targets writes the names."""
    _poll, notice = run(LabGpusFree(1, 2 * STEP, on="*"), [lab(counted(name, 1))] * 6)
    assert name in notice.text
    assert not any(line.startswith("ssh") for line in notice.details)


def test_a_moment_without_data_begins_the_wait_anew():
    """What happens while nothing is known may have taken the GPUs."""
    gap = lab(away("gpu1"), counted("gpu2", 4))
    blind = lab(problem=Problem("no answer"))
    for lost in (gap, blind):
        poll, _notice = run(LabGpusFree(2, HOLD, on="*"), [FREE] * 4 + [lost] + [FREE] * 10)
        assert poll == 9


def test_the_same_reading_told_again_is_no_longer_time_of_being_free():
    """Of an exporter that hangs; one that reads once a minute is believed with its next reading."""
    frozen = [lab(counted("gpu1", free=4, still=STEP * poll)) for poll in range(12)]
    assert run(LabGpusFree(1, HOLD), frozen) is None
    for first, told in ((0, 4), (1, 7), (3, 5)):
        each_minute = [lab(counted("gpu1", free=4, still=STEP * ((poll + first) % 4))) for poll in range(12)]
        assert run(LabGpusFree(1, HOLD), each_minute)[0] == told


hosts = st.one_of(
    st.builds(lambda free: counted("gpu1", 0, free=free), st.integers(0, 4)),
    st.sampled_from([away("gpu1", state) for state in HostState if state is not HostState.OK]),
    st.just(replace(counted("gpu1"), free=UNKNOWN, looks_free=4)),
    st.builds(lambda free, *counts: roomy("gpu1", *counts, free=free), st.integers(0, 4), st.integers(0, 4)),
    st.none(),
)
views = st.lists(
    st.one_of(
        hosts.map(lambda host: lab(*([host] if host else []))),
        st.just(lab(counted("gpu1", free=4), problem=Problem("no answer"))),
    ),
    max_size=40,
)


@given(views, st.integers(1, 3), st.booleans(), st.sampled_from([0, 40 * GIB]))
def test_no_loss_of_data_looks_free(sequence, count, spread, memory):
    """Whatever comes and goes: it is told only where every view of the last minute had the GPUs free."""
    told = run(LabGpusFree(count, HOLD, on="*", spread=spread, memory=memory), sequence)
    if told is None:
        return
    poll, _notice = told
    for view in sequence[poll - 4 : poll + 1]:
        assert view.problem is None
        (host,) = view.hosts
        assert host.state is HostState.OK
        assert host.free >= count
        assert not memory or dict(host.roomy)[memory] >= count
    assert poll >= 4


def test_what_looks_free_is_said_so():
    """Where nobody tells the processes, and only when that was asked for."""
    idle = replace(counted("gpu1"), free=UNKNOWN, looks_free=2)
    assert free_on(idle, LabGpusFree(1, HOLD)) == 0
    _poll, notice = run(LabGpusFree(2, HOLD, looks=True), [lab(idle)] * 10)
    assert "look free" in notice.text


def test_the_end_of_a_process_is_told_where_its_host_is_well():
    """Not while the host does not answer, nor while a list has a gap."""
    there, gone = lab(detailed("gpu1", 2)), lab(detailed("gpu1", 1))
    waiting = LabProcessEnds("gpu1", 101, "python", START)
    assert run(waiting, [there, lab(away("gpu1")), lab(), there]) is None
    assert run(waiting, [there, lab(detailed("gpu1", 1, lost=1)), there]) is None
    poll, notice = run(waiting, [there, lab(away("gpu1")), gone])
    assert poll == 2
    assert notice.text.startswith("gpu1: PID 101 (python) has ended")


def test_an_end_is_not_told_while_the_gpus_of_the_process_are_not_told_of():
    """A list without its GPU, one without any, and another machine at its address say nothing of it."""
    there = lab(detailed("gpu1", 1))
    waiting = LabProcessEnds("gpu1", 100, "python", START)
    (host,), (stranger,) = lab(detailed("gpu1")).hosts, lab(detailed("gpu7")).hosts
    for gpus in (host.detail.gpus[1:], (), stranger.detail.gpus):
        loss = lab(replace(host, detail=replace(host.detail, gpus=gpus)))
        assert run(waiting, [there, *[loss] * 10]) is None
        poll, _notice = run(waiting, [there, loss, lab(detailed("gpu1"))])
        assert poll == 2


def test_they_are_kept_on_file_as_they_are():
    """What is written is what is read."""
    for condition in (
        LabGpusFree(2, HOLD, (("1@gpu1", at(3)),), at(3), "gpu*", spread=True, memory=5, looks=True),
        LabProcessEnds("gpu1", 7, "python", START, 3.0, at(2), ("GPU-a", "GPU-b")),
    ):
        reminder = Reminder(4, at(1), condition)
        assert reminder_from_json(4, reminder_to_json(reminder)) == reminder
        assert describe_reminder(reminder)


def test_patterns_name_hosts():
    """As a shell's, several with blanks or commas between them."""
    assert matches("gpu*", "gpu12")
    assert matches("a, h?", "h1")
    assert not matches("gpu1", "gpu10")
