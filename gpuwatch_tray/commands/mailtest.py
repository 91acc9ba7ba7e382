"""`mail test`: the way to the mail server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.context import UsageError
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    import argparse

    from gpuwatch_tray.context import RunContext


def try_transport(context: RunContext, _args: argparse.Namespace) -> int:
    """
    Try the way of the mail up to the login, and send nothing.

    Prints each step with `ok` or `failed` and what mends it; returns 0 when the whole way is open, else 1.
    """
    from gpuwatch_tray.commands.mail import refuse_demo
    from gpuwatch_tray.notifiers.email import TransportError, create_transport, passwords

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
        source = passwords.password_source(smtp) if smtp is not None else ""
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
