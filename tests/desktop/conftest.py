"""The programs that a desktop offers, played by scripts."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture
def tools(tmp_path):
    """Make a PATH with nothing but what a test puts there, beside the shell, cat and sleep."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("sh", "cat", "sleep"):
        (folder / name).symlink_to(shutil.which(name))
    return folder
