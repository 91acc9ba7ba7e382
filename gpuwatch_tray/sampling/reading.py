"""One reading of the GPUs, and what of it concerns everything on a GPU alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.model import Gpu, GpuProcess, Limits, Missing, Snapshot, known
from gpuwatch_tray.rules.devices import Places, subject
from gpuwatch_tray.sampling.meter import EnergyMeter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuwatch_tray.sampling.runs import TrackedRun


class SampledReading:
    """
    A reading that stands for the last `seconds`.

    `gpus` are those that answered, by what names them; `utilisation` is of those whose is known, `idle` are
    those of them that do nothing. `at_work` is how many processes compute on each board, by its index.
    """

    def __init__(
        self, snapshot: Snapshot, limits: Limits, seconds: float, meters: dict[str, EnergyMeter]
    ) -> None:
        self.gpus = {subject(gpu): gpu for gpu in snapshot.gpus if gpu.problem is None}
        self.utilisation = {
            name: gpu.utilisation
            for name, gpu in self.gpus.items()
            if not isinstance(gpu.utilisation, Missing)
        }
        self.idle = {name for name, busy in self.utilisation.items() if busy < limits.use.idle_below}
        self.at_work: dict[int | None, int] = {}
        self._seconds = seconds
        self._places = Places(snapshot)
        boards = {name: gpu for name, gpu in self.gpus.items() if not gpu.physical}
        for name in meters.keys() - boards.keys():
            del meters[name]  # it did not answer: what it drew meanwhile is not known
        self._energies = {
            gpu.index: meters.setdefault(name, EnergyMeter()).over(
                seconds, known(gpu.energy), known(gpu.power)
            )
            for name, gpu in boards.items()
        }

    def place(self, process: GpuProcess) -> str:
        """What names the GPU or MIG device that it is on; empty where the source could not tell."""
        gpu: Gpu | None = self._places.of(process)
        return process.device if gpu is None else subject(gpu)

    def count(self, runs: Iterable[TrackedRun]) -> None:
        """Count what is at work."""
        for run in runs:
            if run.computes:
                index = run.process.gpu
                self.at_work[index] = self.at_work.get(index, 0) + 1

    def drawn(self, index: int, seconds: float) -> float | None:
        """What a board drew in so many of the seconds (J)."""
        energy = self._energies.get(index)
        return None if energy is None else energy * seconds / self._seconds

    def shares(self, seconds: float) -> dict[int | None, float]:
        """What each process at work on a board has to answer for in so many of the seconds (J)."""
        found: dict[int | None, float] = {}
        for index in self._energies:
            energy = self.drawn(index, seconds)
            if energy is not None and index in self.at_work:
                found[index] = energy / self.at_work[index]
        return found
