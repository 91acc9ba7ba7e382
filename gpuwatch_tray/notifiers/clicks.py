"""The thread on which clicks on popups are answered."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import TypeAlias

from gpuwatch_tray.model import Button

log = logging.getLogger(__name__)

OnButton: TypeAlias = Callable[[str, Button], None]  # the popup's key, and what was clicked
ROOM = 16  # clicks that may wait: more than a person makes while one is being answered


class ClickQueue:
    """
    Calls `on_button` for one click after the other on a thread of its own: it may block, the bus may not.

    The thread begins with the first click. It is a daemon: an answer that hangs must not keep the program
    from ending.
    """

    def __init__(self, on_button: OnButton) -> None:
        self._on_button = on_button
        self._waiting: queue.Queue[tuple[str, Button]] = queue.Queue(ROOM)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, key: str, button: Button) -> None:
        """Have the click answered soon; never blocks."""
        try:
            self._waiting.put_nowait((key, button))
        except queue.Full:
            log.warning("a click on %s is lost: the one before it is still being answered", button.value)
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="popup-clicks", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            key, button = self._waiting.get()
            log.info("popup %s: %s was clicked", key, button.value)
            try:
                self._on_button(key, button)
            except Exception:
                log.exception("what %s asked for could not be done", button.value)
