"""`mail test`: the way of the mail tried up to the login, and nothing sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.commands.mail import refuse_demo
from gpuwatch_tray.context import UsageError
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from gpuwatch_tray.context import Setup


def run(setup: Setup) -> int:
    """Print each step with `ok` or `failed` and what mends it; 0 when the whole way is open, else 1."""
    refuse_demo(setup)
    setup.require()
    if not setup.settings.to_email:
        raise UsageError(setup.settings.no_recipient)
    from gpuwatch_tray.notifiers.email import TransportError, create_transport, passwords

    def done(step: str) -> None:
        print(f"{_('ok')}      {step}", flush=True)

    smtp = setup.settings.smtp
    try:
        way = create_transport(setup.settings)
        done(_("the mail goes by {way}").format(way=way.name))
        if smtp is not None and way.name.startswith("SMTP ") and (place := passwords.password_source(smtp)):
            done(_("the password is in {place}").format(place=place))
        way.probe(done)
    except TransportError as error:
        print(f"{_('failed')}  {error.text}", flush=True)
        if error.mend:
            print(f"        {error.mend}", flush=True)
        return 1
    print(_("The way is open; nothing was sent. `gpuwatch-tray check --test-mail` sends a mail."))
    return 0
