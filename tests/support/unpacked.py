"""Programs of Debian's packages that are unpacked into .build and not installed (tests/unpacked.txt)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / ".build" / "debian" / "root"


def unpacked(path: str) -> Path:
    """The file at `path` of the packages; without it the test is skipped, and fails in CI."""
    found = ROOT / path
    if not found.exists():
        lacking = f"{found.name} is not unpacked: `make test` does it where there is apt-get"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(lacking)
    return found
