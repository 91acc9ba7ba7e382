"""One minute while it lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.model import Gpu, GpuFacts, Minute, Missing, Severity, Stretch, known
from gpuwatch_tray.sampling.joining import sum_known
from gpuwatch_tray.sampling.marks import gpus_of_alert
from gpuwatch_tray.sampling.tallies import GpuAccumulator, UseAccumulator
from gpuwatch_tray.units import MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpuwatch_tray.model import Alert
    from gpuwatch_tray.sampling.reading import SampledReading
    from gpuwatch_tray.sampling.runs import MinuteRun, TrackedRun


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
            tally.held += seconds
            memory = process.memory
            if not isinstance(memory, Missing):
                tally.memory.add(memory, seconds)
            if run.computes:
                _add_gpu_activity(tally, run.uuid, reading, seconds, shares.get(process.gpu))
                user = process.user
                key = (None if isinstance(user, Missing) else user, run.uuid)
                if key in groups:
                    groups[key].append(run)
                else:
                    groups[key] = [run]
        held = {uuid for _, uuid in groups}
        for name, gpu in reading.gpus.items():
            self._add_gpu(name, gpu, reading, seconds, held=name in held)
        for key, group in groups.items():
            self._add_user(key, group, reading, seconds, shares)

    def finish(self, runs: Sequence[MinuteRun]) -> Minute:
        """Return the whole minute, once it is over; `runs` are those that were seen in it."""
        at = self.at
        found = [seen.process_run() for seen in runs]
        uses = [seen.tally.to_use(seen.run.key, seen.run.uuid, at, MINUTE) for seen in runs]
        levels = self._by_gpu([run.key for run in found])
        gpus = [tally.to_sample(name, at, MINUTE, levels.get(name)) for name, tally in self._gpus.items()]
        users = [tally.to_use(who, uuid, at, MINUTE) for (who, uuid), tally in self._users.items()]
        stretch = Stretch(at, MINUTE, tuple(gpus), tuple(users), tuple(uses))
        return Minute(stretch, tuple(_gpu_facts(name, gpu) for name, gpu in self._seen.items()), tuple(found))

    def _add_gpu(self, name: str, gpu: Gpu, reading: SampledReading, seconds: float, *, held: bool) -> None:
        tally = self._gpus.get(name)
        if tally is None:
            tally = self._gpus[name] = GpuAccumulator()
        self._seen[name] = gpu
        tally.add(gpu, seconds)
        if not gpu.physical:
            held = held or gpu.index in reading.at_work  # on its MIG devices
            tally.energy = sum_known((tally.energy, reading.board_energy(gpu.index, seconds)))
        if held:
            tally.held += seconds
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
        tally.held += seconds
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

    def _by_gpu(self, keys: list[str]) -> dict[str, Severity]:
        """Return the worst severity of the alerts about each GPU."""
        found: dict[str, Severity] = {}
        for subject, severity in self._levels.items():
            for name in gpus_of_alert(subject, self._gpus.keys(), keys):
                found[name] = max(severity, found.get(name, severity))
        return found


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
