"""One reading of the GPUs, and what all processes on a GPU share of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.model import Gpu, GpuProcess, Limits, Missing, Snapshot, known
from gpuwatch_tray.rules.devices import GpuLookup, gpu_subject
from gpuwatch_tray.sampling.meter import EnergyMeter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuwatch_tray.sampling.runs import TrackedRun


class SampledReading:
    """
    A reading that stands for the last `seconds`.

    `gpus` are those that answered, by their subject; `utilisation` is of those where it is known, `idle` are
    those of them below IDLE_PCT. `at_work` is how many processes compute on each board, by its index.
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
