"""The password of the mail server: SMTP_PASS, else the file of SMTP_PASS_FILE, else the system's keyring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.notify import system_keyring
from gpuwatch_tray.notify.system_keyring import UNLOCK_TIMEOUT
from gpuwatch_tray.notify.transport import configuration_error
from gpuwatch_tray.settings import Secret, SecretFileError, SmtpSecurity, read_password, read_secret_file

if TYPE_CHECKING:
    from pathlib import Path

    from gpuwatch_tray.settings import SmtpSettings


SERVICE = "gpuwatch-tray SMTP"
KEYRING_MEND = N_(
    "unlock or install a keyring (such as GNOME Keyring or KWallet); without a desktop, "
    "as in cron, use SMTP_PASS_FILE in smtp.env"
)


def keyring_password(account: str, timeout: float = UNLOCK_TIMEOUT) -> str | None:
    """Return the password that is stored for `account`, None where there is none; TransportError."""
    return system_keyring.read_secret(SERVICE, account, _(KEYRING_MEND), timeout)


def store_password(account: str, password: str, timeout: float = UNLOCK_TIMEOUT) -> str:
    """Store `password` for `account`, and return the keyring's name; TransportError."""
    return system_keyring.store_secret(SERVICE, account, password, _(KEYRING_MEND), timeout)


def delete_password(account: str, timeout: float = UNLOCK_TIMEOUT) -> bool:
    """Delete the password of `account`; False where there is none; TransportError."""
    return system_keyring.delete_secret(SERVICE, account, _(KEYRING_MEND), timeout)


def smtp_password(smtp: SmtpSettings) -> Secret:
    """Return the password to log in with, empty where there is no login; TransportError if it is missing."""
    if smtp.security is SmtpSecurity.NONE or smtp.password.reveal():
        return smtp.password
    if smtp.password_file is not None:
        return _read_password_file(smtp.password_file)
    account = keyring_account(smtp)
    password = keyring_password(account)
    if not password:
        text = _("there is no password for {account}, neither in smtp.env nor in the keyring")
        raise configuration_error(
            text.format(account=account),
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
        return read_secret_file("SMTP_PASS_FILE", file, read_password)
    except SecretFileError as error:
        raise configuration_error(error.text, error.mend) from None
