"""Logging: to the terminal, redacted; and where the log file is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gpuwatch_tray.common import redact

if TYPE_CHECKING:
    from pathlib import Path

    from gpuwatch_tray.app.context import RunContext


LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class RedactingFormatter(logging.Formatter):
    """A formatter that replaces whatever may be a secret by `***`, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """Format the record and redact each line."""
        return "\n".join(redact.lines(super().format(record)))


def log_to_terminal(*, verbose: bool) -> None:
    """Log warnings to standard error, with `verbose` all; `in_file_only` marks what is printed anyway."""
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter(LOG_FORMAT))
    if not verbose:
        handler.addFilter(lambda record: not getattr(record, "in_file_only", False))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    if verbose:  # not the libraries: they log mails and sign-ins
        logging.getLogger("gpuwatch_tray").setLevel(logging.DEBUG)


def log_path(context: RunContext) -> Path:
    """Return the log's path."""
    folder = context.settings.log or context.settings.state / "log"
    return folder / f"gpuwatch-tray-{context.state_name}.log"
