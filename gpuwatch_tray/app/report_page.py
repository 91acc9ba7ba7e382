"""The report page's file, which the browser can read, and the child process that makes and opens it."""

from __future__ import annotations

import glob
import os
import secrets
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from gpuwatch_tray.common import host
from gpuwatch_tray.common.private import write_private
from gpuwatch_tray.desktop import launcher
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model.units import HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpuwatch_tray.app.context import RunContext


SNAP_ENTRIES = Path("/var/lib/snapd/desktop/applications")
XDG_MIME_TIMEOUT = 3.0  # seconds
UNFINISHED_AFTER = HOUR  # seconds after which a partial page belongs to a program that was killed


def page_file(state: Path, name: str, environ: Mapping[str, str], snaps: Path = SNAP_ENTRIES) -> Path:
    """
    Return the page's file: in the state's folder, or in that of a browser from a snap.

    A snap (such as Ubuntu's Firefox) reads no hidden folder of the home and not our /tmp, but its own
    ~/snap/NAME/common, which is as private. Source: snapcraft.io, interface `home`.
    """
    common = _snap_folder(environ, snaps)
    folder = state / "page" if common is None else common / "gpuwatch-tray"
    return folder / f"{name}.html"


def _snap_folder(environ: Mapping[str, str], snaps: Path) -> Path | None:
    if not snaps.is_dir():
        return None
    try:
        query = subprocess.run(
            ["xdg-mime", "query", "default", "text/html"],
            capture_output=True,
            timeout=XDG_MIME_TIMEOUT,
            check=False,
            env=dict(environ),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    entry = query.stdout.decode(errors="replace").strip()
    if not entry or not (snaps / entry).is_file():
        return None
    common = Path(environ.get("HOME", "~")).expanduser() / "snap" / entry.partition("_")[0] / "common"
    return common if common.is_dir() else None


def write_page(file: Path, text: str) -> None:
    """Replace `file` by `text` atomically, for this user only; write into a device. Raises OSError."""
    if file.exists() and not file.is_file() and not file.is_dir():
        # Without waiting for a fifo's reader: where there is none it is an error.
        device = os.open(file, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
        if sys.platform != "win32":
            os.set_blocking(device, True)
        with os.fdopen(device, "w", encoding="utf-8") as out:
            out.write(text)
        return
    file = file.resolve()  # a link stays one
    _remove_unfinished(file)
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        write_private(part, text)
        part.replace(file)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _remove_unfinished(file: Path) -> None:
    """Remove partial pages of killed programs."""
    for part in file.parent.glob(f".{glob.escape(file.name)}.{'[0-9a-f]' * 8}"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > UNFINISHED_AFTER:
                part.unlink()


CLICK_PAUSE = 1.0  # seconds after a page in which a click still means that page
PAGE_TIMEOUT = 60.0  # seconds for the child, which takes one or two


class ReportPageError(Exception):
    """The page could not be opened; the text says why in one line."""


class ReportPageOpener:
    """Runs `command`, which makes and opens the page; from any thread, one page at a time."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._lock = threading.Lock()
        self._ended = float("-inf")

    @classmethod
    def for_context(cls, context: RunContext) -> Self:
        """Make the opener of this run's page."""
        where = ["--demo"] if context.simulated else ["--source", context.source.value]
        return cls([*host.this_program(), "report", "--open", *where])

    def open_page(self) -> None:
        """Make and open the page, or do nothing while one is being made. Raises ReportPageError."""
        if not launcher.available():
            raise ReportPageError(_("no program here opens a page: install xdg-utils"))
        if time.monotonic() - self._ended < CLICK_PAUSE or not self._lock.acquire(blocking=False):
            return
        try:
            done = subprocess.run(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=PAGE_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ReportPageError(
                _("not finished within {seconds:g} s").format(seconds=PAGE_TIMEOUT)
            ) from error
        except OSError as error:
            raise ReportPageError(str(error)) from error
        finally:
            self._ended = time.monotonic()
            self._lock.release()
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise ReportPageError(lines[-1] if lines else _("exit code {code}").format(code=done.returncode))
