"""Samples: values added up while a minute lasts, merged into longer stretches, and compacted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuwatch_tray.model import ClockLimit, GpuSample, Missing, Severity, Span, Use
from gpuwatch_tray.sampling.joining import GPU_SPANS, GPU_SUMS

if TYPE_CHECKING:
    from gpuwatch_tray.model import Gpu


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

    __slots__ = ("energy", "held", "idle", "memory", "utilisation")

    def __init__(self) -> None:
        self.held = self.idle = 0.0
        self.energy: float | None = None
        self.memory = SpanAccumulator()
        self.utilisation = SpanAccumulator()

    def to_use(self, who: str | None, uuid: str, at: int, seconds: int) -> Use:
        """Return all of it as a sample."""
        memory, utilisation = self.memory.span(), self.utilisation.span()
        return Use(who, uuid, at, seconds, self.held, memory, utilisation, self.idle, self.energy)


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
