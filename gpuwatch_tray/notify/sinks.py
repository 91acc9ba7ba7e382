"""Ways to tell: desktop popups here, email in its own room."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from gpuwatch_tray.common.redact import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.model import Popup
    from gpuwatch_tray.notify.desktop import OnButton


log = logging.getLogger(__name__)


class PopupSink(Protocol):
    """Where popups go; called from a worker thread and bounded in time (2 s)."""

    def show(self, popup: Popup) -> bool:
        """Show it in place of the one with the same key; False when it could not be shown."""

    def close(self, key: str) -> None:
        """Take the popup with this key off the screen, if it is there."""


@runtime_checkable
class ClickableSink(PopupSink, Protocol):
    """A sink whose popups can have buttons."""

    def answer(self, on_button: OnButton) -> None:
        """Show them from now on, and have a thread of the sink's own call `on_button(key, button)`."""


@runtime_checkable
class LastingSink(PopupSink, Protocol):
    """A sink whose popups stay on the screen after us, if nobody takes them off."""

    def end(self) -> None:
        """Take all off and show no more; the bus's loop stands still by now."""


@runtime_checkable
class LateSink(PopupSink, Protocol):
    """A sink that may learn only late that it could not show a popup, and calls `on_lost` with its key."""

    on_lost: Callable[[str], None] | None


class Popups:
    """
    Several sinks in the order of preference; that none works is said once, until one does again.

    `on_button` is called with the popup's key and the button that was clicked, from a thread of its own.
    """

    def __init__(self, sinks: Sequence[PopupSink], on_button: OnButton | None = None) -> None:
        self._sinks = sinks
        self._said = False
        if on_button is not None:
            for sink in sinks:
                if isinstance(sink, ClickableSink):
                    sink.answer(on_button)

    def show(self, popup: Popup) -> bool:
        """Show it through the first sink that can, with nothing in its text that none of them could hold."""
        lines = [visible(line) for line in popup.body.splitlines()]
        popup = replace(popup, title=visible(popup.title), body="\n".join(lines))
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

    def on_lost(self, handler: Callable[[str], None]) -> None:
        """Call `handler` with the key of each popup that could not be shown after all, from any thread."""
        for sink in self._sinks:
            if isinstance(sink, LateSink):
                sink.on_lost = handler

    def end(self) -> None:
        """Take all off the screen and show no more."""
        for sink in self._sinks:
            if isinstance(sink, LastingSink):
                sink.end()

    def close(self, key: str) -> None:
        """Take it off the screen, whichever sink showed it."""
        for sink in self._sinks:
            sink.close(key)
