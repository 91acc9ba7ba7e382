"""The commands that look: ps, check, watch, status, quit, and the tray itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.cli.numbers import seconds
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    import argparse

    from gpuwatch_tray.cli.branch import Branch
    from gpuwatch_tray.context import RunContext


def add(commands: Branch) -> None:
    """Add them."""
    ps = commands.command("ps", _ps, _("list the GPU processes"), "ps --all", "ps --watch 5")
    ps.add_argument("--all", action="store_true", help=_("everyone's, graphics too, with owner and type"))
    ps.add_argument("--json", action="store_true", help=_("as JSON"))
    ps.add_argument("--watch", type=seconds, metavar="N", help=_("again every N seconds, until Ctrl-C"))

    check = commands.command("check", _check, _("evaluate once, for cron"), "check --dry-run")
    how = check.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help=_("print subject and body, send nothing"))
    how.add_argument("--test-mail", action="store_true", help=_("send a mail now, past the cooldown"))

    commands.command("watch", _watch, _("the loop without a tray"), "watch --verbose")
    status = commands.command("status", _status, _("ask the running tray"), "status --json")
    status.add_argument("--json", action="store_true", help=_("as JSON"))
    commands.command("quit", _quit, _("end the running tray"), "quit")


# Each command is imported where it runs: `ps` needs no tray, the tray no mail.


def tray(setup: RunContext, _asked: argparse.Namespace) -> int:
    """Show the tray."""
    from gpuwatch_tray.commands import tray as command

    return command.run(setup)


def _ps(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import ps

    return ps.run(setup, everyone=asked.all, as_json=asked.json, every=asked.watch)


def _check(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import check

    return check.run(setup, dry_run=asked.dry_run, test_mail=asked.test_mail)


def _watch(setup: RunContext, _asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import watch

    return watch.run(setup)


def _status(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import status

    return status.run(setup, as_json=asked.json)


def _quit(setup: RunContext, _asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import quit as end

    return end.run(setup)
