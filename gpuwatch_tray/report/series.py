"""Samples on a regular grid of time: lowest, mean and highest of each step, None where nothing is known."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuwatch_tray.model import GpuSample, Span

MAX_STEPS = 2200  # steps: more than a wide screen has pixels for
STEPS = (60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)  # seconds


@dataclass(frozen=True, slots=True)
class TimeGrid:
    """`count` steps of `step` seconds from `start` (wall time) on."""

    start: int
    step: int
    count: int

    @property
    def end(self) -> int:
        """The wall time at which the last step ends."""
        return self.start + self.count * self.step


@dataclass(frozen=True, slots=True)
class MetricLine:
    """A metric on a grid, None for each step of which nothing is known."""

    low: list[float | None]
    mean: list[float | None]
    high: list[float | None]


def make_grid(start: float, end: float, most: int = MAX_STEPS) -> TimeGrid:
    """Return the finest grid over this span with at most about `most` steps; it begins at a whole step."""
    span = max(end - start, STEPS[0])
    step = next((step for step in STEPS if span / step <= most), STEPS[-1])
    first = int(start // step) * step
    return TimeGrid(first, step, max(math.ceil((end - first) / step), 1))


def metric_line(samples: Iterable[GpuSample], metric: str, on: TimeGrid) -> MetricLine:
    """
    Return the values of `metric`, a field of the samples, on the grid.

    A step's mean weights each sample by the time that it covers of the step. A sample longer than a step
    stands in each step that it covers, and nowhere else.
    """
    low: list[float | None] = [None] * on.count
    high: list[float | None] = [None] * on.count
    total = [0.0] * on.count
    weight = [0] * on.count
    value_of = operator.attrgetter(metric)
    for sample in samples:
        value: Span | None = value_of(sample)
        if value is None:
            continue
        begin = sample.at - on.start
        end = begin + sample.seconds
        first, last = begin // on.step, (end - 1) // on.step
        for place in range(max(first, 0), min(last + 1, on.count)):
            share = sample.seconds
            if first != last:
                share = min(end, (place + 1) * on.step) - max(begin, place * on.step)
            total[place] += value.mean * share
            weight[place] += share
            lowest, highest = low[place], high[place]
            if lowest is None or value.low < lowest:
                low[place] = value.low
            if highest is None or value.high > highest:
                high[place] = value.high
    mean = [total[place] / weight[place] if weight[place] else None for place in range(on.count)]
    return MetricLine(low, mean, high)
