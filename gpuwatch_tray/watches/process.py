"""
The steps of the reminders: what each observation means to a condition, and the notice when it has come about.

What could not be read is neither "free" nor "ended". All of it is pure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import Missing, ReminderNotice, Severity, known
from gpuwatch_tray.units import duration, local_time, memory_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.model import GpuProcess, Snapshot
    from gpuwatch_tray.watches.wishes import CommandEnds, Observation, ProcessEnds

GRACE = 60.0  # seconds for `when run` to report an end that was seen
RESTARTED = N_("the machine was restarted")
REUSED = N_("its number is another process's now")
UNREPORTED = N_("how it ended is not known: `when run` was ended before it could report")


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
    """
    Note what the process was seen to do; the notice once it is gone.

    Where the system here can tell, that decides: a process may leave the GPUs and go on. Else the lists
    decide, if every one of them could be read.
    """
    boot = observation.snapshot.boot_id or (observation.now.boot if condition.local else "")
    if condition.boot and boot and boot != condition.boot:
        return condition, _end_notice(condition, observation, RESTARTED)
    entries = on_gpus(condition, observation.snapshot)
    if entries:
        return _observed(condition, entries, observation), None
    if observation.lives is True:
        passed = 0.0 if condition.seen is None else max(0.0, observation.now.since(condition.seen))
        ran = None if condition.elapsed is None else condition.elapsed + passed
        return replace(condition, elapsed=ran, seen=observation.now), None
    same_pid = _processes_with_pid(condition.pid, observation.snapshot)
    if condition.identity and any(process.identity for process in same_pid):
        return condition, _end_notice(condition, observation, REUSED)
    vanished = not condition.local and not same_pid and _lists_are_complete(observation.snapshot)
    if observation.lives is False or vanished:
        return condition, _end_notice(condition, observation)
    return condition, None


def step_command(
    condition: CommandEnds, observation: Observation
) -> tuple[CommandEnds, ReminderNotice | None]:
    """Note the most memory of the command; the notice of its end when nobody reports it."""
    if condition.boot and observation.now.boot != condition.boot:
        text = f"{condition.called}: {_(RESTARTED)}"
        return condition, ReminderNotice(
            _("Command ended"), text, observation.now.wall, severity=Severity.WARNING
        )
    held = on_gpus(condition, observation.snapshot, observation.children)
    condition = replace(condition, peak=_larger(condition.peak, total_memory(held)))
    if observation.lives is not False:
        return replace(condition, gone=None), None
    if condition.gone is None:
        return replace(condition, gone=observation.now), None
    if abs(observation.now.since(condition.gone)) < GRACE:
        return condition, None
    text = _("{command}: it has ended").format(command=condition.called)
    details = _(UNREPORTED), *_peak_line(condition.peak)
    return condition, ReminderNotice(
        _("Command ended"), text, observation.now.wall, details, severity=Severity.WARNING
    )


def command_notice(
    condition: CommandEnds, code: int, seconds: float, output: Sequence[str], now: float
) -> ReminderNotice:
    """Make the notice of a command that ended with `code` (128 + the signal's number) after `seconds`."""
    done = code == 0
    title = _("Command finished") if done else _("Command failed")
    text = _("{command}: done after {span}") if done else _("{command}: exit code {code} after {span}")
    text = text.format(command=condition.called, code=code, span=duration(seconds))
    severity = Severity.INFO if done else Severity.WARNING
    return ReminderNotice(title, text, now, _peak_line(condition.peak), tuple(output), severity)


def describe_process(condition: ProcessEnds) -> str:
    """Put the condition into words, for a menu row or `when list`."""
    return _("PID {pid} ({command}) ends").format(pid=condition.pid, command=condition.called)


def describe_command(condition: CommandEnds) -> str:
    """Put the condition into words, for a command."""
    return _("{command} ends (started by `when run`, PID {pid})").format(
        command=condition.called, pid=condition.pid
    )


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


def _processes_with_pid(pid: int, snapshot: Snapshot) -> list[GpuProcess]:
    """Return the entries with this PID, of whatever process."""
    return (
        []
        if snapshot.problem is not None
        else [process for process in snapshot.processes if process.pid == pid]
    )


def _lists_are_complete(snapshot: Snapshot) -> bool:
    """Whether a process that is in no list is on no GPU."""
    return snapshot.problem is None and all(
        gpu.problem is None and gpu.process_problem is None for gpu in snapshot.gpus
    )


def _end_notice(condition: ProcessEnds, observation: Observation, why: str = "") -> ReminderNotice:
    where = f", GPU {', '.join(map(str, condition.gpus))}" if condition.gpus else ""
    text, span, seen = _("PID {pid} ({command}) has ended"), "", ""
    passed = None if condition.seen is None else observation.now.since(condition.seen)
    if condition.elapsed is not None and condition.seen is not None:
        seen = local_time(condition.seen.wall)
        if not why and passed is not None and 0 <= passed <= observation.gap:
            text, span = (
                _("PID {pid} ({command}) has ended after {span}"),
                duration(condition.elapsed + passed),
            )
        else:
            text = _("PID {pid} ({command}) has ended; when last seen, at {seen}, it had run for {span}")
            span = duration(condition.elapsed)
    text = text.format(pid=condition.pid, command=condition.called + where, span=span, seen=seen)
    if why:
        text += f": {_(why)}"
    return ReminderNotice(_("Process ended"), text, observation.now.wall, _peak_line(condition.peak))


def _larger(one: int | None, other: int | None) -> int | None:
    return max((size for size in (one, other) if size is not None), default=None)


def _peak_line(peak: int | None) -> tuple[str, ...]:
    if peak is None:
        return ()
    return (_("the most GPU memory that it was seen with: {memory}").format(memory=memory_text(peak)),)
