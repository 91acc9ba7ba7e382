"""A machine whose history the tests make: GPUs and processes, a clock, the sampler and its store."""

from __future__ import annotations

from gpuwatch_tray.history import Sampler
from gpuwatch_tray.history.sample_reader import read_samples
from gpuwatch_tray.history.sample_store import SampleStore
from gpuwatch_tray.model import ClockLimit, Gpu, Limits
from tests.support.fakes import MIB, Clock, process, snapshot

NOON = 1_767_787_200.0  # 2026-01-07 12:00 UTC: a multiple of ten minutes
UUID = "GPU-0000"


def gpu(index=0, **facts) -> Gpu:
    """Return a GPU at work, all of whose values are known."""
    base = {
        "name": f"GPU {index}",
        "memory_used": 4096 * MIB,
        "memory_total": 24576 * MIB,
        "utilisation": 50,
        "temperature": 60,
        "power": 200.0,
        "fan": 40,
        "limited_by": ClockLimit(0),
    }
    return Gpu(index, f"GPU-{index:04d}", **(base | facts))


class Past:
    """A machine with a sampler; the minutes that are over go to the store in `folder`."""

    def __init__(self, folder, *, every=5.0, gap=15.0, limits=None) -> None:
        self.folder = folder
        self.every = every
        self.gap = gap
        self.limits = limits or Limits()
        self.clock = Clock(NOON)
        self.open()

    def open(self) -> None:
        """Start watching."""
        self.sampler = Sampler(self.limits, self.gap)
        self.store = SampleStore(self.folder, "box")

    def poll(self, *processes, gpus=None, alerts=(), seconds=None, **facts) -> None:
        """Add one reading, `every` seconds after the one before."""
        self.clock.advance(self.every if seconds is None else seconds)
        reading = snapshot(*processes, gpus=(gpu(),) if gpus is None else gpus, at=self.clock.now, **facts)
        for minute in self.sampler.add(reading, alerts, self.clock.instant()):
            self.store.add(minute())

    def poll_for(self, *processes, seconds, **facts) -> None:
        """Add readings for so long."""
        for _ in range(round(seconds / self.every)):
            self.poll(*processes, **facts)

    def stop(self) -> None:
        """End as by Quit."""
        for minute in self.sampler.finish_minute():
            self.store.add(minute())
        self.store.close()

    def kill(self) -> None:
        """End without a chance to write anything."""
        self.store._close_file()

    def restart(self, seconds=5.0) -> None:
        """End and start again."""
        self.stop()
        self.clock.advance(seconds)
        self.open()

    def history(self, start=NOON, end=None, **asked):
        """Read the history."""
        self.store.flush()
        end = self.clock.now if end is None else end
        return read_samples(self.folder, "box", start, end, self.clock.now, **asked)


__all__ = ["NOON", "UUID", "Past", "gpu", "process"]
