"""Where the details page is put, and how: for this user's eyes only, and where the browser can read it."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.units import HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping

SNAPS = Path("/var/lib/snapd/desktop/applications")
ASKED_WITHIN = 3.0  # seconds
LEFT_BEHIND = HOUR  # seconds after which a page that is not whole was left by a program that was killed


def place(state: Path, name: str, environ: Mapping[str, str], snaps: Path = SNAPS) -> Path:
    """
    The page's file: in the state's folder, or in that of a browser from a snap.

    A snap sees no hidden folder of the home and no /tmp of ours, but its own ~/snap/NAME/common, which is as
    private. Source: snapcraft.io's `home` interface; Ubuntu's Firefox is one.
    """
    common = _of_snap(environ, snaps)
    folder = state / "page" if common is None else common / "gpuwatch-tray"
    return folder / f"{name}.html"


def _of_snap(environ: Mapping[str, str], snaps: Path) -> Path | None:
    if not snaps.is_dir():
        return None
    try:
        asked = subprocess.run(
            ["xdg-mime", "query", "default", "text/html"],
            capture_output=True,
            timeout=ASKED_WITHIN,
            check=False,
            env=dict(environ),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    entry = asked.stdout.decode(errors="replace").strip()
    if not entry or not (snaps / entry).is_file():
        return None
    common = Path(environ.get("HOME", "~")).expanduser() / "snap" / entry.partition("_")[0] / "common"
    return common if common.is_dir() else None


def make_private(folder: Path) -> None:
    """Make the folder, and keep others out of it. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.name == "posix":
        folder.chmod(0o700)


def write(file: Path, text: str) -> None:
    """Put `text` in the place of `file` at once, readable by this user only. Raises OSError."""
    _tidy(file)
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as out:  # noqa: PTH123
            out.write(text)
        part.replace(file)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _tidy(file: Path) -> None:
    """Remove what others left unfinished of it, so that nothing piles up."""
    name = re.compile(re.escape(f".{file.name}.") + "[0-9a-f]{8}")
    for part in file.parent.glob(".*"):
        with suppress(OSError):
            if name.fullmatch(part.name) and time.time() - part.stat().st_mtime > LEFT_BEHIND:
                part.unlink()
