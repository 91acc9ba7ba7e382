"""
Readings added up to minutes.

A reading stands for the time since the one before; after a gap, and at the start, for none. Its length is by
the boot's own clock; its place on the time axis is by the wall clock.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from gpuwatch_tray.sampling.minute import OpenMinute
from gpuwatch_tray.sampling.reading import SampledReading
from gpuwatch_tray.sampling.runs import RunTracker
from gpuwatch_tray.units import MINUTE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gpuwatch_tray.model import Alert, Instant, Limits, Minute, Snapshot
    from gpuwatch_tray.sampling.meter import EnergyMeter

# A minute that is over, to be made where there is time for it: with many processes it takes long.
FinishedMinute: TypeAlias = "Callable[[], Minute]"


class Sampler:
    """
    Adds up readings; `add` returns the minutes that are over.

    Each of them is to be called once, in their order, all on one thread, be it another. `gap` is the time
    between two readings (seconds) from which on nothing is known of what lay between.
    """

    def __init__(self, limits: Limits, gap: float) -> None:
        self._limits = limits
        self._gap = gap
        self._before: Instant | None = None
        self._open: OpenMinute | None = None
        self._meters: dict[str, EnergyMeter] = {}
        self._runs = RunTracker(limits)

    def reconfigure(self, limits: Limits, gap: float) -> None:
        """Use these limits from the next reading on; whether a known process computes stays as it was."""
        self._limits = self._runs.limits = limits
        self._gap = gap

    def add(self, snapshot: Snapshot, alerts: Iterable[Alert], now: Instant) -> tuple[FinishedMinute, ...]:
        """Add a reading, made at `now`, with its alerts; return the minutes that are over by it."""
        seconds = 0.0 if self._before is None else now.since(self._before)
        self._before = now
        if snapshot.problem is not None or not 0 < seconds <= self._gap:
            self._meters.clear()
            return ()
        reading = SampledReading(snapshot, self._limits, seconds, self._meters)
        runs = self._runs.track(snapshot.processes, snapshot.boot_id, reading.gpu_of, now.wall)
        reading.count_computing(runs)
        finished: list[FinishedMinute] = []
        for at, part in split_minutes(now.wall - seconds, now.wall):
            if self._open is None or self._open.at != at:
                finished += self.finish_minute()
                self._open = OpenMinute(at)
            self._open.add(reading, runs, part, alerts)
        return tuple(finished)

    def finish_minute(self) -> tuple[FinishedMinute, ...]:
        """End the minute that is not over, and return it."""
        minute, self._open = self._open, None
        return () if minute is None else (partial(minute.finish, self._runs.end_minute()),)


def split_minutes(start: float, end: float) -> Iterator[tuple[int, float]]:
    """Split the time between two wall times into minutes: the start of each, and the seconds in it."""
    at = int(start // MINUTE) * MINUTE
    while at < end:
        part = min(end, at + MINUTE) - max(start, at)
        if part > 0:
            yield at, part
        at += MINUTE
