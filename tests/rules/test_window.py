"""The window: what came within the last minutes, and no more than that is kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.rules.rule_history import SLICES, Window

STEPS = st.lists(st.tuples(st.floats(0, 200), st.floats(0, 50)), max_size=80)


@given(STEPS, st.sampled_from([60.0, 300.0, 3600.0]))
def test_it_holds_the_last_minutes_within_a_slice(steps, length):
    """What came in the window less a slice is in it, what came before the window is not."""
    at, window, came = 0.0, Window(), []
    for seconds, amount in steps:
        at += seconds
        window = window.add(at, length, amount)
        came.append((at, amount))
        total = window.total(at, length)
        least = sum(each for when, each in came if at - when <= length - length / SLICES)
        most = sum(each for when, each in came if at - when <= length)
        assert least - 1e-6 <= total <= most + 1e-6
        assert len(window.slices) <= SLICES


def test_what_is_older_is_gone():
    """After the window, nothing is left of it."""
    window = Window().add(10.0, 60.0, 5.0)
    assert window.total(60.0, 60.0) == 5.0
    assert window.total(75.0, 60.0) == 0.0
    assert window.add(75.0, 60.0, 0.0).slices == ()
