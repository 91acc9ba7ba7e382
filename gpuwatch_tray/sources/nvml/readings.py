"""What one look at a GPU gives, and the readings that need no question."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpuwatch_tray.model import Gpu, Missing, Why
from gpuwatch_tray.sources.nvml.problems import gpu_problem

if TYPE_CHECKING:
    from gpuwatch_tray.sources.nvml.codes import DriverError
    from gpuwatch_tray.sources.nvml.inventory import Seen
    from gpuwatch_tray.sources.nvml.lists import Listed


@dataclass(frozen=True, slots=True)
class Reading:
    """
    A GPU, its processes, and its MIG devices (`parts`) with theirs: no process is in both.

    `error` is why it could not be read as a whole, if so.
    """

    gpu: Gpu
    processes: tuple[Listed, ...] = ()
    parts: tuple[Reading, ...] = ()
    error: DriverError | None = None

    @property
    def unused(self) -> bool:
        """Whether nobody computes on it and nothing runs there; what cannot be told counts as use."""
        if self.error is not None or self.gpu.process_problem is not None or self.parts:
            return False
        computing = any(one.computes for one in self.processes)
        return self.gpu.asleep or (self.gpu.utilisation == 0 and not computing)


def asleep(seen: Seen) -> Reading:
    """A GPU that is not asked, so that it sleeps on."""
    return Reading(Gpu(seen.index, seen.uuid, seen.name.value, asleep=True))


def silent(missing: Missing) -> Gpu:
    """A GPU of which no value is known, all for the same reason."""
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


def unreachable(seen: Seen) -> Reading:
    """A GPU that does not answer."""
    error = seen.error
    if error is None:
        raise ValueError("a GPU without a handle has an error")
    problem = gpu_problem(error)
    gpu = replace(
        silent(Missing(Why.ERROR, error.text)),
        index=seen.index,
        uuid=seen.uuid,
        name=seen.name.value,
        problem=problem,
        process_problem=problem,
    )
    return Reading(gpu, error=error)
