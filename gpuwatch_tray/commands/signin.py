"""`mail login`: the sign-in to Gmail, how it stands, and its end."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gpuwatch_tray.app import open_store
from gpuwatch_tray.commands.mail import refuse_demo
from gpuwatch_tray.context import Setup, UsageError, WorkError
from gpuwatch_tray.language import _
from gpuwatch_tray.units import TO_THE_MINUTE

if TYPE_CHECKING:
    from pathlib import Path


def login(setup: Setup, *, port: int | None = None) -> int:
    """
    Sign in to Gmail and write token.json; what waited for that is then due.

    A browser is opened where there is one; the address at which it ends can be pasted into a terminal.
    """
    refuse_demo(setup)
    setup.require()
    from gpuwatch_tray.notifiers.email import FailureKind, TransportError
    from gpuwatch_tray.notifiers.email.login import PORT, browser_is_here
    from gpuwatch_tray.notifiers.email.login import login as sign_in

    terminal = sys.stdin is not None and sys.stdin.isatty()
    try:
        token = sign_in(
            setup.settings,
            port=PORT if port is None else port,
            open_browser=browser_is_here(os.environ),
            out=sys.stdout,
            pasted=sys.stdin.fileno() if terminal else None,
        )
    except TransportError as error:
        wrong = error.kind is FailureKind.CONFIGURATION
        raise (UsageError if wrong else WorkError)(str(error)) from error
    with closing(open_store(setup)) as store:
        store.make_mails_due(time.time())
    print(_("Signed in; the token is in {file}.").format(file=token))
    return 0


def status(setup: Setup) -> int:
    """Tell from token.json alone how the sign-in stands; 1 where there is none that could be used."""
    from gpuwatch_tray.notifiers.email import TransportError, googlefiles

    path = _token(setup)
    try:
        token = googlefiles.read_token(path)
    except TransportError as error:
        raise WorkError(_("Not signed in: {why}").format(why=error)) from error
    print(_("Signed in: {file}").format(file=path))
    scopes = googlefiles.scopes_of(token)
    print(_("Allows: {scopes}").format(scopes=", ".join(scopes) or _("the file does not say")))
    print(_until(googlefiles.expiry_of(token), datetime.now(UTC)))
    print(_("Whether Google still takes it, `gpuwatch-tray mail test` says."))
    return 0


def revoke(setup: Setup) -> int:
    """Withdraw the sign-in at Google, and delete token.json."""
    from gpuwatch_tray.notifiers.email import TransportError
    from gpuwatch_tray.notifiers.email.revoke import revoke as withdraw

    path = _token(setup)
    try:
        known = withdraw(path)
    except TransportError as error:
        raise WorkError(str(error)) from error
    if known:
        print(_("The sign-in is withdrawn, and {file} is deleted.").format(file=path))
    else:
        print(_("Google had ended the sign-in already; {file} is deleted.").format(file=path))
    return 0


def _token(setup: Setup) -> Path:
    setup.require()
    path = setup.settings.gmail_token
    if path is None:
        raise UsageError(_("GMAIL_API_TOKEN is not set: set it in notify.env, where token.json goes"))
    return path


def _until(expiry: datetime | None, now: datetime) -> str:
    """What is to be said of the access token, which lives for an hour."""
    if expiry is None:
        return _("Access token: renewed at the next mail")
    at = expiry.astimezone().strftime(TO_THE_MINUTE)
    if expiry <= now:
        return _("Access token: ended on {time}, renewed at the next mail").format(time=at)
    return _("Access token: good until {time}, renewed by itself").format(time=at)
