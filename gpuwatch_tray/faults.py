"""
What nobody foresaw, told to the person: each kind of fault once a run, with where to read of it.

Every broad `except` of the house logs its traceback, and so does whatever ends a thread; from there it comes
here.
"""

from __future__ import annotations

import logging
import queue
import threading
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from gpuwatch_tray import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

MOST = 16  # kinds of faults that are told in a run
END = 1.0  # seconds that the teller may take at the end
Kind: TypeAlias = tuple[str, str]


class Faults(logging.Handler):
    """
    Hears every error with a traceback; calls `tell` with one line for each new kind, from its own thread.

    The kind is the error's type and the place of ours that it came through last.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._tell = tell
        self._seen: set[Kind] = set()
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        # Where it is logged a lock may be held, or the bus's loop stand still: no place to show a popup.
        self._thread = threading.Thread(target=self._run, name="faults", daemon=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of it."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is None:
            return
        kind = type(error).__name__, _place(error)
        if kind in self._seen or len(self._seen) >= MOST:
            return
        self._seen.add(kind)
        what = redact.text(f"{kind[0]}: {error}") if str(error) else kind[0]
        self._queue.put(f"{what} ({kind[1]})" if kind[1] else what)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def end(self) -> None:
        """Tell what is known by now, and no more."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(END)

    def _run(self) -> None:
        while (what := self._queue.get()) is not None:
            try:
                self._tell(what)
            except Exception as error:  # noqa: BLE001  # logging it with its traceback would come back here
                log.error("a fault could not be told: %s", error)  # noqa: TRY400


@contextmanager
def heard(tell: Callable[[str], None]) -> Iterator[Faults]:
    """Tell of every fault meanwhile, and log what ends a thread."""
    faults = Faults(tell)
    root = logging.getLogger()
    root.addHandler(faults)
    before, threading.excepthook = threading.excepthook, _ended
    faults.start()
    try:
        yield faults
    finally:
        threading.excepthook = before
        root.removeHandler(faults)
        faults.end()


def _ended(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or isinstance(args.exc_value, SystemExit):
        return
    name = args.thread.name if args.thread is not None else "?"
    found = (args.exc_type, args.exc_value, args.exc_traceback)
    log.critical("the thread %s has ended with a fault", name, exc_info=found)


def _place(error: BaseException) -> str:
    """The last line of ours that it came through: file:line, the file as it lies in the package."""
    ours = Path(__file__).parent
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(ours):
            return f"{path.relative_to(ours).as_posix()}:{frame.lineno}"
    return ""
