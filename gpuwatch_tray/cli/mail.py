"""`mail`: the outbox and its ways out."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from gpuwatch_tray.cli.branch import Branch
    from gpuwatch_tray.context import Setup


def add(commands: Branch) -> None:
    """Add them."""
    _mail, tasks = commands.family(
        "mail", _("send what waits, sign in to Gmail"), "mail deliver", "mail login"
    )
    deliver = tasks.command(
        "deliver", _deliver, _("send what waits in the outbox and is due"), "mail deliver --verbose"
    )
    deliver.add_argument("--handed", action="store_true", help=argparse.SUPPRESS)  # by the courier
    tasks.command("login", _login, _("sign in to Gmail"), "mail login", aliases=["auth"])


def _deliver(setup: Setup, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import mail

    return mail.deliver(setup, handed=asked.handed)


def _login(setup: Setup, _asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import mail

    return mail.login(setup)
