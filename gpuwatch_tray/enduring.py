"""The life of a thread that has to outlive its own faults."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

FIRST, MOST = 1.0, 60.0  # seconds of back-off
STEADY = 300.0  # seconds of work after which a fault counts as the first again


class Stop(Protocol):
    """What is needed of threading.Event."""

    def wait(self, timeout: float) -> bool:
        """Wait, at most that long, for the word to end, and tell whether it came."""


def endure(name: str, work: Callable[[], None], stop: Stop) -> None:
    """
    Do `work` until it returns. What it raises is logged, and it begins again, later from time to time.

    `work` itself returns soon once `stop` is set.
    """
    pause = FIRST
    while True:
        began = time.monotonic()
        try:
            work()
        except Exception:
            if time.monotonic() - began >= STEADY:
                pause = FIRST
            log.exception("%s: failed; it begins again in %g s", name, pause)
        else:
            return
        if stop.wait(pause):
            return
        pause = min(2 * pause, MOST)
