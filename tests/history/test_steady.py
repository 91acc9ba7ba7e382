"""Minutes that are like the one before are told once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gpuwatch_tray.history.aggregate import LONGEST_STRETCH, StretchCompactor
from gpuwatch_tray.model import GpuSample, Severity, Span, Stretch, Use
from gpuwatch_tray.model.units import MINUTE

AT = 1_767_787_200


def minute(number=0, *, watts=8.0, seen=60.0, **facts) -> Stretch:
    """Make a minute of a GPU at rest."""
    power = None if watts is None else Span(watts, watts, watts, seen)
    sample = GpuSample(
        "GPU-a", AT + number * MINUTE, MINUTE, seen, 12, power=power, energy=8.0 * seen, **facts
    )
    return Stretch(sample.at, MINUTE, (sample,))


def told(minutes):
    """Return the stretches to write, with those held back at the end."""
    steady = StretchCompactor()
    return [part for each in minutes for part in steady.add(each)] + list(steady.flush())


def test_a_gpu_at_rest_is_told_every_half_hour():
    """A night of eight hours is seventeen writes, and all of it is told."""
    steady = StretchCompactor()
    writes = [part for n in range(480) for part in steady.add(minute(n))]
    assert len(writes) == 1 + (480 - 1) * MINUTE // LONGEST_STRETCH
    found = [*writes, *steady.flush()]
    assert sum(part.seconds for part in found) == 480 * MINUTE
    assert sum(part.gpus[0].energy for part in found) == pytest.approx(480 * 480.0)


@pytest.mark.parametrize(
    "other",
    [
        {"watts": 30.0},
        {"watts": None},
        {"seen": 40.0},
        {"level": Severity.WARNING},
        {"seconds_in_use": 60.0},
        {"asleep": 60.0},
        {"temperature": Span(40, 40, 40, 60)},
    ],
)
def test_a_minute_that_differs_is_told_at_once(other):
    """A change, a value that is not known any more, and a minute that was seen in part only."""
    steady = StretchCompactor()
    for number in range(3):
        steady.add(minute(number))
    assert [part.seconds for part in steady.add(minute(3, **other))] == [2 * MINUTE, MINUTE]


def test_another_process_is_another_minute():
    """Whoever comes or goes changes the minute."""
    use = Use("run", "GPU-a", AT, MINUTE, 60.0)
    steady = StretchCompactor()
    steady.add(minute())
    assert len(steady.add(replace(minute(1), processes=(use,)))) == 1


def test_a_gap_is_not_bridged():
    """A minute that nobody saw lies between two stretches, however alike they are."""
    found = told([minute(0), minute(1), minute(5), minute(6)])
    assert [(part.at - AT) // MINUTE for part in found] == [0, 1, 5, 6]


def test_what_jitters_within_a_little_is_at_rest():
    """A watt more or less keeps no disk awake, and the sums are exact."""
    found = told(minute(n, watts=8.0 + n % 2) for n in range(20))
    assert len(found) == 2
    assert found[1].gpus[0].power == Span(8.0, pytest.approx(8.5, abs=0.05), 9.0, pytest.approx(19 * 60.0))


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from((8.0, 9.0, 50.0, None))), max_size=80))
def test_what_is_told_is_all_that_was_taken(steps):
    """Whatever comes: each minute is in exactly one stretch, and none that was not taken is."""
    number, taken = 0, []
    for step, watts in steps:
        number += step
        taken.append(minute(number, watts=watts))
    found = told(taken)
    seen = [at for part in found for at in range(part.at, part.end, MINUTE)]
    assert seen == [each.at for each in taken]
    known = sum(part.gpus[0].power.seconds for part in found if part.gpus[0].power is not None)
    assert known == pytest.approx(sum(60.0 for each in taken if each.gpus[0].power is not None))
