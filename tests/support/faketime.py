"""A wall clock that tests set, for real processes: Debian's libfaketime."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@cache
def _library() -> str:
    answer = subprocess.run(
        ["faketime", "-m", "-f", "+0s", "env"], capture_output=True, text=True, check=True, timeout=60
    )
    (line,) = [line for line in answer.stdout.splitlines() if line.startswith("LD_PRELOAD=")]
    return line.partition("=")[2]


def shifted(shift: str) -> dict[str, str]:
    """The environment whose wall clock is ahead by `shift`, as "+61m"; the monotonic clock is not."""
    return {"LD_PRELOAD": _library(), "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def adjustable(file: Path) -> dict[str, str]:
    """The environment whose wall clock is ahead by what `file` says, also while it runs."""
    return {
        "LD_PRELOAD": _library(),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
