"""
Popups of the Linux desktop: org.freedesktop.Notifications, over the session bus that the tray uses.

Desktop Notifications Specification 1.2. Each key has one notification, which a new text replaces; when the
notification daemon changes, its ids are worth nothing and are forgotten. Where the daemon has buttons, a
click goes to `on_button` and ends the popup.
"""

from __future__ import annotations

import asyncio
import html
import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dbus_fast import Variant  # noqa: TID251  # called through bus

from gpuwatch_tray import drawing
from gpuwatch_tray.bus import DBusCallError, Peer, SessionBus, Signal
from gpuwatch_tray.model import Severity
from gpuwatch_tray.notifiers.buttons import actions
from gpuwatch_tray.notifiers.clicks import Clicks, OnButton
from gpuwatch_tray.notifiers.ledger import Click, Ledger
from gpuwatch_tray.status import LEVELS

if TYPE_CHECKING:
    from gpuwatch_tray.model import Popup

log = logging.getLogger(__name__)

SERVER = Peer(
    "org.freedesktop.Notifications", "/org/freedesktop/Notifications", "org.freedesktop.Notifications"
)
LAST = 0.3  # seconds for the last words
PATIENCE = 2.0  # seconds for one popup, all calls together
AT_LEAST = 0.1  # seconds for the last of them
URGENCY = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
SERVER_DECIDES = -1


@dataclass(frozen=True, slots=True)
class Server:
    """What the notification daemon with this unique name can, and what it calls itself, if it has buttons."""

    owner: str
    abilities: frozenset[str]
    name: str = ""


class DesktopPopups:
    """One notification per popup key. Its methods are for worker threads, never for the bus's loop."""

    def __init__(
        self, bus: SessionBus, name: str = "gpuwatch-tray", on_button: OnButton | None = None
    ) -> None:
        self._bus = bus
        self._name = name
        self._clicks = None if on_button is None else Clicks(on_button)
        self._turn = threading.Lock()  # one popup at a time
        self._ledger = Ledger()
        self._server: Server | None = None
        self._ended = False
        bus.follow_owner(SERVER.name, self._ledger.owner_changed)
        bus.subscribe(SERVER, "NotificationClosed", self._heard)
        bus.subscribe(SERVER, "ActionInvoked", self._heard)

    def answer(self, on_button: OnButton) -> None:
        """Show buttons from now on, and have a thread of their own call `on_button` for the clicks."""
        self._clicks = Clicks(on_button)

    def show(self, popup: Popup) -> bool:
        """Show it or replace the one with its key; False when no server answers within 2 s."""
        until = time.monotonic() + PATIENCE
        with self._turn:
            if self._ended:
                return False
            try:
                self._show(popup, until)
            except DBusCallError as error:
                log.info("no popup: %s", error)
                return False
        return True

    def close(self, key: str) -> None:
        """Take it off the screen; a server that is gone has done so."""
        with self._turn:
            number = self._ledger.forget(key)
            if number is not None:
                self._close(number, time.monotonic() + PATIENCE)

    def end(self) -> None:
        """Take all off the screen within `LAST` seconds, on the thread that ran the bus's loop until now."""
        self._ended = True
        numbers = self._ledger.forget_all()
        loop = self._bus.loop
        if not numbers or not self._bus.connected or loop.is_running():
            return

        async def close_all() -> None:
            closing = [loop.create_task(self._put_away(number, LAST)) for number in numbers]
            await asyncio.wait(closing, timeout=LAST)

        loop.run_until_complete(close_all())

    def _show(self, popup: Popup, until: float) -> None:
        server = self._ask_server(until)
        if self._clicks is None or "actions" not in server.abilities:
            popup = replace(popup, buttons=())
        if self._ledger.just_shown(popup):
            return
        former = self._ledger.of(popup.key)
        if former is not None and former.popup.buttons != popup.buttons:
            # A replaced popup keeps its first buttons on lxqt-notificationd.
            self._ledger.forget(popup.key)
            self._close(former.number, until)
            former = None
        owner = self._ledger.expect()
        try:
            given = self._notify(popup, 0 if former is None else former.number, server, until)
            click = self._ledger.note(popup, given, owner)
        finally:
            self._ledger.unexpect()
        self._clicked(click)

    def _notify(self, popup: Popup, before: int, server: Server, until: float) -> int:
        markup = "body-markup" in server.abilities
        hints = {
            "urgency": Variant("y", URGENCY[popup.severity]),
            "category": Variant("s", "device.error" if popup.severity is Severity.CRITICAL else "device"),
            "desktop-entry": Variant("s", self._name),
        }
        body = [
            self._name,
            before,
            drawing.path(LEVELS[popup.severity]).as_uri(),
            popup.title,
            html.escape(popup.body, quote=False) if markup else popup.body,
            actions(popup.buttons, server.name),
            hints,
            SERVER_DECIDES,
        ]
        (given,) = self._call("Notify", "susssasa{sv}i", body, until)
        return int(given)

    def _close(self, number: int, until: float) -> None:
        try:
            self._call("CloseNotification", "u", [number], until)
        except DBusCallError as error:
            log.info("the popup may stay on the screen: %s", error)

    def _call(self, member: str, signature: str, body: list[Any], until: float) -> list[Any]:
        left = max(AT_LEAST, until - time.monotonic())
        return self._bus.call(SERVER, member, signature, body, timeout=left)

    def _ask_server(self, until: float) -> Server:
        """What the present server is and can; asked once of each."""
        owner = self._ledger.owner
        if self._server is None or self._server.owner != owner:
            (abilities,) = self._call("GetCapabilities", "", [], until)
            name = self._server_name(until) if "actions" in abilities else ""
            self._server = Server(owner, frozenset(abilities), name)
        return self._server

    def _server_name(self, until: float) -> str:
        try:
            return str(self._call("GetServerInformation", "", [], until)[0])
        except DBusCallError as error:
            log.debug("a notification server without a name: %s", error)
            return ""

    # --- on the loop's thread -------------------------------------------------------------------------

    def _heard(self, signal: Signal) -> None:
        self._clicked(self._ledger.hear(signal))

    def _clicked(self, click: Click | None) -> None:
        """Hand the click on, and put away the popup, which dunst and others leave on the screen."""
        if click is None:
            return
        self._bus.post(lambda: self._bus.spawn(self._put_away(click.number)))
        if click.button is not None and self._clicks is not None:
            self._clicks.put(click.key, click.button)

    async def _put_away(self, number: int, timeout: float = PATIENCE) -> None:  # noqa: ASYNC109  # see bus.ask
        try:
            await self._bus.call_async(SERVER, "CloseNotification", "u", [number], timeout=timeout)
        except DBusCallError as error:
            log.debug("the server has put the popup away itself: %s", error)
