"""The thread on which clicks on popups are answered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

from gpuwatch_tray.model import Button
from gpuwatch_tray.within import QueueThread

log = logging.getLogger(__name__)

OnButton: TypeAlias = Callable[[str, Button], None]  # the popup's key, and what was clicked
ROOM = 16  # clicks that may wait: more than a person makes while one is being answered


class ClickQueue:
    """Calls `on_button` for one click after the other on its own thread: it may block, the bus may not."""

    def __init__(self, on_button: OnButton) -> None:
        self._on_button = on_button
        self._thread = QueueThread(self._answer, "popup-clicks", ROOM)

    def put(self, key: str, button: Button) -> None:
        """Have the click answered soon; never blocks."""
        if not self._thread.put((key, button)):
            log.warning("a click on %s is lost: the one before it is still being answered", button.value)

    def _answer(self, click: tuple[str, Button]) -> None:
        key, button = click
        log.info("popup %s: %s was clicked", key, button.value)
        try:
            self._on_button(key, button)
        except Exception:
            log.exception("what %s asked for could not be done", button.value)
