"""Popups through something that may answer late: one at a time, and a late answer counts as well."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.common.threads import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.model import Popup
    from gpuwatch_tray.notify.sinks import OnAnswer


log = logging.getLogger(__name__)

POPUP_TIMEOUT = 2.0  # seconds for which whoever shows one waits
ANSWER_TIMEOUT = 25.0  # seconds until no answer is expected any more, as is usual on the bus


class _Asked(Struct, frozen=True):
    """A popup, and everybody who wants to know whether it was shown: of those it replaces as well."""

    popup: Popup
    askers: tuple[OnAnswer, ...]

    def answer(self, *, shown: bool) -> None:
        for asker in self.askers:
            asker(shown)


class OneAtATime:
    """
    Hands popups to `start`, whose answer says whether one was shown, and which ends within ANSWER_TIMEOUT.

    Until then nothing more is handed over: of what comes meanwhile the last popup of each key follows.
    `close` takes one that was answered off the screen.
    """

    def __init__(self, start: Callable[[Popup], Future[bool]], close: Callable[[str], None]) -> None:
        self._start = start
        self._close = close
        self._lock = threading.Lock()
        self._late: tuple[_Asked, Future[bool]] | None = None  # that is still unanswered
        self._waiting: dict[str, _Asked] = {}  # by key, those that came meanwhile
        self._unwanted: set[str] = set()  # closed before they were answered
        self._ended = False

    def show(self, popup: Popup, on_answer: OnAnswer) -> bool:
        """Show a popup, as `PopupSink.show` says; one that is not answered within 2 s counts as shown."""
        return self._show(_Asked(popup, (on_answer,)))

    def close(self, key: str) -> None:
        """Close the popup; one that waits is dropped."""
        with self._lock:
            self._waiting.pop(key, None)
            if self._late is not None and self._late[0].popup.key == key:
                self._unwanted.add(key)
            else:
                self._close(key)

    def unanswered_keys(self) -> tuple[str, ...]:
        """Return the keys of the popups that are not answered yet, or wait."""
        with self._lock:
            late = () if self._late is None else (self._late[0].popup.key,)
            return (*late, *self._waiting)

    def end(self) -> None:
        """Show no more, and answer nobody any more."""
        self._ended = True

    def _show(self, asked: _Asked) -> bool:
        key = asked.popup.key
        with self._lock:
            if self._ended:
                return False
            self._unwanted.discard(key)
            if self._late is not None:
                former = self._waiting.get(key)
                askers = () if former is None else former.askers
                self._waiting[key] = _Asked(asked.popup, (*askers, *asked.askers))
                return True
            answer = self._start(asked.popup)
            shown: bool | None = None
            try:
                shown = answer.result(POPUP_TIMEOUT)
            except CancelledError:
                return False
            except FutureTimeoutError:
                log.info("popup %s: not answered yet", key)
                self._late = asked, answer
        if shown is None:
            answer.add_done_callback(lambda _: start_thread("popup-late", self._answered_late))
            return True
        if shown:
            asked.answer(shown=True)
        return shown

    def _answered_late(self) -> None:
        """Tell what became of the late popup, and show what has waited for its answer."""
        with self._lock:
            if self._late is None:
                return
            (asked, answer), self._late = self._late, None
            waiting, self._waiting = self._waiting, {}
            unwanted, self._unwanted = self._unwanted, set()
        if self._ended:
            return
        for key in unwanted:
            self.close(key)
        key = asked.popup.key
        shown = not answer.cancelled() and answer.result()
        if not shown and key in waiting:  # the one in its place tells for both
            waiting[key] = _Asked(waiting[key].popup, (*asked.askers, *waiting[key].askers))
        elif key not in unwanted:
            asked.answer(shown=shown)
        for other in waiting.values():
            if not self._show(other):
                other.answer(shown=False)
