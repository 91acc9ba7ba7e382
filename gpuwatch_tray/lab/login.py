"""The password or the token of LAB_AUTH: of the file LAB_PASS_FILE, else of the system's keyring."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gpuwatch_tray.common import host, redact
from gpuwatch_tray.common.threads import start_thread
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.lab.lab_error import LabError, LabFailure
from gpuwatch_tray.settings import LabLogin, Secret, SecretError, read_secret, read_secret_file
from gpuwatch_tray.sources.subprocess_runner import SubprocessRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.settings import LabSettings


KEYRING_SERVICE = "gpuwatch-tray lab"
KEYRING_MEND = N_(
    "unlock or install a keyring (such as GNOME Keyring or KWallet); without a desktop, use LAB_PASS_FILE in"
    " lab.env"
)
UNLOCK_SECONDS = 40.0  # for the keyring, which gives the person 30 to unlock it
_QUESTION_SECONDS = 4.0  # for it within one question to a server: a poll has 10 for all of them
_ASK_AGAIN = 1.0  # seconds after an answer of no use until the next: the other servers of a poll share it
_LEFT_ALONE = 600.0  # the same after one that cannot be used: a locked one asks the person each time
_MOST_BYTES = 2**16


def keyring_account(settings: LabSettings) -> str:
    """
    Return the name of the account in the keyring.

    With the first Prometheus in it: a password is never sent to a server that it was not stored for.
    """
    name = settings.user if settings.login is LabLogin.BASIC else "token"
    return f"{name}@{urlsplit(settings.prometheus[0]).netloc}"


def secret_place(settings: LabSettings) -> str:
    """Say where the password or the token is; empty where there is no login."""
    if settings.login is LabLogin.NONE:
        return ""
    if settings.password_file is not None:
        return f"LAB_PASS_FILE {settings.password_file}"
    return _("the keyring")


def tell_command(account: str) -> list[str]:
    """Return the command that prints what the keyring has for `account`, as `told_secret` takes it."""
    return [*host.this_program(), "lab", "password", "--tell", account]


def told_secret(secret: str | None, error: SecretError | None = None) -> str:
    """Return what that command prints."""
    trouble = {} if error is None else {"error": error.text, "mend": error.mend}
    return json.dumps({"secret": secret, **trouble})


class LabSecret:
    """
    Gives the password or the token, to any thread; close it.

    A file is read anew each time, so that a token that is renewed is taken over. The keyring's library is too
    heavy for a process that stays: a child asks (`command` of the account), and what it brings is kept until
    a server refuses it.
    """

    def __init__(self, settings: LabSettings, command: Callable[[str], Sequence[str]] = tell_command) -> None:
        self._settings = settings
        self._command = command
        self._runner = SubprocessRunner(UNLOCK_SECONDS, _MOST_BYTES)
        self._lock = threading.Lock()
        self._answer: Future[Secret] | None = None  # of the keyring
        self._ask_from = 0.0  # on the steady clock, where the answer is of no use
        self._refused = False

    def read(self, seconds: float = _QUESTION_SECONDS) -> Secret:
        """Return it within `seconds`; raises LabError."""
        file = self._settings.password_file
        if file is not None:
            try:
                return read_secret_file("LAB_PASS_FILE", file, read_secret)
            except SecretError as error:
                raise LabError(LabFailure.CONFIGURATION, error.text, error.mend) from None
        try:
            return self._of_keyring().result(seconds)
        except TimeoutError:
            text = _("the keyring has not given the password yet: is it locked?")
            raise LabError(LabFailure.CONFIGURATION, text, _(KEYRING_MEND)) from None

    def refused(self) -> None:
        """Note that a server did not take it: the keyring may have another by now."""
        self._refused = True

    def retry(self) -> None:
        """Ask a keyring that could not be used with the next question: a person wants to know now."""
        self._ask_from = 0.0

    def close(self) -> None:
        """End a child that still waits for the keyring."""
        self._runner.stop()

    def _of_keyring(self) -> Future[Secret]:
        """Return the answer, or the one on its way; ask where there is none, or none of use."""
        with self._lock:
            known = self._answer
            if known is not None:
                useless = known.done() and (self._refused or known.exception() is not None)
                if not useless or time.monotonic() < self._ask_from:
                    return known
            answer: Future[Secret] = Future()
            self._answer, self._refused = answer, False
            start_thread("lab keyring", self._ask, answer)
            return answer

    def _ask(self, answer: Future[Secret]) -> None:
        try:
            secret = self._told()
        except Exception as error:  # noqa: BLE001  # raised where it is waited for
            pause = _LEFT_ALONE if isinstance(error, _UnusableError) else _ASK_AGAIN
            self._ask_from = time.monotonic() + pause
            answer.set_exception(error)
        else:
            self._ask_from = time.monotonic() + _ASK_AGAIN
            answer.set_result(secret)

    def _told(self) -> Secret:
        account = keyring_account(self._settings)
        try:
            result = self._runner.run(self._command(account))
            told = json.loads(result.out)
            secret, error, mend = told["secret"], told.get("error"), told.get("mend", "")
        except (OSError, ValueError, KeyError, TypeError):
            text = _("the program that asks the keyring did not answer: was gpuwatch-tray replaced?")
            mend = _("restart gpuwatch-tray, or install it again")
            raise LabError(LabFailure.CONFIGURATION, text, mend) from None
        if error is not None:
            raise _UnusableError(LabFailure.CONFIGURATION, redact.text(str(error)), redact.text(str(mend)))
        if not secret:
            text = _("there is no password for {account}, neither in LAB_PASS_FILE nor in the keyring")
            mend = _("`gpuwatch-tray lab password` stores it; or set LAB_PASS_FILE in lab.env")
            raise LabError(LabFailure.CONFIGURATION, text.format(account=account), mend)
        return Secret(secret)


class _UnusableError(LabError):
    """There is no keyring, or it is locked."""
