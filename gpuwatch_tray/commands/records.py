"""How a log record is written down: without secrets, its traceback included."""

from __future__ import annotations

import logging

from gpuwatch_tray import redact

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Redacted(logging.Formatter):
    """
    Whatever a record says, with everything that may be a secret replaced by `***`.

    Who logs redacts what they know to be a command line; an error of a library tells what it likes.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The lines of the record."""
        return "\n".join(redact.lines(super().format(record)))


def to_terminal(*, verbose: bool) -> None:
    """
    Log warnings to standard error, with `verbose` every decision.

    A record marked `in_file_only` is a line that the command prints itself.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(Redacted(FORMAT))
    if not verbose:
        handler.addFilter(lambda record: not getattr(record, "in_file_only", False))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    if verbose:  # ours alone: what libraries tell of mails and sign-ins is not ours
        logging.getLogger("gpuwatch_tray").setLevel(logging.DEBUG)
