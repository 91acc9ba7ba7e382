"""`when`: one-shot reminders, for free GPUs or an end. Through the running tray, else on the store."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.app.bootstrap import (
    RunContext,
    UsageError,
)
from gpuwatch_tray.app.control import operate
from gpuwatch_tray.cli.base import complain, positive_int
from gpuwatch_tray.common import host
from gpuwatch_tray.engine import operations
from gpuwatch_tray.engine.operations import HOLD
from gpuwatch_tray.i18n import N_, _

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuwatch_tray.cli.base import CommandGroup


NOTHING_RUNS = N_("nothing watches at the moment: start gpuwatch-tray")
NO_REMINDERS = N_("nothing is waited for")


def add_free_reminder(context: RunContext, args: argparse.Namespace) -> int:
    """Add a reminder for N GPUs that have been free for a duration, by default a minute."""
    try:
        seconds = HOLD if args.hold is None else operations.parse_duration(args.hold, host.now().wall)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return _operate(context, {"do": "when free", "count": args.count, "hold": seconds})


def add_end_reminder(context: RunContext, args: argparse.Namespace) -> int:
    """Add a reminder for the end of a process on a GPU."""
    return _operate(context, {"do": "when ends", "pid": args.pid})


def cancel_reminder(context: RunContext, args: argparse.Namespace) -> int:
    """Cancel a reminder."""
    return _operate(context, {"do": "when cancel", "id": args.id}, needs_monitor=False)


def print_reminders(context: RunContext, _args: argparse.Namespace) -> int:
    """Print the reminders."""
    return _operate(context, {"do": "when list"})


def _operate(context: RunContext, request: Mapping[str, Any], *, needs_monitor: bool = True) -> int:
    from gpuwatch_tray.app.tray_client import lock_holder

    said = operate(context, request)["said"]
    print(said or _(NO_REMINDERS))
    if needs_monitor and said and not context.simulated and not lock_holder(context).pid:
        print(_(NOTHING_RUNS))
    return 0


def run_and_remind(context: RunContext, args: argparse.Namespace) -> int:
    """Run the command, report its end and return its exit code, as a shell has it."""
    from gpuwatch_tray.app.run_command import RunOptions, run

    words = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
    if not words:
        raise UsageError(_("when run needs a command: gpuwatch-tray when run -- python train.py"))
    return run(context, RunOptions(tuple(words), args.name, args.log, tuple(args.attach)), complain)


def add_commands(commands: CommandGroup) -> None:
    """Add `when` and its tasks."""
    _parser, tasks = commands.group("when", _("tell me once when ..."), "when free 2", "when run -- make")
    free = tasks.command(
        "free", add_free_reminder, _("at least N GPUs have no compute process"), "when free 2 --for 5m"
    )
    free.add_argument("count", type=positive_int, metavar="N")
    free.add_argument("--for", dest="hold", metavar="DURATION", help=_("for so long (default 60s)"))
    ends = tasks.command(
        "ends", add_end_reminder, _("a process that is on a GPU is gone"), "when ends 2943615"
    )
    ends.add_argument("pid", type=positive_int, metavar="PID")
    run = tasks.command(
        "run",
        run_and_remind,
        _("a command that it starts has ended; the command's exit code is passed on"),
        "when run -- python train.py",
    )
    run.add_argument("--name", default="", help=_("what to call it"))
    run.add_argument("--log", type=Path, metavar="FILE", help=_("write its whole output to FILE as well"))
    run.add_argument(
        "--attach",
        action="append",
        default=[],
        metavar="GLOB",
        help=_("files to attach to the mail"),
    )
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND ARGUMENTS...")
    tasks.command("list", print_reminders, _("what is waited for"), "when list")
    cancel = tasks.command("cancel", cancel_reminder, _("wait no longer"), "when cancel 3")
    cancel.add_argument("id", type=positive_int, metavar="ID", help=_("its number, as `when list` prints it"))
