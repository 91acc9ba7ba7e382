"""The password of the mail server: SMTP_PASS, else the file of SMTP_PASS_FILE, else the system's keyring."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.notifiers.email.keyrings import keyring_password
from gpuwatch_tray.settings import Secret, SmtpSecurity, read_password
from gpuwatch_tray.transport import configuration_error

if TYPE_CHECKING:
    from pathlib import Path

    from gpuwatch_tray.settings import SmtpSettings

LONGEST_FILE = 4096  # bytes: a longer file is not the one that was meant


def smtp_password(smtp: SmtpSettings) -> Secret:
    """Return the password to log in with, empty where there is no login; TransportError if it is missing."""
    if smtp.security is SmtpSecurity.NONE or smtp.password.reveal():
        return smtp.password
    if smtp.password_file is not None:
        return _read_password_file(smtp.password_file)
    account = keyring_account(smtp)
    password = keyring_password(account)
    if not password:
        raise configuration_error(
            _("there is no password for {account}: smtp.env has none, nor has the keyring").format(
                account=account
            ),
            _("`gpuwatch-tray mail password` stores it; or set SMTP_PASS or SMTP_PASS_FILE in smtp.env"),
        )
    return Secret(password)


def keyring_account(smtp: SmtpSettings) -> str:
    """Return the account's name in the keyring."""
    return f"{smtp.user}@{smtp.host}"


def password_source(smtp: SmtpSettings) -> str:
    """Say where the password is; empty where there is no login."""
    if smtp.security is SmtpSecurity.NONE:
        return ""
    if smtp.password.reveal():
        return "SMTP_PASS"
    return f"SMTP_PASS_FILE {smtp.password_file}" if smtp.password_file is not None else _("the keyring")


def _read_password_file(file: Path) -> Secret:
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # reading a pipe would block
            raise configuration_error(
                _("SMTP_PASS_FILE {file} is not a plain file").format(file=file),
                _("it must hold the password alone"),
            )
        with file.open("rb") as stream:
            content = stream.read(LONGEST_FILE + 1)
    except OSError as error:
        text = _("SMTP_PASS_FILE {file} cannot be read: {why}").format(file=file, why=error.strerror)
        raise configuration_error(text, _("write the password into it, and chmod 600")) from None
    if len(content) > LONGEST_FILE or b"\n" in content.strip():
        raise configuration_error(
            _("SMTP_PASS_FILE {file} has more than one line").format(file=file),
            _("it must hold the password alone"),
        )
    try:
        secret = read_password(content.decode("utf-8-sig"))
    except ValueError as error:
        why = _("is not UTF-8") if isinstance(error, UnicodeDecodeError) else str(error)
        raise configuration_error(
            _("SMTP_PASS_FILE {file} {why}").format(file=file, why=why), _("it must hold the password alone")
        ) from None
    if not secret.reveal():
        raise configuration_error(
            _("SMTP_PASS_FILE {file} is empty").format(file=file), _("write the password into it")
        )
    return secret
