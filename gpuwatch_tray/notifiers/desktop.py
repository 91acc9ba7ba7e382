"""
Popups of the Linux desktop: org.freedesktop.Notifications, over the session bus that the tray uses.

Desktop Notifications Specification 1.2. Each key has one notification, which a new text replaces; when the
notification daemon changes, its ids are worth nothing and are forgotten.
"""

from __future__ import annotations

import html
import logging
import threading
import time
from typing import TYPE_CHECKING

from dbus_fast import Variant  # noqa: TID251  # called through bus

from gpuwatch_tray import drawing
from gpuwatch_tray.bus import CallFailed, Peer, SessionBus, Signal
from gpuwatch_tray.model import Severity
from gpuwatch_tray.status import LEVELS

if TYPE_CHECKING:
    from gpuwatch_tray.model import Popup

log = logging.getLogger(__name__)

SERVER = Peer(
    "org.freedesktop.Notifications", "/org/freedesktop/Notifications", "org.freedesktop.Notifications"
)
PATIENCE = 2.0  # seconds for one popup, all calls together
URGENCY = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
SERVER_DECIDES = -1


class DesktopPopups:
    """One notification per popup key. Its methods are for worker threads, never for the bus's loop."""

    def __init__(self, bus: SessionBus, name: str = "gpuwatch-tray") -> None:
        self._bus = bus
        self._name = name
        self._turn = threading.Lock()  # one popup at a time
        self._lock = threading.Lock()  # guards what the loop's thread also changes
        self._owner = ""
        self._ids: dict[str, int] = {}
        self._abilities: frozenset[str] | None = None
        bus.watch_owner(SERVER.name, self._owner_changed)
        bus.subscribe(SERVER, "NotificationClosed", self._closed)

    def show(self, popup: Popup) -> bool:
        """Show it or replace the one with its key; False when no server answers within 2 s."""
        until = time.monotonic() + PATIENCE
        with self._turn:
            try:
                markup = "body-markup" in self._can(until)
                with self._lock:
                    before, owner = self._ids.get(popup.key, 0), self._owner
                body = html.escape(popup.body, quote=False) if markup else popup.body
                (given,) = self._bus.call(
                    SERVER,
                    "Notify",
                    "susssasa{sv}i",
                    [
                        self._name,
                        before,
                        drawing.path(LEVELS[popup.severity]).as_uri(),
                        popup.title,
                        body,
                        [],
                        self._hints(popup.severity),
                        SERVER_DECIDES,
                    ],
                    timeout=max(0.1, until - time.monotonic()),
                )
            except CallFailed as error:
                log.info("no popup: %s", error)
                return False
            with self._lock:
                # a server that was only just started by this call has no former owner to confuse it with
                if self._owner == owner or not owner:
                    self._ids[popup.key] = given
        return True

    def close(self, key: str) -> None:
        """Take it off the screen; a server that is gone has done so."""
        with self._turn:
            with self._lock:
                given = self._ids.pop(key, None)
            if given is None:
                return
            try:
                self._bus.call(SERVER, "CloseNotification", "u", [given], timeout=PATIENCE)
            except CallFailed as error:
                log.info("the popup may stay on the screen: %s", error)

    def _can(self, until: float) -> frozenset[str]:
        with self._lock:
            abilities = self._abilities
        if abilities is None:
            (names,) = self._bus.call(SERVER, "GetCapabilities", timeout=max(0.1, until - time.monotonic()))
            abilities = frozenset(names)
            with self._lock:
                self._abilities = abilities
        return abilities

    def _hints(self, severity: Severity) -> dict[str, Variant]:
        return {
            "urgency": Variant("y", URGENCY[severity]),
            "category": Variant("s", "device.error" if severity is Severity.CRITICAL else "device"),
            "desktop-entry": Variant("s", self._name),
        }

    def _owner_changed(self, owner: str) -> None:
        with self._lock:
            if owner != self._owner:
                self._owner = owner
                self._ids.clear()
                self._abilities = None

    def _closed(self, signal: Signal) -> None:
        """Forget the id of a popup that the user has put away: the server may give it to somebody else."""
        closed = signal.body[0]
        with self._lock:
            if signal.sender == self._owner:
                self._ids = {key: given for key, given in self._ids.items() if given != closed}
