"""`status`: how things stand, as the program that watches has it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from gpuwatch_tray import control
from gpuwatch_tray.commands.answer import status_lines
from gpuwatch_tray.commands.asking import control_addresses, lock_holder, send_request
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.context import RunContext
    from gpuwatch_tray.lock import LockHolder

STATUS_REQUEST = {"do": "status"}


def run(context: RunContext, *, as_json: bool, clock: Callable[[], float] = time.time) -> int:
    """Print what the running tray or `watch` shows; raises WorkError where there is none."""
    answer = send_request(context, STATUS_REQUEST)
    print(json.dumps(answer, indent=2) if as_json else "\n".join(status_lines(answer, clock())))
    return 0


def describe_running(holder: LockHolder, clock: Callable[[], float] = time.time) -> list[str]:
    """What a second start prints: who was first, and how it is; of one that does not answer only the name."""
    first = _("{holder} watches already").format(holder=holder)
    try:
        return (
            [first, *status_lines(control.ask(holder.address, STATUS_REQUEST), clock())]
            if holder.address
            else [first]
        )
    except control.ControlError as error:
        return [_("{watcher}, but it could not be asked: {error}").format(watcher=first, error=error)]


def describe_namesake(context: RunContext, pid: int, clock: Callable[[], float] = time.time) -> list[str]:
    """As `describe_running`, of the tray that has this session's bus name: its state may be in another folder."""
    holder = lock_holder(context)
    if holder.pid == pid and holder.address:
        return describe_running(holder, clock)
    first = (
        _("tray, PID {pid} watches already in this session").format(pid=pid)
        if pid
        else _("another tray is in this session")
    )
    for address in control_addresses(context):
        try:
            return [first, *status_lines(control.ask(address, STATUS_REQUEST), clock())]
        except control.ControlError:
            continue
    return [first]
