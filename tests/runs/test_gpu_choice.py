"""Which GPUs a waiting run takes: pure, with a table of what makes one unfit, and the hold as a property."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.model import UNKNOWN, Gpu, Instant
from gpuwatch_tray.runs.gpu_choice import FreeTimes, GpuWish, suitable
from tests.support.fakes import START, process, snapshot

GIB = 2**30


def gpu(index=0, **facts):
    base = {"memory_used": GIB, "memory_total": 24 * GIB, "utilisation": 0}
    return Gpu(index, f"GPU-{index:04d}", "RTX 4090", **(base | facts))


def at(seconds):
    return Instant(START + seconds, 9000 + seconds, "boot")


@pytest.mark.parametrize(
    ("wish", "facts", "fits"),
    [
        (GpuWish(1, 0), {}, True),
        (GpuWish(1, 0, memory=23 * GIB), {}, True),
        (GpuWish(1, 0, memory=23 * GIB + 1), {}, False),
        (GpuWish(1, 0, memory=GIB), {"memory_used": UNKNOWN}, False),
        (GpuWish(1, 0, most_use=5), {"utilisation": 5}, True),
        (GpuWish(1, 0, most_use=5), {"utilisation": 6}, False),
        (GpuWish(1, 0, most_use=5), {"utilisation": UNKNOWN}, False),
        (GpuWish(1, 0, only=frozenset({1})), {}, False),
        (GpuWish(1, 0, only=frozenset({0})), {}, True),
        (GpuWish(1, 0), {"problem": "lost"}, False),
        (GpuWish(1, 0), {"process_problem": "its list is cut"}, False),
    ],
)
def test_what_is_asked_for_must_be_known_to_hold(wish, facts, fits):
    """A value that cannot be read never makes a GPU free."""
    assert (list(suitable(snapshot(gpus=(gpu(**facts),)), wish)) == ["GPU-0000"]) is fits


def test_a_gpu_with_anybodys_process_is_not_free():
    """Another tool's run, another user's: the driver lists both."""
    shown = snapshot(process(gpu=0, mine=False), gpus=(gpu(0), gpu(1)))
    assert list(suitable(shown, GpuWish(1, 0))) == ["GPU-0001"]


def test_the_hold_begins_anew_after_a_process_and_after_a_gap():
    """Between two jobs a GPU is free for a moment; while nothing was read, anything may have happened."""
    times = FreeTimes(GpuWish(1, 60), gap=20)
    calm = snapshot(gpus=(gpu(),))
    assert [times.choose(calm, at(second), ()) for second in (0, 15, 30)] == [[], [], []]
    assert times.choose(snapshot(process(), gpus=(gpu(),)), at(45), ()) == []
    assert [times.choose(calm, at(second), ()) for second in (50, 65, 80, 95)] == [[]] * 4
    assert times.choose(calm, at(110), ()) == [gpu()]
    assert times.choose(calm, at(150), ()) == []


def test_all_come_at_once_in_the_drivers_order_or_none():
    """Two of three: never one now and one later, never one that another run has claimed."""
    times, three = FreeTimes(GpuWish(2, 0), 20), snapshot(gpus=(gpu(2), gpu(0), gpu(1)))
    assert [one.index for one in times.choose(three, at(0), ())] == [0, 1]
    assert [one.index for one in times.choose(three, at(1), {"GPU-0000"})] == [1, 2]
    assert times.choose(three, at(2), {"GPU-0000", "GPU-0001"}) == []


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 10))
def test_what_is_chosen_was_free_at_every_reading_of_the_hold(free, hold):
    """Over any history of one GPU, read each second."""
    times = FreeTimes(GpuWish(1, hold), 2)
    for second, is_free in enumerate(free):
        shown = snapshot(*([] if is_free else [process()]), gpus=(gpu(),))
        chosen = times.choose(shown, at(second), ())
        assert bool(chosen) == (second >= hold and all(free[second - hold : second + 1]))
