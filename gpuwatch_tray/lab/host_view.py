"""What is told of a host in the lab's list, from its GPUs and processes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.common.text import listed
from gpuwatch_tray.i18n import ngettext
from gpuwatch_tray.model import UNKNOWN, HostState, HostView, Missing, known

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuwatch_tray.model import Field, Gpu, Snapshot


CLOCK_TOLERANCE = 5  # seconds by which a host's clock may be off, with what its reading takes


def view_of_snapshot(name: str, snapshot: Snapshot, since: float, clock: Field[float] = UNKNOWN) -> HostView:
    """
    Return the host's line; `since` is the wall time since when it is as it is, `clock` its time less ours.

    The snapshot's starts are by our clock, the line's by the host's. A host whose GPUs cannot be read is
    BLIND. A list names no GPU that is idle, so that none is free.
    """
    if snapshot.problem is not None:
        return HostView(name, HostState.BLIND, since, str(snapshot.problem), clock=clock, detail=snapshot)
    whole = [gpu for gpu in snapshot.gpus if not gpu.physical]
    boards = {gpu.physical or gpu.uuid for gpu in snapshot.gpus} - {""}
    lost = {gpu.uuid for gpu in whole if gpu.problem is not None}
    free = snapshot.free_gpus
    view = HostView(
        name,
        HostState.OK,
        since,
        mine=_mine(snapshot),
        oldest_start=_oldest(snapshot, known(clock) or 0.0),
        clock=clock,
        hottest=_most([gpu.temperature for gpu in whole]),
        detail=snapshot,
    )
    if free is None:
        return view
    return replace(
        view,
        gpus=len(boards - lost),
        free=len(free) if _complete(snapshot) else UNKNOWN,
        largest_free=_largest(list(free.values())),
    )


def _complete(snapshot: Snapshot) -> bool:
    """Whether every GPU says whether it is free."""
    on_no_gpu = any(process.gpu is None and process.computes for process in snapshot.processes)
    return not on_no_gpu and all(gpu.problem is None and gpu.process_problem is None for gpu in snapshot.gpus)


def clocks_off(views: Iterable[HostView]) -> tuple[HostView, ...]:
    """Return the hosts whose clocks are off by more than the reading of one takes."""
    return tuple(
        view for view in views if not isinstance(view.clock, Missing) and abs(view.clock) > CLOCK_TOLERANCE
    )


def clock_notes(views: Iterable[HostView]) -> tuple[str, ...]:
    """Return a note that names the hosts whose clocks are off; none where none is."""
    off = [view.name for view in clocks_off(views)]
    if not off:
        return ()
    text = ngettext(
        "the clock of {count} host is off: {hosts}", "the clocks of {count} hosts are off: {hosts}", len(off)
    )
    return (text.format(count=len(off), hosts=listed(off)),)


def _mine(snapshot: Snapshot) -> Field[int]:
    """Count the GPUs that one computes on; unknown where a process may be one's own, or a list has a gap."""
    if any(gpu.problem is not None or gpu.process_problem is not None for gpu in snapshot.gpus):
        return UNKNOWN
    running = snapshot.computing
    if any(process.mine is None or (process.mine and process.gpu is None) for process in running):
        return UNKNOWN
    return len({process.gpu for process in running if process.mine})


def _oldest(snapshot: Snapshot, clock: float) -> Field[float]:
    if isinstance(_mine(snapshot), Missing):
        return UNKNOWN
    starts = [process.started for process in snapshot.computing if process.mine]
    told = [start for start in starts if not isinstance(start, Missing)]
    return min(told) + clock if told and len(told) == len(starts) else UNKNOWN


def _largest(gpus: list[Gpu]) -> Field[int]:
    sizes = []
    for gpu in gpus:
        if isinstance(gpu.memory_total, Missing) or isinstance(gpu.memory_used, Missing):
            continue
        sizes.append(gpu.memory_total - gpu.memory_used)
    return max(sizes) if sizes else UNKNOWN


def _most(values: list[Field[int]]) -> Field[int]:
    told = [value for value in map(known, values) if value is not None]
    return max(told) if told else UNKNOWN
