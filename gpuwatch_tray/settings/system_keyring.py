"""
The system's keyring: where passwords, tokens and the addresses of chats can be kept in place of a file.

Its one importer: the library costs half a second and 24 MiB, so it is loaded where the keyring is asked, and
in no process that stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from gpuwatch_tray.common import redact
from gpuwatch_tray.common.threads import call_with_timeout
from gpuwatch_tray.i18n import _
from gpuwatch_tray.settings.secret_file import SecretError

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")

UNLOCK_TIMEOUT = 30.0  # seconds for the person to unlock the keyring, which asks on the screen
LONGEST_NAME = 80  # characters of a keyring's own name


class KeyringEntry(Struct, frozen=True):
    """
    One secret of the keyring, by the names that the keyring has for it.

    `mend` says what to do where there is no keyring that can be used; each method then raises SecretError.
    """

    service: str
    account: str
    mend: str

    def read(self, timeout: float = UNLOCK_TIMEOUT) -> str | None:
        """Return what is stored; None where there is nothing."""
        import keyring

        return self._ask(lambda: keyring.get_password(self.service, self.account), timeout)

    def store(self, secret: str, timeout: float = UNLOCK_TIMEOUT) -> str:
        """Store `secret`, and return the keyring's name."""
        import keyring

        self._ask(lambda: keyring.set_password(self.service, self.account, secret), timeout)
        if self.read(timeout) != secret:
            # the null keyring takes everything and keeps nothing
            raise self._unusable(_("it did not keep the password"))
        return redact.one_line(str(keyring.get_keyring().name))[:LONGEST_NAME]

    def delete(self, timeout: float = UNLOCK_TIMEOUT) -> bool:
        """Delete what is stored; False where there is nothing."""
        import keyring
        from keyring.errors import PasswordDeleteError

        def delete() -> bool:
            try:
                keyring.delete_password(self.service, self.account)
            except PasswordDeleteError:
                return False
            return True

        return self._ask(delete, timeout)

    def _ask(self, call: Callable[[], T], timeout: float) -> T:
        from keyring.errors import NoKeyringError

        # A call to a keyring cannot be cancelled.
        try:
            return call_with_timeout(timeout, call, "keyring")
        except TimeoutError:
            why = _("no answer within {seconds:g} s: is it locked?").format(seconds=timeout)
            raise self._unusable(why) from None
        except NoKeyringError:
            raise self._unusable(_("none is available")) from None
        except Exception as error:  # noqa: BLE001  # each keyring has errors of its own
            # The type only: the text may hold a secret.
            raise self._unusable(type(error).__name__) from None

    def _unusable(self, why: str) -> SecretError:
        return SecretError(_("the keyring cannot be used: {why}").format(why=why), self.mend)
