"""Where popups go: several sinks, in the order of preference."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from msgspec.structs import replace

from gpuwatch_tray.common.redact import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.model import Popup
    from gpuwatch_tray.notify.desktop_popups import OnButton


log = logging.getLogger(__name__)


OnAnswer: TypeAlias = Callable[[bool], None]  # is told whether the popup was shown


def ignore_answer(_shown: bool) -> None:
    """Want no answer."""


class PopupSink(Protocol):
    """Where popups go; called from a worker thread and bounded in time (2 s)."""

    def show(self, popup: Popup, on_answer: OnAnswer = ignore_answer) -> bool:
        """
        Show it in place of the one with the same key; False when it could not be shown.

        Where True is returned, `on_answer` is called once: before the return, or, where the answer is late,
        from another thread; not at all if the popup is closed before, or the program ends.
        """

    def close(self, key: str) -> None:
        """Take the popup with this key off the screen, if it is there."""

    def close_all(self, prefix: str) -> None:
        """Take every popup whose key begins so off the screen, and show none of those that wait."""


class Popups:
    """
    Several sinks in the order of preference; that none works is logged once, until one does again.

    A sink whose popups can have buttons has `answer(on_button)`, and calls `on_button` with the popup's key
    and the button from a thread of its own. One whose popups would outlive the program has `end()`. What one
    could not show after all goes to the next.
    """

    def __init__(self, sinks: Sequence[PopupSink], on_button: OnButton | None = None) -> None:
        self._sinks = sinks
        self._logged = False
        for sink in sinks:
            if on_button is not None and hasattr(sink, "answer"):
                sink.answer(on_button)

    def show(self, popup: Popup, on_answer: OnAnswer = ignore_answer) -> bool:
        """Show it through the first sink that can, with nothing in its text that none of them could hold."""
        lines = [visible(line) for line in popup.body.splitlines()]
        popup = replace(popup, title=visible(popup.title), body="\n".join(lines))
        return self._show(popup, on_answer, self._sinks)

    def _show(self, popup: Popup, on_answer: OnAnswer, sinks: Sequence[PopupSink]) -> bool:
        for place, sink in enumerate(sinks, 1):

            def answered(shown: bool, others: Sequence[PopupSink] = sinks[place:]) -> None:
                if shown:
                    self._logged = False
                    on_answer(True)
                elif not self._show(popup, on_answer, others):
                    on_answer(False)

            if sink.show(popup, answered):
                return True
        if not self._logged:
            self._logged = True
            log.warning(
                "desktop popups are not available here: alerts are told by the icon and by email only"
            )
        return False

    def end(self) -> None:
        """Take all off the screen and show no more."""
        for sink in self._sinks:
            if hasattr(sink, "end"):
                sink.end()

    def close(self, key: str) -> None:
        """Take it off the screen, whichever sink showed it."""
        for sink in self._sinks:
            sink.close(key)

    def close_all(self, prefix: str) -> None:
        """Take all whose keys begin so off the screen, whichever sink showed them."""
        for sink in self._sinks:
            sink.close_all(prefix)
