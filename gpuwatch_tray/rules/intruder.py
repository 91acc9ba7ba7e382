"""Somebody else on a GPU that I am using."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.model import Limits, Severity, Snapshot, Terms, Verdict, known
from gpuwatch_tray.rules.devices import Places, label, size, subject
from gpuwatch_tray.rules.scope import computing
from gpuwatch_tray.rules.tally import Tally

if TYPE_CHECKING:
    from gpuwatch_tray.model import Gpu, GpuProcess

NAME = "intruder"
TERMS = Terms(hold_samples=2, clear=5 * 60.0)
NOBODY = "?"


def intruder(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Tell of each other user with a compute process on a GPU that one of mine computes on, in 2 polls.

    One alert for each GPU and user, whatever they start there; over when they were gone for 5 minutes.
    Switched by INTRUDER; it has no unit. Source: the threads in which people ask who is on their GPU.
    """
    if not limits.use.intruder:
        return Verdict(NAME)
    tally = Tally(NAME, snapshot)
    places = Places(snapshot)
    mine: set[str] = set()
    others: dict[tuple[str, str], list[tuple[Gpu, GpuProcess]]] = {}
    for process in computing(snapshot, limits):
        gpu = places.of(process)
        if gpu is None or process.mine is None:
            continue
        if process.mine:
            mine.add(subject(gpu))
        else:
            user = known(process.user) or NOBODY
            others.setdefault((subject(gpu), user), []).append((gpu, process))
    for _, gpu in tally.devices():
        if gpu.process_problem is not None:
            tally.leave_open(
                f"the processes of GPU {gpu.index} cannot be read: {gpu.process_problem}", subject(gpu)
            )
    here = {key: found for key, found in others.items() if key[0] in mine}
    for (device, user), found in here.items():
        gpu, process = found[0]
        who = "Somebody else" if user == NOBODY else user
        what = (
            f"{redact.called(known(process.name) or '') or 'a process'} (PID {process.pid}{_memory(process)})"
        )
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        reason = (
            f"INTRUDER({label(gpu)}: {user}, {len(found)} PROCESSES)"
            if more
            else f"INTRUDER({label(gpu)}: {user})"
        )
        text = f"{who} uses {label(gpu)}, which you use too: {what}{more}"
        tally.found(f"{device}/{user}", Severity.INFO, reason, text, len(found))
    tally.measured(len(here), f"{len(here) or 'nobody'} else on your GPUs")
    return tally.verdict("another user computes on a GPU that you compute on")


def _memory(process: GpuProcess) -> str:
    memory = known(process.memory)
    return "" if memory is None else f", {size(memory)}"
