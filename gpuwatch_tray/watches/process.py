"""When a process ends, and how a command ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.listing import duration
from gpuwatch_tray.model import Missing, Notice, Severity, known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.model import GpuProcess, Snapshot
    from gpuwatch_tray.watches.wishes import CommandEnds, Observation, ProcessEnds

GRACE = 60.0  # seconds for `when run` to report an end that was seen
GIB, MIB = 2**30, 2**20
RESTARTED = N_("the machine was restarted")
REUSED = N_("its number is another process's now")
UNREPORTED = N_("how it ended is not known: `when run` was ended before it could report")


def listed(
    wish: ProcessEnds | CommandEnds, snapshot: Snapshot, family: frozenset[tuple[int, str]] = frozenset()
) -> tuple[GpuProcess, ...]:
    """What the GPUs' lists have of this very process, and of its `family`."""
    if snapshot.problem is not None:
        return ()
    wanted = family | {(wish.pid, wish.identity)}
    return tuple(each for each in snapshot.processes if (each.pid, each.identity) in wanted)


def memory_of(entries: Sequence[GpuProcess]) -> int | None:
    """What a process holds on all its GPUs together; None where a part of it is not known."""
    parts = [entry.memory for entry in entries]
    whole = [part for part in parts if not isinstance(part, Missing)]
    return sum(whole) if parts and len(whole) == len(parts) else None


def step_ends(wish: ProcessEnds, look: Observation) -> tuple[ProcessEnds, Notice | None]:
    """
    What the process is seen to do; the notice once it is gone.

    Where the system here can tell, it decides: a process may leave the GPUs and go on. Else the lists decide,
    if every one of them could be read.
    """
    boot = look.snapshot.boot_id or (look.now.boot if wish.local else "")
    if wish.boot and boot and boot != wish.boot:
        return wish, _ended(wish, look, RESTARTED)
    entries = listed(wish, look.snapshot)
    if entries:
        return _seen(wish, entries, look), None
    if look.lives is True:
        passed = 0.0 if wish.seen is None else max(0.0, look.now.since(wish.seen))
        ran = None if wish.elapsed is None else wish.elapsed + passed
        return replace(wish, elapsed=ran, seen=look.now), None
    others = _holders(wish.pid, look.snapshot)
    if wish.identity and any(other.identity for other in others):
        return wish, _ended(wish, look, REUSED)
    vanished = not wish.local and not others and _complete(look.snapshot)
    if look.lives is False or vanished:
        return wish, _ended(wish, look)
    return wish, None


def step_run(wish: CommandEnds, look: Observation) -> tuple[CommandEnds, Notice | None]:
    """The most memory that the command was seen with; and its end, when nobody reports it."""
    if wish.boot and look.now.boot != wish.boot:
        text = f"{wish.called}: {_(RESTARTED)}"
        return wish, Notice(_("Command ended"), text, look.now.wall, severity=Severity.WARNING)
    held = listed(wish, look.snapshot, look.family)
    wish = replace(wish, peak=_most(wish.peak, memory_of(held)))
    if look.lives is not False:
        return replace(wish, gone=None), None
    if wish.gone is None:
        return replace(wish, gone=look.now), None
    if abs(look.now.since(wish.gone)) < GRACE:
        return wish, None
    text = _("{command}: it has ended").format(command=wish.called)
    details = _(UNREPORTED), *_peak(wish.peak)
    return wish, Notice(_("Command ended"), text, look.now.wall, details, severity=Severity.WARNING)


def reported(wish: CommandEnds, code: int, seconds: float, output: Sequence[str], now: float) -> Notice:
    """The notice of a command that ended with `code` (a signal's is 128 and its number) after `seconds`."""
    done = code == 0
    title = _("Command finished") if done else _("Command failed")
    text = _("{command}: done after {span}") if done else _("{command}: exit code {code} after {span}")
    text = text.format(command=wish.called, code=code, span=duration(seconds))
    severity = Severity.INFO if done else Severity.WARNING
    return Notice(title, text, now, _peak(wish.peak), tuple(output), severity)


def says_ends(wish: ProcessEnds) -> str:
    """What is waited for, as a menu row or `when list` has it."""
    return _("PID {pid} ({command}) ends").format(pid=wish.pid, command=wish.called)


def says_run(wish: CommandEnds) -> str:
    """The same of a command."""
    return _("{command} ends (started by `when run`, PID {pid})").format(command=wish.called, pid=wish.pid)


def _seen(wish: ProcessEnds, entries: Sequence[GpuProcess], look: Observation) -> ProcessEnds:
    ran = known(entries[0].elapsed)
    gpus = tuple(sorted({entry.gpu for entry in entries if entry.gpu is not None}))
    return replace(
        wish,
        gpus=gpus or wish.gpus,
        elapsed=wish.elapsed if ran is None else ran,
        peak=_most(wish.peak, memory_of(entries)),
        seen=look.now,
    )


def _holders(pid: int, snapshot: Snapshot) -> list[GpuProcess]:
    """Whoever has this number in the lists."""
    return [] if snapshot.problem is not None else [each for each in snapshot.processes if each.pid == pid]


def _complete(snapshot: Snapshot) -> bool:
    """Whether a process that is in no list is on no GPU."""
    return snapshot.problem is None and all(
        gpu.problem is None and gpu.process_problem is None for gpu in snapshot.gpus
    )


def _ended(wish: ProcessEnds, look: Observation, why: str = "") -> Notice:
    where = f", GPU {', '.join(map(str, wish.gpus))}" if wish.gpus else ""
    text, span, seen = _("PID {pid} ({command}) has ended"), "", ""
    passed = None if wish.seen is None else look.now.since(wish.seen)
    if wish.elapsed is not None and wish.seen is not None:
        seen = _moment(wish.seen.wall)
        if not why and passed is not None and 0 <= passed <= look.gap:
            text, span = _("PID {pid} ({command}) has ended after {span}"), duration(wish.elapsed + passed)
        else:
            text = _("PID {pid} ({command}) has ended; when last seen, at {seen}, it had run for {span}")
            span = duration(wish.elapsed)
    text = text.format(pid=wish.pid, command=wish.called + where, span=span, seen=seen)
    if why:
        text += f": {_(why)}"
    return Notice(_("Process ended"), text, look.now.wall, _peak(wish.peak))


def _most(one: int | None, other: int | None) -> int | None:
    return max((each for each in (one, other) if each is not None), default=None)


def _peak(peak: int | None) -> tuple[str, ...]:
    if peak is None:
        return ()
    said = f"{peak / GIB:.1f} GiB" if peak >= GIB else f"{peak // MIB} MiB"
    return (_("the most GPU memory that it was seen with: {memory}").format(memory=said),)


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
