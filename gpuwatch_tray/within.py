"""Daemon threads: one for a call, one for a queue of items, and a call with a time limit."""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING, Generic, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

T = TypeVar("T")


def start_thread(name: str, run: Callable[..., object], *args: object) -> threading.Thread:
    """Start a daemon thread that calls `run`: one that hangs does not keep the program from ending."""
    thread = threading.Thread(target=run, args=args, name=name, daemon=True)
    thread.start()
    return thread


def call_with_timeout(seconds: float, call: Callable[[], T], name: str) -> T:
    """
    Return or raise what `call` does; raise TimeoutError where it has not ended after `seconds`.

    It runs on a thread called `name`. One that is left behind ends with the call or with the process.
    """
    answers: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((call(), None))
        except Exception as error:  # noqa: BLE001  # raised in the caller's thread
            answers.put((None, error))

    start_thread(name, run)
    try:
        answer, error = answers.get(timeout=max(seconds, 0.0))
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return cast("T", answer)  # no error, so an answer


class QueueThread(Generic[T]):
    """
    Calls `handle` for one item after the other on a daemon thread, which starts with the first.

    At most `room` items wait; 0 is no limit. An error of `handle` is logged, and the next item comes.
    """

    def __init__(self, handle: Callable[[T], None], name: str, room: int = 0) -> None:
        self._handle = handle
        self._name = name
        self._items: queue.Queue[tuple[T] | None] = queue.Queue()
        self._room = room
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, item: T) -> bool:
        """Have the item handled soon; False where too many wait. Never blocks."""
        with self._lock:
            if 0 < self._room <= self._items.qsize():
                return False
            self._items.put((item,))
            if self._thread is None:
                self._thread = start_thread(self._name, self._run)
        return True

    def stop(self, timeout: float = 0.0) -> bool:
        """End the thread after the items that wait; False where that takes longer than `timeout` seconds."""
        self._items.put(None)
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (entry := self._items.get()) is not None:
            try:
                self._handle(*entry)
            except Exception:
                log.exception("%s: an item could not be handled", self._name)
