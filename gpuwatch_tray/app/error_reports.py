"""Reports of unexpected errors: each new kind that is logged is told once."""

from __future__ import annotations

import logging
import queue
import threading
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import gpuwatch_tray
from gpuwatch_tray.common import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
