"""Somebody else on a GPU that I am using."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.language import _, ngettext
from gpuwatch_tray.model import Limits, ProcessScope, Severity, Snapshot, Terms, Verdict, known
from gpuwatch_tray.rules.devices import GpuLookup, gpu_label, gpu_name, gpu_subject
from gpuwatch_tray.rules.scope import computing, process_gap, unowned_line
from gpuwatch_tray.rules.tally import VerdictBuilder
from gpuwatch_tray.units import gib

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuwatch_tray.model import Gpu, GpuProcess

INTRUDER_RULE = "intruder"
INTRUDER_TERMS = Terms(hold_samples=2, clear=5 * 60.0)
UNKNOWN_USER = "?"


def judge_intruder(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Tell of each other user with a compute process on a GPU that one of mine computes on, in 2 polls.

    One alert for each GPU and user, whatever they start there; over when they were gone for 5 minutes.
    Switched by INTRUDER; it has no unit. Source: the threads in which people ask who is on their GPU.
    """
    if not limits.use.intruder:
        return Verdict(INTRUDER_RULE)
    builder = VerdictBuilder(INTRUDER_RULE, snapshot)
    lookup = GpuLookup(snapshot)
    found = computing(snapshot, limits)
    others: dict[tuple[str, str], list[tuple[Gpu, GpuProcess]]] = {}
    for process in [process for process in found if process.mine is False]:
        gpu = lookup.of(process)
        if gpu is not None:
            others.setdefault((gpu_subject(gpu), known(process.user) or UNKNOWN_USER), []).append(
                (gpu, process)
            )
    # Where nobody else is, which is the rule, it does not matter where mine are.
    here = [lookup.of(process) for process in found if process.mine] if others else []
    mine = {gpu_subject(gpu) for gpu in here if gpu is not None}
    for _name, gpu in builder.devices():
        if gpu.process_problem is not None:
            builder.leave_open(process_gap(gpu), gpu_subject(gpu))
    unowned = [process for process in found if process.mine is None]
    _note_unknown_owners(builder, lookup, unowned, limits)
    shared = {key: theirs for key, theirs in others.items() if key[0] in mine}
    for (device, user), theirs in shared.items():
        gpu, process = theirs[0]
        who = _("Somebody else") if user == UNKNOWN_USER else user
        name = redact.process_name(known(process.name) or "") or _("a process")
        what = f"{name} (PID {process.pid}{_memory_note(process)})"
        reason = (
            f"INTRUDER({gpu_label(gpu)}: {user}, {len(theirs)} PROCESSES)"
            if len(theirs) > 1
            else f"INTRUDER({gpu_label(gpu)}: {user})"
        )
        text = _("{who} uses {gpu}, which you use too: {what}")
        if len(theirs) > 1:
            text = _("{who} uses {gpu}, which you use too: {what} and {more} more")
        text = text.format(who=who, gpu=gpu_name(gpu), what=what, more=len(theirs) - 1)
        builder.fire(f"{device}/{user}", Severity.INFO, reason, text, len(theirs))
    users = len({user for _device, user in shared})
    said = _("nobody else on your GPUs")
    if users:
        said = ngettext("{count} other user on your GPUs", "{count} other users on your GPUs", users)
    if users or not unowned:
        builder.measure(users, said.format(count=users))
    return builder.build(_("another user computes on a GPU that you compute on"))


def _note_unknown_owners(
    builder: VerdictBuilder, lookup: GpuLookup, unowned: Iterable[GpuProcess], limits: Limits
) -> None:
    """Owners that cannot be told leave their GPU open; not where PROCESS_SCOPE is the mend for it."""
    for process in unowned:
        gpu = lookup.of(process)
        if limits.scope is ProcessScope.ALL:
            builder.cannot_fire(_("the owners of the processes cannot be told here"))
        else:
            builder.leave_open(unowned_line(process), "" if gpu is None else gpu_subject(gpu))


def _memory_note(process: GpuProcess) -> str:
    memory = known(process.memory)
    return "" if memory is None else f", {gib(memory)} GiB"
