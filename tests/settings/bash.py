"""The real Bash, asked what it makes of files that hold nothing but data."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from gpuwatch_tray.settings.shell import Namespace

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from gpuwatch_tray.settings.shell import Script


BASH = shutil.which("bash") or "bash"
ENVIRONMENT = {
    "HOME": "/home/tester",
    "E": "from  the: environment",
    "PATH": "/nonexistent",
    "LC_ALL": "C.UTF-8",
}
_SOURCE_EACH = r"""
set -a -r
for file; do (
    . "$file" || exit 3
    for name in $NAMES; do
        if [[ -v $name ]]; then printf '%s=%s\0' "$name" "${!name}"; fi
    done
    printf '\0'
) || exit; done
"""


def sourced(texts: Sequence[str], names: Iterable[str], folder: Path) -> list[dict[str, str]]:
    """
    Return what each text, sourced by itself, makes of the variables `names`; one Bash for all texts.

    The caller vouches that they are data. Should one not be, there is no command for it to find: PATH leads
    nowhere, and a restricted shell neither redirects nor leaves its folder.
    """
    files = [f"{number}.env" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        (folder / file).write_bytes(os.fsencode(text))
    done = _bash(["-c", _SOURCE_EACH, "bash", *files], folder, NAMES=" ".join(names))
    assert (done.returncode, done.stderr) == (0, b""), (done.stderr, texts)
    result: list[dict[str, str]] = [{}]
    for record in os.fsdecode(done.stdout).split("\0")[:-1]:
        if record:
            name, _, value = record.partition("=")
            result[-1][name] = value
        else:
            result.append({})
    return result[:-1]


def complaint(text: str, folder: Path) -> str:
    """Return what `bash -n`, which executes nothing, has against the text; '' if nothing."""
    file = folder / "syntax.env"
    file.write_bytes(os.fsencode(text))
    return os.fsdecode(_bash(["-n", file.name], folder).stderr)


def _bash(arguments: Sequence[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [BASH, "--norc", "--noprofile", *arguments],
        cwd=folder,
        env=ENVIRONMENT | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )


def ours(script: Script) -> dict[str, str]:
    """Return what our reader makes of the variables, which has to be without an error."""
    values, errors, _ = Namespace(ENVIRONMENT, ENVIRONMENT["HOME"]).source(script)
    assert not script.errors
    assert not errors
    return {value.name: value.text for value in values}
