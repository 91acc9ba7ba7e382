"""The reading of one GPU, and those that need no call: of a GPU that sleeps or cannot be reached."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from gpuwatch_tray.model import COMPUTING, Field, Gpu, Missing, ProcessKind, Why
from gpuwatch_tray.sources.nvml.problems import gpu_problem

if TYPE_CHECKING:
    from gpuwatch_tray.sources.nvml.codes import DriverError
    from gpuwatch_tray.sources.nvml.inventory import SeenGpu


class ListedProcess(NamedTuple):
    """A process as the driver lists it on one GPU."""

    pid: int
    kinds: frozenset[ProcessKind]
    memory: Field[int]

    @property
    def computes(self) -> bool:
        """Whether it holds a compute context (see model.GpuProcess.computes)."""
        return not self.kinds.isdisjoint(COMPUTING)


@dataclass(frozen=True, slots=True)
class GpuReading:
    """
    A GPU, its processes, and its MIG devices (`parts`) with theirs: no process is in both.

    `error` is why it could not be read as a whole.
    """

    gpu: Gpu
    processes: tuple[ListedProcess, ...] = ()
    parts: tuple[GpuReading, ...] = ()
    error: DriverError | None = None

    @property
    def unused(self) -> bool:
        """Whether nobody computes on it and nothing runs there; what is not known counts as use."""
        if self.error is not None or self.gpu.process_problem is not None or self.parts:
            return False
        computing = any(one.computes for one in self.processes)
        return self.gpu.asleep or (self.gpu.utilisation == 0 and not computing)


def asleep_reading(seen: SeenGpu) -> GpuReading:
    """Return the reading of a GPU that is not asked, so that it sleeps on."""
    return GpuReading(Gpu(seen.index, seen.uuid, seen.name.value, asleep=True))


def gpu_without_values(missing: Missing) -> Gpu:
    """Return a GPU of which no value is known, all for the same reason."""
    return Gpu(
        0,
        "",
        memory_used=missing,
        memory_total=missing,
        utilisation=missing,
        temperature=missing,
        power=missing,
        power_limit=missing,
        fan=missing,
        slowdown_at=missing,
        limited_by=missing,
        ecc_corrected=missing,
        ecc_uncorrected=missing,
        rows_pending=missing,
        rows_failed=missing,
        pcie_width=missing,
        pcie_width_most=missing,
        energy=missing,
    )


def unreachable_reading(seen: SeenGpu) -> GpuReading:
    """Return the reading of a GPU that does not answer."""
    error = seen.error
    if error is None:
        raise ValueError("a GPU without a handle has an error")
    problem = gpu_problem(error)
    gpu = replace(
        gpu_without_values(Missing(Why.ERROR, error.text)),
        index=seen.index,
        uuid=seen.uuid,
        name=seen.name.value,
        problem=problem,
        process_problem=problem,
    )
    return GpuReading(gpu, error=error)
