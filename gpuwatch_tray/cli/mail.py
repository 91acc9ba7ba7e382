"""`mail`: the outbox, its delivery, the credentials, and the test of the way to the server."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuwatch_tray.commands import queue, signin
from gpuwatch_tray.commands.mailtest import try_transport
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from gpuwatch_tray.cli.branch import CommandGroup
    from gpuwatch_tray.context import RunContext


def add_commands(commands: CommandGroup) -> None:
    """Add `mail` and its tasks."""
    _parser, tasks = commands.group(
        "mail", _("what waits to be sent, and the ways out"), "mail queue", "mail login", "mail test"
    )
    queue.add_tasks(tasks)
    parser = tasks.command(
        "deliver", deliver_mail, _("send what waits in the outbox and is due"), "mail deliver --verbose"
    )
    parser.add_argument("--handed", action="store_true", help=argparse.SUPPRESS)  # by the tray's child
    signin.add_tasks(tasks)
    tasks.command("test", try_transport, _("try the way of the mail, and send nothing"), "mail test")


def deliver_mail(context: RunContext, args: argparse.Namespace) -> int:
    """Send what is due."""
    from gpuwatch_tray.commands import mail

    return mail.deliver(context, handed=args.handed)
