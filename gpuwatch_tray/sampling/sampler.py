"""
Readings into minutes.

A reading stands for the time since the one before; after a gap, and at the start, it stands for none. How
long that was the boot's own clock says; where it lies, the wall clock of this reading.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from gpuwatch_tray.model import MINUTE
from gpuwatch_tray.sampling.minute import OpenMinute
from gpuwatch_tray.sampling.reading import SampledReading
from gpuwatch_tray.sampling.runs import RunTracker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gpuwatch_tray.model import Alert, Instant, Limits, Minute, Snapshot
    from gpuwatch_tray.sampling.meter import EnergyMeter

# A minute that is over, to be made where there is time for it: with many processes it takes long.
FinishedMinute: TypeAlias = "Callable[[], Minute]"


class Sampler:
    """
    Adds readings up; `take` gives the minutes that are over.

    Each of them is to be called once, in their order, all on one thread, be it another.
    `gap` is the time between two readings (seconds) from which on nothing is known of what lay between.
    """

    def __init__(self, limits: Limits, gap: float) -> None:
        self._limits = limits
        self._gap = gap
        self._before: Instant | None = None
        self._open: OpenMinute | None = None
        self._meters: dict[str, EnergyMeter] = {}
        self._runs = RunTracker(limits)

    def adjust(self, limits: Limits, gap: float) -> None:
        """Go by these from the next reading on; whether a known process computes stays as it was."""
        self._limits = self._runs.limits = limits
        self._gap = gap

    def take(self, snapshot: Snapshot, alerts: Iterable[Alert], now: Instant) -> tuple[FinishedMinute, ...]:
        """Add a reading, made at `now`, with the alerts that are there; the minutes that are over by it."""
        seconds = 0.0 if self._before is None else now.since(self._before)
        self._before = now
        if snapshot.problem is not None or not 0 < seconds <= self._gap:
            self._meters.clear()
            return ()
        reading = SampledReading(snapshot, self._limits, seconds, self._meters)
        runs = self._runs.of(snapshot.processes, snapshot.boot_id, reading.place, now.wall)
        reading.count(runs)
        over: list[FinishedMinute] = []
        for at, part in split_minutes(now.wall - seconds, now.wall):
            if self._open is None or self._open.at != at:
                over += self.rest()
                self._open = OpenMinute(at)
            self._open.add(reading, runs, part, alerts)
        return tuple(over)

    def rest(self) -> tuple[FinishedMinute, ...]:
        """What has been seen of the minute that is not over, which ends by that."""
        minute, self._open = self._open, None
        return () if minute is None else (partial(minute.closed, self._runs.seen()),)


def split_minutes(start: float, end: float) -> Iterator[tuple[int, float]]:
    """The minutes between two wall times, and how many seconds of each lie between them."""
    at = int(start // MINUTE) * MINUTE
    while at < end:
        part = min(end, at + MINUTE) - max(start, at)
        if part > 0:
            yield at, part
        at += MINUTE
