"""Readings into minutes: each stands for the time since the one before, and nothing is made up."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from gpuwatch_tray.history import Sampler
from gpuwatch_tray.model import (
    UNKNOWN,
    UNSUPPORTED,
    ClockLimit,
    Limits,
    Missing,
    Problem,
    Severity,
    Snapshot,
    Why,
)
from gpuwatch_tray.model.units import MINUTE
from tests.support.fakes import BOOT, MIB, Clock, alert, process, snapshot
from tests.support.machine_history import NOON, UUID, gpu

WORKING = (gpu(),)
FAILED = Missing(Why.ERROR, "Unknown Error")


class Readings:
    """A sampler, its clock, and the minutes that came out of it."""

    def __init__(self, *, every=5.0, gap=15.0, limits=None) -> None:
        self.clock = Clock(NOON)
        self.every = every
        self.sampler = Sampler(limits or Limits(), gap)
        self.minutes = []

    def poll(self, *processes, gpus=WORKING, alerts=(), seconds=None, **facts):
        self.clock.advance(self.every if seconds is None else seconds)
        reading = snapshot(*processes, gpus=gpus, at=self.clock.now, **facts)
        self.minutes += [over() for over in self.sampler.add(reading, alerts, self.clock.instant())]

    def poll_for(self, *processes, times, **facts):
        for _ in range(times):
            self.poll(*processes, **facts)

    @property
    def all(self):
        """The minutes, the one that is not over included."""
        self.minutes += [over() for over in self.sampler.finish_minute()]
        return [minute.stretch for minute in self.minutes]

    def samples(self, uuid=UUID):
        return [sample for stretch in self.all for sample in stretch.gpus if sample.uuid == uuid]

    def uses(self, kind="users"):
        return [use for stretch in self.all for use in getattr(stretch, kind)]


def total(samples, name):
    return sum(getattr(sample, name) for sample in samples)


def test_the_first_reading_stands_for_no_time():
    """Nobody knows what was before: one look alone is no sample."""
    readings = Readings()
    readings.poll()
    assert readings.all == []


def test_a_reading_over_the_turn_of_a_minute_is_of_both():
    """Its seconds lie where they were."""
    readings = Readings(every=50.0, gap=150.0)
    readings.poll_for(times=3)
    assert [(sample.at - NOON, sample.covered) for sample in readings.samples()] == [
        (0, 10.0),
        (60, 60.0),
        (120, 30.0),
    ]


def test_seldom_readings_fill_every_minute_between_them():
    """A poll each five minutes is five minutes of samples."""
    readings = Readings(every=300.0, gap=900.0)
    readings.poll_for(times=2)
    assert [sample.covered for sample in readings.samples()] == [60.0] * 5


def test_after_a_gap_nothing_is_known_of_it():
    """A suspend, a hang: the reading after it stands for no time, and no energy is told of it."""
    readings = Readings()
    readings.poll_for(times=3, gpus=(gpu(energy=1000.0),))
    readings.poll(seconds=8 * 3600.0, gpus=(gpu(energy=9e9),))
    readings.poll_for(times=2, gpus=(gpu(energy=9e9),))
    samples = readings.samples()
    assert total(samples, "covered") == 20.0
    assert total(samples, "energy") == 20.0 * 200.0


def test_readings_that_come_slower_than_the_gap_are_samples():
    """A driver that takes 20 s to answer: from the second such pause on the time counts as watched."""
    readings = Readings()
    readings.poll()
    readings.poll_for(times=4, seconds=20.0)
    assert total(readings.samples(), "covered") == 3 * 20.0


def test_a_pause_far_longer_than_the_slow_ones_is_a_gap():
    """A suspend of a machine whose readings are slow; and the first after it starts anew."""
    readings = Readings()
    readings.poll()
    readings.poll_for(times=3, seconds=20.0)
    readings.poll(seconds=8 * 3600.0)
    readings.poll_for(times=2, seconds=20.0)
    assert total(readings.samples(), "covered") == 4 * 20.0


def test_a_reading_that_failed_is_a_gap_of_its_own_length():
    """The next good one counts from it, not from the one before."""
    readings = Readings()
    readings.poll_for(times=3)
    readings.clock.advance(5)
    dark = Snapshot("test", readings.clock.now, problem=Problem("driver not loaded"))
    assert readings.sampler.add(dark, (), readings.clock.instant()) == ()
    readings.poll_for(times=2)
    assert total(readings.samples(), "covered") == 20.0


@pytest.mark.parametrize("jump", [-86400.0, -3600.0, -7.0, 7.0, 3600.0, 86400.0])
def test_a_clock_that_is_set_changes_no_sum(jump):
    """Time is measured by the clock that nobody sets; what was seen lies where the wall clock then is."""
    readings = Readings()
    readings.poll_for(process(1), times=13)
    readings.clock.jump(jump)
    readings.poll_for(process(1), times=13)
    samples = readings.samples()
    assert total(samples, "covered") == pytest.approx(125.0)
    assert total(samples, "energy") == pytest.approx(125.0 * 200.0)
    assert total(readings.uses(), "seconds_in_use") == pytest.approx(125.0)


def test_a_gpu_that_does_not_answer_has_no_sample():
    """The others have theirs."""
    readings = Readings()
    lost = replace(gpu(1), problem="GPU is lost", memory_used=FAILED)
    readings.poll_for(times=3, gpus=(gpu(), gpu(1)))
    readings.poll_for(times=30, gpus=(gpu(), lost))
    assert total(readings.samples("GPU-0001"), "covered") == 10.0
    assert total(readings.samples(), "covered") == 160.0


def test_a_value_is_weighed_by_the_time_in_which_it_was_known():
    """A temperature that fails for a while is not 0 meanwhile, and the mean is of the rest."""
    readings = Readings()
    for temperature in (50, 60, FAILED, FAILED, 90):
        readings.poll(gpus=(gpu(temperature=temperature),))
    (sample,) = readings.samples()
    assert (sample.temperature.low, sample.temperature.mean, sample.temperature.high) == (60, 75, 90)
    assert (sample.temperature.seconds, sample.covered) == (10.0, 20.0)


def test_a_sleeping_gpu_is_seen_and_nothing_of_it_is_known():
    """Neither its power nor its memory is 0."""
    asleep = replace(
        gpu(),
        asleep=True,
        **dict.fromkeys(("memory_used", "utilisation", "temperature", "power", "fan", "limited_by"), UNKNOWN),
    )
    readings = Readings()
    readings.poll_for(times=4, gpus=(asleep,))
    (sample,) = readings.samples()
    assert (sample.covered, sample.asleep, sample.listed) == (15.0, 15.0, 15.0)
    assert (sample.memory, sample.utilisation, sample.power, sample.throttled, sample.energy) == (None,) * 5


def test_throttling_is_heat_and_the_hardware_and_not_the_power_limit():
    """Its mean is the share of the time."""
    readings = Readings()
    for limit in (0, ClockLimit.POWER_CAP, ClockLimit.SW_THERMAL, ClockLimit.HW_POWER_BRAKE, 0):
        readings.poll(gpus=(gpu(limited_by=ClockLimit(limit)),))
    (sample,) = readings.samples()
    assert sample.throttled.mean == 0.5


def test_a_user_holds_a_gpu_once_however_many_processes_there_are():
    """GPU-hours are hours; the memory of the processes is added up, the energy is shared among all."""
    readings = Readings()
    mine = [process(n, memory=1024 * MIB) for n in (1, 2, 3)]
    readings.poll_for(*mine, process(9, mine=False), times=7)
    ada, bob = sorted(readings.uses(), key=lambda use: use.who)
    assert (ada.who, ada.seconds_in_use, ada.memory.mean, ada.energy) == (
        "ada",
        30.0,
        3072 * MIB,
        30.0 * 150.0,
    )
    assert (bob.who, bob.seconds_in_use, bob.energy) == ("bob", 30.0, 30.0 * 50.0)
    assert sorted(use.seconds_in_use for use in readings.uses("processes")) == [30.0] * 4
    assert total(readings.uses("processes"), "energy") == pytest.approx(total(readings.samples(), "energy"))


def test_an_owner_that_cannot_be_told_is_nobody_else():
    """In a container: a user of None, beside those that are known."""
    readings = Readings()
    readings.poll_for(process(1, user=UNKNOWN, mine=None), process(2), times=3)
    assert {use.who for use in readings.uses()} == {None, "ada"}


def test_graphics_and_ignored_programs_hold_nothing():
    """They are seen as processes, and nobody is charged for the desktop."""
    readings = Readings(limits=Limits(ignore=frozenset({"xorg"})))
    readings.poll_for(process(1, kinds="G", name="game"), process(2, name="Xorg"), times=3)
    assert readings.uses() == []
    assert [use.energy for use in readings.uses("processes")] == [None, None]
    assert [run.computes for minute in readings.minutes for run in minute.runs] == [False, False]
    assert total(readings.samples(), "seconds_in_use") == 0.0


def test_memory_that_is_not_known_of_one_process_is_not_known_of_their_sum():
    """A sum of what happens to be known would be less than there is."""
    readings = Readings()
    readings.poll_for(process(1, memory=UNSUPPORTED), process(2), times=3)
    (use,) = readings.uses()
    assert (use.seconds_in_use, use.memory) == (10.0, None)


def test_idle_is_held_without_doing_anything():
    """By IDLE_PCT; where the utilisation is not known it is not idle."""
    readings = Readings()
    for busy in (0, 4, 5, 100, UNKNOWN):
        readings.poll(process(1), gpus=(gpu(utilisation=busy),))
    assert total(readings.uses(), "idle") == total(readings.samples(), "idle") == 5.0
    assert total(readings.samples(), "seconds_in_use") == 20.0


def test_a_mig_device_is_held_and_its_board_draws():
    """The energy is the board's, shared among the processes of all its devices."""
    board = gpu(utilisation=UNSUPPORTED)
    parts = tuple(replace(gpu(), uuid=f"MIG-{n}", physical=UUID, power=UNSUPPORTED) for n in (1, 2))
    readings = Readings()
    readings.poll_for(
        process(1, device="MIG-1"), process(2, device="MIG-2", user="bob"), times=3, gpus=(board, *parts)
    )
    assert {(use.who, use.uuid, use.energy) for use in readings.uses()} == {
        ("ada", "MIG-1", 1000.0),
        ("bob", "MIG-2", 1000.0),
    }
    assert [sample.energy for sample in readings.samples("MIG-1")] == [None]
    assert total(readings.samples(), "energy") == 2000.0
    assert total(readings.samples(), "seconds_in_use") == 10.0


def test_a_process_whose_gpu_is_not_told_is_kept_as_such():
    """`GPU=?`: it is held somewhere, and no GPU is charged."""
    readings = Readings()
    readings.poll_for(process(1, gpu=None), times=3)
    (use,) = readings.uses()
    assert (use.uuid, use.seconds_in_use, use.energy, use.utilisation) == ("", 10.0, None, None)


@pytest.mark.parametrize("every", [5.0, 50.0, 120.0])
def test_a_process_that_comes_at_the_turn_of_a_minute_is_kept(every):
    """The reading that ends a minute is the first that it is in."""
    readings = Readings(every=every, gap=3 * every)
    readings.poll_for(times=round(60 / every) or 1)
    for _ in range(4):
        readings.poll(process(1), process(2))
    readings.poll()
    uses = readings.uses("processes")
    assert total(uses, "seconds_in_use") == pytest.approx(8 * every)
    runs = {run.key: run for minute in readings.minutes for run in minute.runs}
    assert {use.who for use in uses} == set(runs)
    assert {run.last - run.first for run in runs.values()} == {3 * every}


def test_a_minute_may_be_made_long_after_it_is_over():
    """What comes after it changes nothing of it: neither an owner told later nor a process that goes on."""
    eager, late = Readings(), Readings()
    waiting = []
    for number in range(40):
        facts = {"user": UNKNOWN, "mine": None} if number < 14 else {}
        there = [process(1, **facts), *([process(2)] if number < 20 else [process(2, kinds="G")])]
        eager.poll(*there)
        late.clock.advance(late.every)
        reading = snapshot(*there, gpus=WORKING, at=late.clock.now)
        waiting += late.sampler.add(reading, (), late.clock.instant())
    assert len(waiting) == 3
    assert [over() for over in waiting] == eager.minutes


def test_a_reused_pid_is_another_process():
    """The identity tells them apart, and so does the boot."""
    readings = Readings()
    readings.poll_for(process(1, identity="a"), times=2)
    readings.poll_for(process(1, identity="b"), times=2)
    readings.poll(process(1, identity="b"), seconds=5.0)
    assert {use.who for use in readings.uses("processes")} == {f"{BOOT}/1/{name}/{UUID}" for name in "ab"}


def test_the_name_of_a_process_is_short_and_safe():
    """A title that holds a whole command, a secret, 4 KB and what turns the text round."""
    hostile = "\u202etrain --token=abcdef0123456789 " + "x" * 4096
    readings = Readings()
    readings.poll_for(process(1, name=hostile), times=2)
    readings.all  # noqa: B018  # closes the minute
    (run,) = readings.minutes[0].runs
    assert len(run.name) <= 64
    assert "abcdef0123456789" not in run.name
    assert "\u202e" not in run.name


def test_the_worst_alert_of_a_minute_marks_its_gpu():
    """Those of a process mark the GPUs that it is on, those of the machine none."""
    readings = Readings()
    about = (
        alert(subject=UUID, severity=Severity.INFO),
        alert("max_etime", f"{BOOT}/1/start-1", Severity.WARNING),
        alert("gpu_limit", "", Severity.CRITICAL),
    )
    readings.poll_for(process(1, gpu=1), times=3, gpus=(gpu(), gpu(1), gpu(2)), alerts=about)
    levels = [readings.samples(f"GPU-000{n}")[0].level for n in range(3)]
    assert levels == [Severity.INFO, Severity.WARNING, None]


LOOKS = st.lists(
    st.tuples(
        st.sampled_from((0.2, 1.0, 5.0, 5.0, 5.0, 14.0, 16.0, 70.0)),
        st.none() | st.integers(0, 100),
        st.sampled_from((0.0, 0.0, 0.0, -90.0, 3600.0)),
    ),
    max_size=60,
)


@given(LOOKS)
@example([(5.0, 1, 0.0), *[(14.0, 1, 0.0)] * 3, (16.0, 1, -90.0), (70.0, 1, 0.0), (14.0, 1, 0.0)])
def test_minutes_hold_exactly_what_was_read(looks):
    """Against sums made directly: whatever the pace, the gaps, the errors and the steps of the clock."""
    readings, first = Readings(), True
    covered = known = weighed = before = 0.0
    values = []
    for seconds, busy, jump in looks:
        readings.clock.jump(jump)
        readings.poll(process(1), gpus=(gpu(utilisation=FAILED if busy is None else busy),), seconds=seconds)
        if not first and seconds <= (15.0 if before <= 15.0 else 2 * before):
            covered += seconds
            if busy is not None:
                known, weighed = known + seconds, weighed + busy * seconds
                values.append(busy)
        first, before = False, 0.0 if first else seconds
    samples = readings.samples()
    spans = [sample.utilisation for sample in samples if sample.utilisation is not None]
    assert total(samples, "covered") == pytest.approx(covered)
    assert total(readings.uses(), "seconds_in_use") == pytest.approx(covered)
    assert sum(span.seconds for span in spans) == pytest.approx(known)
    assert sum(span.mean * span.seconds for span in spans) == pytest.approx(weighed)
    assert (min((s.low for s in spans), default=None), max((s.high for s in spans), default=None)) == (
        min(values, default=None),
        max(values, default=None),
    )
    assert all(span.low <= span.mean <= span.high for span in spans)
    twice = any(jump < 0 for _, _, jump in looks)  # a minute that the clock goes through twice holds both
    assert all(sample.at % MINUTE == 0 for sample in samples)
    assert twice or all(sample.covered <= MINUTE + 1e-6 for sample in samples)
