"""The other side played by the tests: a panel's watcher, a notification daemon, and a tray to be asked."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from dbus_fast import PropertyAccess, Variant  # the tests speak the protocol too
from dbus_fast.annotations import DBusBool, DBusSignature, DBusStr, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property, dbus_signal

from gpuwatch_tray.desktop.dbus import SessionBus
from gpuwatch_tray.tray import ActionKind, Tray
from tests.e2e.rig import NOTIFICATIONS, WATCHER, MenuRow, menu_row
from tests.support.timing import PATIENCE, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuwatch_tray.model import Status
    from tests.e2e.client import BusClient


ITEM = "org.kde.StatusNotifierItem"
MENU = "com.canonical.dbusmenu"

DBusNothing = Annotated[None, DBusSignature("")]
DBusStrings = Annotated[list[str], DBusSignature("as")]
DBusHints = Annotated[dict[str, Variant], DBusSignature("a{sv}")]
DBusInt = Annotated[int, DBusSignature("i")]
DBusInvoked = Annotated[tuple[int, str], DBusSignature("us")]
DBusClosed = Annotated[tuple[int, int], DBusSignature("uu")]


class FakeWatcher(ServiceInterface):
    """A panel's watcher that notes what is registered and asks nothing by itself."""

    def __init__(self):
        super().__init__(WATCHER)
        self.registered: list[str] = []

    @dbus_method("RegisterStatusNotifierItem")
    def register(self, service: DBusStr) -> DBusNothing:
        self.registered.append(service)

    @dbus_property(name="IsStatusNotifierHostRegistered", access=PropertyAccess.READ)
    def host(self) -> DBusBool:
        return False


class FakeServer(ServiceInterface):
    """A notification daemon with the abilities it is given."""

    def __init__(self, abilities: list[str], *, silent: bool = False, first_id: int = 1):
        super().__init__(NOTIFICATIONS)
        self.abilities, self.silent, self.last_id = abilities, silent, first_id - 1
        self.shown: list[dict[str, Any]] = []
        self.closed: list[int] = []

    async def delay(self) -> None:
        """Wait before a Notify is answered."""
        if self.silent:
            await asyncio.sleep(30)

    @dbus_method("GetCapabilities")
    def capabilities(self) -> DBusStrings:
        return self.abilities

    @dbus_method("Notify")
    async def notify(
        self,
        app: DBusStr,
        replaces: DBusUInt32,
        icon: DBusStr,
        title: DBusStr,
        body: DBusStr,
        actions: DBusStrings,
        hints: DBusHints,
        expire: DBusInt,
    ) -> DBusUInt32:
        await self.delay()
        if not replaces:
            self.last_id += 1
        given = replaces or self.last_id
        plain = {name: value.value for name, value in hints.items()}
        self.shown.append(
            {
                "app": app,
                "id": given,
                "replaces": replaces,
                "title": title,
                "body": body,
                "hints": plain,
                "icon": icon,
                "actions": actions,
                "expire": expire,
            }
        )
        return given

    @dbus_method("CloseNotification")
    def close(self, number: DBusUInt32) -> DBusNothing:
        self.closed.append(number)

    @dbus_signal("ActionInvoked")
    def action_invoked(self, number: int, action: str) -> DBusInvoked:
        return number, action

    @dbus_signal("NotificationClosed")
    def notification_closed(self, number: int, reason: int) -> DBusClosed:
        return number, reason


class RunningTray:
    """A Tray on a thread of its own, and a client that asks it as a panel would."""

    def __init__(self, address: str, client: BusClient):
        self.client = client
        self.done: list[tuple[str, str]] = []  # what was done, and on which thread
        self.asked: list[tuple[str, str]] = []  # ... and to what
        self.bus = SessionBus.connect(address)
        self.name = self.bus.name
        actions = {act: self._act(act.value) for act in ActionKind} | {ActionKind.QUIT: self._quit}
        self.tray = Tray(self.bus, actions)
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._life)

    def show(self, status: Status) -> None:
        """Show it and wait until the loop has done so."""
        self.tray.show(status)
        self.settle()

    def settle(self) -> None:
        """Wait until the tray's loop has done all that was asked before, and what that asked for."""
        for _ in range(3):
            done = threading.Event()
            self.bus.post(done.set)
            assert done.wait(PATIENCE)

    def signals(self) -> list[str]:
        """Return the names of the signals that the client has received since the last call."""
        # Its answer leaves behind all that the tray had sent, whatever still lay in its buffer.
        self.client.call((self.name, "/StatusNotifierItem", "org.freedesktop.DBus.Peer"), "Ping")
        names = [one.member for one in self.client.heard]
        self.client.heard.clear()
        return names

    def item(self) -> dict[str, Any]:
        return self.client.get_all((self.name, "/StatusNotifierItem", ITEM))

    @property
    def menu_peer(self) -> tuple[str, str, str]:
        return self.name, "/MenuBar", MENU

    def layout(self, parent: int = 0, depth: int = -1, names: tuple[str, ...] = ()) -> tuple[int, list[Any]]:
        revision, layout = self.client.call(self.menu_peer, "GetLayout", "iias", parent, depth, list(names))
        return revision, layout

    def rows(self) -> dict[str, MenuRow]:
        """All rows by their labels."""
        top = menu_row(self.layout()[1])
        return {row.label: row for row in top.walk() if not row.separator}

    def event(self, row: int, kind: str) -> None:
        self.client.call(self.menu_peer, "Event", "isvu", row, kind, Variant("i", 0), 0)

    def stop(self) -> None:
        self.tray.stop()
        self.thread.join(60)
        assert not self.thread.is_alive()
        self.bus.close()

    def _life(self) -> None:
        self.tray.run(self.ready.set)

    def _act(self, name: str) -> Any:
        def act(target: str) -> None:
            self.asked.append((name, target))
            self.done.append((name, threading.current_thread().name))

        return act

    def _quit(self, _target: str) -> None:
        self.done.append(("quit", threading.current_thread().name))
        self.tray.stop()


@contextmanager
def running_tray(address: str, client: BusClient, first: Status | None = None) -> Iterator[RunningTray]:
    """Start a tray that shows `first` and serves its menu."""
    running = RunningTray(address, client)
    if first is not None:
        running.tray.show(first)
    running.thread.start()
    assert running.ready.wait(60)
    running.settle()
    wait_until(lambda: running.layout()[1][2], "a served menu") if first is not None else None
    try:
        yield running
    finally:
        running.stop()
