"""The tray's way to the report page: a child process makes it and opens the browser."""

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

CLICK_PAUSE = 1.0  # seconds after a page in which a click still means that page
PAGE_TIMEOUT = 60.0  # seconds for the child, which takes one or two


class ReportPageError(Exception):
    """The page could not be opened; the text says why in one line."""


class ReportPageOpener:
    """Runs `command`, which makes and opens the page; from any thread, one page at a time."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._lock = threading.Lock()
        self._ended = float("-inf")

    @classmethod
    def for_context(cls, context: RunContext) -> Self:
        """Make the opener of this run's page."""
        where = ["--demo"] if context.simulated else ["--source", context.source.value]
        return cls([*machine.this_program(), "report", "--open", *where])

    def open_page(self) -> None:
        """Make and open the page, or do nothing while one is being made. Raises ReportPageError."""
        if not opening.available():
            raise ReportPageError(_("no program here opens a page: install xdg-utils"))
        if time.monotonic() - self._ended < CLICK_PAUSE or not self._lock.acquire(blocking=False):
            return
        try:
            done = subprocess.run(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=PAGE_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ReportPageError(_("not made within {seconds:g} s").format(seconds=PAGE_TIMEOUT)) from error
        except OSError as error:
            raise ReportPageError(str(error)) from error
        finally:
            self._ended = time.monotonic()
            self._lock.release()
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise ReportPageError(lines[-1] if lines else _("exit code {code}").format(code=done.returncode))
