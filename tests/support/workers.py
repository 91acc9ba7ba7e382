"""Real processes that carry the PIDs of the made-up driver's lists."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


WORK = "import sys; print('ready', flush=True); sys.stdin.read()"


@contextmanager
def workers(folder: Path, *commands: Sequence[str]) -> Iterator[list[subprocess.Popen[str]]]:
    """An idle `python SCRIPT ARGUMENTS...` in `folder` for each command; ended by their own ids."""
    started: list[subprocess.Popen[str]] = []
    try:
        for words in commands:
            (folder / words[0]).write_text(WORK)
            child = subprocess.Popen(
                ["python", *words],  # the name that people type, whatever stands behind it
                executable=sys.executable,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=folder,
            )
            started.append(child)
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        yield started
    finally:
        for child in started:
            child.kill()
            child.communicate(timeout=60)
