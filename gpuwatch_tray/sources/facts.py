"""What is known of a process, each fact by itself, and in which ways it can be missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuwatch_tray.language import N_
from gpuwatch_tray.model import GpuProcess, Missing, Why

if TYPE_CHECKING:
    from gpuwatch_tray.model import Field, Kind

GONE = Missing(Why.ERROR, N_("no such process here"))
FOREIGN = Missing(Why.ERROR, N_("the driver's process numbers are not those of this container"))
DENIED = Missing(Why.ERROR, N_("permission denied"))
ZOMBIE = Missing(Why.ERROR, N_("the process has ended"))
EMPTY = Missing(Why.ERROR, N_("the system gives none"))


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a process; the fields are those of model.GpuProcess."""

    pid: int
    user: Field[str]
    mine: bool | None
    started: Field[float]
    elapsed: Field[float]
    identity: str
    cwd: Field[str]
    command: Field[tuple[str, ...]]
    name: Field[str]

    @classmethod
    def unknown(cls, pid: int, why: Missing, *, mine: bool | None = None) -> Facts:
        """A process of which nothing can be told."""
        return cls(pid, why, mine, why, why, "", why, why, why)

    def on_gpu(self, gpu: int, kinds: frozenset[Kind], memory: Field[int], device: str = "") -> GpuProcess:
        """The process on one GPU, or on one of its MIG devices."""
        return GpuProcess(  # by place: there are hundreds of them, and names take half as long again
            self.pid,
            gpu,
            kinds,
            memory,
            self.user,
            self.mine,
            self.started,
            self.elapsed,
            self.identity,
            self.cwd,
            self.command,
            self.name,
            device,
        )
