"""`when`: one-shot reminders, for free GPUs or an end. Through the running tray, else on the store."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuwatch_tray.cli.numbers import positive_int
from gpuwatch_tray.commands.when import add_end_reminder, add_free_reminder, cancel_reminder, print_reminders
from gpuwatch_tray.commands.when_run import run_and_remind
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from gpuwatch_tray.cli.branch import CommandGroup


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
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND ARGUMENTS...")
    tasks.command("list", print_reminders, _("what is waited for"), "when list")
    cancel = tasks.command("cancel", cancel_reminder, _("wait no longer"), "when cancel 3")
    cancel.add_argument("id", type=positive_int, metavar="ID", help=_("its number, as `when list` prints it"))
