"""
The system's keyring: the password of the mail server, and the addresses of chats.

Its library costs half a second and 24 MiB, so it is imported where the keyring is asked. `mend` says what to
do where there is none that can be used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from gpuwatch_tray.common import redact
from gpuwatch_tray.common.threads import call_with_timeout
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.notify.transport import TransportError, configuration_error
from gpuwatch_tray.settings import Secret

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")

UNLOCK_TIMEOUT = 30.0  # seconds for the person to unlock the keyring, which asks on the screen
LONGEST_NAME = 80  # characters of a keyring's own name
CHATS = "gpuwatch-tray chat"  # the service under which the addresses of chats are, by the chat's name
CHATS_MEND = N_(
    "unlock or install a keyring (such as GNOME Keyring or KWallet); without a desktop, "
    "write the address itself into the file of NOTIFY_URLS_FILE"
)


def read_secret(service: str, account: str, mend: str, timeout: float = UNLOCK_TIMEOUT) -> str | None:
    """Return what is stored for `account`, None where there is nothing; TransportError."""
    import keyring

    return _ask(lambda: keyring.get_password(service, account), mend, timeout)


def store_secret(service: str, account: str, secret: str, mend: str, timeout: float = UNLOCK_TIMEOUT) -> str:
    """Store `secret` for `account`, and return the keyring's name; TransportError."""
    import keyring

    _ask(lambda: keyring.set_password(service, account, secret), mend, timeout)
    if read_secret(service, account, mend, timeout) != secret:
        # the null keyring takes everything and keeps nothing
        raise _unusable(_("it did not keep the password"), mend)
    return redact.one_line(str(keyring.get_keyring().name))[:LONGEST_NAME]


def delete_secret(service: str, account: str, mend: str, timeout: float = UNLOCK_TIMEOUT) -> bool:
    """Delete what is stored for `account`; False where there is nothing; TransportError."""
    import keyring
    from keyring.errors import PasswordDeleteError

    def delete() -> bool:
        try:
            keyring.delete_password(service, account)
        except PasswordDeleteError:
            return False
        return True

    return _ask(delete, mend, timeout)


def chat_address(name: str) -> Secret:
    """Return the address of the chat with this name; TransportError where it is not there."""
    address = read_secret(CHATS, name, _(CHATS_MEND))
    if not address:
        text = _("the keyring has no address of the chat {name}").format(name=name)
        raise configuration_error(text, "`gpuwatch-tray setup chat`")
    return Secret(address)


def _ask(call: Callable[[], T], mend: str, timeout: float) -> T:
    from keyring.errors import NoKeyringError

    # A call to a keyring cannot be cancelled.
    try:
        return call_with_timeout(timeout, call, "keyring")
    except TimeoutError:
        why = _("no answer within {seconds:g} s: is it locked?").format(seconds=timeout)
        raise _unusable(why, mend) from None
    except NoKeyringError:
        raise _unusable(_("none is available"), mend) from None
    except Exception as error:  # noqa: BLE001  # each keyring has errors of its own
        # The type only: the text may hold a secret.
        raise _unusable(type(error).__name__, mend) from None


def _unusable(why: str, mend: str) -> TransportError:
    return configuration_error(_("the keyring cannot be used: {why}").format(why=why), mend)
