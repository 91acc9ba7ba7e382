"""The files that hold secrets: who else can read them, and whether git keeps them for ever."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuwatch_tray.doctor.line import Line, ok, problem, warning
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

TOPIC = "secrets"
OTHERS = stat.S_IRWXG | stat.S_IRWXO
GIT_WITHIN = 3.0  # seconds


@dataclass(frozen=True, slots=True)
class SecretFile:
    """One such file; a `strict` one is refused where others can read it."""

    path: Path
    strict: bool = False


def look(files: Iterable[SecretFile]) -> Iterator[Line]:
    """A line for each that is there; nothing of what they hold is read."""
    for file in files:
        try:
            mode = file.path.stat().st_mode
        except OSError:
            continue  # that it is missing is said where it is needed
        found = [*_exposed(file, mode), *_tracked(file.path)]
        yield from found or [ok(TOPIC, _("{file} is yours alone").format(file=file.path))]


def _exposed(file: SecretFile, mode: int) -> Iterator[Line]:
    if os.name != "posix" or not mode & OTHERS:
        return
    tell = problem if file.strict else warning
    text = _("{file} can be read by others").format(file=file.path)
    yield tell(TOPIC, text, f"chmod 600 {shlex.quote(str(file.path))}")


def _tracked(path: Path) -> Iterator[Line]:
    """A file that was once committed stays readable in the history, wherever that is pushed to."""
    git = shutil.which("git")
    if git is None or not any((folder / ".git").exists() for folder in path.parents):
        return
    command = [git, "-C", str(path.parent), "ls-files", "--error-unmatch", "--", path.name]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=GIT_WITHIN, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    if done.returncode == 0:
        text = _("{file} is tracked by git").format(file=path)
        mend = _("`git rm --cached` takes it out; change the password, for the history keeps it")
        yield problem(TOPIC, text, mend)
