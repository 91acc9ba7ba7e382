"""Files opened with the desktop's program for them, which the tray neither waits for nor ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from gpuwatch_tray.common.threads import start_thread
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Mapping


Openers: TypeAlias = "Mapping[str, tuple[tuple[str, ...], ...]]"  # by system: programs with their options

TIMEOUT = 3.0  # seconds within which an opener reports a failure
FILE_OPENERS = {
    # Windows and macOS have no program for `.env`, but text editors.
    "win32": (("notepad.exe",),),
    "darwin": (("open", "-t"),),
}
UNIX_OPENERS = (("xdg-open",), ("gio", "open"))
BROWSERS = {
    "win32": (("rundll32.exe", "url.dll,FileProtocolHandler"),),
    "darwin": (("open",),),
}


class OpeningError(Exception):
    """The file was not opened; the text says why in one line."""


def available(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether there is a program that opens files here."""
    return bool(_find_opener(os.environ if environ is None else environ, FILE_OPENERS))


def open_file(path: str | Path, environ: Mapping[str, str] | None = None) -> None:
    """Open the text file at `path` for the user; raises OpeningError, within seconds."""
    _open(path, environ, FILE_OPENERS)


def open_page(path: str | Path, environ: Mapping[str, str] | None = None) -> None:
    """Open the HTML file at `path` in the browser; raises OpeningError, within seconds."""
    _open(path, environ, BROWSERS)


def _open(path: str | Path, environ: Mapping[str, str] | None, openers: Openers) -> None:
    environ = os.environ if environ is None else environ
    opener = _find_opener(environ, openers)
    file = Path(path).absolute()  # an absolute path is no option
    if not opener:
        raise OpeningError(_("no program here opens {file}: install xdg-utils").format(file=file))
    if not file.is_file():
        raise OpeningError(_("there is no file {file}").format(file=file))
    try:
        # A session of its own, so that it outlives the tray.
        running = subprocess.Popen(
            [*opener, str(file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(environ),
            start_new_session=True,
        )
    except OSError as error:
        raise OpeningError(f"{opener[0]}: {error.strerror or error}") from error
    try:
        code = running.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        # It is the editor itself, whose exit code must be collected one day.
        start_thread("opened", running.wait)
        return
    if code:
        raise OpeningError(
            _("{program} could not open {file} (exit code {code})").format(
                program=opener[0], file=file, code=code
            )
        )


def _find_opener(environ: Mapping[str, str], openers: Openers) -> list[str]:
    for program, *options in openers.get(sys.platform, UNIX_OPENERS):
        if found := shutil.which(program, path=environ.get("PATH")):
            return [found, *options]
    return []
