"""The rows of the GPUs, each with its processes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.language import _
from gpuwatch_tray.model import known
from gpuwatch_tray.tray import text
from gpuwatch_tray.tray.menu import process as processes
from gpuwatch_tray.tray.menu.row import Row, plain, unique
from gpuwatch_tray.units import MIB

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gpuwatch_tray.model import Gpu, GpuProcess, Snapshot
    from gpuwatch_tray.tray.menu.row import Act

SHOWN = 20  # processes a GPU lists before "… N more"
STEP = 256 * MIB  # memory is compared in steps of this, so that two alike do not change places


def rows(snapshot: Snapshot | None, offered: Collection[Act], awaited: Collection[str] = ()) -> list[Row]:
    """
    A row for each GPU in the order of their indexes, or the reason why there is none.

    `awaited` are the processes (PID:IDENTITY) whose end the person will be told.
    """
    if snapshot is None:
        return [plain("problem", _("The GPUs have not been read yet"), urgent=True)]
    if snapshot.problem is not None:
        told = {"problem": snapshot.problem.text, "mend": snapshot.problem.mend}
        return [plain(key, redact.text(words), urgent=True) for key, words in told.items() if words]
    if snapshot.source != processes.LOCAL:
        offered = frozenset(offered) - processes.LOCAL_ACTS
    held: dict[tuple[int | None, str], list[GpuProcess]] = {}
    for process in snapshot.processes:
        held.setdefault((process.gpu, process.device), []).append(process)
    # a MIG device stands behind its GPU, whose index it has
    shown = [
        _gpu(gpu, held.pop((gpu.index, gpu.uuid if gpu.physical else ""), []), offered, awaited)
        for gpu in sorted(snapshot.gpus, key=lambda gpu: gpu.index)
    ]
    # a process list names GPUs that no device list has, and may not be able to name them at all
    for index, device in sorted(held, key=lambda place: (place[0] is None, place[0] or 0, place[1])):
        label = ("GPU ?" if index is None else f"GPU {index}") + (f"  {device}" if device else "")
        key = f"gpu:index:{index}:{device}" if device else f"gpu:index:{index}"
        shown.append(_parent(key, label, _processes(key, held[index, device], offered, awaited)))
    return unique(shown) or [plain("problem", _("No GPUs and no GPU processes are reported"), urgent=True)]


def _gpu(gpu: Gpu, held: Sequence[GpuProcess], offered: Collection[Act], awaited: Collection[str]) -> Row:
    key = f"gpu:{gpu.uuid or gpu.index}"
    children = _processes(key, held, offered, awaited)
    trouble = gpu.process_problem or gpu.problem
    if trouble is not None:
        children.insert(
            0, plain(f"{key}/trouble", _("processes unknown: {trouble}").format(trouble=redact.text(trouble)))
        )
    elif not held:
        nothing = _("asleep, and left so") if gpu.asleep else _("no processes")
        children.append(replace(plain(f"{key}/none", nothing), gone=_("Until now"), filler=True))
    return _parent(key, text.gpu(gpu), children)


def _parent(key: str, label: str, children: Sequence[Row]) -> Row:
    return Row(key, label, children=tuple(children), gone=_("No data"), urgent=True)


def _processes(
    parent: str, held: Sequence[GpuProcess], offered: Collection[Act], awaited: Collection[str]
) -> list[Row]:
    """The processes, longest first, for that order stays; of many, only the largest, and then the rest."""
    first, rest = sorted(held, key=_age), []
    if len(first) > SHOWN:
        largest = {id(process) for process in sorted(first, key=_weight)[:SHOWN]}
        rest = [process for process in first if id(process) not in largest]
        first = [process for process in first if id(process) in largest]
    shown = unique(processes.row(parent, process, offered, awaited) for process in first)
    if rest:
        more = f"{parent}/more"
        hidden = unique(processes.row(more, process, offered, awaited) for process in rest)
        shown.append(
            Row(more, _("… {count} more").format(count=len(rest)), children=tuple(hidden), gone=_("Before"))
        )
    return shown


def _age(process: GpuProcess) -> tuple[int, float, int]:
    started, ran = known(process.started), known(process.elapsed)
    if started is not None:
        return 0, started, process.pid
    return (2, 0.0, process.pid) if ran is None else (1, -ran, process.pid)


def _weight(process: GpuProcess) -> tuple[int, float, int]:
    return -((known(process.memory) or 0) // STEP), -(known(process.elapsed) or 0.0), process.pid
