"""The reminder that GPUs are free."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.language import N_, _, ngettext
from gpuwatch_tray.model import ProcessKind, ReminderNotice, known
from gpuwatch_tray.units import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.model import Gpu, Snapshot
    from gpuwatch_tray.watches.wishes import GpusFree, Observation

BY_CHECK = N_("seen at two runs of `check`: what was between them is not known")


def free_gpus(snapshot: Snapshot) -> dict[str, Gpu] | None:
    """
    Return the GPUs (by UUID) known to have no compute process; None where the GPUs are not known.

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
    busy = {process.gpu for process in snapshot.processes if process.kinds != {ProcessKind.GRAPHICS}}
    if None in busy:
        return {}
    return {
        name: gpus[0]
        for name, gpus in parts.items()
        if all(gpu.problem is None and gpu.process_problem is None and gpu.index not in busy for gpu in gpus)
    }


def step_free(condition: GpusFree, observation: Observation) -> tuple[GpusFree, ReminderNotice | None]:
    """
    Note which GPUs are free and since when; the notice once enough of them have been free for long enough.

    Each GPU counts by itself: one that is taken or cannot be read begins anew. In a loop a gap between two
    observations lets all begin anew. `check` observes with gaps only, so there the GPU must be free at each
    observation, the first at least `hold` seconds before the last.
    """
    there = free_gpus(observation.snapshot) or {}
    held = dict(condition.since) if _no_gap(condition, observation) else {}
    since = {name: held.get(name, observation.now) for name in there}
    stepped = replace(condition, since=tuple(since.items()), seen=observation.now)
    # Two observations are needed: a GPU between two jobs is free for a moment.
    long = [name for name in there if name in held and observation.now.since(since[name]) >= condition.hold]
    if len(long) < condition.count:
        return stepped, None
    shortest = min(observation.now.since(since[name]) for name in long)
    return stepped, _free_notice(condition, [there[name] for name in long], shortest, observation)


def describe_free(condition: GpusFree) -> str:
    """Put the condition into words, for a menu row or `when list`."""
    return ngettext(
        "{count} GPU is free for {span}", "{count} GPUs are free for {span}", condition.count
    ).format(count=condition.count, span=duration(condition.hold))


def _no_gap(condition: GpusFree, observation: Observation) -> bool:
    """Whether what was seen at the last observation may be held to have gone on until now."""
    if condition.seen is None:
        return False
    passed = observation.now.since(condition.seen)
    if not observation.loop:
        return passed >= 0
    return condition.seen.boot == observation.now.boot and 0 <= passed <= observation.gap


def _free_notice(
    condition: GpusFree, gpus: Sequence[Gpu], seconds: float, observation: Observation
) -> ReminderNotice:
    ordered = sorted(gpus, key=lambda gpu: gpu.index)
    names = ", ".join(_gpu_name(gpu) for gpu in ordered)
    text = ngettext(
        "{gpus} is free: no compute process for {span}",
        "{gpus} are free: no compute process for {span}",
        len(ordered),
    ).format(gpus=names, span=duration(seconds))
    title = _("GPU free") if condition.count == 1 else _("{count} GPUs free").format(count=condition.count)
    return ReminderNotice(title, text, observation.now.wall, () if observation.loop else (_(BY_CHECK),))


def _gpu_name(gpu: Gpu) -> str:
    name = known(gpu.name)
    return f"GPU {gpu.index} ({redact.text(name)})" if name else f"GPU {gpu.index}"
