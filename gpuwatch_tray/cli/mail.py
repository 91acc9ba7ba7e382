"""`mail`: the outbox, its delivery, the credentials, and the test of the way to the server."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuwatch_tray.app.bootstrap import UsageError
from gpuwatch_tray.cli import credentials, outbox
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from gpuwatch_tray.app.bootstrap import RunContext
    from gpuwatch_tray.cli.base import CommandGroup


def try_transport(context: RunContext, _args: argparse.Namespace) -> int:
    """
    Try the way of the mail up to the login, and send nothing.

    Prints each step with `ok` or `failed` and what mends it; returns 0 when the whole way is open, else 1.
    """
    from gpuwatch_tray.app.deliver import refuse_demo
    from gpuwatch_tray.notify.email import create_transport, secrets
    from gpuwatch_tray.notify.transport import TransportError

    refuse_demo(context)
    context.require_valid_settings()
    if not context.settings.to_email:
        raise UsageError(context.settings.no_recipient)

    def report(step: str) -> None:
        print(f"{_('ok')}      {step}", flush=True)

    smtp = context.settings.smtp
    try:
        transport = create_transport(context.settings)
        report(_("the mail goes by {way}").format(way=transport.name))
        source = secrets.password_source(smtp) if smtp is not None else ""
        if source and transport.name.startswith("SMTP "):
            report(_("the password is in {place}").format(place=source))
        transport.probe(report)
    except TransportError as error:
        print(f"{_('failed')}  {error.text}", flush=True)
        if error.mend:
            print(f"        {error.mend}", flush=True)
        return 1
    print(_("The way is open; nothing was sent. `gpuwatch-tray check --test-mail` sends a mail."))
    return 0


def add_commands(commands: CommandGroup) -> None:
    """Add `mail` and its tasks."""
    _parser, tasks = commands.group(
        "mail", _("what waits to be sent, and the ways out"), "mail queue", "mail login", "mail test"
    )
    outbox.add_tasks(tasks)
    parser = tasks.command(
        "deliver", deliver_mail, _("send what waits in the outbox and is due"), "mail deliver --verbose"
    )
    parser.add_argument("--handed", action="store_true", help=argparse.SUPPRESS)  # by the tray's child
    credentials.add_tasks(tasks)
    tasks.command("test", try_transport, _("try the way of the mail, and send nothing"), "mail test")


def deliver_mail(context: RunContext, args: argparse.Namespace) -> int:
    """Send what is due."""
    from gpuwatch_tray.app import deliver

    return deliver.deliver(context, handed=args.handed)
