"""The step of any watch, and what of it has to be on file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray.model import Awaited
from gpuwatch_tray.units import MIB, MINUTE
from gpuwatch_tray.watches import free, process
from gpuwatch_tray.watches.wishes import Ends, Free, Watch

if TYPE_CHECKING:
    from gpuwatch_tray.model import Instant, Notice, Snapshot
    from gpuwatch_tray.watches.wishes import Look, Wish

STEP = 64 * MIB  # bytes: a peak that grows by less need not be written


def step(watch: Watch, look: Look) -> Watch:
    """The watch after `look`; one that has its notice stays as it is."""
    if watch.notice is not None:
        return watch
    wish, notice = _step(watch.wish, look)
    return replace(watch, wish=wish, notice=notice)


def _step(wish: Wish, look: Look) -> tuple[Wish, Notice | None]:
    if isinstance(wish, Free):
        return free.step(wish, look)
    return process.step_ends(wish, look) if isinstance(wish, Ends) else process.step_run(wish, look)


def asks_the_system(watch: Watch, snapshot: Snapshot) -> bool:
    """Whether the step needs to know if the process lives."""
    wish = watch.wish
    if watch.notice is not None or isinstance(wish, Free):
        return False
    if isinstance(wish, Ends):
        return wish.local and bool(wish.identity) and not process.listed(wish, snapshot)
    return bool(wish.identity)


def says(watch: Watch) -> str:
    """What is waited for, in one line."""
    wish = watch.wish
    if isinstance(wish, Free):
        return free.says(wish)
    return process.says_ends(wish) if isinstance(wish, Ends) else process.says_run(wish)


def awaited(watch: Watch) -> Awaited:
    """The watch as it is shown."""
    wish = watch.wish
    target = str(wish.count) if isinstance(wish, Free) else f"{wish.pid}:{wish.identity}"
    text = says(watch) if watch.notice is None else watch.notice.text
    return Awaited(watch.id, target, text, due=watch.notice is not None)


def worth_keeping(old: Watch, new: Watch) -> bool:
    """
    Whether what has been seen since `old` must be on file now.

    A watch may wait for days, and the disk is not written at each poll for it: while nothing happens, once a
    minute. After a restart a GPU's hold may then begin anew, which tells later and never wrongly.
    """
    return _essence(old) != _essence(new)


def _essence(watch: Watch) -> tuple[object, ...]:
    wish = watch.wish
    if isinstance(wish, Free):
        held = wish.seen is not None and any(wish.seen.since(at) < wish.hold for _, at in wish.since)
        return watch.notice, wish.since, wish.seen if held else _minute(wish.seen)
    size = None if wish.peak is None else wish.peak // STEP
    if isinstance(wish, Ends):
        return watch.notice, size, wish.gpus, wish.elapsed is None, _minute(wish.seen)
    return watch.notice, size, wish.gone


def _minute(at: Instant | None) -> object:
    return None if at is None else (at.boot, at.uptime // MINUTE if at.boot else at.wall // MINUTE)
