"""Ways to tell: desktop popups here, email in its own room."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.model import Popup

log = logging.getLogger(__name__)


class PopupSink(Protocol):
    """Where popups go; called from a worker thread and bounded in time (2 s)."""

    def show(self, popup: Popup) -> bool:
        """Show it in place of the one with the same key; False when it could not be shown."""

    def close(self, key: str) -> None:
        """Take the popup with this key off the screen, if it is there."""


class Popups:
    """Several sinks in the order of preference; that none works is said once, until one does again."""

    def __init__(self, sinks: Sequence[PopupSink]) -> None:
        self._sinks = sinks
        self._said = False

    def show(self, popup: Popup) -> bool:
        """Show it through the first sink that can."""
        for sink in self._sinks:
            if sink.show(popup):
                self._said = False
                return True
        if not self._said:
            self._said = True
            log.warning(
                "desktop popups are not available here: alerts are told by the icon and by email only"
            )
        return False

    def close(self, key: str) -> None:
        """Take it off the screen, whichever sink showed it."""
        for sink in self._sinks:
            sink.close(key)
