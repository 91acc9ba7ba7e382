"""The rows of GPUs, processes, reminders and users."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.language import _
from gpuwatch_tray.model import known
from gpuwatch_tray.tray import text
from gpuwatch_tray.tray.menu import process as processes
from gpuwatch_tray.tray.menu.row import MenuRow, text_row, unique_rows
from gpuwatch_tray.units import MIB

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gpuwatch_tray.model import Gpu, GpuProcess, Snapshot
    from gpuwatch_tray.tray.menu.row import ActionKind

MAX_PROCESSES = 20  # processes listed under a GPU before "… N more"
MEMORY_STEP = 256 * MIB  # sorting rounds memory down to this, so that two alike keep their places


def gpu_rows(
    snapshot: Snapshot | None, offered: Collection[ActionKind], reminded: Collection[str] = ()
) -> list[MenuRow]:
    """
    Return a row for each GPU in the order of their indexes, or the reason why there is none.

    `reminded` are the processes (PID:IDENTITY) with a reminder for their end.
    """
    if snapshot is None:
        return [text_row("problem", _("The GPUs have not been read yet"), urgent=True)]
    if snapshot.problem is not None:
        texts = {"problem": snapshot.problem.text, "mend": snapshot.problem.mend}
        return [text_row(key, redact.text(words), urgent=True) for key, words in texts.items() if words]
    if snapshot.source != processes.LOCAL_SOURCE:
        offered = frozenset(offered) - processes.LOCAL_ACTIONS
    held: dict[tuple[int | None, str], list[GpuProcess]] = {}
    for process in snapshot.processes:
        held.setdefault((process.gpu, process.device), []).append(process)
    # a MIG device stands behind its GPU, whose index it has
    shown = [
        _gpu_row(gpu, held.pop((gpu.index, gpu.uuid if gpu.physical else ""), []), offered, reminded)
        for gpu in sorted(snapshot.gpus, key=lambda gpu: gpu.index)
    ]
    # processes may be on GPUs that no device list has, or that the source cannot name
    for index, device in sorted(held, key=lambda place: (place[0] is None, place[0] or 0, place[1])):
        label = ("GPU ?" if index is None else f"GPU {index}") + (f"  {device}" if device else "")
        key = f"gpu:index:{index}:{device}" if device else f"gpu:index:{index}"
        shown.append(_gpu_submenu(key, label, _process_rows(key, held[index, device], offered, reminded)))
    return unique_rows(shown) or [
        text_row("problem", _("No GPUs and no GPU processes are reported"), urgent=True)
    ]


def _gpu_row(
    gpu: Gpu, held: Sequence[GpuProcess], offered: Collection[ActionKind], reminded: Collection[str]
) -> MenuRow:
    key = f"gpu:{gpu.uuid or gpu.index}"
    children = _process_rows(key, held, offered, reminded)
    trouble = gpu.process_problem or gpu.problem
    if trouble is not None:
        label = _("processes unknown: {trouble}").format(trouble=redact.text(trouble))
        children.insert(0, text_row(f"{key}/trouble", label))
    elif not held:
        nothing = _("asleep, and left so") if gpu.asleep else _("no processes")
        children.append(replace(text_row(f"{key}/none", nothing), gone=_("Until now"), filler=True))
    return _gpu_submenu(key, text.gpu_label(gpu), children)


def _gpu_submenu(key: str, label: str, children: Sequence[MenuRow]) -> MenuRow:
    return MenuRow(key, label, children=tuple(children), gone=_("No data"), urgent=True)


def _process_rows(
    parent: str, held: Sequence[GpuProcess], offered: Collection[ActionKind], reminded: Collection[str]
) -> list[MenuRow]:
    """Return the processes, longest running first, a stable order; of many, the largest and then the rest."""
    first, rest = sorted(held, key=_start_order), []
    if len(first) > MAX_PROCESSES:
        largest = {id(process) for process in sorted(first, key=_size_order)[:MAX_PROCESSES]}
        rest = [process for process in first if id(process) not in largest]
        first = [process for process in first if id(process) in largest]
    shown = unique_rows(processes.process_row(parent, process, offered, reminded) for process in first)
    if rest:
        more = f"{parent}/more"
        hidden = unique_rows(processes.process_row(more, process, offered, reminded) for process in rest)
        label = _("… {count} more").format(count=len(rest))
        shown.append(MenuRow(more, label, children=tuple(hidden), gone=_("Before")))
    return shown


def _start_order(process: GpuProcess) -> tuple[int, float, int]:
    started, ran = known(process.started), known(process.elapsed)
    if started is not None:
        return 0, started, process.pid
    return (2, 0.0, process.pid) if ran is None else (1, -ran, process.pid)


def _size_order(process: GpuProcess) -> tuple[int, float, int]:
    return -((known(process.memory) or 0) // MEMORY_STEP), -(known(process.elapsed) or 0.0), process.pid
