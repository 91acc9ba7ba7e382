"""All checks at once, each within its time."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.doctor.line import Line, problem
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

log = logging.getLogger(__name__)

WITHIN = 8.0  # seconds for a check that says nothing else


@dataclass(frozen=True, slots=True)
class Check:
    """
    One check: what it is about, and who looks.

    `hang` says what it means when the look does not come back within `within` seconds, `mend` what to do.
    """

    topic: str
    look: Callable[[], Iterable[Line]]
    within: float = WITHIN
    hang: str = ""
    mend: str = ""


def examine(checks: Sequence[Check]) -> tuple[Line, ...]:
    """
    What the checks find, in their order.

    They look at the same time. One that hangs is left behind on its daemon thread and becomes a problem, and
    so does one that fails.
    """
    looks = [_Look(check) for check in checks]
    began = time.monotonic()
    for look in looks:
        look.start()
    return tuple(
        line for look in looks for line in look.lines(max(0.0, began + look.check.within - time.monotonic()))
    )


class _Look(threading.Thread):
    """One check under way."""

    def __init__(self, check: Check) -> None:
        super().__init__(name=f"doctor {check.topic}", daemon=True)
        self.check = check
        self._found: tuple[Line, ...] | None = None

    def run(self) -> None:
        """On a thread of its own: what it asks may never answer."""
        try:
            self._found = tuple(self.check.look())
        except Exception as error:
            log.debug("the check of %s failed", self.check.topic, exc_info=True)
            what = f"{type(error).__name__}: {redact.text(str(error))}"
            text = _("this could not be looked at: {error}").format(error=what)
            self._found = (problem(self.check.topic, text, _("--verbose tells more")),)

    def lines(self, seconds: float) -> tuple[Line, ...]:
        """What it has found within `seconds`."""
        self.join(seconds)
        if self._found is not None:
            return self._found
        text = self.check.hang or _("no answer")
        limit = _("within {seconds:g} s").format(seconds=self.check.within)
        return (problem(self.check.topic, f"{text} {limit}", self.check.mend),)
