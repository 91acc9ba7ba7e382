"""Samples on a regular grid of time: lowest, mean and highest of each step, None where nothing is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST = 2200  # steps: more than a wide screen has pixels for
STEPS = (60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)  # seconds


@dataclass(frozen=True, slots=True)
class Grid:
    """`count` steps of `step` seconds from `start` (wall time) on."""

    start: float
    step: int
    count: int

    @property
    def end(self) -> float:
        """Where the last step ends."""
        return self.start + self.count * self.step


@dataclass(frozen=True, slots=True)
class Value:
    """A metric over `length` seconds from `at` (wall time) on, in any unit."""

    at: float
    length: float
    low: float
    mean: float
    high: float


@dataclass(frozen=True, slots=True)
class Line:
    """A metric on a grid, None for each step of which nothing is known."""

    low: list[float | None]
    mean: list[float | None]
    high: list[float | None]


def grid(start: float, end: float, most: int = MOST) -> Grid:
    """The finest grid over this span that has at most about `most` steps; its steps begin at whole ones."""
    span = max(end - start, STEPS[0])
    step = next((step for step in STEPS if span / step <= most), STEPS[-1])
    first = start // step * step
    return Grid(first, step, max(int(-((first - end) // step)), 1))


def line(values: Iterable[Value], on: Grid) -> Line:
    """
    The values on the grid. A step's mean weighs each value by the time that it covers of the step.

    A value that covers many steps stands in each of them, and one at the edge of two counts for both by its
    share: a minute value on a grid of minutes is never spread over a gap of more than half a step.
    """
    low: list[float | None] = [None] * on.count
    high: list[float | None] = [None] * on.count
    total = [0.0] * on.count
    weight = [0.0] * on.count
    for value in values:
        first = max(int((value.at - on.start) // on.step), 0)
        last = min(int((value.at + value.length - on.start - 1e-6) // on.step), on.count - 1)
        for place in range(first, last + 1):
            begin = on.start + place * on.step
            share = min(value.at + value.length, begin + on.step) - max(value.at, begin)
            if share <= 0:
                continue
            total[place] += value.mean * share
            weight[place] += share
            lowest, highest = low[place], high[place]
            low[place] = value.low if lowest is None else min(lowest, value.low)
            high[place] = value.high if highest is None else max(highest, value.high)
    mean = [total[place] / weight[place] if weight[place] else None for place in range(on.count)]
    return Line(low, mean, high)
