"""
Readings added up to minutes.

A reading stands for the time since the one before; after a gap, and at the start, for none. Its length is by
the boot's own clock; its place on the time axis is by the wall clock.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from gpuwatch_tray.history.aggregate import GpuAccumulator, UseAccumulator, sum_known
from gpuwatch_tray.history.process_runs import RunTracker, gpus_of_alert
from gpuwatch_tray.model import (
    MAX_POWER,
    Gpu,
    GpuFacts,
    GpuProcess,
    Limits,
    Minute,
    Missing,
    Severity,
    Snapshot,
    Stretch,
    gpu_subject,
    known,
)
from gpuwatch_tray.model.thresholds import longest_pause
from gpuwatch_tray.model.units import MINUTE
from gpuwatch_tray.rules.verdict import GpuLookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gpuwatch_tray.history.process_runs import MinuteRun, TrackedRun
    from gpuwatch_tray.model import Alert, Instant


class OpenMinute:
    """What has been seen of the minute that began at `at` (wall time)."""

    def __init__(self, at: int) -> None:
        self.at = at
        self._seen: dict[str, Gpu] = {}
        self._gpus: dict[str, GpuAccumulator] = {}
        self._users: dict[tuple[str | None, str], UseAccumulator] = {}
        self._levels: dict[str, Severity] = {}

    def add(
        self, reading: SampledReading, runs: Sequence[TrackedRun], seconds: float, alerts: Iterable[Alert]
    ) -> None:
        """Add a reading that stands for so many seconds of this minute."""
        for alert in alerts:
            if alert.severity > self._levels.get(alert.subject, 0):
                self._levels[alert.subject] = alert.severity
        shares = reading.energy_shares(seconds)
        groups: dict[tuple[str | None, str], list[TrackedRun]] = {}
        for run in runs:
            tally = run.tally
            if tally is None:
                tally = run.tally = UseAccumulator()
            process = run.process
            tally.seconds_in_use += seconds
            memory = process.memory
            if not isinstance(memory, Missing):
                tally.memory.add(memory, seconds)
            if run.computes:
                _add_gpu_activity(tally, run.uuid, reading, seconds, shares.get(process.gpu))
                user = process.user
                key = (None if isinstance(user, Missing) else user, run.uuid)
                groups.setdefault(key, []).append(run)
        used = {uuid for _, uuid in groups}
        for name, gpu in reading.gpus.items():
            self._add_gpu(name, gpu, reading, seconds, in_use=name in used)
        for key, group in groups.items():
            self._add_user(key, group, reading, seconds, shares)

    def finish(self, runs: Sequence[MinuteRun]) -> Minute:
        """Return the whole minute, once it is over; `runs` are those that were seen in it."""
        at = self.at
        levels: dict[str, Severity] = {}
        process_runs = [seen.process_run() for seen in runs]
        uses = [seen.tally.to_use(seen.run.key, seen.run.uuid, at, MINUTE) for seen in runs]
        keys = [run.key for run in process_runs]
        for subject, severity in self._levels.items():
            for name in gpus_of_alert(subject, self._gpus.keys(), keys):
                levels[name] = max(severity, levels.get(name, severity))
        gpus = [tally.to_sample(name, at, MINUTE, levels.get(name)) for name, tally in self._gpus.items()]
        users = [tally.to_use(who, uuid, at, MINUTE) for (who, uuid), tally in self._users.items()]
        stretch = Stretch(at, MINUTE, tuple(gpus), tuple(users), tuple(uses))
        facts = tuple(_gpu_facts(name, gpu) for name, gpu in self._seen.items())
        return Minute(stretch, facts, tuple(process_runs))

    def _add_gpu(self, name: str, gpu: Gpu, reading: SampledReading, seconds: float, *, in_use: bool) -> None:
        tally = self._gpus.get(name)
        if tally is None:
            tally = self._gpus[name] = GpuAccumulator()
        self._seen[name] = gpu
        tally.add(gpu, seconds)
        if not gpu.physical:
            in_use = in_use or gpu.index in reading.at_work  # on its MIG devices
            tally.energy = sum_known((tally.energy, reading.board_energy(gpu.index, seconds)))
        if in_use:
            tally.seconds_in_use += seconds
            if name in reading.idle:
                tally.idle += seconds

    def _add_user(
        self,
        key: tuple[str | None, str],
        group: list[TrackedRun],
        reading: SampledReading,
        seconds: float,
        shares: dict[int | None, float],
    ) -> None:
        tally = self._users.get(key)
        if tally is None:
            tally = self._users[key] = UseAccumulator()
        tally.seconds_in_use += seconds
        memory = 0
        for run in group:
            one = run.process.memory
            if isinstance(one, Missing):
                break  # the sum is not known either
            memory += one
        else:
            tally.memory.add(memory, seconds)
        share = shares.get(group[0].process.gpu)
        _add_gpu_activity(tally, key[1], reading, seconds, None if share is None else share * len(group))


def _add_gpu_activity(
    tally: UseAccumulator, uuid: str, reading: SampledReading, seconds: float, energy: float | None
) -> None:
    """Add what the GPU did meanwhile."""
    busy = reading.utilisation.get(uuid)
    if busy is not None:
        tally.utilisation.add(busy, seconds)
        if uuid in reading.idle:
            tally.idle += seconds
    if energy is not None:
        tally.energy = energy if tally.energy is None else tally.energy + energy


def _gpu_facts(name: str, gpu: Gpu) -> GpuFacts:
    return GpuFacts(
        name, gpu.index, known(gpu.name), known(gpu.memory_total), known(gpu.slowdown_at), gpu.physical
    )


class EnergyMeter:
    """
    The energy of one interval after another.

    The counter is updated less often than the power, which stands in for it until it changes. It counts only
    from its first change on: its first value may be from before a gap.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._moved = False
        self._ahead = 0.0  # J returned since the counter changed, by power
        self._since = 0.0  # seconds since it changed

    def energy(self, seconds: float, counter: float | None, power: float | None) -> float | None:
        """Return the energy (J) of the `seconds` that end with these values; None where unknown."""
        estimate = None if power is None else power * seconds
        last, self._last = self._last, counter
        self._since += seconds
        # None, the first, one of a driver that was reloaded, or one that no board can have drawn since.
        if counter is None or last is None or not 0 <= counter - last <= MAX_POWER * self._since:
            self._moved, self._ahead, self._since = False, 0.0, 0.0
            return estimate
        if counter == last:
            if not self._moved:
                return estimate
            self._ahead += estimate or 0.0
            return estimate or 0.0
        self._since = 0.0
        if not self._moved:
            self._moved = True
            return estimate
        owed = counter - last - self._ahead
        drawn = max(0.0, owed)
        self._ahead = drawn - owed
        return drawn


class SampledReading:
    """
    A reading that stands for the last `seconds`: the `gpus` that answered, by their subject.

    `idle` are those below IDLE_PCT; `at_work` is how many processes compute on each board, by its index.
    """

    def __init__(
        self, snapshot: Snapshot, limits: Limits, seconds: float, meters: dict[str, EnergyMeter]
    ) -> None:
        self.gpus = {gpu_subject(gpu): gpu for gpu in snapshot.gpus if gpu.problem is None}
        self.utilisation = {
            name: gpu.utilisation
            for name, gpu in self.gpus.items()
            if not isinstance(gpu.utilisation, Missing)
        }
        self.idle = {name for name, busy in self.utilisation.items() if busy < limits.use.idle_below}
        self.at_work: dict[int | None, int] = {}
        self._seconds = seconds
        self._places = GpuLookup(snapshot)
        boards = {name: gpu for name, gpu in self.gpus.items() if not gpu.physical}
        for name in meters.keys() - boards.keys():
            del meters[name]  # it did not answer: what it drew meanwhile is not known
        self._energies = {
            gpu.index: meters.setdefault(name, EnergyMeter()).energy(
                seconds, known(gpu.energy), known(gpu.power)
            )
            for name, gpu in boards.items()
        }

    def gpu_of(self, process: GpuProcess) -> str:
        """Return the UUID of a process's GPU or MIG device; empty where the source does not know it."""
        gpu: Gpu | None = self._places.of(process)
        return process.device if gpu is None else gpu_subject(gpu)

    def count_computing(self, runs: Iterable[TrackedRun]) -> None:
        """Count the processes that compute on each board."""
        for run in runs:
            if run.computes:
                index = run.process.gpu
                self.at_work[index] = self.at_work.get(index, 0) + 1

    def board_energy(self, index: int, seconds: float) -> float | None:
        """Return the energy (J) that a board drew in so many of the seconds."""
        energy = self._energies.get(index)
        return None if energy is None else energy * seconds / self._seconds

    def energy_shares(self, seconds: float) -> dict[int | None, float]:
        """Return each computing process's share (J) of its board's energy in so many of the seconds."""
        shares: dict[int | None, float] = {}
        for index in self._energies:
            energy = self.board_energy(index, seconds)
            if energy is not None and index in self.at_work:
                shares[index] = energy / self.at_work[index]
        return shares


# A minute that is over, to be made where there is time for it: with many processes it takes long.
FinishedMinute: TypeAlias = "Callable[[], Minute]"


class Sampler:
    """
    Adds up readings; `add` returns the minutes that are over.

    Each is to be called once, in their order, all on one thread. After a `gap` (seconds) between two readings
    nothing is known of what lay between, unless the readings have come that slowly before.
    """

    def __init__(self, limits: Limits, gap: float) -> None:
        self._limits = limits
        self._gap = gap
        self._before: Instant | None = None
        self._interval = 0.0  # seconds between the last two readings
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
        watched = 0 < seconds <= longest_pause(self._gap, self._interval)
        self._before, self._interval = now, seconds
        if snapshot.problem is not None or not watched:
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
