"""Debian's promtool, which checks what Prometheus is given."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.support.unpacked import unpacked

if TYPE_CHECKING:
    from pathlib import Path


def promtool(*words: str | Path, told: str = "") -> tuple[int, str]:
    """Run it with `told` as its input; return the exit code and all that it says."""
    done = subprocess.run(
        [unpacked("usr/bin/promtool"), *words],
        input=told,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout
