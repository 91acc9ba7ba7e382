"""The energy of a GPU, by its meter and without."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.history.sampler import EnergyMeter


def test_without_a_meter_power_is_integrated():
    """Watts over seconds; where the power is not known either, so is the energy."""
    meter = EnergyMeter()
    assert [meter.energy(5.0, None, power) for power in (100.0, None, 200.0)] == [500.0, None, 1000.0]


def test_a_first_value_may_be_old_and_does_not_count():
    """What was read before a gap and kept is no beginning: the meter counts from where it moves."""
    meter = EnergyMeter()
    told = [meter.energy(5.0, counter, 100.0) for counter in (1000.0, 1000.0, 90_000.0, 90_400.0)]
    assert told == [500.0, 500.0, 500.0, 400.0]


def test_a_meter_that_starts_anew_is_no_negative_energy():
    """The driver was loaded again: power stands in until the meter has moved."""
    meter = EnergyMeter()
    for counter in (1000.0, 2000.0):
        meter.energy(5.0, counter, 100.0)
    assert [meter.energy(5.0, counter, 100.0) for counter in (10.0, 500.0, 900.0)] == [500.0, 500.0, 400.0]


def test_a_meter_that_jumps_farther_than_any_board_draws_is_not_believed():
    """A reading of garbage, and the way back from it: power stands in, and no terajoule is counted."""
    meter = EnergyMeter()
    for counter in (1000.0, 1500.0):
        meter.energy(5.0, counter, 100.0)
    told = [meter.energy(5.0, counter, 100.0) for counter in (1e12, 2500.0, 2900.0, 3300.0)]
    assert told == [500.0, 500.0, 500.0, 400.0]


def test_a_meter_that_is_read_after_a_long_rest_is_believed():
    """It changed seldom: what it shows was drawn in all of that time."""
    meter = EnergyMeter()
    for counter in (0.0, 10.0):
        meter.energy(5.0, counter, None)
    told = [meter.energy(60.0, counter, None) for counter in (10.0, 10.0, 300_010.0)]
    assert told == [0.0, 0.0, 300_000.0]


def test_a_meter_alone_tells_at_each_of_its_readings():
    """Without power there is nothing to stand in, and the sum is the meter's all the same."""
    meter = EnergyMeter()
    told = [meter.energy(5.0, counter, None) for counter in (0.0, 10.0, 10.0, 10.0, 610.0)]
    assert told == [None, None, 0.0, 0.0, 600.0]


@given(
    st.lists(st.tuples(st.floats(0, 700), st.floats(0.5, 1.5)), min_size=3, max_size=60), st.integers(1, 12)
)
def test_the_sum_is_the_meters(course, every):
    """However wrong the power is, and however seldom the meter is read: nothing is counted twice."""
    meter, counter, shown, told = EnergyMeter(), 50.0, 50.0, []
    for number, (power, wrong) in enumerate(course):
        counter += power * 5.0 + 1.0
        shown = counter if number % every == 0 else shown
        told.append((shown, meter.energy(5.0, shown, power * wrong)))
    began = next((n for n, (value, _) in enumerate(told) if value != told[0][0]), None)
    if began is not None:
        last = max(n for n in range(len(told)) if n % every == 0)
        drawn = sum(energy for _, energy in told[began + 1 : last + 1])
        metered = told[last][0] - told[began][0]
        assert drawn >= metered - 1e-6 or drawn == pytest.approx(metered)
        ahead = meter._ahead if last == len(told) - 1 else None
        if ahead is not None:
            assert drawn - ahead == pytest.approx(metered, abs=1e-6)
    assert all(energy is None or energy >= 0 for _, energy in told)
