"""Samples: values added up while a minute lasts, merged into longer stretches, and compacted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from gpuwatch_tray.model import ClockLimit, GpuSample, Missing, Severity, Span, Stretch, Use
from gpuwatch_tray.model.units import MIB, MINUTE

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from gpuwatch_tray.model import Gpu


T = TypeVar("T", GpuSample, Use)
# The fields that are added up, and those that are merged as spans: also the order of the columns on disk.
GPU_SUMS = ("covered", "readings", "asleep", "listed", "seconds_in_use", "idle")
GPU_SPANS = ("memory", "utilisation", "temperature", "power", "fan", "throttled")
USE_SUMS, USE_SPANS = ("seconds_in_use", "idle"), ("memory", "utilisation")


def merge_stretches(parts: Sequence[Stretch], at: int, seconds: int) -> Stretch:
    """Merge the parts into one stretch from `at`; they may overlap where the clock was set back."""
    gpus = _grouped((gpu for part in parts for gpu in part.gpus), lambda gpu: gpu.uuid)
    users = _grouped((use for part in parts for use in part.users), _use_key)
    processes = _grouped((use for part in parts for use in part.processes), _use_key)
    return Stretch(
        at,
        seconds,
        tuple(_merge(group, at, seconds) for group in gpus),
        tuple(_merge(group, at, seconds) for group in users),
        tuple(_merge(group, at, seconds) for group in processes),
    )


def slice_stretch(stretch: Stretch, at: int, seconds: int) -> Stretch:
    """Return the part from `at` of a stretch all of whose parts are alike."""
    if (at, seconds) == (stretch.at, stretch.seconds):
        return stretch
    share = seconds / stretch.seconds
    return Stretch(
        at,
        seconds,
        tuple(_slice(gpu, at, seconds, share) for gpu in stretch.gpus),
        tuple(_slice(use, at, seconds, share) for use in stretch.users),
        tuple(_slice(use, at, seconds, share) for use in stretch.processes),
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


def _grouped(samples: Iterable[T], key: Callable[[T], Hashable]) -> Iterable[list[T]]:
    groups: dict[Hashable, list[T]] = {}
    for sample in samples:
        groups.setdefault(key(sample), []).append(sample)
    return groups.values()


def _fields(sample: GpuSample | Use) -> tuple[Sequence[str], Sequence[str]]:
    return (GPU_SUMS, GPU_SPANS) if isinstance(sample, GpuSample) else (USE_SUMS, USE_SPANS)


def _merge(parts: Sequence[T], at: int, seconds: int) -> T:
    sums, spans = _fields(parts[0])
    merged: dict[str, Any] = {name: sum([getattr(part, name) for part in parts]) for name in sums}
    merged |= {name: merge_spans([getattr(part, name) for part in parts]) for name in spans}
    merged["energy"] = sum_known([part.energy for part in parts])
    if isinstance(parts[0], GpuSample):
        levels = [getattr(part, "level", None) for part in parts]
        merged["level"] = max((level for level in levels if level is not None), default=None)
    return replace(parts[0], at=at, seconds=seconds, **merged)


def _slice(whole: T, at: int, seconds: int, share: float) -> T:
    sums, spans = _fields(whole)
    part: dict[str, Any] = {name: getattr(whole, name) * share for name in sums}
    part |= {name: _scale_span(getattr(whole, name), share) for name in spans}
    part["energy"] = None if whole.energy is None else whole.energy * share
    if isinstance(whole, GpuSample):
        part["readings"] = round(part["readings"])
    return replace(whole, at=at, seconds=seconds, **part)


def _scale_span(span: Span | None, share: float) -> Span | None:
    return None if span is None else replace(span, seconds=span.seconds * share)


# Heat, or the hardware's own protection; the power limit holds every busy GPU down.
THROTTLED = ClockLimit.HW_SLOWDOWN | ClockLimit.SW_THERMAL | ClockLimit.HW_THERMAL | ClockLimit.HW_POWER_BRAKE


class SpanAccumulator:
    """A value that changes, and may be unknown for a while."""

    __slots__ = ("high", "low", "seconds", "weighed")

    def __init__(self) -> None:
        self.low = self.high = self.weighed = self.seconds = 0.0

    def add(self, value: float, seconds: float) -> None:
        """Add a `value` that held for so long."""
        if not self.seconds:
            self.low = self.high = value
        elif value < self.low:
            self.low = value
        elif value > self.high:
            self.high = value
        self.weighed += value * seconds
        self.seconds += seconds

    def span(self) -> Span | None:
        """Return the lowest, mean and highest; None where the value was never known."""
        if not self.seconds:
            return None
        mean = self.weighed / self.seconds
        return Span(self.low, min(max(mean, self.low), self.high), self.high, self.seconds)


class UseAccumulator:
    """The use of a GPU by one process, or by those of one user."""

    __slots__ = ("energy", "idle", "memory", "seconds_in_use", "utilisation")

    def __init__(self) -> None:
        self.seconds_in_use = self.idle = 0.0
        self.energy: float | None = None
        self.memory = SpanAccumulator()
        self.utilisation = SpanAccumulator()

    def to_use(self, who: str | None, uuid: str, at: int, seconds: int) -> Use:
        """Return all of it as a sample."""
        memory, utilisation = self.memory.span(), self.utilisation.span()
        return Use(who, uuid, at, seconds, self.seconds_in_use, memory, utilisation, self.idle, self.energy)


class GpuAccumulator(UseAccumulator):
    """The values of one GPU."""

    __slots__ = ("asleep", "covered", "fan", "listed", "power", "readings", "temperature", "throttled")

    def __init__(self) -> None:
        super().__init__()
        self.covered = self.asleep = self.listed = 0.0
        self.readings = 0
        self.temperature, self.power = SpanAccumulator(), SpanAccumulator()
        self.fan, self.throttled = SpanAccumulator(), SpanAccumulator()

    def add(self, gpu: Gpu, seconds: float) -> None:
        """Add the values of a GPU, which held for so long."""
        self.covered += seconds
        self.readings += 1
        if gpu.asleep:
            self.asleep += seconds
        if gpu.process_problem is None:
            self.listed += seconds
        for value, field in (
            (self.memory, gpu.memory_used),
            (self.utilisation, gpu.utilisation),
            (self.temperature, gpu.temperature),
            (self.power, gpu.power),
            (self.fan, gpu.fan),
        ):
            if not isinstance(field, Missing):
                value.add(field, seconds)
        if not isinstance(gpu.limited_by, Missing):
            self.throttled.add(1.0 if gpu.limited_by & THROTTLED else 0.0, seconds)

    def to_sample(self, uuid: str, at: int, seconds: int, level: Severity | None) -> GpuSample:
        """Return all of it as a sample."""
        values: dict[str, Any] = {name: getattr(self, name).span() for name in GPU_SPANS}
        values |= {name: getattr(self, name) for name in (*GPU_SUMS, "energy")}
        return GpuSample(uuid, at, seconds, level=level, **values)


LONGEST_STRETCH = 30 * MINUTE  # seconds that may be lost when the machine loses its power
SEEN_SHARE = 0.95  # share of a minute that must have been seen for it to be like any other
# What a GPU at rest differs by from minute to minute.
_DEGREES, _PERCENT, _WATTS = 2.0, 2.0, 2.0


class StretchCompactor:
    """Holds back the minutes that are like the last one that was returned (run-length compaction)."""

    def __init__(self) -> None:
        self._written: Stretch | None = None
        self._held: list[Stretch] = []

    def add(self, minute: Stretch) -> tuple[Stretch, ...]:
        """Add a minute that is over; return the stretches that are to be written now."""
        last = self._held[-1] if self._held else self._written
        follows = last is not None and minute.at == last.end
        if follows and self._written is not None and are_alike(self._written, minute):
            self._held.append(minute)
            if sum(minute.seconds for minute in self._held) < LONGEST_STRETCH:
                return ()
            return self.flush()
        stretches = (*self.flush(), minute)
        self._written = minute
        return stretches

    def flush(self) -> tuple[Stretch, ...]:
        """Return what was held back."""
        held, self._held = self._held, []
        if not held:
            return ()
        at = held[0].at
        together = merge_stretches(held, at, held[-1].end - at)
        self._written = together
        return (together,)


def are_alike(one: Stretch, other: Stretch) -> bool:
    """Return whether two stretches would look the same on a chart; both must have been seen throughout."""
    return (
        len(one.gpus) == len(other.gpus)
        and len(one.users) == len(other.users)
        and len(one.processes) == len(other.processes)
        and all(map(_gpus_alike, one.gpus, other.gpus))
        and all(map(_alike, one.users, other.users))
        and all(map(_alike, one.processes, other.processes))
    )


def _gpus_alike(one: GpuSample, other: GpuSample) -> bool:
    a, b = one.seconds, other.seconds
    return (
        one.level == other.level
        and one.covered >= SEEN_SHARE * a
        and other.covered >= SEEN_SHARE * b
        and _same_share(one.asleep / a, other.asleep / b)
        and _same_share(one.listed / a, other.listed / b)
        and _near(one.power, other.power, _WATTS, a, b)
        and _near(one.temperature, other.temperature, _DEGREES, a, b)
        and _near(one.fan, other.fan, _PERCENT, a, b)
        and _near(one.throttled, other.throttled, 0.0, a, b)
        and _alike(one, other)
    )


def _alike(one: Use | GpuSample, other: Use | GpuSample) -> bool:
    a, b = one.seconds, other.seconds
    return (
        one.uuid == other.uuid
        and getattr(one, "who", "") == getattr(other, "who", "")
        and (one.energy is None) == (other.energy is None)
        and _same_share(one.seconds_in_use / a, other.seconds_in_use / b)
        and _same_share(one.idle / a, other.idle / b)
        and _near(one.memory, other.memory, MIB, a, b)
        and _near(one.utilisation, other.utilisation, _PERCENT, a, b)
    )


def _same_share(share: float, other: float) -> bool:
    """Return whether two shares of the time are the same, but for the clock's slew."""
    return abs(share - other) <= 1 - SEEN_SHARE


def _near(a: Span | None, b: Span | None, most: float, of_a: int, of_b: int) -> bool:
    if a is None or b is None:
        return a is b
    return (
        abs(a.low - b.low) <= most
        and abs(a.high - b.high) <= most
        and _same_share(a.seconds / of_a, b.seconds / of_b)
    )
