"""
Samples joined into longer ones, and longer ones taken apart again.

What was unknown in every part stays unknown. Means are weighted by the seconds in which the value was known,
so that joining in one step or in several comes to the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from gpuwatch_tray.model import GpuSample, Span, Stretch, Use

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

T = TypeVar("T", GpuSample, Use)


def joined(parts: Sequence[Stretch], at: int, seconds: int) -> Stretch:
    """The parts as one stretch from `at`; they may overlap where the clock was set back."""
    return Stretch(
        at,
        seconds,
        _by([each for part in parts for each in part.gpus], lambda each: each.uuid, at, seconds, _gpu),
        _by([each for part in parts for each in part.users], _place, at, seconds, _use),
        _by([each for part in parts for each in part.processes], _place, at, seconds, _use),
    )


def portion(stretch: Stretch, at: int, seconds: int) -> Stretch:
    """The part from `at` of a stretch all of whose parts are alike; all of the stretch is itself."""
    if (at, seconds) == (stretch.at, stretch.seconds):
        return stretch
    share = seconds / stretch.seconds
    return Stretch(
        at,
        seconds,
        tuple(_gpu_portion(each, at, seconds, share) for each in stretch.gpus),
        tuple(_use_portion(each, at, seconds, share) for each in stretch.users),
        tuple(_use_portion(each, at, seconds, share) for each in stretch.processes),
    )


def pieces(stretch: Stretch, length: int) -> Iterable[Stretch]:
    """A stretch cut at the multiples of `length`."""
    at = stretch.at
    while at < stretch.end:
        end = min(at - at % length + length, stretch.end)
        yield portion(stretch, at, end - at)
        at = end


def total(spans: Iterable[Span | None]) -> Span | None:
    """One span over all those that are known; None for none."""
    found = [span for span in spans if span is not None]
    if len(found) < 2:  # noqa: PLR2004  # nothing to join
        return found[0] if found else None
    seconds = sum(span.seconds for span in found)
    low, high = min(span.low for span in found), max(span.high for span in found)
    mean = sum(span.mean * span.seconds for span in found) / seconds
    return Span(low, min(max(mean, low), high), high, seconds)  # rounding may not carry it out of its bounds


def summed(values: Iterable[float | None]) -> float | None:
    """The sum of what is known; None where nothing is."""
    found = [value for value in values if value is not None]
    return sum(found) if found else None


def _place(use: Use) -> tuple[str | None, str]:
    return use.who, use.uuid


def _by(
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


def _gpu(parts: Sequence[GpuSample], at: int, seconds: int) -> GpuSample:
    return GpuSample(
        parts[0].uuid,
        at,
        seconds,
        covered=sum([part.covered for part in parts]),
        readings=sum([part.readings for part in parts]),
        memory=total([part.memory for part in parts]),
        utilisation=total([part.utilisation for part in parts]),
        temperature=total([part.temperature for part in parts]),
        power=total([part.power for part in parts]),
        fan=total([part.fan for part in parts]),
        throttled=total([part.throttled for part in parts]),
        level=max((part.level for part in parts if part.level is not None), default=None),
        energy=summed([part.energy for part in parts]),
        asleep=sum([part.asleep for part in parts]),
        listed=sum([part.listed for part in parts]),
        held=sum([part.held for part in parts]),
        idle=sum([part.idle for part in parts]),
    )


def _use(parts: Sequence[Use], at: int, seconds: int) -> Use:
    first = parts[0]
    return Use(
        first.who,
        first.uuid,
        at,
        seconds,
        held=sum([part.held for part in parts]),
        memory=total([part.memory for part in parts]),
        utilisation=total([part.utilisation for part in parts]),
        idle=sum([part.idle for part in parts]),
        energy=summed([part.energy for part in parts]),
    )


def _gpu_portion(sample: GpuSample, at: int, seconds: int, share: float) -> GpuSample:
    return replace(
        sample,
        at=at,
        seconds=seconds,
        covered=sample.covered * share,
        readings=round(sample.readings * share),
        memory=_shorter(sample.memory, share),
        utilisation=_shorter(sample.utilisation, share),
        temperature=_shorter(sample.temperature, share),
        power=_shorter(sample.power, share),
        fan=_shorter(sample.fan, share),
        throttled=_shorter(sample.throttled, share),
        energy=_less(sample.energy, share),
        asleep=sample.asleep * share,
        listed=sample.listed * share,
        held=sample.held * share,
        idle=sample.idle * share,
    )


def _use_portion(use: Use, at: int, seconds: int, share: float) -> Use:
    return replace(
        use,
        at=at,
        seconds=seconds,
        held=use.held * share,
        memory=_shorter(use.memory, share),
        utilisation=_shorter(use.utilisation, share),
        idle=use.idle * share,
        energy=_less(use.energy, share),
    )


def _shorter(span: Span | None, share: float) -> Span | None:
    return None if span is None else replace(span, seconds=span.seconds * share)


def _less(value: float | None, share: float) -> float | None:
    return None if value is None else value * share
