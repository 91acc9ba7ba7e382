"""
The system's keyring (Secret Service, KWallet, Keychain, Credential Locker), which holds the mail password.

Its library costs half a second and 24 MiB: it is loaded in the process that sends and in `mail password`
only. A locked keyring asks the person on the screen, so that each question has a time-out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import keyring  # noqa: TID251  # this module is the one importer
from keyring.errors import NoKeyringError, PasswordDeleteError  # noqa: TID251

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.notifiers.email.lines import one_line
from gpuwatch_tray.transport import FailureKind, TransportError
from gpuwatch_tray.within import call_with_timeout

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

SERVICE = "gpuwatch-tray SMTP"
PATIENCE = 30.0  # seconds for the person to unlock the keyring
MEND = N_(
    "unlock or install a keyring (as GNOME Keyring or KWallet); where there is no"
    " desktop, as under cron, use SMTP_PASS_FILE in smtp.env"
)


def password(account: str, patience: float = PATIENCE) -> str | None:
    """The password that is stored for `account`; None where there is none. TransportError."""
    return _ask(lambda: keyring.get_password(SERVICE, account), patience)


def store(account: str, secret: str, patience: float = PATIENCE) -> str:
    """Keep `secret` for `account`; returns what the keyring calls itself. TransportError."""
    _ask(lambda: keyring.set_password(SERVICE, account, secret), patience)
    return one_line(str(keyring.get_keyring().name), 80)


def delete(account: str, patience: float = PATIENCE) -> bool:
    """Forget the password of `account`; False where there is none. TransportError."""

    def forget() -> bool:
        try:
            keyring.delete_password(SERVICE, account)
        except PasswordDeleteError:
            return False
        return True

    return _ask(forget, patience)


def _ask(question: Callable[[], T], patience: float) -> T:
    # A question to a keyring cannot be called off.
    try:
        return call_with_timeout(patience, question, "keyring")
    except TimeoutError:
        raise _unusable(_("no answer within {seconds:g} s: is it locked?").format(seconds=patience)) from None
    except NoKeyringError:
        raise _unusable(_("there is none that can be used")) from None
    except Exception as error:  # noqa: BLE001  # each keyring has errors of its own
        # Of a foreign error only the kind is told: nobody knows what its text holds.
        raise _unusable(type(error).__name__) from None


def _unusable(why: str) -> TransportError:
    return TransportError(
        FailureKind.CONFIGURATION, _("the keyring cannot be used: {why}").format(why=why), _(MEND)
    )
