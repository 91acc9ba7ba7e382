"""Time limits on a machine that has other things to do."""

from __future__ import annotations

import os


def slowness() -> float:
    """How many times longer all may take: 1 on a quiet machine, more where several programs share a core."""
    return max(1.0, 1.5 * os.getloadavg()[0] / (os.cpu_count() or 1))
