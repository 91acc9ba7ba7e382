"""
The password of the mail server: SMTP_PASS, else the file of SMTP_PASS_FILE, else the system's keyring.

The keyring's library costs half a second and 24 MiB: it is imported where the keyring is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from gpuwatch_tray.common.threads import call_with_timeout
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.notify.email.mime import one_line
from gpuwatch_tray.notify.transport import TransportError, configuration_error
from gpuwatch_tray.settings import Secret, SecretFileError, SmtpSecurity, read_password, read_secret_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gpuwatch_tray.settings import SmtpSettings


T = TypeVar("T")

SERVICE = "gpuwatch-tray SMTP"
UNLOCK_TIMEOUT = 30.0  # seconds for the person to unlock the keyring, which asks on the screen
KEYRING_MEND = N_(
    "unlock or install a keyring (such as GNOME Keyring or KWallet); without a desktop, "
    "as in cron, use SMTP_PASS_FILE in smtp.env"
)


def keyring_password(account: str, timeout: float = UNLOCK_TIMEOUT) -> str | None:
    """Return the password that is stored for `account`, None where there is none; TransportError."""
    import keyring

    return _ask(lambda: keyring.get_password(SERVICE, account), timeout)


def store_password(account: str, password: str, timeout: float = UNLOCK_TIMEOUT) -> str:
    """Store `password` for `account`, and return the keyring's name; TransportError."""
    import keyring

    _ask(lambda: keyring.set_password(SERVICE, account, password), timeout)
    if keyring_password(account, timeout) != password:  # the null keyring takes everything and keeps nothing
        raise _keyring_unusable(_("it did not keep the password"))
    return one_line(str(keyring.get_keyring().name), 80)


def delete_password(account: str, timeout: float = UNLOCK_TIMEOUT) -> bool:
    """Delete the password of `account`; False where there is none; TransportError."""
    import keyring
    from keyring.errors import PasswordDeleteError

    def delete() -> bool:
        try:
            keyring.delete_password(SERVICE, account)
        except PasswordDeleteError:
            return False
        return True

    return _ask(delete, timeout)


def _ask(call: Callable[[], T], timeout: float) -> T:
    from keyring.errors import NoKeyringError

    # A call to a keyring cannot be cancelled.
    try:
        return call_with_timeout(timeout, call, "keyring")
    except TimeoutError:
        why = _("no answer within {seconds:g} s: is it locked?").format(seconds=timeout)
        raise _keyring_unusable(why) from None
    except NoKeyringError:
        raise _keyring_unusable(_("none is available")) from None
    except Exception as error:  # noqa: BLE001  # each keyring has errors of its own
        # The type only: the text may hold a secret.
        raise _keyring_unusable(type(error).__name__) from None


def _keyring_unusable(why: str) -> TransportError:
    return configuration_error(_("the keyring cannot be used: {why}").format(why=why), _(KEYRING_MEND))


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
