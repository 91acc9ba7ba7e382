"""The private log file of the tray and `watch`."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.app.logs import LOG_FORMAT, RedactingFormatter, log_path
from gpuwatch_tray.common.private import make_private, make_private_folder

if TYPE_CHECKING:
    from io import TextIOWrapper

    from gpuwatch_tray.app.context import RunContext


MAX_LOG_BYTES, OLD_LOGS = 1_000_000, 2  # size of a log file, number of older files


class PrivateLogFile(logging.FileHandler):
    """
    A log file that only its user can read, begun anew when it is full; a full disk loses lines, no more.

    The rotating one of `logging.handlers` takes half a megabyte, with the pickle that it loads, and redacts
    each line twice.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, into a new file where this one is full."""
        try:
            stream = self.stream
            if stream is not None and stream.tell() >= MAX_LOG_BYTES:
                self.stream = None  # opened below, whatever becomes of the old ones
                with suppress(OSError):
                    stream.close()
                    self._number_old_logs()
            super().emit(record)
        except OSError:
            self.handleError(record)

    def _number_old_logs(self) -> None:
        """Give each its place, the newest 1; the oldest goes."""
        names = [self.baseFilename, *(f"{self.baseFilename}.{number}" for number in range(1, OLD_LOGS + 1))]
        for newer, older in reversed([*pairwise(names)]):
            if Path(newer).exists():
                Path(newer).replace(older)

    def _open(self) -> TextIOWrapper[Any]:
        os.close(os.open(self.baseFilename, os.O_CREAT | os.O_WRONLY, 0o600))
        make_private(Path(self.baseFilename))
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Ignore the error, which would otherwise fill the terminal."""


def log_to_file(context: RunContext) -> None:
    """Log to a file from now on; not in a demo, which leaves nothing behind."""
    if context.simulated:
        return
    ours = logging.getLogger("gpuwatch_tray")
    root = logging.getLogger()
    for handler in root.handlers:
        handler.setLevel(ours.level or logging.WARNING)  # the terminal stays quiet without --verbose
    try:
        make_private_folder(log_path(context).parent)
        file = PrivateLogFile(log_path(context), encoding="utf-8")
    except OSError as error:
        ours.warning("no log file: %s", error)
        return
    file.setFormatter(RedactingFormatter(LOG_FORMAT))
    ours.addHandler(file)
    logging.getLogger("asyncio").addHandler(file)  # errors on the bus's event loop
    ours.setLevel(min(logging.INFO, ours.level or logging.INFO))
