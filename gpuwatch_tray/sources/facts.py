"""The facts of a process, and the reasons for which one can be missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuwatch_tray.language import N_
from gpuwatch_tray.model import GpuProcess, Missing, Why

if TYPE_CHECKING:
    from gpuwatch_tray.model import Field, ProcessKind

GONE = Missing(Why.ERROR, N_("no such process here"))
FOREIGN = Missing(Why.ERROR, N_("the driver's process numbers are not those of this container"))
DENIED = Missing(Why.ERROR, N_("permission denied"))
ZOMBIE = Missing(Why.ERROR, N_("the process has ended"))
EMPTY = Missing(Why.ERROR, N_("the system gives none"))


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """The facts of a process, each of which may be missing; the fields are those of model.GpuProcess."""

    pid: int
    user: Field[str]
    mine: bool | None
    started: Field[float]
    elapsed: Field[float]
    identity: str
    cwd: Field[str]
    command: Field[tuple[str, ...]]
    name: Field[str]

    @property
    def ended(self) -> bool:
        """Whether the process has ended; a zombie has."""
        return ZOMBIE in (self.command, self.name) or GONE in (self.user, self.command, self.name)

    @classmethod
    def unknown(cls, pid: int, why: Missing, *, mine: bool | None = None) -> ProcessFacts:
        """Return the facts of a process of which nothing is known, for the reason `why`."""
        return cls(pid, why, mine, why, why, "", why, why, why)

    def on_gpu(
        self, gpu: int, kinds: frozenset[ProcessKind], memory: Field[int], device: str = ""
    ) -> GpuProcess:
        """Return the process as it is on one GPU, or on one of its MIG devices."""
        # By place: there are hundreds of them, and keywords take half as long again.
        return GpuProcess(
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
