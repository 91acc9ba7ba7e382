"""When GPUs are free."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.language import N_, _, ngettext
from gpuwatch_tray.listing import duration
from gpuwatch_tray.model import Kind, Notice, known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.model import Gpu, Snapshot
    from gpuwatch_tray.watches.wishes import GpusFree, Observation

BY_CHECK = N_("seen at two runs of `check`: what was between them is not known")


def free_gpus(snapshot: Snapshot) -> dict[str, Gpu] | None:
    """
    The GPUs (by UUID) that are known to have no compute process; None where the GPUs are not known.

    Processes that only draw do not count. A GPU that cannot be read, or whose list cannot, is not free; while
    a process cannot be said to be on this GPU or that, none is. A GPU with MIG devices is free with all of
    them.
    """
    if snapshot.problem is not None:
        return None
    parts: dict[str, list[Gpu]] = {}
    for gpu in snapshot.gpus:
        if name := gpu.physical or gpu.uuid:
            parts.setdefault(name, []).append(gpu)
    if not parts:  # a process list names no idle GPU
        return None
    busy = {process.gpu for process in snapshot.processes if process.kinds != {Kind.GRAPHICS}}
    if None in busy:
        return {}
    return {
        name: gpus[0]
        for name, gpus in parts.items()
        if all(gpu.problem is None and gpu.process_problem is None and gpu.index not in busy for gpu in gpus)
    }


def step(wish: GpusFree, look: Observation) -> tuple[GpusFree, Notice | None]:
    """
    Which GPUs are free, and since when; the notice once enough of them have been so for long enough.

    Each GPU counts by itself: one that is taken or cannot be read begins anew. In a loop a gap between two
    looks lets all begin anew. For `check`, whose looks are always apart, the looks themselves count: free at
    each of them, the first at least `hold` before the last.
    """
    there = free_gpus(look.snapshot) or {}
    held = dict(wish.since) if _continued(wish, look) else {}
    since = {name: held.get(name, look.now) for name in there}
    stepped = replace(wish, since=tuple(since.items()), seen=look.now)
    # Two looks are needed: a GPU between two jobs is free for a moment.
    long = [name for name in there if name in held and look.now.since(since[name]) >= wish.hold]
    if len(long) < wish.count:
        return stepped, None
    shortest = min(look.now.since(since[name]) for name in long)
    return stepped, _notice(wish, [there[name] for name in long], shortest, look)


def says(wish: GpusFree) -> str:
    """What is waited for, as a menu row or `when list` has it."""
    return ngettext("{count} GPU is free for {span}", "{count} GPUs are free for {span}", wish.count).format(
        count=wish.count, span=duration(wish.hold)
    )


def _continued(wish: GpusFree, look: Observation) -> bool:
    """Whether what was seen at the last look may be held to have gone on until now."""
    if wish.seen is None:
        return False
    passed = look.now.since(wish.seen)
    if not look.loop:
        return passed >= 0
    return wish.seen.boot == look.now.boot and 0 <= passed <= look.gap


def _notice(wish: GpusFree, gpus: Sequence[Gpu], seconds: float, look: Observation) -> Notice:
    ordered = sorted(gpus, key=lambda gpu: gpu.index)
    names = ", ".join(_name(gpu) for gpu in ordered)
    text = ngettext(
        "{gpus} is free: no compute process for {span}",
        "{gpus} are free: no compute process for {span}",
        len(ordered),
    ).format(gpus=names, span=duration(seconds))
    title = _("GPU free") if wish.count == 1 else _("{count} GPUs free").format(count=wish.count)
    return Notice(title, text, look.now.wall, () if look.loop else (_(BY_CHECK),))


def _name(gpu: Gpu) -> str:
    name = known(gpu.name)
    return f"GPU {gpu.index} ({redact.text(name)})" if name else f"GPU {gpu.index}"
