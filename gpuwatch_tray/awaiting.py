"""
What the person asks to be told once: menu and commands come here.

It is written to the state at once; whoever evaluates on it finds it there at the next look.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gpuwatch_tray import redact, watches
from gpuwatch_tray.language import _, ngettext
from gpuwatch_tray.model import known
from gpuwatch_tray.watches import CommandEnds, GpusFree, ProcessEnds, Reminder, free_gpus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.model import Instant, Snapshot
    from gpuwatch_tray.store import Store

log = logging.getLogger(__name__)

HOLD = 60.0  # seconds for which a GPU must have been free
LOCAL = "nvml"  # the source whose processes run here and whose identities are the system's own
LONGEST = 120  # characters of a command


class ReminderError(Exception):  # noqa: N818  # a state of things
    """It cannot be waited for; the text says why."""


class NotOnGpuError(ReminderError):
    """No such process is on a GPU, at least not in this reading."""


class Reminders:
    """The wishes of one state. Methods answer with a line that says what was done."""

    def __init__(self, store: Store, clock: Callable[[], Instant]) -> None:
        self._store = store
        self._clock = clock

    def free(self, count: int, snapshot: Snapshot | None, hold: float = HOLD) -> str:
        """Wait until `count` GPUs have had no compute process for `hold` seconds. Raises ReminderError."""
        if snapshot is not None and snapshot.problem is None:
            total = len({gpu.physical or gpu.uuid for gpu in snapshot.gpus} - {""})
            if total == 0:
                raise ReminderError(_("idle GPUs cannot be seen here: this source lists processes, not GPUs"))
            if count > total:
                raise ReminderError(
                    ngettext(
                        "there is only {total} GPU here", "there are only {total} GPUs here", total
                    ).format(total=total)
                )
        wish = GpusFree(count, hold)
        for each in self._store.watches():
            if isinstance(each.wish, GpusFree) and (each.wish.count, each.wish.hold) == (count, hold):
                return _already(each)
        said = self._add(wish)
        there = None if snapshot is None else free_gpus(snapshot)
        return (
            said
            if there is None
            else _("{said} (free at present: {count})").format(said=said, count=len(there))
        )

    def ends(self, pid: int, snapshot: Snapshot | None, identity: str | None = None) -> str:
        """
        Wait until the process is gone; with `identity`, that very one. Raises ReminderError.

        It must be on a GPU in `snapshot`, and may be anybody's.
        """
        entries = [] if snapshot is None else [each for each in snapshot.processes if each.pid == pid]
        if identity is not None:
            entries = [each for each in entries if each.identity == identity]
        if snapshot is None or not entries:
            raise NotOnGpuError(_nowhere(pid, snapshot))
        process = entries[0]
        local = snapshot.source == LOCAL and bool(process.identity)
        wish = ProcessEnds(
            pid,
            process.identity,
            _clipped(redact.command(process)),
            snapshot.boot_id,
            local,
            tuple(sorted({each.gpu for each in entries if each.gpu is not None})),
            known(process.elapsed),
            watches.memory_of(entries),
            self._clock(),
        )
        for each in self._store.watches():
            if isinstance(each.wish, ProcessEnds) and _same(each.wish, wish):
                return _already(each)
        return self._add(wish)

    def run(self, pid: int, identity: str, boot: str, called: str) -> int:
        """A command was started that will report its end; `called` may be shown. The number to report by."""
        return self._store.add_watch(Reminder(0, self._clock(), CommandEnds(pid, identity, called, boot)))

    def ran(self, number: int, code: int, seconds: float, output: Sequence[str]) -> bool:
        """It ended so, with these last lines; False where nobody waits for it (any more)."""
        wishes = [each.wish for each in self._store.watches() if each.id == number]
        if not wishes or not isinstance(wishes[0], CommandEnds):
            return False
        notice = watches.reported(wishes[0], code, seconds, output, self._clock().wall)
        return self._store.come_about(number, notice)

    def cancel(self, number: int) -> str:
        """Wait no longer. Raises ReminderError."""
        found = self._store.watches()
        mine = [each for each in found if each.id == number]
        if not mine or not self._store.close_watch(number):
            numbers = ", ".join(str(each.id) for each in found) or _("none")
            raise ReminderError(
                _("nothing {number} is waited for (waiting: {numbers})").format(
                    number=number, numbers=numbers
                )
            )
        return _("cancelled: {number}: {what}").format(number=number, what=watches.says(mine[0]))

    def listed(self) -> list[str]:
        """A line for each, oldest first."""
        return [
            f"{each.id:>5}  {each.text}{_(', still to be told') if each.due else ''}"
            for each in map(watches.awaited, self._store.watches())
        ]

    def _add(self, wish: GpusFree | ProcessEnds) -> str:
        watch = Reminder(0, self._clock(), wish)
        number = self._store.add_watch(watch)
        log.info("told when %s", watches.says(watch))
        return _("{number}: you will be told when {what}").format(number=number, what=watches.says(watch))


def _already(watch: Reminder) -> str:
    return _("{id}: you will be told already when {what}").format(id=watch.id, what=watches.says(watch))


def _same(one: ProcessEnds, other: ProcessEnds) -> bool:
    return (one.pid, one.identity, one.boot) == (other.pid, other.identity, other.boot)


def _nowhere(pid: int, snapshot: Snapshot | None) -> str:
    if snapshot is None:
        return _("the GPUs have not been read yet")
    if snapshot.problem is not None:
        return _("the GPUs cannot be read: {problem}").format(problem=snapshot.problem)
    there = sorted({process.pid for process in snapshot.processes})
    listed = (
        _("on them: {pids}").format(pids=", ".join(map(str, there))) if there else _("nothing is on them")
    )
    unread = [gpu.index for gpu in snapshot.gpus if gpu.problem or gpu.process_problem]
    text = _("no process {pid} is on a GPU here ({known})")
    if unread:
        text = _("no process {pid} is on a GPU here ({known}; GPU {gpus} cannot be read)")
    return text.format(pid=pid, known=listed, gpus=", ".join(map(str, unread)))


def called(argv: Sequence[str]) -> str:
    """What may be shown of a command that the user has typed."""
    return _clipped(redact.one_line(" ".join(redact.arguments(argv))))


def _clipped(command: str) -> str:
    return command if len(command) <= LONGEST else command[: LONGEST - 1] + "…"
