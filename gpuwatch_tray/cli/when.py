"""`when`: one notice, asked for beforehand."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuwatch_tray.cli.numbers import number
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from gpuwatch_tray.cli.branch import Branch
    from gpuwatch_tray.context import RunContext


def add(commands: Branch) -> None:
    """Add them."""
    _when, tasks = commands.family("when", _("tell me once when ..."), "when free 2", "when run -- make")
    free = tasks.command("free", _free, _("at least N GPUs have no compute process"), "when free 2 --for 5m")
    free.add_argument("count", type=number, metavar="N")
    free.add_argument("--for", dest="hold", metavar="DURATION", help=_("for so long (default 60s)"))
    ends = tasks.command("ends", _ends, _("a process that is on a GPU is gone"), "when ends 2943615")
    ends.add_argument("pid", type=number, metavar="PID")
    run = tasks.command(
        "run",
        _run,
        _("a command that it starts has ended; the command's exit code is passed on"),
        "when run -- python train.py",
    )
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND ARGUMENTS...")
    tasks.command("list", _list, _("what is waited for"), "when list")
    cancel = tasks.command("cancel", _cancel, _("wait no longer"), "when cancel 3")
    cancel.add_argument("id", type=number, metavar="ID", help=_("its number, as `when list` prints it"))


def _free(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import when

    return when.free(setup, asked.count, asked.hold)


def _ends(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import when

    return when.ends(setup, asked.pid)


def _run(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import when_run

    return when_run.run(setup, asked.argv)


def _list(setup: RunContext, _asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import when

    return when.show(setup)


def _cancel(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import when

    return when.cancel(setup, asked.id)
