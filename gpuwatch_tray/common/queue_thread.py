"""A thread that handles one item after the other."""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from gpuwatch_tray.common.threads import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable


log = logging.getLogger(__name__)

T = TypeVar("T")


class QueueThread(Generic[T]):
    """Calls `handle` for one item after the other on a daemon thread; at most `room` wait (0: no limit)."""

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
