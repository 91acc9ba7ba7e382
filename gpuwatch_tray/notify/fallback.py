"""Popups without a notification service: the tray icon's own, else plyer; not replaced, closed or clicked."""

from __future__ import annotations

import importlib
import logging
import sys
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.common.text import clip_utf16
from gpuwatch_tray.common.threads import start_thread

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from gpuwatch_tray.model import Popup


log = logging.getLogger(__name__)

TITLE_LENGTH = 63  # UTF-16 units, as of NOTIFYICONDATA: Windows drops a longer title
BODY_LENGTH = 255  # likewise
NOTIFY_TIMEOUT = 2.0  # seconds


class CallbackPopups:
    """Popups through a function of (title, body), such as the tray icon's own `notify`."""

    def __init__(self, notify: Callable[[str, str], None], name: str) -> None:
        self._notify = notify
        self._name = name
        self._busy: threading.Thread | None = None

    def show(self, popup: Popup) -> bool:
        """Show a popup; False when the function fails, hangs for 2 s, or still hangs from the last call."""
        if self._busy is not None and self._busy.is_alive():
            return False
        shown: list[bool] = []
        # A title that begins with a dash would be an option to notify-send; an empty one crashes macOS.
        title = clip_utf16(popup.title.lstrip("- ") or "gpuwatch-tray", TITLE_LENGTH)
        body = clip_utf16(popup.body, BODY_LENGTH) or " "

        def attempt() -> None:
            try:
                self._notify(title, body)
            except Exception as error:  # noqa: BLE001  # these libraries raise any error of the system
                log.info("no popup through %s: %s: %s", self._name, type(error).__name__, error)
            else:
                shown.append(True)

        self._busy = start_thread(f"popup-{self._name}", attempt)
        self._busy.join(NOTIFY_TIMEOUT)
        return bool(shown)

    def close(self, key: str) -> None:
        """Do nothing: only the system can close it."""


def plyer_popups(name: str = "gpuwatch-tray") -> CallbackPopups:
    """Return popups through plyer, which on Linux without dbus-python takes an unseen popup for shown."""

    def notify(title: str, body: str) -> None:
        if sys.platform == "linux":
            importlib.import_module("dbus")
        plyer: Any = importlib.import_module("plyer")
        plyer.notification.notify(title=title, message=body, app_name=name, timeout=10)

    return CallbackPopups(notify, "plyer")
