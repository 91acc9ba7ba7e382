"""The rows of the GPUs, each with its processes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.model import known
from gpuwatch_tray.tray import text
from gpuwatch_tray.tray.menu import process as processes
from gpuwatch_tray.tray.menu.row import Row, plain, unique

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gpuwatch_tray.model import Gpu, GpuProcess, Snapshot
    from gpuwatch_tray.tray.menu.row import Act

SHOWN = 20  # processes a GPU lists before "… N more"
STEP = 256 * text.MIB  # memory is compared in steps of this, so that two alike do not change places


def rows(snapshot: Snapshot | None, offered: Collection[Act]) -> list[Row]:
    """A row for each GPU in the order of their indexes, or the reason why there is none."""
    if snapshot is None:
        return [plain("problem", "The GPUs have not been read yet", urgent=True)]
    if snapshot.problem is not None:
        told = {"problem": snapshot.problem.text, "mend": snapshot.problem.mend}
        return [plain(key, redact.text(words), urgent=True) for key, words in told.items() if words]
    if snapshot.source != processes.LOCAL:
        offered = frozenset(offered) - processes.LOCAL_ACTS
    held: dict[int | None, list[GpuProcess]] = {}
    for process in snapshot.processes:
        held.setdefault(process.gpu, []).append(process)
    shown = [
        _gpu(gpu, held.pop(gpu.index, []), offered)
        for gpu in sorted(snapshot.gpus, key=lambda gpu: gpu.index)
    ]
    # a process list names GPUs that no device list has, and may not be able to name them at all
    for index in sorted(held, key=lambda index: (index is None, index or 0)):
        label = "GPU ?" if index is None else f"GPU {index}"
        key = f"gpu:index:{index}"
        shown.append(_parent(key, label, _processes(key, held[index], offered)))
    return unique(shown) or [plain("problem", "No GPUs and no GPU processes are reported", urgent=True)]


def _gpu(gpu: Gpu, held: Sequence[GpuProcess], offered: Collection[Act]) -> Row:
    key = f"gpu:{gpu.uuid or gpu.index}"
    children = _processes(key, held, offered)
    trouble = gpu.process_problem or gpu.problem
    if trouble is not None:
        children.insert(0, plain(f"{key}/trouble", f"processes unknown: {redact.text(trouble)}"))
    elif not held:
        children.append(replace(plain(f"{key}/none", "no processes"), gone="Until now", filler=True))
    return _parent(key, text.gpu(gpu), children)


def _parent(key: str, label: str, children: Sequence[Row]) -> Row:
    return Row(key, label, children=tuple(children), gone="No data", urgent=True)


def _processes(parent: str, held: Sequence[GpuProcess], offered: Collection[Act]) -> list[Row]:
    """The processes, longest first, for that order stays; of many, only the largest, and then the rest."""
    first, rest = sorted(held, key=_age), []
    if len(first) > SHOWN:
        largest = {id(process) for process in sorted(first, key=_weight)[:SHOWN]}
        rest = [process for process in first if id(process) not in largest]
        first = [process for process in first if id(process) in largest]
    shown = unique(processes.row(parent, process, offered) for process in first)
    if rest:
        more = f"{parent}/more"
        hidden = unique(processes.row(more, process, offered) for process in rest)
        shown.append(Row(more, f"… {len(rest)} more", children=tuple(hidden), gone="Before"))
    return shown


def _age(process: GpuProcess) -> tuple[int, float, int]:
    started, ran = known(process.started), known(process.elapsed)
    if started is not None:
        return 0, started, process.pid
    return (2, 0.0, process.pid) if ran is None else (1, -ran, process.pid)


def _weight(process: GpuProcess) -> tuple[int, float, int]:
    return -((known(process.memory) or 0) // STEP), -(known(process.elapsed) or 0.0), process.pid
