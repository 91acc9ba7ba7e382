"""The format of log records, without secrets."""

from __future__ import annotations

import logging

from gpuwatch_tray import redact

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class RedactingFormatter(logging.Formatter):
    """
    A formatter that replaces whatever may be a secret by `***`, tracebacks included.

    Callers redact command lines themselves; the text of a library's error is redacted here.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Format the record and redact each line."""
        return "\n".join(redact.lines(super().format(record)))


def log_to_terminal(*, verbose: bool) -> None:
    """
    Log warnings to standard error, with `verbose` every decision.

    A record marked `in_file_only` is a line that the command prints itself.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter(LOG_FORMAT))
    if not verbose:
        handler.addFilter(lambda record: not getattr(record, "in_file_only", False))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    if verbose:  # not the libraries: they log mails and sign-ins
        logging.getLogger("gpuwatch_tray").setLevel(logging.DEBUG)
