"""
Popups of the Linux desktop by org.freedesktop.Notifications (specification 1.2) on the session bus.

Each key has one notification, which a new text replaces; a click on a button is answered and closes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeAlias

from dbus_fast import Variant
from msgspec import Struct
from msgspec.structs import replace

from gpuwatch_tray import drawing
from gpuwatch_tray.common.queue_thread import QueueThread
from gpuwatch_tray.common.text import escape_markup
from gpuwatch_tray.desktop.dbus import DBusCallError, Peer, SessionBus, Signal
from gpuwatch_tray.model import LEVELS, Button, Severity
from gpuwatch_tray.notify.notification_registry import Click, NotificationRegistry, actions
from gpuwatch_tray.notify.one_at_a_time import ANSWER_TIMEOUT, POPUP_TIMEOUT, OneAtATime
from gpuwatch_tray.notify.sinks import ignore_answer

if TYPE_CHECKING:
    from gpuwatch_tray.model import Popup
    from gpuwatch_tray.notify.sinks import OnAnswer


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


NOTIFICATIONS = Peer(
    "org.freedesktop.Notifications", "/org/freedesktop/Notifications", "org.freedesktop.Notifications"
)
END_TIMEOUT = 0.3  # seconds to close all popups at the end
URGENCY = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
SERVER_DECIDES = -1


class NotificationServer(Struct, frozen=True):
    """The capabilities of the notification server with this unique name; its `name` where it has buttons."""

    owner: str
    capabilities: frozenset[str]
    name: str = ""


class DesktopPopups:
    """
    One notification per popup key; call its methods from worker threads, never from the bus's loop.

    A loaded machine's server may answer after many seconds: see `OneAtATime`.
    """

    def __init__(
        self, bus: SessionBus, name: str = "gpuwatch-tray", on_button: OnButton | None = None
    ) -> None:
        self._bus = bus
        self._name = name
        self._clicks = None if on_button is None else ClickQueue(on_button)
        self._one_at_a_time = OneAtATime(self._start, self._close)
        self._registry = NotificationRegistry()
        self._server: NotificationServer | None = None
        bus.follow_owner(NOTIFICATIONS.name, self._registry.owner_changed)
        bus.subscribe(NOTIFICATIONS, "NotificationClosed", self._on_signal)
        bus.subscribe(NOTIFICATIONS, "ActionInvoked", self._on_signal)

    def answer(self, on_button: OnButton) -> None:
        """Show buttons from now on; a thread of the sink's own calls `on_button` for each click."""
        self._clicks = ClickQueue(on_button)

    def show(self, popup: Popup, on_answer: OnAnswer = ignore_answer) -> bool:
        """Show a popup in place of the one with its key; False when no server takes it."""
        return self._one_at_a_time.show(popup, on_answer)

    def close(self, key: str) -> None:
        """Close the popup; a server that has ended has closed it already."""
        self._one_at_a_time.close(key)

    def close_all(self, prefix: str) -> None:
        """Close every popup whose key begins so; one that waits to be shown is dropped."""
        for key in {*self._one_at_a_time.unanswered_keys(), *self._registry.shown_keys()}:
            if key.startswith(prefix):
                self.close(key)

    def _start(self, popup: Popup) -> Future[bool]:
        try:
            return self._bus.start(self._show(popup))
        except DBusCallError as error:
            log.info("no popup: %s", error)
            failed: Future[bool] = Future()
            failed.set_result(False)  # it was not shown
            return failed

    def _close(self, key: str) -> None:
        number = self._registry.withdraw(key)
        if number is not None:
            try:
                self._bus.call(NOTIFICATIONS, "CloseNotification", "u", [number], timeout=POPUP_TIMEOUT)
            except DBusCallError as error:
                log.info("the popup may stay on the screen: %s", error)

    def end(self) -> None:
        """Close all popups within END_TIMEOUT, on the thread that ran the bus's loop until now."""
        self._one_at_a_time.end()
        numbers = self._registry.forget_all()
        loop = self._bus.loop
        if not numbers or not self._bus.connected or loop.is_running():
            return

        async def close_all() -> None:
            closing = [loop.create_task(self._close_from_loop(number, END_TIMEOUT)) for number in numbers]
            await asyncio.wait(closing, timeout=END_TIMEOUT)

        loop.run_until_complete(close_all())

    # --- on the loop's thread -------------------------------------------------------------------------

    async def _show(self, popup: Popup) -> bool:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await self._show_now(popup)
        except DBusCallError as error:
            log.info("no popup: %s", error)
            return False
        except TimeoutError:
            log.info("no popup: no answer within %g s", ANSWER_TIMEOUT)
            return False
        return True

    async def _show_now(self, popup: Popup) -> None:
        server = await self._current_server()
        if self._clicks is None or "actions" not in server.capabilities:
            popup = replace(popup, buttons=())
        if self._registry.just_shown(popup):
            return
        former = self._registry.find(popup.key)
        if former is not None and former.popup.buttons != popup.buttons:
            # On lxqt-notificationd a replaced popup keeps its first buttons.
            self._registry.forget(popup.key)
            await self._close_from_loop(former.number)
            former = None
        owner = self._registry.begin_showing()
        try:
            given = await self._notify(popup, 0 if former is None else former.number, server)
            click = self._registry.record(popup, given, owner)
        finally:
            self._registry.end_showing()
        self._forward(click)

    async def _notify(self, popup: Popup, replaced: int, server: NotificationServer) -> int:
        markup = "body-markup" in server.capabilities
        hints = {
            "urgency": Variant("y", URGENCY[popup.severity]),
            "category": Variant("s", "device.error" if popup.severity is Severity.CRITICAL else "device"),
            "desktop-entry": Variant("s", self._name),
        }
        body = [
            self._name,
            replaced,
            drawing.icon_path(LEVELS[popup.severity]).as_uri(),
            popup.title,
            escape_markup(popup.body) if markup else popup.body,
            actions(popup.buttons, server.name),
            hints,
            SERVER_DECIDES,
        ]
        (given,) = await self._call("Notify", "susssasa{sv}i", body)
        return int(given)

    async def _call(self, member: str, signature: str, body: list[Any]) -> list[Any]:
        return await self._bus.call_async(NOTIFICATIONS, member, signature, body, timeout=ANSWER_TIMEOUT)

    async def _current_server(self) -> NotificationServer:
        """Return the current server, asked once for its capabilities."""
        owner = self._registry.owner
        if self._server is None or self._server.owner != owner:
            (capabilities,) = await self._call("GetCapabilities", "", [])
            name = await self._server_name() if "actions" in capabilities else ""
            self._server = NotificationServer(owner, frozenset(capabilities), name)
        return self._server

    async def _server_name(self) -> str:
        try:
            return str((await self._call("GetServerInformation", "", []))[0])
        except DBusCallError as error:
            log.debug("a notification server without a name: %s", error)
            return ""

    def _on_signal(self, signal: Signal) -> None:
        self._forward(self._registry.observe(signal))

    def _forward(self, click: Click | None) -> None:
        """Pass the click on, and close the popup, which dunst and others leave on the screen."""
        if click is None:
            return
        self._bus.post(lambda: self._bus.spawn(self._close_from_loop(click.number)))
        if click.button is not None and self._clicks is not None:
            self._clicks.put(click.key, click.button)

    async def _close_from_loop(self, number: int, seconds: float = POPUP_TIMEOUT) -> None:
        try:
            await self._bus.call_async(NOTIFICATIONS, "CloseNotification", "u", [number], timeout=seconds)
        except DBusCallError as error:
            log.debug("the server has closed the popup itself: %s", error)
