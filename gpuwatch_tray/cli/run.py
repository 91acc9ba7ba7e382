"""`watch`, and `status` and `quit`, which ask the running one."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from gpuwatch_tray import i18n
from gpuwatch_tray.app.context import WorkError, store_lock
from gpuwatch_tray.app.status_json import status_lines
from gpuwatch_tray.cli.base import add_json
from gpuwatch_tray.cli.printing import complain, show
from gpuwatch_tray.common.loading import lasting_imports
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.cli.base import CommandGroup


def run_watch(context: RunContext, _args: argparse.Namespace) -> int:
    """Run `watch`."""
    with lasting_imports():
        from gpuwatch_tray.app import headless

    return headless.run(context)


QUIT_WITHIN = 60.0  # seconds: with 800 processes on a busy machine it takes more than 5
QUIT_NOTICE = 5.0  # seconds after which the person is told that it goes on
QUIT_POLL = 0.05  # seconds


def quit_running(
    context: RunContext,
    _args: argparse.Namespace,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Ask the running program to end, and wait until it has; raises WorkError where it does not."""
    from gpuwatch_tray.app.tray_client import control_addresses, lock_holder, send_request

    addresses = (lock_holder(context).address, *control_addresses(context))
    answer = send_request(context, {"do": "quit"}, timeout=QUIT_NOTICE)
    name = f"{i18n.translate_key(answer.get('face', '?'))}, PID {answer.get('pid', '?')}"
    began, noticed = monotonic(), False
    while not _has_ended(context, addresses):
        waited = monotonic() - began
        if waited >= QUIT_WITHIN:
            text = _("{name}: asked to quit, but still running after {seconds:g} s")
            raise WorkError(text.format(name=name, seconds=QUIT_WITHIN))
        if waited >= QUIT_NOTICE and not noticed:
            complain(_("{name}: still finishing its work").format(name=name))
            noticed = True
        sleep(QUIT_POLL)
    print(_("ended: {name}").format(name=name))
    return 0


def _has_ended(context: RunContext, addresses: Iterable[str]) -> bool:
    """Return whether the program answers no more and has released the lock."""
    if any(_answers(address) for address in addresses if address):
        return False
    return store_lock(context).is_free()


def _answers(address: str) -> bool:
    from gpuwatch_tray import ipc

    try:
        ipc.ask(address, {"do": "status"}, 4 * QUIT_POLL)
    except ipc.NotRunningError:
        return False
    except ipc.ControlError:
        return True
    return True


def add_commands(commands: CommandGroup) -> None:
    """Add `watch`, `status` and `quit`."""
    commands.command("watch", run_watch, _("watch in the terminal, without a tray"), "watch --verbose")
    parser = commands.command(
        "status", print_status, _("show the state of the running tray or `watch`"), "status --json"
    )
    add_json(parser)
    commands.command("quit", quit_running, _("stop the running tray or `watch`"), "quit")


def print_status(
    context: RunContext, args: argparse.Namespace, clock: Callable[[], float] = time.time
) -> int:
    """Print the status of the running tray or `watch`; raises WorkError where none runs."""
    with lasting_imports():
        from gpuwatch_tray.app.tray_client import send_request

    answer = send_request(context, {"do": "status"})
    if args.json:
        print(json.dumps(answer, indent=2))
    else:
        show("\n".join(status_lines(answer, clock())), hang=2)
    return 0
