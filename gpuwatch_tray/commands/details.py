"""The tray's way to the details page: a child process makes it and opens the browser."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import TYPE_CHECKING, Self

from gpuwatch_tray import machine, opening
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.context import RunContext

PAUSE = 1.0  # seconds after a page in which a click was meant for that one: it had to wait its turn
WITHIN = 60.0  # seconds for the child: it takes one or two, and longer on a disk that is busy


class DetailsError(Exception):
    """The page was not shown; one line that says why."""


class Details:
    """Shows the page that `command` makes and opens; called from any thread, one page at a time."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._lock = threading.Lock()
        self._ended = float("-inf")

    @classmethod
    def of(cls, context: RunContext) -> Self:
        """Those of this set-up."""
        where = ["--demo"] if context.simulated else ["--source", context.source.value]
        return cls([*machine.this_program(), "report", "--open", *where])

    def show(self) -> None:
        """Make the page and open it; raises DetailsError. A click while one is being made is that one's."""
        if not opening.available():
            raise DetailsError(_("no program here opens a page: install xdg-utils"))
        if time.monotonic() - self._ended < PAUSE or not self._lock.acquire(blocking=False):
            return
        try:
            done = subprocess.run(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=WITHIN,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DetailsError(_("not made within {seconds:g} s").format(seconds=WITHIN)) from error
        except OSError as error:
            raise DetailsError(str(error)) from error
        finally:
            self._ended = time.monotonic()
            self._lock.release()
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise DetailsError(lines[-1] if lines else _("exit code {code}").format(code=done.returncode))
