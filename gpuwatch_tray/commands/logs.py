"""The log of what runs for months: a file that only its user can read."""

from __future__ import annotations

import logging
import os
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.commands.records import FORMAT, Redacted

if TYPE_CHECKING:
    from io import TextIOWrapper
    from pathlib import Path

    from gpuwatch_tray.context import RunContext

LARGEST, KEPT = 1_000_000, 2  # bytes of a file, and older files beside it


class PrivateFile(RotatingFileHandler):
    """A rotated log file that only its user can read; a full disk keeps it from nothing but being written."""

    def _open(self) -> TextIOWrapper[Any]:
        os.close(os.open(self.baseFilename, os.O_CREAT | os.O_WRONLY, 0o600))
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Nothing: what fails here would otherwise fill the terminal."""


def path_of(context: RunContext) -> Path:
    """Where the log of this set-up is."""
    folder = context.settings.log or context.settings.state / "log"
    return folder / f"gpuwatch-tray-{context.state_name}.log"


def keep(context: RunContext) -> None:
    """
    Write down what is done, from each alert to each process that is ended; a demo leaves nothing behind.

    Where the file cannot be written, a full disk included, what matters still goes to standard error.
    """
    if context.simulated:
        return
    ours = logging.getLogger("gpuwatch_tray")
    root = logging.getLogger()
    for handler in root.handlers:
        handler.setLevel(ours.level or logging.WARNING)  # the terminal stays as quiet as it was asked to be
    try:
        path_of(context).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = PrivateFile(
            path_of(context), maxBytes=LARGEST, backupCount=KEPT, encoding="utf-8", delay=False
        )
    except OSError as error:
        ours.warning("no log file: %s", error)
        return
    file.setFormatter(Redacted(FORMAT))
    ours.addHandler(file)
    logging.getLogger("asyncio").addHandler(file)  # what is raised on the bus's loop
    ours.setLevel(min(logging.INFO, ours.level or logging.INFO))
