"""What could not be read, in sentences: of the GPUs, of their processes, and of whose those are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import Missing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuwatch_tray.model import Gpu, GpuProcess, Snapshot


def gaps(snapshot: Snapshot) -> tuple[str, ...]:
    """Return what could not be read of the processes, a line each."""
    # While there is a gap no rule may conclude from the number or absence of processes.
    if snapshot.problem is not None:
        return (str(snapshot.problem),)
    return tuple(
        process_gap(gpu) if gpu.problem is None else gap(gpu)
        for gpu in snapshot.gpus
        if gpu.problem is not None or gpu.process_problem is not None
    )


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


def owner_gaps(processes: Iterable[GpuProcess]) -> tuple[str, ...]:
    """Return of how many of the processes the owner cannot be told, a line for each reason."""
    pids: dict[str, set[int]] = {}
    for process in processes:
        if process.mine is None:
            pids.setdefault(why_unowned(process) or "", set()).add(process.pid)
    return tuple(
        ngettext(
            "the owner of {count} process is not known",
            "the owners of {count} processes are not known",
            len(numbers),
        ).format(count=len(numbers))
        + (f": {why}" if why else "")
        for why, numbers in pids.items()
    )


def why_unowned(process: GpuProcess) -> str | None:
    """Return the system's reason for not telling the owner, None where it gives none."""
    return _(process.user.detail) if isinstance(process.user, Missing) and process.user.detail else None
