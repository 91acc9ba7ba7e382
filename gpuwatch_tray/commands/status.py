"""`status`: how things stand, as the program that watches has it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from gpuwatch_tray import control
from gpuwatch_tray.commands.answer import lines
from gpuwatch_tray.commands.asking import lock_holder, places, require
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.context import RunContext
    from gpuwatch_tray.lock import LockHolder

REQUEST = {"do": "status"}


def run(context: RunContext, *, as_json: bool, clock: Callable[[], float] = time.time) -> int:
    """Print what the running tray or `watch` shows; raises WorkError where there is none."""
    answer = require(context, REQUEST)
    print(json.dumps(answer, indent=2) if as_json else "\n".join(lines(answer, clock())))
    return 0


def of_other(holder: LockHolder, clock: Callable[[], float] = time.time) -> list[str]:
    """What a second start prints: who was first, and how it is; of one that does not answer only the name."""
    first = _("{holder} watches already").format(holder=holder)
    try:
        return [first, *lines(control.ask(holder.address, REQUEST), clock())] if holder.address else [first]
    except control.ControlError as error:
        return [_("{watcher}, but it could not be asked: {error}").format(watcher=first, error=error)]


def of_namesake(context: RunContext, pid: int, clock: Callable[[], float] = time.time) -> list[str]:
    """As `of_other`, of the tray that has this session's bus name: its state may be in another folder."""
    holder = lock_holder(context)
    if holder.pid == pid and holder.address:
        return of_other(holder, clock)
    first = (
        _("tray, PID {pid} watches already in this session").format(pid=pid)
        if pid
        else _("another tray is in this session")
    )
    for address in places(context):
        try:
            return [first, *lines(control.ask(address, REQUEST), clock())]
        except control.ControlError:
            continue
    return [first]
