"""The password of the mail server: SMTP_PASS, else the file of SMTP_PASS_FILE, else the system's keyring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.notify.transport import configuration_error
from gpuwatch_tray.settings import Secret, SecretError, SmtpSecurity, read_password, read_secret_file
from gpuwatch_tray.settings.system_keyring import KeyringEntry

if TYPE_CHECKING:
    from gpuwatch_tray.settings import SmtpSettings


KEYRING_MEND = N_(
    "unlock or install a keyring (such as GNOME Keyring or KWallet); without a desktop, "
    "as in cron, use SMTP_PASS_FILE in smtp.env"
)


def smtp_entry(smtp: SmtpSettings) -> KeyringEntry:
    """Return where the keyring has the password of this account."""
    return KeyringEntry("gpuwatch-tray SMTP", f"{smtp.user}@{smtp.host}", _(KEYRING_MEND))


def smtp_password(smtp: SmtpSettings) -> Secret:
    """Return the password to log in with, empty where there is no login; TransportError if it is missing."""
    if smtp.security is SmtpSecurity.NONE or smtp.password.reveal():
        return smtp.password
    entry = smtp_entry(smtp)
    try:
        if smtp.password_file is not None:
            return read_secret_file("SMTP_PASS_FILE", smtp.password_file, read_password)
        password = entry.read()
    except SecretError as error:
        raise configuration_error(error.text, error.mend) from None
    if not password:
        text = _("there is no password for {account}, neither in smtp.env nor in the keyring")
        raise configuration_error(
            text.format(account=entry.account),
            _("`gpuwatch-tray mail password` stores it; or set SMTP_PASS or SMTP_PASS_FILE in smtp.env"),
        )
    return Secret(password)


def password_source(smtp: SmtpSettings) -> str:
    """Say where the password is; empty where there is no login."""
    if smtp.security is SmtpSecurity.NONE:
        return ""
    if smtp.password.reveal():
        return "SMTP_PASS"
    return f"SMTP_PASS_FILE {smtp.password_file}" if smtp.password_file is not None else _("the keyring")
