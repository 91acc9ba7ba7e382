"""Samples joined and taken apart: the sums stay, the unknown stays unknown."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gpuwatch_tray.history.aggregate import merge_spans, merge_stretches, slice_stretch, split_stretch
from gpuwatch_tray.model import TEN_MINUTES, GpuSample, Severity, Span, Stretch, Use
from gpuwatch_tray.model.units import MINUTE

AT = 1_767_787_200  # a multiple of ten minutes
VALUES = st.floats(0, 1e11)
SECONDS = st.floats(0.01, 600)
SPANS = ("memory", "utilisation", "temperature", "power", "fan", "throttled")
SUMS = ("covered", "energy", "asleep", "listed", "seconds_in_use", "idle")


@st.composite
def spans(draw):
    low, mean, high = sorted(draw(st.tuples(VALUES, VALUES, VALUES)))
    return draw(st.none() | st.just(Span(low, mean, high, draw(SECONDS))))


def made(rnd: random.Random, at: int) -> Stretch:
    """Draw a minute of up to three GPUs, two users and two processes, some of it unknown."""

    def maybe(value):
        return value if rnd.random() < 0.7 else None

    def span():
        low, mean, high = sorted(rnd.choice((0.0, rnd.uniform(0, 1e11))) for _ in range(3))
        return maybe(Span(low, mean, high, rnd.uniform(0.01, 60)))

    def uses(names):
        found = [(who, uuid) for who in names for uuid in "AB" if rnd.random() < 0.5]
        return tuple(
            Use(who, uuid, at, MINUTE, rnd.uniform(0, 60), span(), span(), 0.0, maybe(rnd.uniform(0, 1e6)))
            for who, uuid in found
        )

    gpus = [
        GpuSample(
            uuid,
            at,
            MINUTE,
            rnd.uniform(0.1, 60),
            rnd.randint(1, 300),
            level=maybe(rnd.choice(tuple(Severity))),
            energy=maybe(rnd.uniform(0, 1e6)),
            **{name: span() for name in SPANS},
            **{name: rnd.uniform(0, 60) for name in ("asleep", "listed", "seconds_in_use", "idle")},
        )
        for uuid in "ABC"
        if rnd.random() < 0.7
    ]
    return Stretch(at, MINUTE, tuple(gpus), uses(("ada", None)), uses(("run 1", "run 2")))


# From a seed: drawn value by value, most of the time would go into the drawing.
SEEDS = st.integers(0, 2**32)
TEN = SEEDS.map(random.Random).map(lambda rnd: [made(rnd, AT + n * MINUTE) for n in range(5)])


def near(one, other):
    """Whether two stretches say the same, but for the order of what is in them and for rounding."""
    for kind in ("gpus", "users", "processes"):
        pairs = zip(
            *(sorted(getattr(each, kind), key=lambda part: repr(part)[:40]) for each in (one, other)),
            strict=True,
        )
        for a, b in pairs:
            for name in a.__struct_fields__:
                assert _same(getattr(a, name), getattr(b, name)), name


def _same(a, b) -> bool:
    if isinstance(a, Span) and isinstance(b, Span):
        return (a.low, a.high) == (b.low, b.high) and (a.mean, a.seconds) == pytest.approx(
            (b.mean, b.seconds)
        )
    return a == pytest.approx(b) if isinstance(a, float) and isinstance(b, float) else a == b


@given(st.lists(spans(), max_size=8))
def test_a_joined_span_keeps_its_order(found):
    """The lowest is never above the mean, nor the mean above the highest; nothing known stays None."""
    whole = merge_spans(found)
    known = [span for span in found if span is not None]
    assert (whole is None) == (not known)
    if whole is not None:
        assert whole.low <= whole.mean <= whole.high
        assert (whole.low, whole.high) == (min(s.low for s in known), max(s.high for s in known))


@given(TEN, st.integers(1, 3))
def test_joining_in_steps_is_joining_at_once(parts, cut):
    """Ten minutes from minutes, from halves, or from what came late and what was there: one result."""
    at_once = merge_stretches(parts, AT, TEN_MINUTES)
    early, late = merge_stretches(parts[:cut], AT, TEN_MINUTES), merge_stretches(parts[cut:], AT, TEN_MINUTES)
    near(at_once, merge_stretches([early, late], AT, TEN_MINUTES))
    near(at_once, merge_stretches([late, early], AT, TEN_MINUTES))


@given(TEN)
def test_what_is_unknown_in_every_part_is_unknown_in_the_whole(parts):
    """And what is known in one part is known in the whole: a gap is neither filled nor widened."""
    whole = merge_stretches(parts, AT, TEN_MINUTES)
    for sample in whole.gpus:
        of_it = [each for part in parts for each in part.gpus if each.uuid == sample.uuid]
        for name in (*SPANS, "energy", "level"):
            known = any(getattr(each, name) is not None for each in of_it)
            assert (getattr(sample, name) is not None) == known
    assert {sample.uuid for sample in whole.gpus} == {each.uuid for part in parts for each in part.gpus}


@given(TEN.map(lambda ten: ten[0]), st.integers(1, 30), st.sampled_from((MINUTE, TEN_MINUTES)))
def test_a_stretch_that_is_cut_is_the_sum_of_its_pieces(minute, count, length):
    """Minutes that were told as one stretch come apart and together again without loss."""
    whole = merge_stretches([minute], AT + 3 * MINUTE, count * MINUTE)
    parts = list(split_stretch(whole, length))
    assert sum(part.seconds for part in parts) == whole.seconds
    assert all(part.at // length == (part.end - 1) // length for part in parts)
    restored = merge_stretches(parts, whole.at, whole.seconds)
    for one, other in zip(whole.gpus, restored.gpus, strict=True):
        for name in SUMS:
            assert _same(getattr(one, name), getattr(other, name))
        for name in SPANS:
            assert _same(getattr(one, name), getattr(other, name))


def test_all_of_a_stretch_is_itself():
    """Nothing is made anew where nothing is cut."""
    whole = Stretch(AT, MINUTE)
    assert slice_stretch(whole, AT, MINUTE) is whole


def test_the_worst_severity_is_that_of_the_ten_minutes():
    """One critical minute marks all ten."""
    one = GpuSample("A", AT, MINUTE, 60.0, 12, level=Severity.WARNING)
    parts = [
        Stretch(AT, MINUTE, (each,))
        for each in (one, replace(one, level=Severity.CRITICAL), replace(one, level=None))
    ]
    assert merge_stretches(parts, AT, TEN_MINUTES).gpus[0].level is Severity.CRITICAL
