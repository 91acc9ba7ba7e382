"""Which processes the rules judge, and what is missing from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.model import GpuProcess, Limits, Missing, Scope, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator


def counted(snapshot: Snapshot, limits: Limits) -> tuple[GpuProcess, ...]:
    """
    The processes that count, in the source's order.

    They hold a compute context (nvidia-smi's compute list: C, C+G, MPS), are not among
    IGNORE_PROCESSES, and belong to the user unless PROCESS_SCOPE is `all`.
    """
    everyone = limits.scope is Scope.ALL
    return tuple(p for p in _computing(snapshot, limits) if everyone or p.mine is True)


def unowned(snapshot: Snapshot, limits: Limits) -> tuple[GpuProcess, ...]:
    """The processes that might count, if only their owner could be told (in a container, say)."""
    if limits.scope is Scope.ALL:
        return ()
    return tuple(process for process in _computing(snapshot, limits) if process.mine is None)


def unowned_line(process: GpuProcess) -> str:
    """Why such a process leaves a rule open, and the mend."""
    return f"the owner of process {process.pid} cannot be told (PROCESS_SCOPE=all counts everybody's)"


def _computing(snapshot: Snapshot, limits: Limits) -> Iterator[GpuProcess]:
    return (p for p in snapshot.processes if p.computes and not _ignored(p, limits))


def _ignored(process: GpuProcess, limits: Limits) -> bool:
    return not isinstance(process.name, Missing) and process.name.lower() in limits.ignore


def gaps(snapshot: Snapshot) -> tuple[str, ...]:
    """
    What could not be read of the processes, a line each.

    While there is a gap, the processes known are not all there are: no rule may conclude from their
    number or absence.
    """
    if snapshot.problem is not None:
        return (str(snapshot.problem),)
    lines = []
    for gpu in snapshot.gpus:
        if gpu.problem is not None:
            lines.append(f"GPU {gpu.index} cannot be read: {gpu.problem}")
        elif gpu.process_problem is not None:
            lines.append(f"the processes of GPU {gpu.index} cannot be read: {gpu.process_problem}")
    return tuple(lines)
