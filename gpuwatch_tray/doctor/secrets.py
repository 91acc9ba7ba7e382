"""The check of the files that hold secrets."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuwatch_tray.doctor.line import CheckResult, ok, problem, warning
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SECRETS_TOPIC = "secrets"
GROUP_AND_OTHERS = stat.S_IRWXG | stat.S_IRWXO
GIT_TIMEOUT = 3.0  # seconds


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file with a secret; the program refuses a `strict` one that others can read."""

    path: Path
    strict: bool = False


def check_secrets(files: Iterable[SecretFile]) -> Iterator[CheckResult]:
    """Check who can read each file, and that git does not track it; the contents are not read."""
    for file in files:
        try:
            mode = file.path.stat().st_mode
        except OSError:
            continue  # the check that needs the file says that it is missing
        wrong = [*_check_mode(file, mode), *_check_git(file.path)]
        yield from wrong or [ok(SECRETS_TOPIC, _("{file} is yours alone").format(file=file.path))]


def _check_mode(file: SecretFile, mode: int) -> Iterator[CheckResult]:
    if os.name != "posix" or not mode & GROUP_AND_OTHERS:
        return
    result = problem if file.strict else warning
    text = _("{file} can be read by others").format(file=file.path)
    yield result(SECRETS_TOPIC, text, f"chmod 600 {shlex.quote(str(file.path))}")


def _check_git(path: Path) -> Iterator[CheckResult]:
    """Find a file that git tracks: its secret stays in the history."""
    git = shutil.which("git")
    if git is None or not any((folder / ".git").exists() for folder in path.parents):
        return
    command = [git, "-C", str(path.parent), "ls-files", "--error-unmatch", "--", path.name]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=GIT_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    if done.returncode == 0:
        text = _("{file} is tracked by git").format(file=path)
        mend = _("`git rm --cached` takes it out; change the password, for the history keeps it")
        yield problem(SECRETS_TOPIC, text, mend)
