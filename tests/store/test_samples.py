"""The samples' store: what was seen, by the minute and by ten, and nothing that was not."""

from __future__ import annotations

import pytest

from gpuwatch_tray.model import MINUTE, TEN_MINUTES, Missing, Severity, Why
from tests.fakes import alert
from tests.pasts import NOON, UUID, Past, gpu, process


@pytest.fixture
def machine(tmp_path):
    running = Past(tmp_path)
    yield running
    running.kill()


def test_a_minute_is_read_as_it_was_seen(machine):
    """Values, owner, name and alerts come back from the file, weighted by time."""
    machine.look(process(1))
    machine.looks(process(1), seconds=30, gpus=(gpu(temperature=60),))
    machine.looks(process(1), seconds=30, gpus=(gpu(temperature=80),), alerts=(alert(subject=UUID),))
    machine.look(process(1))
    found = machine.past()
    (sample,) = [each for each in found.samples[UUID] if each.at == NOON]
    assert (sample.temperature.low, sample.temperature.high) == (60, 80)
    assert sample.temperature.mean == pytest.approx((30 * 60 + 25 * 80) / 55, rel=1e-4)
    assert sample.level is Severity.WARNING
    assert (sample.seconds, sample.covered) == (MINUTE, 55)
    (run,) = found.runs
    assert (run.user, run.name, run.computes, run.uuid) == ("ada", "python", True, UUID)
    (use,) = [each for each in found.processes if each.at == NOON]
    assert (use.who, use.held) == (run.key, 55)


def test_ten_minutes_come_from_the_minutes(machine):
    """Past 48 h, or where it is asked for, the same time comes in ten-minute values with the same sums."""
    machine.looks(process(1), seconds=3600)
    fine, coarse = machine.past(), machine.past(finest=TEN_MINUTES)
    assert {sample.seconds for sample in coarse.samples[UUID]} == {TEN_MINUTES}
    for name in ("covered", "held", "energy"):
        sums = [sum(getattr(each, name) for each in found.samples[UUID]) for found in (fine, coarse)]
        assert sums[0] == pytest.approx(sums[1], rel=1e-3)


def test_unknown_is_none_and_a_time_without_a_look_has_no_sample(machine):
    """Neither an error nor an absence is ever a 0, by the minute and by ten."""
    machine.looks(
        seconds=600, gpus=(gpu(power=Missing(Why.ERROR, "x"), temperature=Missing(Why.ERROR, "x")),)
    )
    machine.clock.advance(1800)
    machine.looks(seconds=600)
    for finest in (MINUTE, TEN_MINUTES):
        before, after = [], []
        for sample in machine.past(finest=finest).samples[UUID]:
            (before if sample.at < NOON + 600 else after).append(sample)
        assert {(sample.power, sample.temperature, sample.energy) for sample in before} == {
            (None, None, None)
        }
        assert min(sample.at for sample in after) == NOON + 2400
