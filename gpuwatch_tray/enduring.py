"""A thread's work that begins again after an error."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds of back-off
STEADY = 300.0  # seconds of work after which an error counts as the first again


class StopSignal(Protocol):
    """The part of `threading.Event` that `run_forever` needs."""

    def wait(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds; return whether the thread shall end."""


def run_forever(name: str, work: Callable[[], None], stop: StopSignal) -> None:
    """
    Call `work` until it returns; after an error, log it, wait and call again, later from time to time.

    `work` itself has to return soon once `stop` is set.
    """
    pause = FIRST_PAUSE
    while True:
        began = time.monotonic()
        try:
            work()
        except Exception:
            if time.monotonic() - began >= STEADY:
                pause = FIRST_PAUSE
            log.exception("%s: failed; it begins again in %g s", name, pause)
        else:
            return
        if stop.wait(pause):
            return
        pause = min(2 * pause, LONGEST_PAUSE)
