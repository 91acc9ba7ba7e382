"""The versions of the program."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray import __version__
from gpuwatch_tray.doctor.line import ok

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuwatch_tray.doctor.line import CheckResult


def check_program() -> Iterator[CheckResult]:
    """Find the versions of the program, Python and the system."""
    python = f"Python {platform.python_version()} ({Path(sys.executable)})"
    yield ok("program", f"gpuwatch-tray {__version__}, {python}, {platform.platform(terse=True)}")
