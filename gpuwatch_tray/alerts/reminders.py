"""
The steps of the reminders: what each observation means to a condition, and the notice when it has come about.

What could not be read is neither "free" nor "ended". All of it is pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from gpuwatch_tray.alerts.reminder_types import (
    GpusFree,
    LabGpusFree,
    LabProcessEnds,
    ProcessEnds,
    Reminder,
)
from gpuwatch_tray.common import redact
from gpuwatch_tray.common.loading import LateModule
from gpuwatch_tray.i18n import N_, _, ngettext
from gpuwatch_tray.model import Missing, PendingReminder, ReminderNotice, Severity, known
from gpuwatch_tray.model.units import MIB, MINUTE, duration, local_time, memory_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.alerts import lab_reminders
    from gpuwatch_tray.alerts.reminder_types import (
        CommandEnds,
        Observation,
        OtherHolder,
        ReminderCondition,
        RunReport,
    )
    from gpuwatch_tray.model import Gpu, GpuProcess, Instant, Snapshot

    Watched = TypeVar("Watched", CommandEnds, ProcessEnds)
else:
    lab_reminders = LateModule("gpuwatch_tray.alerts.lab_reminders")


GRACE = 60.0  # seconds for `when run` to report an end that was seen
RESTARTED = N_("the machine was restarted")
REUSED = N_("its PID now belongs to another process")
SEEN = N_("the system shows that it has ended; how, only the program that started it knows")
ABSENT = N_("only its absence was seen: it is no longer on the driver's lists")
UNREPORTED = N_("how it ended is not known: `when run` was stopped before it could report")


def on_gpus(
    condition: ProcessEnds | CommandEnds,
    snapshot: Snapshot,
    children: frozenset[tuple[int, str]] = frozenset(),
) -> tuple[GpuProcess, ...]:
    """Return the entries on the GPUs' lists of this very process, and of its `children`."""
    if snapshot.problem is not None:
        return ()
    wanted = children | {(condition.pid, condition.identity)}
    return tuple(process for process in snapshot.processes if (process.pid, process.identity) in wanted)


def total_memory(entries: Sequence[GpuProcess]) -> int | None:
    """Return the memory (bytes) of a process on all its GPUs; None where a part of it is not known."""
    parts = [entry.memory for entry in entries]
    whole = [part for part in parts if not isinstance(part, Missing)]
    return sum(whole) if parts and len(whole) == len(parts) else None


def step_process(
    condition: ProcessEnds, observation: Observation
) -> tuple[ProcessEnds, ReminderNotice | None]:
    """Note what the process was seen to do; the notice once it is gone."""
    # Where the system here can tell, that decides: a process may leave the GPUs and go on. Else the lists
    # decide, if every one could be read.
    snapshot = observation.snapshot
    boot = snapshot.boot_id or (observation.now.boot if condition.local else "")
    condition = _with_devices(condition, on_gpus(condition, snapshot), observation)
    if condition.boot and boot and boot != condition.boot:
        return condition, _end_notice(condition, observation, RESTARTED)
    entries = on_gpus(condition, snapshot)
    if entries:
        return _observed(condition, entries, observation), None
    if observation.lives is True:
        passed = 0.0 if condition.seen is None else max(0.0, observation.now.since(condition.seen))
        ran = None if condition.elapsed is None else condition.elapsed + passed
        return replace(condition, elapsed=ran, seen=observation.now), None
    listed = () if snapshot.problem is not None else snapshot.processes
    same_pid = [process for process in listed if process.pid == condition.pid]
    if condition.identity and any(process.identity for process in same_pid):
        return condition, _end_notice(condition, observation, REUSED)
    vanished = not condition.local and not same_pid and _lists_are_complete(snapshot)
    if observation.lives is False or vanished:
        return condition, _end_notice(condition, observation, proof=ABSENT if vanished else SEEN)
    return condition, None


def step_command(
    condition: CommandEnds, observation: Observation
) -> tuple[CommandEnds, ReminderNotice | None]:
    """Note the most memory of the command; the notice of its end when nobody reports it."""
    if condition.boot and observation.now.boot != condition.boot:
        return condition, _command_ended(f"{condition.called}: {_(RESTARTED)}", observation)
    held = on_gpus(condition, observation.snapshot, observation.children)
    condition = replace(condition, peak=_larger(condition.peak, total_memory(held)))
    condition = _with_devices(condition, held, observation)
    if observation.lives is not False:
        return replace(condition, gone=None), None
    if condition.gone is None:
        return replace(condition, gone=observation.now), None
    if abs(observation.now.since(condition.gone)) < GRACE:
        return condition, None
    text = _("{command}: it has ended").format(command=condition.called)
    return condition, _command_ended(text, observation, _(UNREPORTED), *_peak_line(condition.peak))


MOST_XIDS = 32  # of a run: a GPU that fails for good reports one after the other
MOST_OTHERS = 8  # of a run's GPUs: those with the most memory


def _with_devices(condition: Watched, held: Sequence[GpuProcess], observation: Observation) -> Watched:
    """Note the GPUs of the command or process, what the driver says of them, and who else is there."""
    snapshot = observation.snapshot
    if snapshot.oom_kills is not None and (held or observation.lives or condition.oom_kills is None):
        condition = replace(condition, oom_kills=snapshot.oom_kills)
    if snapshot.problem is not None:
        return condition
    by_index = {gpu.index: gpu.uuid for gpu in snapshot.gpus if not gpu.physical}
    used: set[str] = {by_index.get(entry.gpu, "") for entry in held if entry.gpu is not None} - {""}
    devices = tuple(dict.fromkeys((*condition.devices, *sorted(used))))
    events = [xid for xid in snapshot.events if xid.uuid in devices]
    new: tuple[tuple[str, int, float], ...] = tuple((xid.uuid, xid.code, xid.at) for xid in events)
    readable = {gpu.uuid for gpu in snapshot.gpus if gpu.problem is None}
    lost = tuple(uuid for uuid in devices if uuid not in readable)
    condition = replace(condition, devices=devices, xids=(*condition.xids, *new)[:MOST_XIDS], lost=lost)
    if not held:  # what is seen once it is gone is not what it met
        return condition
    full = tuple(gpu.uuid for gpu in snapshot.gpus if gpu.uuid in devices and gpu.is_full)
    return replace(condition, full=full, others=other_holders(snapshot, devices, held))


def other_holders(
    snapshot: Snapshot, devices: Sequence[str], own: Sequence[GpuProcess]
) -> tuple[OtherHolder, ...]:
    """Return who holds how much memory of these GPUs (UUIDs), beside its `own` processes; names redacted."""
    by_index = {gpu.index: gpu.uuid for gpu in snapshot.gpus if not gpu.physical and gpu.uuid in devices}
    mine = {(entry.pid, entry.identity) for entry in own}
    found: list[OtherHolder] = [
        (
            by_index[process.gpu],
            redact.text(known(process.user) or ""),
            redact.process_name(known(process.name) or ""),
            process.pid,
            memory,
            known(process.started),
        )
        for process in snapshot.processes
        if process.gpu in by_index
        and (process.pid, process.identity) not in mine
        and (memory := known(process.memory)) is not None
    ]
    return tuple(sorted(found, key=lambda other: -other[4])[:MOST_OTHERS])


def _command_ended(text: str, observation: Observation, *details: str) -> ReminderNotice:
    return ReminderNotice(_("Command ended"), text, observation.now.wall, details, severity=Severity.WARNING)


def command_notice(
    condition: CommandEnds,
    code: int,
    seconds: float,
    output: Sequence[str],
    now: float,
    report: RunReport | None = None,
) -> ReminderNotice:
    """Make the notice of a command that ended with `code` (128 + the signal's number) after `seconds`."""
    done = code == 0
    title = _("Command finished") if done else _("Command failed")
    text = _("{command}: done after {span}") if done else _("{command}: exit code {code} after {span}")
    text = text.format(command=condition.called, code=code, span=duration(seconds))
    severity = Severity.INFO if done else Severity.WARNING
    details = _peak_line(condition.peak)
    if report is None:
        return ReminderNotice(title, text, now, details, tuple(output), severity)
    if done:  # short: what went well needs no log
        return ReminderNotice(title, text, now, (*details, *report.details), (), severity)
    cause = _("{command}: {cause}").format(command=condition.called, cause=report.sentence)
    after = _("exit code {code} after {span}").format(code=code, span=duration(seconds))
    details = (*filter(None, [report.fix]), after, *details, *report.details)
    run, gpus, quoted = report.run, report.gpus, report.quoted
    return ReminderNotice(title, cause, now, details, tuple(output), severity, run, gpus, quoted)


def _observed(condition: ProcessEnds, entries: Sequence[GpuProcess], observation: Observation) -> ProcessEnds:
    ran = known(entries[0].elapsed)
    gpus = tuple(sorted({entry.gpu for entry in entries if entry.gpu is not None}))
    return replace(
        condition,
        gpus=gpus or condition.gpus,
        elapsed=condition.elapsed if ran is None else ran,
        peak=_larger(condition.peak, total_memory(entries)),
        seen=observation.now,
    )


def _lists_are_complete(snapshot: Snapshot) -> bool:
    """Return whether a process that is in no list is on no GPU."""
    return snapshot.problem is None and all(
        gpu.problem is None and gpu.process_problem is None for gpu in snapshot.gpus
    )


def _end_notice(
    condition: ProcessEnds, observation: Observation, why: str = "", proof: str = ""
) -> ReminderNotice:
    where = f", GPU {', '.join(map(str, condition.gpus))}" if condition.gpus else ""
    text, span, seen = _("PID {pid} ({command}) has ended"), "", ""
    passed = None if condition.seen is None else observation.now.since(condition.seen)
    if condition.elapsed is not None and condition.seen is not None:
        seen = local_time(condition.seen.wall)
        if not why and passed is not None and 0 <= passed <= observation.gap:
            text = _("PID {pid} ({command}) has ended after {span}")
            span = duration(condition.elapsed + passed)
        else:
            text = _("PID {pid} ({command}) has ended; when last seen, at {seen}, it had run for {span}")
            span = duration(condition.elapsed)
    text = text.format(pid=condition.pid, command=condition.called + where, span=span, seen=seen)
    if why:
        text += f": {_(why)}"
    details = (*((_(proof),) if proof else ()), *_peak_line(condition.peak))
    return ReminderNotice(_("Process ended"), text, observation.now.wall, details)


def _larger(one: int | None, other: int | None) -> int | None:
    return max((size for size in (one, other) if size is not None), default=None)


def _peak_line(peak: int | None) -> tuple[str, ...]:
    if peak is None:
        return ()
    return (_("peak GPU memory: {memory}").format(memory=memory_text(peak)),)


BY_CHECK = N_("seen in two runs of `check`; what happened between them is not known")


def step_free(condition: GpusFree, observation: Observation) -> tuple[GpusFree, ReminderNotice | None]:
    """Note which GPUs are free and since when; the notice once enough have been for long enough."""
    # Each GPU counts by itself. In a loop a gap between two observations lets all begin anew; `check`
    # observes with gaps only, so there the GPU must be free at each observation.
    if observation.in_loop and observation.snapshot.problem is not None:
        return condition, None  # the gap to the next reading decides
    there = observation.snapshot.free_gpus or {}
    held = dict(condition.since) if observation.follows(condition.seen) else {}
    since = {name: held.get(name, observation.now) for name in there}
    stepped = replace(condition, since=tuple(since.items()), seen=observation.now)
    # Two observations are needed: a GPU between two jobs is free for a moment.
    long = [name for name in there if name in held and observation.now.since(since[name]) >= condition.hold]
    if len(long) < condition.count:
        return stepped, None
    shortest = min(observation.now.since(since[name]) for name in long)
    return stepped, _free_notice(condition, [there[name] for name in long], shortest, observation)


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
    return ReminderNotice(title, text, observation.now.wall, () if observation.in_loop else (_(BY_CHECK),))


def _gpu_name(gpu: Gpu) -> str:
    name = known(gpu.name)
    return f"GPU {gpu.index} ({redact.text(name)})" if name else f"GPU {gpu.index}"


PEAK_STEP = 64 * MIB  # bytes: a peak that grows by less need not be written


def step_reminder(reminder: Reminder, observation: Observation) -> Reminder:
    """Return the reminder after `observation`; one that has its notice stays as it is."""
    if reminder.notice is not None:
        return reminder
    condition = reminder.condition
    stepped: tuple[ReminderCondition, ReminderNotice | None]
    if isinstance(condition, LabGpusFree):
        stepped = lab_reminders.step_lab_free(condition, observation)
    elif isinstance(condition, LabProcessEnds):
        stepped = lab_reminders.step_lab_process(condition, observation)
    elif isinstance(condition, GpusFree):
        stepped = step_free(condition, observation)
    elif isinstance(condition, ProcessEnds):
        stepped = step_process(condition, observation)
    else:
        stepped = step_command(condition, observation)
    return replace(reminder, condition=stepped[0], notice=stepped[1])


def needs_process_check(reminder: Reminder, snapshot: Snapshot) -> bool:
    """Return whether the step needs to know from the system if the process lives."""
    condition = reminder.condition
    if reminder.notice is not None or isinstance(condition, GpusFree | LabGpusFree | LabProcessEnds):
        return False
    if isinstance(condition, ProcessEnds):
        return condition.local and bool(condition.identity) and not on_gpus(condition, snapshot)
    return bool(condition.identity)


def describe_reminder(reminder: Reminder) -> str:
    """Put the condition into one line, for a menu row or `when list`."""
    condition = reminder.condition
    if isinstance(condition, LabGpusFree):
        return lab_reminders.describe_lab_free(condition)
    if isinstance(condition, LabProcessEnds):
        return lab_reminders.describe_lab_process(condition)
    if isinstance(condition, GpusFree):
        text = ngettext("{count} GPU is free for {span}", "{count} GPUs are free for {span}", condition.count)
        return text.format(count=condition.count, span=duration(condition.hold))
    text = _("{command} ends (started by `when run`, PID {pid})")
    if isinstance(condition, ProcessEnds):
        text = _("PID {pid} ({command}) ends")
    return text.format(pid=condition.pid, command=condition.called)


def awaited(reminder: Reminder) -> PendingReminder:
    """Return the reminder as the menu shows it."""
    condition = reminder.condition
    if isinstance(condition, GpusFree):
        target = str(condition.count)
    elif isinstance(condition, LabGpusFree):
        target = f"{condition.count}@{condition.on}"
    elif isinstance(condition, LabProcessEnds):
        target = f"{condition.pid}@{condition.host}"
    else:
        target = f"{condition.pid}:{condition.identity}"
    text = describe_reminder(reminder) if reminder.notice is None else reminder.notice.text
    return PendingReminder(reminder.id, target, text, due=reminder.notice is not None)


def must_be_saved(old: Reminder, new: Reminder) -> bool:
    """Return whether what was observed since `old` must be on file now."""
    # A reminder may wait for days: while nothing happens it is written once a minute. After a restart a GPU's
    # hold may then begin anew, which tells later and never wrongly.
    return _essence(old) != _essence(new)


def _essence(reminder: Reminder) -> tuple[object, ...]:
    condition = reminder.condition
    if isinstance(condition, LabProcessEnds):
        unknown = condition.elapsed is None
        return reminder.notice, unknown, condition.devices, _minute(condition.seen)
    if isinstance(condition, GpusFree | LabGpusFree):
        seen = condition.seen
        held = seen is not None and any(seen.since(at) < condition.hold for _, at in condition.since)
        return reminder.notice, condition.since, seen if held else _minute(seen)
    peak = None if condition.peak is None else condition.peak // PEAK_STEP
    others = frozenset((uuid, pid) for uuid, _user, _name, pid, *_more in condition.others)
    told = (condition.xids, condition.lost, condition.full, others)
    if isinstance(condition, ProcessEnds):
        unknown = condition.elapsed is None
        where = condition.gpus, condition.devices
        return reminder.notice, peak, where, unknown, _minute(condition.seen), *told
    return reminder.notice, peak, condition.gone, condition.devices, *told


def _minute(at: Instant | None) -> object:
    return None if at is None else (at.boot, at.uptime // MINUTE if at.boot else at.wall // MINUTE)
