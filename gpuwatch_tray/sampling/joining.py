"""
Samples merged into longer ones, and longer ones taken apart again.

What was unknown in every part stays unknown. Means are weighted by the seconds in which the value was known,
so that merging in one step or in several gives the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from gpuwatch_tray.model import GpuSample, Span, Stretch, Use

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

T = TypeVar("T", GpuSample, Use)
# The fields that are added up, and those that are merged as spans: also the order of the columns on disk.
GPU_SUMS = ("covered", "readings", "asleep", "listed", "held", "idle")
GPU_SPANS = ("memory", "utilisation", "temperature", "power", "fan", "throttled")
USE_SUMS, USE_SPANS = ("held", "idle"), ("memory", "utilisation")


def merge_stretches(parts: Sequence[Stretch], at: int, seconds: int) -> Stretch:
    """Merge the parts into one stretch from `at`; they may overlap where the clock was set back."""
    return Stretch(
        at,
        seconds,
        _merge_groups(
            [gpu for part in parts for gpu in part.gpus], lambda gpu: gpu.uuid, at, seconds, _merge_gpus
        ),
        _merge_groups([use for part in parts for use in part.users], _use_key, at, seconds, _merge_uses),
        _merge_groups([use for part in parts for use in part.processes], _use_key, at, seconds, _merge_uses),
    )


def slice_stretch(stretch: Stretch, at: int, seconds: int) -> Stretch:
    """Return the part from `at` of a stretch all of whose parts are alike."""
    if (at, seconds) == (stretch.at, stretch.seconds):
        return stretch
    share = seconds / stretch.seconds
    return Stretch(
        at,
        seconds,
        tuple(_slice_gpu(gpu, at, seconds, share) for gpu in stretch.gpus),
        tuple(_slice_use(use, at, seconds, share) for use in stretch.users),
        tuple(_slice_use(use, at, seconds, share) for use in stretch.processes),
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
    known = [span for span in spans if span is not None]
    if len(known) <= 1:
        return known[0] if known else None
    seconds = sum(span.seconds for span in known)
    low, high = min(span.low for span in known), max(span.high for span in known)
    mean = sum(span.mean * span.seconds for span in known) / seconds
    return Span(low, min(max(mean, low), high), high, seconds)  # rounding may not carry it out of its bounds


def sum_known(values: Iterable[float | None]) -> float | None:
    """Return the sum of the values that are known; None where none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _use_key(use: Use) -> tuple[str | None, str]:
    return use.who, use.uuid


def _merge_groups(
    samples: Iterable[T],
    key: Callable[[T], Hashable],
    at: int,
    seconds: int,
    join: Callable[[Sequence[T], int, int], T],
) -> tuple[T, ...]:
    groups: dict[Hashable, list[T]] = {}
    for sample in samples:
        groups.setdefault(key(sample), []).append(sample)
    return tuple(join(group, at, seconds) for group in groups.values())


def _merge_gpus(parts: Sequence[GpuSample], at: int, seconds: int) -> GpuSample:
    level = max((part.level for part in parts if part.level is not None), default=None)
    return replace(parts[0], at=at, seconds=seconds, level=level, **_merged(parts, GPU_SUMS, GPU_SPANS))


def _merge_uses(parts: Sequence[Use], at: int, seconds: int) -> Use:
    return replace(parts[0], at=at, seconds=seconds, **_merged(parts, USE_SUMS, USE_SPANS))


def _merged(parts: Sequence[T], sums: Sequence[str], spans: Sequence[str]) -> dict[str, Any]:
    merged: dict[str, Any] = {name: sum([getattr(part, name) for part in parts]) for name in sums}
    merged |= {name: merge_spans([getattr(part, name) for part in parts]) for name in spans}
    merged["energy"] = sum_known([part.energy for part in parts])
    return merged


def _slice_gpu(sample: GpuSample, at: int, seconds: int, share: float) -> GpuSample:
    part = _sliced(sample, GPU_SUMS, GPU_SPANS, share)
    return replace(sample, at=at, seconds=seconds, **part | {"readings": round(part["readings"])})


def _slice_use(use: Use, at: int, seconds: int, share: float) -> Use:
    return replace(use, at=at, seconds=seconds, **_sliced(use, USE_SUMS, USE_SPANS, share))


def _sliced(
    whole: GpuSample | Use, sums: Sequence[str], spans: Sequence[str], share: float
) -> dict[str, Any]:
    part: dict[str, Any] = {name: getattr(whole, name) * share for name in sums}
    part |= {name: _scale_span(getattr(whole, name), share) for name in spans}
    part["energy"] = None if whole.energy is None else whole.energy * share
    return part


def _scale_span(span: Span | None, share: float) -> Span | None:
    return None if span is None else replace(span, seconds=span.seconds * share)
