"""Which processes the rules judge, and what is missing from them."""

from __future__ import annotations

from gpuwatch_tray.language import _
from gpuwatch_tray.model import Field, Gpu, GpuProcess, Limits, Missing, ProcessScope, Snapshot


def counted(snapshot: Snapshot, limits: Limits) -> tuple[GpuProcess, ...]:
    """
    Return the processes that count, in the source's order.

    They hold a compute context (nvidia-smi's compute list: C, C+G, MPS), are not among
    IGNORE_PROCESSES, and belong to the user unless PROCESS_SCOPE is `all`.
    """
    return sorted_out(snapshot, limits)[0]


def sorted_out(snapshot: Snapshot, limits: Limits) -> tuple[tuple[GpuProcess, ...], tuple[GpuProcess, ...]]:
    """Return the processes that count, and those that might: their owner is unknown, as in a container."""
    found = computing(snapshot, limits)
    if limits.scope is ProcessScope.ALL:
        return found, ()
    return (
        tuple([process for process in found if process.mine]),
        tuple([process for process in found if process.mine is None]),
    )


def unowned_line(process: GpuProcess) -> str:
    """Say why a process of unknown owner leaves a rule open, and how to change that."""
    text = _("the owner of process {pid} cannot be told (PROCESS_SCOPE=all counts everybody's)")
    return text.format(pid=process.pid)


def computing(snapshot: Snapshot, limits: Limits) -> tuple[GpuProcess, ...]:
    """Return everybody's processes with a compute context, without IGNORE_PROCESSES."""
    found = snapshot.computing
    ignored = {name for name in snapshot.programs if _ignored(name, limits)}
    return tuple([process for process in found if process.name not in ignored]) if ignored else found


def computes(process: GpuProcess, limits: Limits) -> bool:
    """Tell whether a process is one of those."""
    return process.computes and not _ignored(process.name, limits)


def _ignored(name: Field[str], limits: Limits) -> bool:
    return not isinstance(name, Missing) and name.lower() in limits.ignore


def gaps(snapshot: Snapshot) -> tuple[str, ...]:
    """
    Return what could not be read of the processes, a line each.

    While there is a gap, the processes known are not all there are: no rule may conclude from their
    number or absence.
    """
    if snapshot.problem is not None:
        return (str(snapshot.problem),)
    unread = dict(process_gaps(snapshot))
    lines = []
    for gpu in snapshot.gpus:
        if gpu.problem is not None:
            lines.append(gap(gpu))
        elif gpu in unread:
            lines.append(unread[gpu])
    return tuple(lines)


def process_gaps(snapshot: Snapshot) -> tuple[tuple[Gpu, str], ...]:
    """Return the GPUs that answer but for their processes, each with a line that says so."""
    return tuple(
        (gpu, process_gap(gpu))
        for gpu in snapshot.gpus
        if gpu.problem is None and gpu.process_problem is not None
    )


def gap(gpu: Gpu) -> str:
    """Say why nothing is known of this GPU, which has a problem."""
    return _("GPU {index} cannot be read: {problem}").format(index=gpu.index, problem=gpu.problem)


def process_gap(gpu: Gpu) -> str:
    """Say why the processes of this GPU are not known."""
    text = _("the processes of GPU {index} cannot be read: {problem}")
    return text.format(index=gpu.index, problem=gpu.process_problem)
