"""The run of all checks, and the checks of the program's own files and settings."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.doctor.line import CheckResult, problem
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

log = logging.getLogger(__name__)

CHECK_TIMEOUT = 8.0  # seconds, where a check has no other time


@dataclass(frozen=True, slots=True)
class Check:
    """
    One check of a topic.

    `hang` says what it means if `run` does not return within `timeout` seconds, `mend` what to do then.
    """

    topic: str
    run: Callable[[], Iterable[CheckResult]]
    timeout: float = CHECK_TIMEOUT
    hang: str = ""
    mend: str = ""


def examine(checks: Sequence[Check]) -> tuple[CheckResult, ...]:
    """
    Run the checks at the same time and return their results in order.

    A check that hangs is left behind on its daemon thread and becomes a problem; so does one that fails.
    """
    runs = [_CheckRun(check) for check in checks]
    began = time.monotonic()
    for run in runs:
        run.start()
    return tuple(
        result
        for run in runs
        for result in run.results(max(0.0, began + run.check.timeout - time.monotonic()))
    )


class _CheckRun(threading.Thread):
    """The thread of one check, which may never return."""

    def __init__(self, check: Check) -> None:
        super().__init__(name=f"doctor {check.topic}", daemon=True)
        self.check = check
        self._results: tuple[CheckResult, ...] | None = None

    def run(self) -> None:
        """Run the check."""
        try:
            self._results = tuple(self.check.run())
        except Exception as error:
            log.debug("the check of %s failed", self.check.topic, exc_info=True)
            what = f"{type(error).__name__}: {redact.text(str(error))}"
            text = _("this could not be looked at: {error}").format(error=what)
            self._results = (problem(self.check.topic, text, _("--verbose tells more")),)

    def results(self, seconds: float) -> tuple[CheckResult, ...]:
        """Return what the check has found within `seconds`."""
        self.join(seconds)
        if self._results is not None:
            return self._results
        text = self.check.hang or _("no answer")
        limit = _("within {seconds:g} s").format(seconds=self.check.timeout)
        return (problem(self.check.topic, f"{text} {limit}", self.check.mend),)
