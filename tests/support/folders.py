"""Folders that cost no disk."""

from __future__ import annotations

import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")


def memory_folder() -> Path:
    """Make an empty folder, in memory where there is one: a state is written with a sync each time."""
    return Path(tempfile.mkdtemp(prefix="gpuwatch-test-", dir=MEMORY if MEMORY.is_dir() else None))
