"""
The password of the mail server: SMTP_PASS, else the file of SMTP_PASS_FILE, else the system's keyring.

The keyring's library (Secret Service, KWallet, Keychain, Credential Locker) costs half a second and 24 MiB:
it is imported where the keyring is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.notifiers.email.lines import one_line
from gpuwatch_tray.transport import TransportError, configuration_error
from gpuwatch_tray.within import call_with_timeout

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

SERVICE = "gpuwatch-tray SMTP"
UNLOCK_TIMEOUT = 30.0  # seconds for the person to unlock the keyring, which asks on the screen
KEYRING_MEND = N_(
    "unlock or install a keyring (as GNOME Keyring or KWallet); where there is no"
    " desktop, as under cron, use SMTP_PASS_FILE in smtp.env"
)


def keyring_password(account: str, timeout: float = UNLOCK_TIMEOUT) -> str | None:
    """Return the password that is stored for `account`, None where there is none; TransportError."""
    import keyring

    return _ask(lambda: keyring.get_password(SERVICE, account), timeout)


def store_password(account: str, password: str, timeout: float = UNLOCK_TIMEOUT) -> str:
    """Store `password` for `account`, and return the keyring's name; TransportError."""
    import keyring

    _ask(lambda: keyring.set_password(SERVICE, account, password), timeout)
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
        raise _keyring_unusable(_("there is none that can be used")) from None
    except Exception as error:  # noqa: BLE001  # each keyring has errors of its own
        # The type only: the text may hold a secret.
        raise _keyring_unusable(type(error).__name__) from None


def _keyring_unusable(why: str) -> TransportError:
    return configuration_error(_("the keyring cannot be used: {why}").format(why=why), _(KEYRING_MEND))
