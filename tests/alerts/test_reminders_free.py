"""When GPUs count as free: not while anything about them is unknown."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.alerts.reminder_types import GpusFree, Observation, Reminder
from gpuwatch_tray.alerts.reminders import awaited, step_reminder
from gpuwatch_tray.model import Gpu, Problem
from tests.support.fakes import Clock, process, snapshot

GAP = 15.0
DARK = snapshot(problem=Problem("driver not loaded"))
ALL = {"GPU-0000", "GPU-0001"}


def two(*processes, **first):
    """Two GPUs, the first of which has these facts."""
    return snapshot(*processes, gpus=(Gpu(0, "GPU-0000", "A", **first), Gpu(1, "GPU-0001", "B")))


@pytest.mark.parametrize(
    ("reading", "free"),
    [
        (two(), ALL),
        (two(process(1, 0)), {"GPU-0001"}),
        # what only draws does not count, whoever it belongs to
        (two(process(1, 0, kinds="G"), process(2, 0, kinds="G", mine=False)), ALL),
        # anybody's computing does, and what also draws, and MPS
        (two(process(1, 0, mine=False)), {"GPU-0001"}),
        (two(process(1, 0, kinds="C+G"), process(2, 1, kinds="M")), set()),
        # how it uses the GPU is not known: it may compute
        (two(replace(process(1, 0), kinds=frozenset())), {"GPU-0001"}),
        # lost, or its list failed: not free
        (two(problem="lost"), {"GPU-0001"}),
        (two(process_problem="no permission"), {"GPU-0001"}),
        # suspended by the system: nothing runs there
        (two(asleep=True), ALL),
        # on which GPU it is cannot be told: it may be either
        (two(process(1, None)), set()),
        (two(process(1, None, kinds="G")), ALL),
        # nothing is known of any
        (DARK, None),
        (snapshot(gpus=()), None),
        (snapshot(process(1, 0), gpus=(Gpu(0, ""),)), None),
    ],
)
def test_which_gpus_are_free(reading, free):
    """Free is what is known to have no compute process; None where the GPUs are not known at all."""
    found = reading.free_gpus
    assert (found if found is None else set(found)) == free


@pytest.mark.parametrize(
    ("first", "busy", "free"),
    [({}, (), True), ({}, (process(1, 0),), False), ({"process_problem": "no permission"}, (), False)],
)
def test_a_gpu_with_mig_devices_is_one(first, busy, free):
    """The devices of one GPU count as that GPU, which is free when all of them are."""
    parts = (Gpu(0, "MIG-1", physical="GPU-0", **first), Gpu(0, "MIG-2", physical="GPU-0"))
    assert set(snapshot(*busy, gpus=parts).free_gpus) == ({"GPU-0"} if free else set())


class Waiting:
    """A watch and its clock; `look` is one step."""

    def __init__(self, count=1, hold=60.0, *, in_loop=True):
        self.clock = Clock()
        self.in_loop = in_loop
        self.watch = Reminder(1, self.clock.instant(), GpusFree(count, hold))

    def look(self, reading, after=5.0, times=1):
        for _ in range(times):
            self.clock.advance(after)
            self.watch = step_reminder(
                self.watch, Observation(reading, self.clock.instant(), GAP, self.in_loop)
            )
        return self.watch.notice is not None


TAKEN = two(process(1, 0), process(2, 1))
FIRST, SECOND = two(process(2, 1)), two(process(1, 0))


def test_a_gpu_must_have_been_free_for_the_time_asked():
    """A GPU between two jobs is not free: a minute of looks at it is needed, and the notice says so."""
    waiting = Waiting()
    assert not waiting.look(TAKEN, times=3)
    assert not waiting.look(FIRST, times=12)
    assert waiting.look(FIRST)
    notice = waiting.watch.notice
    assert (notice.title, notice.details) == ("GPU free", ())
    assert notice.text == "GPU 0 (A) is free: no compute process for 1 min"


def test_each_gpu_is_held_by_itself():
    """Two GPUs that are free in turn are not one GPU that is free."""
    waiting = Waiting()
    for _ in range(4):
        assert not waiting.look(FIRST, times=8)
        assert not waiting.look(SECOND, times=8)


def test_several_gpus_are_waited_for():
    """Of two GPUs the second must have been free for the time too; both are named."""
    waiting = Waiting(2)
    waiting.look(FIRST, times=20)
    assert not waiting.look(two(), times=12)
    assert waiting.look(two())
    assert waiting.watch.notice.text == "GPU 0 (A), GPU 1 (B) are free: no compute process for 1 min"
    assert waiting.watch.notice.title == "2 GPUs free"


@pytest.mark.parametrize("between", [two(problem="lost"), two(process_problem="?"), TAKEN])
def test_what_is_not_known_begins_anew(between):
    """A look at which the GPU is taken, lost, or cannot be read starts its minute again."""
    waiting = Waiting()
    waiting.look(FIRST, times=12)
    assert not waiting.look(replace(between, processes=(*between.processes, process(2, 1))))
    assert not waiting.look(FIRST, times=12)
    assert waiting.look(FIRST)


def test_a_reading_that_fails_within_the_gap_takes_nothing_away():
    """While slow readings are awaited the GPU is neither free nor taken: the next reading counts on."""
    waiting = Waiting()
    for _ in range(6):
        assert not waiting.look(FIRST)
        assert not waiting.look(DARK)
    assert waiting.look(FIRST)


@pytest.mark.parametrize("event", ["gap", "reboot", "clock set back over a reboot"])
def test_a_gap_begins_anew(event):
    """What lay between two looks that are far apart, or in two boots, is not known."""
    waiting = Waiting()
    waiting.look(FIRST, times=12)
    if event == "gap":
        waiting.clock.advance(GAP + 1)
    else:
        waiting.clock.reboot(5.0 if event == "reboot" else -9000.0)
    assert not waiting.look(FIRST)
    assert not waiting.look(FIRST, times=11)
    assert waiting.look(FIRST)


def test_the_wall_clock_does_not_matter():
    """Somebody who sets the clock makes no GPU free, and none less free."""
    waiting = Waiting()
    waiting.look(FIRST, times=6)
    waiting.clock.jump(86400)
    assert not waiting.look(FIRST, times=6)
    waiting.clock.jump(-200000)
    assert waiting.look(FIRST)


def test_check_counts_its_own_polls():
    """Runs of cron lie apart: free at two of them, at least so far apart, and it says what is not known."""
    waiting = Waiting(in_loop=False)
    assert not waiting.look(FIRST, after=300)
    assert waiting.look(FIRST, after=300)
    assert waiting.watch.notice.details == (
        "seen in two runs of `check`; what happened between them is not known",
    )
    again = Waiting(in_loop=False)
    assert not again.look(FIRST, after=300)
    assert not again.look(DARK, after=300)
    assert not again.look(FIRST, after=300)


def test_it_is_shown_as_what_is_waited_for_and_then_as_what_has_come():
    """The row says what is waited for; once that has come about, what it was."""
    waiting = Waiting(2, 90.0)
    assert awaited(waiting.watch).text == "2 GPUs are free for 1 min"
    assert (awaited(waiting.watch).target, awaited(waiting.watch).due) == ("2", False)
    waiting.look(two(), times=20)
    assert awaited(waiting.watch).due
    assert awaited(waiting.watch).text.startswith("GPU 0 (A), GPU 1 (B) are free")
