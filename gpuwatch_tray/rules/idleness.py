"""Rules about how GPUs are used: idle processes, too many GPUs, old processes, other users, full memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.language import N_, _, ngettext
from gpuwatch_tray.listing.text import process_header
from gpuwatch_tray.model import Gpu, GpuProcess, Limits, Missing, Severity, Snapshot, Terms, Verdict, Why
from gpuwatch_tray.rules.devices import (
    GpuLookup,
    gpu_name,
    gpu_subject,
    process_identity,
    process_prefix,
    process_title,
)
from gpuwatch_tray.rules.scope import gaps, sorted_out, unowned_line
from gpuwatch_tray.rules.tally import VerdictBuilder
from gpuwatch_tray.units import duration, gib

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuwatch_tray.rules.memory import RuleHistory

HUNG_RULE, IDLE_HOLDING_RULE = "hung", "idle_holding"
IDLENESS_TERMS = Terms(clear=60.0, clear_samples=2)
UTILISATION = N_("the utilisation")


def judge_hung(snapshot: Snapshot, limits: Limits, history: RuleHistory) -> Verdict:
    """
    Warn of each process of mine whose GPUs have done nothing for HUNG_MIN minutes, after it was busy.

    Default 10 minutes at 0 %. Busy is what was alone on a GPU at IDLE_PCT (5 %) or more: of two, one may
    have slept. The subject is the process, as in `max_etime`. It is over when a GPU of it works at IDLE_PCT
    or more for a minute, or it is gone. Time that nobody looked at does not count. Source: the threads on
    runs that hang.
    """
    hold = limits.use.hung_hold
    if hold is None:
        return Verdict(HUNG_RULE)
    builder = VerdictBuilder(HUNG_RULE, snapshot)
    hidden = _has_hidden_work(snapshot, limits)
    for name, rows in _idle_rows(builder, snapshot, limits).items():
        if any(idle is None for _process, _gpu, idle in rows):
            builder.in_band(name)  # a value that is no longer reported is no recovery
        if hidden or not all(idle for _process, _gpu, idle in rows):
            continue
        if name not in history.busy:
            builder.in_band(name)  # after a restart: of one that has fired this is no recovery
            continue
        process = rows[0][0]
        gpus = [gpu for _process, gpu, _idle in rows]
        quiet = _quiet_for(gpus, history)
        if builder.is_worst(quiet):
            said = _("{process} has done nothing for {span}")
            builder.measure(quiet, said.format(process=process_title(process), span=duration(quiet)))
        if quiet < hold:
            builder.in_band(name)
            continue
        reason = f"HUNG({int(quiet)}s) >= LIMIT({int(hold)}s) :: {process_header(process)}"
        text = ngettext(
            "{process} was busy, and {gpus} has done nothing for {span}",
            "{process} was busy, and {gpus} have done nothing for {span}",
            len(gpus),
        ).format(process=process_title(process), gpus=", ".join(map(gpu_name, gpus)), span=duration(quiet))
        builder.fire(name, Severity.WARNING, reason, text, quiet)
    threshold = _("the GPUs of a process of yours that was busy do nothing for {span}")
    return builder.build(threshold.format(span=duration(hold)))


def judge_idle_holding(snapshot: Snapshot, limits: Limits, history: RuleHistory) -> Verdict:
    """
    Tell of each process of mine that holds more than IDLE_HOLD_GIB of a GPU idle for IDLE_HOLD_MIN minutes.

    Default 2 GiB, below 5 % (IDLE_PCT), for 30 minutes. The subject is the process and the GPU; a process
    that `hung` tells of is left out. It is over when the GPU works or the memory is free for a minute, or the
    process is gone. Time that nobody looked at does not count. Source: Northeastern's IdleBot (15 and 60
    minutes).
    """
    hold, most = limits.use.idle_hold, limits.use.idle_memory
    if hold is None:
        return Verdict(IDLE_HOLDING_RULE)
    builder = VerdictBuilder(IDLE_HOLDING_RULE, snapshot)
    for name, rows in _idle_rows(builder, snapshot, limits).items():
        hangs = (
            limits.use.hung_hold is not None
            and name in history.busy
            and all(idle for _process, _gpu, idle in rows)
        )
        if hangs and _quiet_for([gpu for _process, gpu, _idle in rows], history) >= (
            limits.use.hung_hold or 0
        ):
            continue
        for process, gpu, idle in rows:
            device = gpu_subject(gpu)
            where = f"{name}/{device}"
            if idle is None:
                builder.in_band(where)
            if not idle:
                continue
            held = builder.read(gpu, N_("the memory of a process"), process.memory, where)
            if held is None or held <= most:
                continue
            idle_for = history.held_for(name, device)
            if builder.is_worst(idle_for):
                span = duration(idle_for)
                said = _("{process} holds {memory}, idle for {span}")
                builder.measure(
                    idle_for,
                    said.format(process=process_title(process), memory=f"{gib(held)} GiB", span=span),
                )
            if idle_for < hold:
                builder.in_band(where)
                continue
            span = duration(idle_for)
            reason = f"IDLE_HOLDING({int(idle_for)}s) >= LIMIT({int(hold)}s) :: {process_header(process)}"
            text = _("{process} holds {memory}, and the GPU has been idle for {span}").format(
                process=process_title(process), memory=f"{gib(held)} GiB", span=span
            )
            builder.fire(where, Severity.INFO, reason, text, idle_for)
    threshold = _(
        "a process of yours holds more than {memory} of a GPU that is below {percent} % for {span}"
    ).format(memory=f"{gib(most)} GiB", percent=limits.use.idle_below, span=duration(hold))
    return builder.build(threshold)


IdleRow = tuple[GpuProcess, Gpu, bool | None]  # whether the GPU is idle; None where that is unknown


def _idle_rows(builder: VerdictBuilder, snapshot: Snapshot, limits: Limits) -> dict[str, list[IdleRow]]:
    """Return the processes that count on each of their GPUs, by their names; none where every GPU works."""
    for line in gaps(snapshot):
        builder.leave_open(line, "")
    processes, unowned = sorted_out(snapshot, limits)
    for process in unowned:
        builder.leave_open(unowned_line(process), process_prefix(snapshot, process))
    failed, idle = _idle_gpus(builder, limits)
    found: dict[str, list[IdleRow]] = {}
    if not any(idle.values()) and len(idle) == len(snapshot.gpus):
        return found
    lookup = GpuLookup(snapshot)
    for process in processes:
        gpu = lookup.of(process)
        if gpu is None or not process.identity:
            continue
        if gpu.uuid in failed:
            builder.read(gpu, UTILISATION, gpu.utilisation, process_prefix(snapshot, process))
        found.setdefault(process_identity(snapshot, process), []).append((process, gpu, idle.get(id(gpu))))
    return found


def _idle_gpus(builder: VerdictBuilder, limits: Limits) -> tuple[set[str], dict[int, bool]]:
    """Return the GPUs (UUIDs) whose utilisation could not be read, and which of the others are idle."""
    failed: set[str] = set()
    idle: dict[int, bool] = {}
    for _name, gpu in builder.devices():
        if not isinstance(gpu.utilisation, Missing):
            idle[id(gpu)] = gpu.utilisation < limits.use.idle_below
        elif gpu.utilisation.why is Why.ERROR:
            failed.add(gpu.uuid)
        else:
            builder.read(gpu, UTILISATION, gpu.utilisation)
    if idle:
        builder.measure(-1.0, _("no such process"))
    return failed, idle


def _has_hidden_work(snapshot: Snapshot, limits: Limits) -> bool:
    """Tell whether a GPU is at work and its processes are unknown: it may work for any process."""
    return any(
        gpu.problem is None
        and gpu.process_problem is not None
        and (isinstance(gpu.utilisation, Missing) or gpu.utilisation >= limits.use.idle_below)
        for gpu in snapshot.gpus
    )


def _quiet_for(gpus: Iterable[Gpu], history: RuleHistory) -> float:
    """Return for how many seconds all of them have done nothing."""
    return min(history.quiet_for(gpu_subject(gpu)) for gpu in gpus)
