"""What runs: our version, Python's, the system."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray import __version__
from gpuwatch_tray.doctor.line import ok

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuwatch_tray.doctor.line import Line


def look() -> Iterator[Line]:
    """One line, for whoever reads a report."""
    python = f"Python {platform.python_version()} ({Path(sys.executable)})"
    yield ok("program", f"gpuwatch-tray {__version__}, {python}, {platform.platform(terse=True)}")
