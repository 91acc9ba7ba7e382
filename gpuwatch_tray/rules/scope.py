"""Which processes the rules judge, and what is missing from them."""

from __future__ import annotations

from gpuwatch_tray.model import GpuProcess, Limits, Missing, Scope, Snapshot


def counted(snapshot: Snapshot, limits: Limits) -> tuple[GpuProcess, ...]:
    """
    The processes that count, in the source's order.

    They hold a compute context (nvidia-smi's compute list: C, C+G, MPS), are not among
    IGNORE_PROCESSES, and belong to the user unless PROCESS_SCOPE is `all`. A process whose owner cannot
    be told is nobody's own, as in the Bash tool's list.
    """
    return tuple(
        process
        for process in snapshot.processes
        if process.computes
        and (limits.scope is Scope.ALL or process.mine is True)
        and not _ignored(process, limits)
    )


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
