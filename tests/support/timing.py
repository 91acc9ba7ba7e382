"""Waiting, and time limits on a machine that has other things to do."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 60.0  # seconds: only a failing test waits so long, but several at a time share a small machine

LOAD = Path("/proc/loadavg")


def slowness() -> float:
    """How many times longer all may take: 1 on a quiet machine, more where several programs share a core."""
    busy = os.getloadavg()[0]
    if LOAD.exists():  # what waits for a core at this moment: the average follows minutes later
        busy = max(busy, float(LOAD.read_text().split()[3].partition("/")[0]))
    return max(1.0, 1.5 * busy / (os.cpu_count() or 1))


def wait_until(fact: Callable[[], Any], what: str, timeout: float = PATIENCE, pause: float = 0.02) -> Any:
    """Return the first true answer of `fact`; an AssertionError that names `what` after `timeout` s."""
    until = time.monotonic() + timeout
    while True:
        answer = fact()
        if answer:
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(pause)
