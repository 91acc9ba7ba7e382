"""Suspends: an input before the machine slept is older than the sources count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.desktop.presence.types import IdleCounter, Moment, SuspendLog, moment


def test_the_clocks_run_on_and_nobody_sets_them():
    """On this machine too."""
    first, second = moment(), moment()
    assert second.boot >= first.boot > 0
    assert second.awake >= first.awake > 0


def test_without_a_suspend_nothing_is_added():
    """Not for the small differences of two readings either."""
    suspends = SuspendLog()
    for step in range(100):
        suspends.observe(Moment(100 + step + 0.3 * (step % 3), 50.0 + step))
    assert suspends.slept_since(0.0) == 0
    assert suspends.last_resume() == 0


def test_an_input_before_the_suspend_is_as_old_as_the_suspend_is_long():
    """X says 8 s after a night's suspend; it was 8 s and a night."""
    suspends = SuspendLog()
    counter = IdleCounter("X", suspends)
    counter.record(Moment(1000.0, 500.0), 2.0)
    counter.record(Moment(30_006.0, 506.0), 8.0)
    assert counter.reading(moment()).idle == pytest.approx(29_008.0)
    counter.record(Moment(30_011.0, 511.0), 1.0)
    assert counter.reading(moment()).idle == 1.0


def test_a_reading_from_before_the_suspend_is_old():
    """Its age counts the suspend, so it is nothing to go by; being asked for does not make it younger."""
    suspends = SuspendLog()
    counter = IdleCounter("X", suspends)
    counter.record(Moment(1000.0, 500.0), 2.0)
    suspends.observe(Moment(30_000.0, 500.5))
    assert counter.reading(moment()).at == 1000.0
    assert counter.reading(moment()).idle > 28_000


def test_a_source_that_is_gone_says_nothing():
    """Not its last word."""
    counter = IdleCounter("X", SuspendLog())
    assert counter.reading(moment()) is None
    counter.record(Moment(1000.0, 500.0), 2.0)
    counter.forget()
    assert counter.reading(moment()) is None


@given(st.lists(st.tuples(st.floats(0.1, 5.0), st.sampled_from([0.0, 0.0, 20.0, 4000.0]), st.booleans())))
def test_no_count_is_ever_too_small(steps):
    """
    Whatever the order of polls, suspends and input, nobody looks more present than they are.

    Each step: so long awake, then so long asleep, then perhaps an input, and a poll. The source's own count
    stands still in the suspend.
    """
    suspends = SuspendLog()
    counter = IdleCounter("X", suspends)
    boot = awake = 1000.0
    last = Moment(boot, awake)
    counter.record(Moment(boot, awake), 0.0)
    for waking, sleeping, touched in steps:
        boot, awake = boot + waking, awake + waking
        boot += sleeping
        if touched:
            last = Moment(boot, awake)
        now = Moment(boot + 0.05, awake + 0.05)
        counter.record(now, now.awake - last.awake)
        boot, awake = now.boot, now.awake
        assert counter.reading(moment()).idle >= now.boot - last.boot - 1e-6
