"""Popups without a notification service: the tray icon's own, else plyer; not replaced, closed or clicked."""

from __future__ import annotations

import importlib
import logging
import sys
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.common.text import clip_utf16
from gpuwatch_tray.common.threads import start_thread
from gpuwatch_tray.notify.one_at_a_time import ANSWER_TIMEOUT, OneAtATime
from gpuwatch_tray.notify.sinks import ignore_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.model import Popup
    from gpuwatch_tray.notify.sinks import OnAnswer


log = logging.getLogger(__name__)

TITLE_LENGTH = 63  # UTF-16 units, as of NOTIFYICONDATA: Windows drops a longer title
BODY_LENGTH = 255  # likewise


class CallbackPopups:
    """Popups through a function of (title, body), such as the tray icon's own `notify`."""

    def __init__(self, notify: Callable[[str, str], None], name: str) -> None:
        self._notify = notify
        self._name = name
        self._is_busy = False
        self._one_at_a_time = OneAtATime(self._start, lambda _key: None)

    def show(self, popup: Popup, on_answer: OnAnswer = ignore_answer) -> bool:
        """Show a popup; False when the function fails, or hangs for good."""
        return self._one_at_a_time.show(popup, on_answer)

    def close(self, key: str) -> None:
        """Drop it if it still waits: only the system can close it."""
        self._one_at_a_time.close(key)

    def close_all(self, prefix: str) -> None:
        """Drop all that wait and whose keys begin so."""
        for key in self._one_at_a_time.unanswered_keys():
            if key.startswith(prefix):
                self.close(key)

    def _start(self, popup: Popup) -> Future[bool]:
        answer: Future[bool] = Future()
        if self._is_busy:
            answer.set_result(False)  # the last one was given up, and has not come back
            return answer
        # A title that begins with a dash would be an option to notify-send; an empty one crashes macOS.
        title = clip_utf16(popup.title.lstrip("- ") or "gpuwatch-tray", TITLE_LENGTH)
        body = clip_utf16(popup.body, BODY_LENGTH) or " "
        lock = threading.Lock()

        def finish(*, shown: bool) -> None:
            with lock:
                if not answer.done():
                    answer.set_result(shown)

        def attempt() -> None:
            try:
                self._notify(title, body)
            except Exception as error:  # noqa: BLE001  # these libraries raise any error of the system
                log.info("no popup through %s: %s: %s", self._name, type(error).__name__, error)
                shown = False
            else:
                shown = True
            limit.cancel()
            self._is_busy = False
            finish(shown=shown)

        limit = threading.Timer(ANSWER_TIMEOUT, finish, kwargs={"shown": False})
        limit.daemon = True
        limit.start()
        self._is_busy = True
        start_thread(f"popup-{self._name}", attempt)
        return answer


def plyer_popups(name: str = "gpuwatch-tray") -> CallbackPopups:
    """Return popups through plyer, which on Linux without dbus-python takes an unseen popup for shown."""

    def notify(title: str, body: str) -> None:
        if sys.platform == "linux":
            importlib.import_module("dbus")
        plyer: Any = importlib.import_module("plyer")
        plyer.notification.notify(title=title, message=body, app_name=name, timeout=10)

    return CallbackPopups(notify, "plyer")
