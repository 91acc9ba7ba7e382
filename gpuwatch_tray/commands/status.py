"""`status` and `quit`: ask the running tray or `watch`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from gpuwatch_tray.commands.answer import status_lines
from gpuwatch_tray.commands.quit import quit_running
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from gpuwatch_tray.cli.branch import CommandGroup
    from gpuwatch_tray.context import RunContext
    from gpuwatch_tray.lock import LockHolder


def add_commands(commands: CommandGroup) -> None:
    """Add `status` and `quit`."""
    parser = commands.command("status", print_status, _("ask the running tray"), "status --json")
    parser.add_argument("--json", action="store_true", help=_("as JSON"))
    commands.command("quit", quit_running, _("end the running tray"), "quit")


def print_status(
    context: RunContext, args: argparse.Namespace, clock: Callable[[], float] = time.time
) -> int:
    """Print the status of the running tray or `watch`; raises WorkError where none runs."""
    from gpuwatch_tray.commands.asking import send_request

    answer = send_request(context, {"do": "status"})
    print(json.dumps(answer, indent=2) if args.json else "\n".join(status_lines(answer, clock())))
    return 0


STATUS_REQUEST = {"do": "status"}


def describe_running(holder: LockHolder, clock: Callable[[], float] = time.time) -> list[str]:
    """Return what a second start prints: the lock's holder, and its status if it answers."""
    from gpuwatch_tray import control

    first = _("{holder} watches already").format(holder=holder)
    if not holder.address:
        return [first]
    try:
        return [first, *status_lines(control.ask(holder.address, STATUS_REQUEST), clock())]
    except control.ControlError as error:
        return [_("{watcher}, but it could not be asked: {error}").format(watcher=first, error=error)]


def describe_namesake(context: RunContext, pid: int, clock: Callable[[], float] = time.time) -> list[str]:
    """Return the same of the tray that owns this session's bus name; its state may be in another folder."""
    from gpuwatch_tray import control
    from gpuwatch_tray.commands.asking import control_addresses, lock_holder

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
