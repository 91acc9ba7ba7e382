"""What lasts: the memory of the whole chain from the driver to the state, over very many polls."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.driver


def test_thousands_of_polls_leave_the_memory_as_it_was(tmp_path):
    """
    Through alerts, mails, lost GPUs and errors again and again: within 2 MiB after the first fifth.

    Three thousand here; the bench makes ten thousand of it.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.steady", str(tmp_path), "3000"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=500,
        check=True,
    )
    early, late, transitions = map(int, done.stdout.split())
    assert transitions > 15  # there was something to remember
    assert late - early <= 2048
