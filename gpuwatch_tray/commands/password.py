"""`mail password`."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

from gpuwatch_tray.app import open_store
from gpuwatch_tray.context import RunContext, UsageError, WorkError
from gpuwatch_tray.language import _
from gpuwatch_tray.settings import SmtpSecurity, read_password

if TYPE_CHECKING:
    from gpuwatch_tray.settings import SmtpSettings


def store_password(context: RunContext) -> int:
    """Ask for the password and store it in the keyring; mails that waited for it are then due."""
    smtp = _smtp_settings(context)
    from gpuwatch_tray.notifiers.email import TransportError, keyrings
    from gpuwatch_tray.notifiers.email.passwords import keyring_account

    account = keyring_account(smtp)
    secret = _ask_password(account)
    try:
        name = keyrings.store_password(account, secret)
    except TransportError as error:
        raise WorkError(str(error)) from error
    print(_("The password of {account} is in the keyring ({name}).").format(account=account, name=name))
    before = "SMTP_PASS" if smtp.password.reveal() else "SMTP_PASS_FILE"
    if smtp.password.reveal() or smtp.password_file is not None:
        print(_("It is not used yet: {key} goes before it. Take that out of smtp.env.").format(key=before))
    with closing(open_store(context)) as outbox:
        outbox.make_mails_due(time.time())
    return 0


def delete_password(context: RunContext) -> int:
    """Delete the password from the keyring."""
    smtp = _smtp_settings(context)
    from gpuwatch_tray.notifiers.email import TransportError, keyrings
    from gpuwatch_tray.notifiers.email.passwords import keyring_account

    account = keyring_account(smtp)
    try:
        deleted = keyrings.delete_password(account)
    except TransportError as error:
        raise WorkError(str(error)) from error
    text = _("The password of {account} is deleted.") if deleted else _("There is no password of {account}.")
    print(text.format(account=account))
    return 0


def _smtp_settings(context: RunContext) -> SmtpSettings:
    from gpuwatch_tray.commands.mail import refuse_demo

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
