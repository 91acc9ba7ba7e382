"""The button "Sign in again": `gpuwatch-tray mail login` in a child, and a popup with what came of it."""

from __future__ import annotations

import logging
import subprocess
import tempfile
import threading
from typing import IO, TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.machine import this_program
from gpuwatch_tray.model import Popup, Severity
from gpuwatch_tray.within import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.context import RunContext
    from gpuwatch_tray.notifiers import PopupSink

log = logging.getLogger(__name__)

KEY = "sign-in"
SIGNED_IN_WITHIN = 360.0  # seconds: the child itself gives up a minute earlier


class SignInAction:
    """
    One sign-in at a time. The child goes on when the tray ends: the person is in front of the browser.

    `done` is called from a thread of its own once the sign-in has been written.
    """

    def __init__(self, setup: RunContext, popups: PopupSink, done: Callable[[], None]) -> None:
        self._command: Sequence[str] = [*this_program(), "mail", "login", "--source", setup.source.value]
        self._popups = popups
        self._done = done
        self._free = threading.Lock()

    def begin(self) -> None:
        """Start the child, unless one waits for the person already, and say what to do."""
        begun = self._free.acquire(blocking=False)
        if begun:
            try:
                self._start()
            except OSError as error:
                self._free.release()
                self._tell(_("The sign-in could not be started"), str(error))
                return
        advice = _("Sign in in the browser. If none opens, run `gpuwatch-tray mail login` in a terminal.")
        self._tell(_("Waiting for your sign-in to Gmail"), advice, Severity.INFO)

    def _start(self) -> None:
        # A file, not a pipe: the child may outlive us. Its own session, so that our end leaves it alone.
        said = tempfile.TemporaryFile()  # noqa: SIM115  # closed by the thread that reads it
        try:
            child = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
            )
        except OSError:
            said.close()
            raise
        start_thread("sign-in", self._wait, child, said)

    def _wait(self, child: subprocess.Popen[bytes], said: IO[bytes]) -> None:
        try:
            with said:
                code = _ended(child)
                said.seek(0)
                lines = said.read().decode(errors="replace").split("\n")
        finally:
            self._free.release()
        if code == 0:
            log.info("signed in to Gmail")
            self._tell(_("Signed in to Gmail"), _("The mails that waited are being sent."), Severity.INFO)
            self._done()
            return
        # What it says on standard error; the address that it prints before is no reason.
        ours = [line.removeprefix("gpuwatch-tray: ") for line in lines if line.startswith("gpuwatch-tray: ")]
        why = "\n".join(ours) or _("it ended with exit code {code}").format(code=code)
        log.warning("not signed in to Gmail: %s", why)
        self._tell(_("Not signed in to Gmail"), why)

    def _tell(self, title: str, body: str, severity: Severity = Severity.WARNING) -> None:
        self._popups.show(Popup(KEY, title, body, severity))


def _ended(child: subprocess.Popen[bytes]) -> int:
    """The child's exit code, once it has ended or was ended."""
    try:
        return child.wait(SIGNED_IN_WITHIN)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()
