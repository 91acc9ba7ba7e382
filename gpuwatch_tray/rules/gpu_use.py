"""Rules about how GPUs are used: idle processes, too many GPUs, old processes, other users, full memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.common import redact
from gpuwatch_tray.common.proclist import process_header
from gpuwatch_tray.common.reading_gaps import gaps, process_gap
from gpuwatch_tray.i18n import N_, _, ngettext
from gpuwatch_tray.model import (
    Finding,
    Gpu,
    GpuProcess,
    Limits,
    Missing,
    ProcessScope,
    Severity,
    Snapshot,
    Verdict,
    Why,
    gpu_subject,
    known,
)
from gpuwatch_tray.model.units import duration, gib
from gpuwatch_tray.rules.hang_facts import hang_facts
from gpuwatch_tray.rules.verdict import (
    GpuLookup,
    VerdictBuilder,
    computing,
    gpu_label,
    gpu_name,
    process_identity,
    process_prefix,
    process_title,
    split_by_owner,
    unowned_line,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuwatch_tray.rules.rule_history import RuleHistory


HUNG_RULE, IDLE_HOLDING_RULE = "hung", "idle_holding"
UTILISATION = N_("the utilisation")


def judge_hung(snapshot: Snapshot, limits: Limits, history: RuleHistory) -> Verdict:
    """Warn of each process that counts whose GPUs do nothing for HUNG_MIN minutes after it was busy."""
    # Busy is what was alone on a GPU at IDLE_PCT or more: of two, one may have slept. Time that nobody looked
    # at does not count. Source: the threads on runs that hang (10 minutes at 0 %).
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
            measured = _("{process} has done nothing for {span}")
            builder.measure(quiet, measured.format(process=process_title(process), span=duration(quiet)))
        if quiet < hold:
            builder.in_band(name)
            continue
        reason = f"HUNG({int(quiet)}s) >= LIMIT({int(hold)}s) :: {process_header(process)}"
        text = ngettext(
            "{process} was busy, and {gpus} has done nothing for {span}",
            "{process} was busy, and {gpus} have done nothing for {span}",
            len(gpus),
        ).format(process=process_title(process), gpus=", ".join(map(gpu_name, gpus)), span=duration(quiet))
        text = "; ".join([text, *hang_facts(snapshot, history, process, gpus, quiet)])
        builder.fire(name, Severity.WARNING, reason, text, quiet)
    threshold = _("a process of yours was busy, and its GPUs have done nothing for {span}")
    return builder.build(threshold.format(span=duration(hold)))


def judge_idle_holding(snapshot: Snapshot, limits: Limits, history: RuleHistory) -> Verdict:
    """Tell of each process that counts with over IDLE_HOLD_GIB of a GPU idle for IDLE_HOLD_MIN minutes."""
    # The subject is the process and the GPU; what `hung` tells of is left out. Time that nobody looked at
    # does not count. Source: Northeastern's IdleBot (15 and 60 minutes).
    hold, most = limits.use.idle_hold, limits.use.idle_memory
    if hold is None:
        return Verdict(IDLE_HOLDING_RULE)
    builder = VerdictBuilder(IDLE_HOLDING_RULE, snapshot)
    for name, rows in _idle_rows(builder, snapshot, limits).items():
        hung_hold = limits.use.hung_hold
        could_hang = hung_hold is not None and name in history.busy and all(row[2] for row in rows)
        if could_hang and _quiet_for([gpu for _process, gpu, _idle in rows], history) >= (hung_hold or 0):
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
            if idle_for < hold and not builder.is_worst(idle_for):  # many processes: no text for nothing
                builder.in_band(where)
                continue
            title, memory, span = process_title(process), f"{gib(held)} GiB", duration(idle_for)
            measured = _("{process} uses {memory}, idle for {span}")
            builder.measure(idle_for, measured.format(process=title, memory=memory, span=span))
            if idle_for < hold:
                builder.in_band(where)
                continue
            reason = f"IDLE_HOLDING({int(idle_for)}s) >= LIMIT({int(hold)}s) :: {process_header(process)}"
            text = _("{process} uses {memory}, and the GPU has been idle for {span}")
            text = text.format(process=title, memory=memory, span=span)
            builder.fire(where, Severity.INFO, reason, text, idle_for)
    threshold = _(
        "a process of yours uses more than {memory} of a GPU that is below {percent} % for {span}"
    ).format(memory=f"{gib(most)} GiB", percent=limits.use.idle_below, span=duration(hold))
    return builder.build(threshold)


IdleRow = tuple[GpuProcess, Gpu, bool | None]  # whether the GPU is idle; None where that is unknown


def _idle_rows(builder: VerdictBuilder, snapshot: Snapshot, limits: Limits) -> dict[str, list[IdleRow]]:
    """Return the processes that count on each of their GPUs, by their names; none where every GPU works."""
    for line in gaps(snapshot):
        builder.leave_open(line, "")
    processes, unowned = split_by_owner(snapshot, limits)
    for process in unowned:
        builder.leave_open(unowned_line(process), process_prefix(snapshot, process))
    failed, idle = _idle_gpus(builder, limits)
    rows: dict[str, list[IdleRow]] = {}
    if not any(idle.values()) and len(idle) == len(snapshot.gpus):
        return rows
    lookup = GpuLookup(snapshot)
    for process in processes:
        gpu = lookup.of(process)
        if gpu is None or not process.identity:
            continue
        if gpu.uuid in failed:
            builder.read(gpu, UTILISATION, gpu.utilisation, process_prefix(snapshot, process))
        rows.setdefault(process_identity(snapshot, process), []).append((process, gpu, idle.get(id(gpu))))
    return rows


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


GPU_LIMIT_RULE = "gpu_limit"


def judge_gpu_limit(snapshot: Snapshot, limits: Limits) -> Verdict:
    """Warn when the processes that count are on more than `limits.gpu_limit` different GPUs."""
    # Rule and reason are the Bash tool's, to the letter. GPUs known to be in use are enough to fire; below
    # the limit what is not known leaves the answer open: the count might be higher.
    limit = limits.gpu_limit
    if limit is None:
        return Verdict(GPU_LIMIT_RULE)
    processes, unowned = split_by_owner(snapshot, limits)
    in_use = len({process.gpu for process in processes if process.gpu is not None})
    value = ngettext("{count} GPU in use", "{count} GPUs in use", in_use).format(count=in_use)
    threshold = ngettext("more than {limit} GPU is in use", "more than {limit} GPUs are in use", limit)
    threshold = threshold.format(limit=limit)
    if in_use > limit:
        reason = f"GPU_COUNT({in_use}) > GPU_LIMIT({limit})"
        text = _("{value}; the limit is {limit}").format(value=value, limit=limit)
        finding = Finding(GPU_LIMIT_RULE, "", Severity.WARNING, reason, in_use, text)
        return Verdict(GPU_LIMIT_RULE, (finding,), value=value, threshold=threshold)
    nowhere = [process.pid for process in processes if process.gpu is None]
    unknown = list(gaps(snapshot))
    unknown += [_("the GPU of process {pid} is not known").format(pid=pid) for pid in nowhere]
    unknown += dict.fromkeys(map(unowned_line, unowned))
    return Verdict(GPU_LIMIT_RULE, unknown="; ".join(unknown) or None, value=value, threshold=threshold)


INTRUDER_RULE = "intruder"
UNKNOWN_USER, GONE_USER = "?", "-"


def judge_intruder(snapshot: Snapshot, limits: Limits) -> Verdict:
    """Tell of each other user with a compute process on a GPU that one of mine computes on, in 2 polls."""
    # One alert for each GPU and user. Source: the threads in which people ask who is on their GPU.
    if not limits.use.intruder:
        return Verdict(INTRUDER_RULE)
    builder = VerdictBuilder(INTRUDER_RULE, snapshot)
    lookup = GpuLookup(snapshot)
    running = computing(snapshot, limits)
    others: dict[tuple[str, str], list[tuple[Gpu, GpuProcess]]] = {}
    for process in [process for process in running if process.mine is False]:
        gpu = lookup.of(process)
        if gpu is not None:
            user = GONE_USER if process.gone else known(process.user) or UNKNOWN_USER
            others.setdefault((gpu_subject(gpu), user), []).append((gpu, process))
    # Where nobody else is, which is the rule, it does not matter where mine are.
    here = [lookup.of(process) for process in running if process.mine] if others else []
    mine = {gpu_subject(gpu) for gpu in here if gpu is not None}
    for _name, gpu in builder.devices():
        if gpu.process_problem is not None:
            builder.leave_open(process_gap(gpu), gpu_subject(gpu))
    unowned = [process for process in running if process.mine is None]
    _note_unknown_owners(builder, lookup, unowned, limits)
    shared = {key: theirs for key, theirs in others.items() if key[0] in mine}
    for (device, user), theirs in shared.items():
        gpu, process = theirs[0]
        reason, text = _describe_intruder(gpu, process, user, len(theirs))
        builder.fire(f"{device}/{user}", Severity.INFO, reason, text, len(theirs))
    users = len({user for _device, user in shared} - {GONE_USER})
    measured = _("no one else on your GPUs")
    if users:
        measured = ngettext("{count} other user on your GPUs", "{count} other users on your GPUs", users)
    if users or not unowned:
        builder.measure(users, measured.format(count=users))
    return builder.build(_("another user computes on a GPU that you compute on"))


def _describe_intruder(gpu: Gpu, process: GpuProcess, user: str, count: int) -> tuple[str, str]:
    """Return the reason and the text about the first of `count` processes of one user on a GPU."""
    where, held = gpu_name(gpu), known(process.memory)
    memory = "" if held is None else f", {gib(held)} GiB"
    if user == GONE_USER:
        text = _("Memory of {gpu}, which you use too, is held by a process that is gone (PID {pid}{memory})")
        reason = f"HELD_BY_GONE({gpu_label(gpu)}: PID {process.pid})"
        return reason, text.format(gpu=where, pid=process.pid, memory=memory)
    who = _("Someone else") if user == UNKNOWN_USER else user
    name = redact.process_name(known(process.name) or "") or _("a process")
    text = _("{who} uses {gpu}, which you use too: {what}")
    if count > 1:
        text = _("{who} uses {gpu}, which you use too: {what} and {more} more")
    processes = f", {count} PROCESSES" if count > 1 else ""
    what = f"{name} (PID {process.pid}{memory})"
    return (
        f"INTRUDER({gpu_label(gpu)}: {user}{processes})",
        text.format(who=who, gpu=where, what=what, more=count - 1),
    )


def _note_unknown_owners(
    builder: VerdictBuilder, lookup: GpuLookup, unowned: Iterable[GpuProcess], limits: Limits
) -> None:
    """Leave open each GPU whose owners cannot be told; not where PROCESS_SCOPE is the mend for it."""
    for process in unowned:
        gpu = lookup.of(process)
        if limits.scope is ProcessScope.ALL:
            builder.cannot_fire(_("the owners of the processes are not known here"))
        else:
            builder.leave_open(unowned_line(process), "" if gpu is None else gpu_subject(gpu))


MAX_ETIME_RULE = "max_etime"


def judge_max_etime(snapshot: Snapshot, limits: Limits) -> Verdict:
    """Warn of each process that counts and has run for more than `limits.max_etime` whole seconds."""
    # The subject is (boot, pid, start), so that a reused PID is another; one on several GPUs is one, shown
    # with its first. The reason is the Bash tool's, to the letter.
    limit = limits.max_etime
    if limit is None:
        return Verdict(MAX_ETIME_RULE)
    builder = VerdictBuilder(MAX_ETIME_RULE, snapshot)
    for line in gaps(snapshot):
        builder.leave_open(line, "")
    processes, unowned = split_by_owner(snapshot, limits)
    ages: list[float] = []
    for process in processes:
        elapsed = process.elapsed
        if isinstance(elapsed, Missing):
            text = _("the elapsed time of process {pid} is unknown")
            builder.leave_open(text.format(pid=process.pid), process_prefix(snapshot, process))
            continue
        ages.append(elapsed)
        if (seconds := int(elapsed)) > limit:
            reason = f"MAX_ETIME({seconds}s) > LIMIT({limit}s) :: {process_header(process)}"
            text = _("{process} has run for {span}; the limit is {limit}").format(
                process=process_title(process), span=duration(seconds), limit=duration(limit)
            )
            name = process_prefix(snapshot, process) + process.identity
            builder.fire(name, Severity.WARNING, reason, text, seconds)
    if ages:
        seconds = int(max(ages))
        builder.measure(seconds, _("the longest runs for {span}").format(span=duration(seconds)))
    for process in unowned:
        builder.leave_open(unowned_line(process), process_prefix(snapshot, process))
    threshold = _("a process has run for longer than {span}").format(span=duration(limit))
    return builder.build(threshold, N_("no process"))


MEMORY_FULL_RULE = "memory_full"
MEMORY_FULL_CLEAR = 5  # % below the limit at which it is over


def judge_memory_full(snapshot: Snapshot, limits: Limits) -> Verdict:
    """Tell of each GPU with more than MEMORY_FULL_PCT of its memory in use for MEMORY_FULL_MIN minutes."""
    # Off by default, as frameworks reserve memory in advance. Source: Netdata's dcgm.conf (95 %, 10 minutes).
    most = limits.use.memory_full
    if most is None:
        return Verdict(MEMORY_FULL_RULE)
    builder = VerdictBuilder(MEMORY_FULL_RULE, snapshot)
    for name, gpu in builder.devices():
        used = builder.read(gpu, N_("the memory in use"), gpu.memory_used, name)
        total = builder.read(gpu, N_("the total memory"), gpu.memory_total, name)
        if used is None or not total:
            continue
        percent = 100 * used / total
        measured = _("{gpu} is the fullest with {percent:.0f} %")
        builder.measure(percent, measured.format(gpu=gpu_name(gpu), percent=percent))
        if percent > most:
            reason = f"MEMORY_FULL({gpu_label(gpu)}: {percent:.0f}%) > LIMIT({most}%)"
            text = _("The memory of {gpu} is {percent:.0f} % full; the limit is {limit} %").format(
                gpu=gpu_name(gpu), percent=percent, limit=most
            )
            builder.fire(name, Severity.INFO, reason, text, percent)
        elif percent > most - MEMORY_FULL_CLEAR:
            builder.in_band(name)
    return builder.build(_("more than {percent} % of a GPU's memory is in use").format(percent=most))
