"""`mail login` and `mail password`: the sign-in to Gmail, and the mail server's password in the keyring."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gpuwatch_tray.app import open_store
from gpuwatch_tray.cli.numbers import tcp_port
from gpuwatch_tray.commands.password import delete_password, store_password
from gpuwatch_tray.context import RunContext, UsageError, WorkError
from gpuwatch_tray.language import _
from gpuwatch_tray.units import TO_THE_MINUTE

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from gpuwatch_tray.cli.branch import CommandGroup


def add_tasks(tasks: CommandGroup) -> None:
    """Add `mail login` and `mail password`."""
    login = tasks.command(
        "login", run_login, _("sign in to Gmail"), "mail login", "mail login --status", aliases=["auth"]
    )
    action = login.add_mutually_exclusive_group()
    action.add_argument(
        "--status", action="store_true", help=_("how the sign-in stands, without the network")
    )
    action.add_argument(
        "--revoke", action="store_true", help=_("withdraw it at Google, and delete token.json")
    )
    action.add_argument(
        "--port", type=tcp_port, default=None, help=_("where to wait for the browser (default 8765)")
    )
    password = tasks.command(
        "password",
        run_password,
        _("keep the mail server's password in the system's keyring"),
        "mail password",
    )
    password.add_argument("--delete", action="store_true", help=_("take it out again"))


def run_login(context: RunContext, args: argparse.Namespace) -> int:
    """Sign in to Gmail, print how the sign-in stands, or withdraw it."""
    if args.status:
        return _print_login_status(context)
    return _revoke_login(context) if args.revoke else _sign_in(context, port=args.port)


def run_password(context: RunContext, args: argparse.Namespace) -> int:
    """Store the mail server's password in the keyring, or delete it there."""
    return delete_password(context) if args.delete else store_password(context)


def _sign_in(context: RunContext, *, port: int | None) -> int:
    """
    Sign in to Gmail and write token.json; mails that waited for the sign-in are then due.

    A browser is opened where there is one; its last address can also be pasted into the terminal.
    """
    from gpuwatch_tray.commands.mail import refuse_demo

    refuse_demo(context)
    context.require_valid_settings()
    from gpuwatch_tray.notifiers.email import FailureKind, TransportError
    from gpuwatch_tray.notifiers.email.login import PORT, browser_is_here, sign_in

    terminal = sys.stdin is not None and sys.stdin.isatty()
    try:
        token = sign_in(
            context.settings,
            port=PORT if port is None else port,
            open_browser=browser_is_here(os.environ),
            out=sys.stdout,
            pasted=sys.stdin.fileno() if terminal else None,
        )
    except TransportError as error:
        wrong = error.kind is FailureKind.CONFIGURATION
        raise (UsageError if wrong else WorkError)(str(error)) from error
    with closing(open_store(context)) as store:
        store.make_mails_due(time.time())
    print(_("Signed in; the token is in {file}.").format(file=token))
    return 0


def _print_login_status(context: RunContext) -> int:
    """Print from token.json alone how the sign-in stands; raises WorkError where there is none."""
    from gpuwatch_tray.notifiers.email import TransportError, googlefiles

    path = _token_file(context)
    try:
        token = googlefiles.read_token(path)
    except TransportError as error:
        raise WorkError(_("Not signed in: {why}").format(why=error)) from error
    print(_("Signed in: {file}").format(file=path))
    scopes = googlefiles.token_scopes(token)
    print(_("Allows: {scopes}").format(scopes=", ".join(scopes) or _("the file does not say")))
    print(_expiry_text(googlefiles.token_expiry(token), datetime.now(UTC)))
    print(_("Whether Google still takes it, `gpuwatch-tray mail test` says."))
    return 0


def _revoke_login(context: RunContext) -> int:
    """Withdraw the sign-in at Google, and delete token.json."""
    from gpuwatch_tray.notifiers.email import TransportError
    from gpuwatch_tray.notifiers.email.revoke import revoke_sign_in as withdraw

    path = _token_file(context)
    try:
        known = withdraw(path)
    except TransportError as error:
        raise WorkError(str(error)) from error
    if known:
        print(_("The sign-in is withdrawn, and {file} is deleted.").format(file=path))
    else:
        print(_("Google had ended the sign-in already; {file} is deleted.").format(file=path))
    return 0


def _token_file(context: RunContext) -> Path:
    context.require_valid_settings()
    path = context.settings.gmail_token
    if path is None:
        raise UsageError(_("GMAIL_API_TOKEN is not set: set it in notify.env, where token.json goes"))
    return path


def _expiry_text(expiry: datetime | None, now: datetime) -> str:
    """Describe the access token, which lives for an hour."""
    if expiry is None:
        return _("Access token: renewed at the next mail")
    at = expiry.astimezone().strftime(TO_THE_MINUTE)
    if expiry <= now:
        return _("Access token: ended on {time}, renewed at the next mail").format(time=at)
    return _("Access token: good until {time}, renewed by itself").format(time=at)
