"""The step of any watch, and what of it has to be on file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray.model import Awaited
from gpuwatch_tray.watches import free, process
from gpuwatch_tray.watches.wishes import GpusFree, ProcessEnds, Reminder

if TYPE_CHECKING:
    from gpuwatch_tray.model import Instant, Notice, Snapshot
    from gpuwatch_tray.watches.wishes import Observation, ReminderCondition

MINUTE = 60.0
STEP = 64 * 2**20  # bytes: a peak that grows by less need not be written


def step(watch: Reminder, look: Observation) -> Reminder:
    """The watch after `look`; one that has its notice stays as it is."""
    if watch.notice is not None:
        return watch
    wish, notice = _step(watch.wish, look)
    return replace(watch, wish=wish, notice=notice)


def _step(wish: ReminderCondition, look: Observation) -> tuple[ReminderCondition, Notice | None]:
    if isinstance(wish, GpusFree):
        return free.step(wish, look)
    return process.step_ends(wish, look) if isinstance(wish, ProcessEnds) else process.step_run(wish, look)


def asks_the_system(watch: Reminder, snapshot: Snapshot) -> bool:
    """Whether the step needs to know if the process lives."""
    wish = watch.wish
    if watch.notice is not None or isinstance(wish, GpusFree):
        return False
    if isinstance(wish, ProcessEnds):
        return wish.local and bool(wish.identity) and not process.listed(wish, snapshot)
    return bool(wish.identity)


def says(watch: Reminder) -> str:
    """What is waited for, in one line."""
    wish = watch.wish
    if isinstance(wish, GpusFree):
        return free.says(wish)
    return process.says_ends(wish) if isinstance(wish, ProcessEnds) else process.says_run(wish)


def awaited(watch: Reminder) -> Awaited:
    """The watch as it is shown."""
    wish = watch.wish
    target = str(wish.count) if isinstance(wish, GpusFree) else f"{wish.pid}:{wish.identity}"
    text = says(watch) if watch.notice is None else watch.notice.text
    return Awaited(watch.id, target, text, due=watch.notice is not None)


def worth_keeping(old: Reminder, new: Reminder) -> bool:
    """
    Whether what has been seen since `old` must be on file now.

    A watch may wait for days, and the disk is not written at each poll for it: while nothing happens, once a
    minute. After a restart a GPU's hold may then begin anew, which tells later and never wrongly.
    """
    return _essence(old) != _essence(new)


def _essence(watch: Reminder) -> tuple[object, ...]:
    wish = watch.wish
    if isinstance(wish, GpusFree):
        held = wish.seen is not None and any(wish.seen.since(at) < wish.hold for _, at in wish.since)
        return watch.notice, wish.since, wish.seen if held else _minute(wish.seen)
    size = None if wish.peak is None else wish.peak // STEP
    if isinstance(wish, ProcessEnds):
        return watch.notice, size, wish.gpus, wish.elapsed is None, _minute(wish.seen)
    return watch.notice, size, wish.gone


def _minute(at: Instant | None) -> object:
    return None if at is None else (at.boot, at.uptime // MINUTE if at.boot else at.wall // MINUTE)
