"""Where popups go: several sinks, in the order of preference."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from gpuwatch_tray.common.redact import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.model import Popup
    from gpuwatch_tray.notify.desktop_popups import OnButton


log = logging.getLogger(__name__)


class PopupSink(Protocol):
    """Where popups go; called from a worker thread and bounded in time (2 s)."""

    def show(self, popup: Popup) -> bool:
        """Show it in place of the one with the same key; False when it could not be shown."""

    def close(self, key: str) -> None:
        """Take the popup with this key off the screen, if it is there."""


class Popups:
    """
    Several sinks in the order of preference; that none works is logged once, until one does again.

    A sink whose popups can have buttons has `answer(on_button)`, and calls `on_button` with the popup's key
    and the button from a thread of its own. One whose popups would outlive the program has `end()`; one that
    may learn late that it could not show a popup calls its `on_lost` with the popup's key.
    """

    def __init__(self, sinks: Sequence[PopupSink], on_button: OnButton | None = None) -> None:
        self._sinks = sinks
        self._logged = False
        for sink in sinks:
            if on_button is not None and hasattr(sink, "answer"):
                sink.answer(on_button)

    def show(self, popup: Popup) -> bool:
        """Show it through the first sink that can, with nothing in its text that none of them could hold."""
        lines = [visible(line) for line in popup.body.splitlines()]
        popup = replace(popup, title=visible(popup.title), body="\n".join(lines))
        for sink in self._sinks:
            if sink.show(popup):
                self._logged = False
                return True
        if not self._logged:
            self._logged = True
            log.warning(
                "desktop popups are not available here: alerts are told by the icon and by email only"
            )
        return False

    def on_lost(self, handler: Callable[[str], None]) -> None:
        """Call `handler` with the key of each popup that could not be shown after all, from any thread."""
        for sink in self._sinks:
            if hasattr(sink, "on_lost"):
                sink.on_lost = handler

    def end(self) -> None:
        """Take all off the screen and show no more."""
        for sink in self._sinks:
            if hasattr(sink, "end"):
                sink.end()

    def close(self, key: str) -> None:
        """Take it off the screen, whichever sink showed it."""
        for sink in self._sinks:
            sink.close(key)
