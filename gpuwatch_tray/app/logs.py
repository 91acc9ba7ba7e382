"""Logging: the private log file of the tray and `watch`, redaction, and reports of unexpected errors."""

from __future__ import annotations

import logging
import os
import queue
import threading
import traceback
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gpuwatch_tray
from gpuwatch_tray.common import redact
from gpuwatch_tray.common.private import make_private, make_private_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import TextIOWrapper

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


MAX_LOG_BYTES, OLD_LOGS = 1_000_000, 2  # size of a log file, number of older files


class PrivateLogFile(RotatingFileHandler):
    """A rotated log file that only its user can read; a full disk loses lines and does nothing else."""

    def _open(self) -> TextIOWrapper[Any]:
        os.close(os.open(self.baseFilename, os.O_CREAT | os.O_WRONLY, 0o600))
        make_private(Path(self.baseFilename))
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Ignore the error, which would otherwise fill the terminal."""


def log_path(context: RunContext) -> Path:
    """Return the log's path."""
    folder = context.settings.log or context.settings.state / "log"
    return folder / f"gpuwatch-tray-{context.state_name}.log"


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
        file = PrivateLogFile(
            log_path(context), maxBytes=MAX_LOG_BYTES, backupCount=OLD_LOGS, encoding="utf-8", delay=False
        )
    except OSError as error:
        ours.warning("no log file: %s", error)
        return
    file.setFormatter(RedactingFormatter(LOG_FORMAT))
    ours.addHandler(file)
    logging.getLogger("asyncio").addHandler(file)  # errors on the bus's event loop
    ours.setLevel(min(logging.INFO, ours.level or logging.INFO))


log = logging.getLogger(__name__)

MOST_REPORTS = 16  # kinds of errors that are reported in a run
REPORT_WITHIN = 1.0  # seconds for the last reports at the end


class ErrorReporter(logging.Handler):
    """Calls `report` on its own thread with one line for each new kind of logged traceback."""

    def __init__(self, report: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._report = report
        self._seen: set[tuple[str, str]] = set()
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        # The thread that logs may hold a lock or run the bus's loop: it cannot show a popup.
        self._thread = threading.Thread(target=self._run, name="faults", daemon=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the error if its kind is new."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is None:
            return
        kind = type(error).__name__, _location(error)
        if kind in self._seen or len(self._seen) >= MOST_REPORTS:
            return
        self._seen.add(kind)
        what = redact.text(f"{kind[0]}: {error}") if str(error) else kind[0]
        self._queue.put(f"{what} ({kind[1]})" if kind[1] else what)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def end(self) -> None:
        """Report what is queued by now, and end the thread."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(REPORT_WITHIN)

    def _run(self) -> None:
        while (what := self._queue.get()) is not None:
            try:
                self._report(what)
            except Exception as error:  # noqa: BLE001  # a logged traceback would come back here
                log.error("an error could not be reported: %s", error)  # noqa: TRY400


@contextmanager
def report_errors(report: Callable[[str], None]) -> Iterator[ErrorReporter]:
    """Report every error during the block, and log what ends a thread."""
    reporter = ErrorReporter(report)
    root = logging.getLogger()
    root.addHandler(reporter)
    before, threading.excepthook = threading.excepthook, _log_thread_error
    reporter.start()
    try:
        yield reporter
    finally:
        threading.excepthook = before
        root.removeHandler(reporter)
        reporter.end()


def _log_thread_error(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or isinstance(args.exc_value, SystemExit):
        return
    name = args.thread.name if args.thread is not None else "?"
    exc_info = (args.exc_type, args.exc_value, args.exc_traceback)
    log.critical("the thread %s has ended with a fault", name, exc_info=exc_info)


def _location(error: BaseException) -> str:
    """Return the last line of this package in the traceback as file:line, or an empty string."""
    package = Path(gpuwatch_tray.__file__).parent
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(package):
            return f"{path.relative_to(package).as_posix()}:{frame.lineno}"
    return ""
