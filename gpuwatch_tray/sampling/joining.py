"""
Samples merged into longer ones, and longer ones taken apart again.

What was unknown in every part stays unknown. Means are weighted by the seconds in which the value was known,
so that merging in one step or in several gives the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from gpuwatch_tray.model import GpuSample, Span, Stretch, Use

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

T = TypeVar("T", GpuSample, Use)


def merge_stretches(parts: Sequence[Stretch], at: int, seconds: int) -> Stretch:
    """Merge the parts into one stretch from `at`; they may overlap where the clock was set back."""
    return Stretch(
        at,
        seconds,
        _merge_groups(
            [each for part in parts for each in part.gpus], lambda each: each.uuid, at, seconds, _merge_gpus
        ),
        _merge_groups([each for part in parts for each in part.users], _use_key, at, seconds, _merge_uses),
        _merge_groups(
            [each for part in parts for each in part.processes], _use_key, at, seconds, _merge_uses
        ),
    )


def slice_stretch(stretch: Stretch, at: int, seconds: int) -> Stretch:
    """Return the part from `at` of a stretch all of whose parts are alike."""
    if (at, seconds) == (stretch.at, stretch.seconds):
        return stretch
    share = seconds / stretch.seconds
    return Stretch(
        at,
        seconds,
        tuple(_slice_gpu(each, at, seconds, share) for each in stretch.gpus),
        tuple(_slice_use(each, at, seconds, share) for each in stretch.users),
        tuple(_slice_use(each, at, seconds, share) for each in stretch.processes),
    )


def split_stretch(stretch: Stretch, length: int) -> Iterable[Stretch]:
    """Cut a stretch at the multiples of `length`."""
    at = stretch.at
    while at < stretch.end:
        end = min(at - at % length + length, stretch.end)
        yield slice_stretch(stretch, at, end - at)
        at = end


def merge_spans(spans: Iterable[Span | None]) -> Span | None:
    """Return one span over all that are known; None where none is."""
    found = [span for span in spans if span is not None]
    if len(found) < 2:  # noqa: PLR2004  # nothing to join
        return found[0] if found else None
    seconds = sum(span.seconds for span in found)
    low, high = min(span.low for span in found), max(span.high for span in found)
    mean = sum(span.mean * span.seconds for span in found) / seconds
    return Span(low, min(max(mean, low), high), high, seconds)  # rounding may not carry it out of its bounds


def sum_known(values: Iterable[float | None]) -> float | None:
    """Return the sum of the values that are known; None where none is."""
    found = [value for value in values if value is not None]
    return sum(found) if found else None


def _use_key(use: Use) -> tuple[str | None, str]:
    return use.who, use.uuid


def _merge_groups(
    each: Iterable[T],
    key: Callable[[T], Hashable],
    at: int,
    seconds: int,
    join: Callable[[Sequence[T], int, int], T],
) -> tuple[T, ...]:
    groups: dict[Hashable, list[T]] = {}
    for one in each:
        groups.setdefault(key(one), []).append(one)
    return tuple(join(group, at, seconds) for group in groups.values())


def _merge_gpus(parts: Sequence[GpuSample], at: int, seconds: int) -> GpuSample:
    return GpuSample(
        parts[0].uuid,
        at,
        seconds,
        covered=sum([part.covered for part in parts]),
        readings=sum([part.readings for part in parts]),
        memory=merge_spans([part.memory for part in parts]),
        utilisation=merge_spans([part.utilisation for part in parts]),
        temperature=merge_spans([part.temperature for part in parts]),
        power=merge_spans([part.power for part in parts]),
        fan=merge_spans([part.fan for part in parts]),
        throttled=merge_spans([part.throttled for part in parts]),
        level=max((part.level for part in parts if part.level is not None), default=None),
        energy=sum_known([part.energy for part in parts]),
        asleep=sum([part.asleep for part in parts]),
        listed=sum([part.listed for part in parts]),
        held=sum([part.held for part in parts]),
        idle=sum([part.idle for part in parts]),
    )


def _merge_uses(parts: Sequence[Use], at: int, seconds: int) -> Use:
    first = parts[0]
    return Use(
        first.who,
        first.uuid,
        at,
        seconds,
        held=sum([part.held for part in parts]),
        memory=merge_spans([part.memory for part in parts]),
        utilisation=merge_spans([part.utilisation for part in parts]),
        idle=sum([part.idle for part in parts]),
        energy=sum_known([part.energy for part in parts]),
    )


def _slice_gpu(sample: GpuSample, at: int, seconds: int, share: float) -> GpuSample:
    return replace(
        sample,
        at=at,
        seconds=seconds,
        covered=sample.covered * share,
        readings=round(sample.readings * share),
        memory=_scale_span(sample.memory, share),
        utilisation=_scale_span(sample.utilisation, share),
        temperature=_scale_span(sample.temperature, share),
        power=_scale_span(sample.power, share),
        fan=_scale_span(sample.fan, share),
        throttled=_scale_span(sample.throttled, share),
        energy=_scale(sample.energy, share),
        asleep=sample.asleep * share,
        listed=sample.listed * share,
        held=sample.held * share,
        idle=sample.idle * share,
    )


def _slice_use(use: Use, at: int, seconds: int, share: float) -> Use:
    return replace(
        use,
        at=at,
        seconds=seconds,
        held=use.held * share,
        memory=_scale_span(use.memory, share),
        utilisation=_scale_span(use.utilisation, share),
        idle=use.idle * share,
        energy=_scale(use.energy, share),
    )


def _scale_span(span: Span | None, share: float) -> Span | None:
    return None if span is None else replace(span, seconds=span.seconds * share)


def _scale(value: float | None, share: float) -> float | None:
    return None if value is None else value * share
