"""The system calls that a program makes, told by strace."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@cache
def can_trace() -> bool:
    """Whether there is strace, and the system lets it look: a container may not."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], check=False).returncode == 0


def traced(words: Sequence[str], environment: Mapping[str, str], folder: Path) -> list[str]:
    """Run these words to their end; return the calls of all threads, such as `openat(AT_FDCWD, ...) = 3`."""
    log = folder / "system-calls"
    done = subprocess.run(
        ["strace", "-f", "-qq", "-s", "200", "-o", str(log), *words],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    # Each after the number of its thread; one that another thread has interrupted has a second line.
    calls = [re.sub(r"^\d+ +", "", line) for line in lines]
    return [call for call in calls if re.match(r"\w+\(", call)]
