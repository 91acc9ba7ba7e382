"""`mail login` and `mail password`: the sign-in to Gmail, and the mail server's password in the keyring."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gpuwatch_tray.app.bootstrap import RunContext, UsageError, WorkError, open_store
from gpuwatch_tray.cli.base import tcp_port
from gpuwatch_tray.i18n import _
from gpuwatch_tray.settings import Secret, SmtpSecurity, odd_characters, read_password
from gpuwatch_tray.units import TO_THE_MINUTE

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from gpuwatch_tray.cli.base import CommandGroup
    from gpuwatch_tray.settings import SmtpSettings


def store_password(context: RunContext) -> int:
    """Ask for the password and store it in the keyring; mails that waited for it are then due."""
    smtp = _smtp_settings(context)
    from gpuwatch_tray.notify.email import secrets
    from gpuwatch_tray.notify.email.secrets import keyring_account
    from gpuwatch_tray.notify.transport import TransportError

    account = keyring_account(smtp)
    secret = _ask_password(account)
    try:
        name = secrets.store_password(account, secret)
    except TransportError as error:
        raise WorkError(str(error)) from error
    print(_("The password of {account} is in the keyring ({name}).").format(account=account, name=name))
    if odd := odd_characters(Secret(secret)):
        print(_("The password holds {what}: type it anew instead of pasting it.").format(what=odd))
    before = "SMTP_PASS" if smtp.password.reveal() else "SMTP_PASS_FILE"
    if smtp.password.reveal() or smtp.password_file is not None:
        print(_("It is not used yet: {key} goes before it. Take that out of smtp.env.").format(key=before))
    with closing(open_store(context)) as outbox:
        outbox.make_mails_due(time.time())
    return 0


def delete_password(context: RunContext) -> int:
    """Delete the password from the keyring."""
    smtp = _smtp_settings(context)
    from gpuwatch_tray.notify.email import secrets
    from gpuwatch_tray.notify.email.secrets import keyring_account
    from gpuwatch_tray.notify.transport import TransportError

    account = keyring_account(smtp)
    try:
        deleted = secrets.delete_password(account)
    except TransportError as error:
        raise WorkError(str(error)) from error
    text = _("The password of {account} is deleted.") if deleted else _("There is no password of {account}.")
    print(text.format(account=account))
    return 0


def _smtp_settings(context: RunContext) -> SmtpSettings:
    from gpuwatch_tray.app.deliver import refuse_demo

    refuse_demo(context)
    context.require_valid_settings()
    smtp = context.settings.smtp
    if smtp is None:
        raise UsageError(_("no mail server is set up: set SMTP_HOST and SMTP_USER in smtp.env first"))
    if smtp.security is SmtpSecurity.NONE:
        raise UsageError(_("SMTP_SECURITY=none sends without a login: there is no password to keep"))
    return smtp


def _ask_password(account: str) -> str:
    """Return the password that the person types twice, or the first line of a pipe."""
    import getpass

    if sys.stdin is None:  # closed, or a windowed start on Windows
        raise UsageError(_("there is nothing to read the password from: run it in a terminal"))
    if not sys.stdin.isatty():
        text = sys.stdin.readline()
    else:
        text = getpass.getpass(_("Password of {account}: ").format(account=account))
        if getpass.getpass(_("Once more: ")) != text:
            raise UsageError(_("the two are not the same: nothing is kept"))
    try:
        secret = read_password(text).reveal()
    except ValueError as error:
        raise UsageError(_("the password {why}").format(why=error)) from error
    if not secret:
        raise UsageError(_("an empty password: nothing is kept"))
    return secret


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
    from gpuwatch_tray.app.deliver import refuse_demo

    refuse_demo(context)
    context.require_valid_settings()
    from gpuwatch_tray.notify.email.oauth import PORT, browser_is_here, sign_in
    from gpuwatch_tray.notify.transport import FailureKind, TransportError

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
    from gpuwatch_tray.notify.email import google_credentials
    from gpuwatch_tray.notify.transport import TransportError

    path = _token_file(context)
    try:
        token = google_credentials.read_token(path)
    except TransportError as error:
        raise WorkError(_("Not signed in: {why}").format(why=error)) from error
    print(_("Signed in: {file}").format(file=path))
    scopes = google_credentials.token_scopes(token)
    print(_("Allows: {scopes}").format(scopes=", ".join(scopes) or _("the file does not say")))
    print(_expiry_text(google_credentials.token_expiry(token), datetime.now(UTC)))
    print(_("Whether Google still takes it, `gpuwatch-tray mail test` says."))
    return 0


def _revoke_login(context: RunContext) -> int:
    """Withdraw the sign-in at Google, and delete token.json."""
    from gpuwatch_tray.notify.email.oauth import revoke_sign_in as withdraw
    from gpuwatch_tray.notify.transport import TransportError

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
