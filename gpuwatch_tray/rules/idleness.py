"""Processes that hold a GPU without using it: the one that hangs, and the one that holds memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.language import N_, _, ngettext
from gpuwatch_tray.listing.text import process_header
from gpuwatch_tray.model import Gpu, GpuProcess, Limits, Missing, Severity, Snapshot, Terms, Verdict, Why
from gpuwatch_tray.rules.devices import Places, called, identity, named, prefix, subject
from gpuwatch_tray.rules.scope import gaps, sorted_out, unowned_line
from gpuwatch_tray.rules.tally import Tally
from gpuwatch_tray.units import duration, gib

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuwatch_tray.rules.memory import Memory

HUNG, HOLDING = "hung", "idle_holding"
TERMS = Terms(clear=60.0, clear_samples=2)
UTILISATION = N_("the utilisation")


def hung(snapshot: Snapshot, limits: Limits, memory: Memory) -> Verdict:
    """
    Warn of each process of mine whose GPUs have done nothing for HUNG_MIN minutes, after it was busy.

    Default 10 minutes at 0 %. Busy is what was alone on a GPU at IDLE_PCT (5 %) or more: of two, one may
    have slept. The subject is the process, as in `max_etime`. It is over when a GPU of it works at IDLE_PCT
    or more for a minute, or it is gone. Time that nobody looked at does not count. Source: the threads on
    runs that hang.
    """
    hold = limits.use.hung_hold
    if hold is None:
        return Verdict(HUNG)
    tally = Tally(HUNG, snapshot)
    hidden = _hidden(snapshot, limits)
    for name, rows in _rows(tally, snapshot, limits).items():
        if any(idle is None for _process, _gpu, idle in rows):
            tally.between(name)  # that this is not told any more is no recovery
        if hidden or not all(idle for _process, _gpu, idle in rows):
            continue
        if name not in memory.busy:
            tally.between(name)  # after a restart: of one that has fired this is no recovery
            continue
        process = rows[0][0]
        gpus = [gpu for _process, gpu, _idle in rows]
        quiet = _quiet(gpus, memory)
        if tally.worse(quiet):
            said = _("{process} has done nothing for {span}")
            tally.measured(quiet, said.format(process=called(process), span=duration(quiet)))
        if quiet < hold:
            tally.between(name)
            continue
        reason = f"HUNG({int(quiet)}s) >= LIMIT({int(hold)}s) :: {process_header(process)}"
        text = ngettext(
            "{process} was busy, and {gpus} has done nothing for {span}",
            "{process} was busy, and {gpus} have done nothing for {span}",
            len(gpus),
        ).format(process=called(process), gpus=", ".join(map(named, gpus)), span=duration(quiet))
        tally.found(name, Severity.WARNING, reason, text, quiet)
    threshold = _("the GPUs of a process of yours that was busy do nothing for {span}")
    return tally.verdict(threshold.format(span=duration(hold)))


def idle_holding(snapshot: Snapshot, limits: Limits, memory: Memory) -> Verdict:
    """
    Tell of each process of mine that holds more than IDLE_HOLD_GIB of a GPU idle for IDLE_HOLD_MIN minutes.

    Default 2 GiB, below 5 % (IDLE_PCT), for 30 minutes. The subject is the process and the GPU; a process
    that `hung` tells of is left out. It is over when the GPU works or the memory is free for a minute, or the
    process is gone. Time that nobody looked at does not count. Source: Northeastern's IdleBot (15 and 60
    minutes).
    """
    hold, most = limits.use.idle_hold, limits.use.idle_memory
    if hold is None:
        return Verdict(HOLDING)
    tally = Tally(HOLDING, snapshot)
    for name, rows in _rows(tally, snapshot, limits).items():
        hangs = (
            limits.use.hung_hold is not None
            and name in memory.busy
            and all(idle for _process, _gpu, idle in rows)
        )
        if hangs and _quiet([gpu for _process, gpu, _idle in rows], memory) >= (limits.use.hung_hold or 0):
            continue
        for process, gpu, idle in rows:
            device = subject(gpu)
            where = f"{name}/{device}"
            if idle is None:
                tally.between(where)
            if not idle:
                continue
            held = tally.value(gpu, N_("the memory of a process"), process.memory, where)
            if held is None or held <= most:
                continue
            idle_for = memory.held_for(name, device)
            if tally.worse(idle_for):
                span = duration(idle_for)
                said = _("{process} holds {memory}, idle for {span}")
                tally.measured(
                    idle_for, said.format(process=called(process), memory=f"{gib(held)} GiB", span=span)
                )
            if idle_for < hold:
                tally.between(where)
                continue
            span = duration(idle_for)
            reason = f"IDLE_HOLDING({int(idle_for)}s) >= LIMIT({int(hold)}s) :: {process_header(process)}"
            text = _("{process} holds {memory}, and the GPU has been idle for {span}").format(
                process=called(process), memory=f"{gib(held)} GiB", span=span
            )
            tally.found(where, Severity.INFO, reason, text, idle_for)
    threshold = _(
        "a process of yours holds more than {memory} of a GPU that is below {percent} % for {span}"
    ).format(memory=f"{gib(most)} GiB", percent=limits.use.idle_below, span=duration(hold))
    return tally.verdict(threshold)


Row = tuple[GpuProcess, Gpu, bool | None]  # whether the GPU is idle; None where that cannot be told


def _rows(tally: Tally, snapshot: Snapshot, limits: Limits) -> dict[str, list[Row]]:
    """The processes that count, by what names them, on each of their GPUs; none where every GPU works."""
    for line in gaps(snapshot):
        tally.leave_open(line, "")
    processes, unowned = sorted_out(snapshot, limits)
    for process in unowned:
        tally.leave_open(unowned_line(process), prefix(snapshot, process))
    failed, idle = _states(tally, limits)
    found: dict[str, list[Row]] = {}
    if not any(idle.values()) and len(idle) == len(snapshot.gpus):
        return found
    places = Places(snapshot)
    for process in processes:
        gpu = places.of(process)
        if gpu is None or not process.identity:
            continue
        if gpu.uuid in failed:
            tally.value(gpu, UTILISATION, gpu.utilisation, prefix(snapshot, process))
        found.setdefault(identity(snapshot, process), []).append((process, gpu, idle.get(id(gpu))))
    return found


def _states(tally: Tally, limits: Limits) -> tuple[set[str], dict[int, bool]]:
    """The GPUs (UUIDs) whose utilisation could not be read this time, and which of the others are idle."""
    failed: set[str] = set()
    idle: dict[int, bool] = {}
    for _name, gpu in tally.devices():
        if not isinstance(gpu.utilisation, Missing):
            idle[id(gpu)] = gpu.utilisation < limits.use.idle_below
        elif gpu.utilisation.why is Why.ERROR:
            failed.add(gpu.uuid)
        else:
            tally.value(gpu, UTILISATION, gpu.utilisation)
    if idle:
        tally.measured(-1.0, _("no such process"))
    return failed, idle


def _hidden(snapshot: Snapshot, limits: Limits) -> bool:
    """Whether a GPU is at work for nobody knows whom: it may be for any process."""
    return any(
        gpu.problem is None
        and gpu.process_problem is not None
        and (isinstance(gpu.utilisation, Missing) or gpu.utilisation >= limits.use.idle_below)
        for gpu in snapshot.gpus
    )


def _quiet(gpus: Iterable[Gpu], memory: Memory) -> float:
    """For how many seconds all of them have done nothing."""
    return min(memory.quiet_for(subject(gpu)) for gpu in gpus)
