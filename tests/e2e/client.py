"""
A blocking D-Bus client for tests, on dbus-fast and a thread of its own, apart from the product's bus.py.

`BusClient` calls, owns names, serves objects and records signals; `Monitor` records what others say.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from dbus_fast import Message, MessageType, unpack_variants  # the tests speak the protocol too
from dbus_fast.aio import MessageBus

from tests.support.timing import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable


DAEMON = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")


class CallError(Exception):
    """An error reply; `name` is its D-Bus name."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


@dataclass(frozen=True)
class Heard:
    """One message that came in, with variants unpacked."""

    kind: MessageType
    sender: str
    destination: str
    path: str
    interface: str
    member: str
    body: tuple[Any, ...]
    serial: int
    reply_serial: int


class BusClient:
    """One connection; a context manager."""

    def __init__(self, address: str) -> None:
        self.heard: list[Heard] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.bus: MessageBus = self.wait(self._connect(address))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        return self.bus.unique_name or ""

    def wait(self, work: Any, timeout: float = PATIENCE) -> Any:
        """Run a coroutine on the client's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self.wait(self._disconnect())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    def call(
        self,
        peer: tuple[str, str, str],
        member: str,
        signature: str = "",
        *body: Any,
        timeout: float = PATIENCE,
    ) -> list[Any]:
        """Call a method; the answer's values with variants unpacked. Raises CallError for an error reply."""
        destination, path, interface = peer
        message = Message(
            destination=destination,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
        )
        reply = self.wait(self.bus.call(message), timeout)
        if reply.message_type is MessageType.ERROR:
            raise CallError(reply.error_name, str(reply.body[0]) if reply.body else "")
        return unpack_variants(reply.body)

    def get_all(self, peer: tuple[str, str, str]) -> dict[str, Any]:
        """All properties of an interface."""
        name, path, interface = peer
        (values,) = self.call((name, path, "org.freedesktop.DBus.Properties"), "GetAll", "s", interface)
        return values

    def owner(self, name: str) -> str:
        """Return the unique name that owns `name`; empty for none."""
        try:
            (owner,) = self.call(DAEMON, "GetNameOwner", "s", name)
        except CallError:
            return ""
        return owner

    def listen(self, rule: str) -> None:
        """Record the messages of this match rule in `heard`."""
        self.call(DAEMON, "AddMatch", "s", rule)

    def of(self, member: str) -> list[Heard]:
        """Return the signals and calls of this name that came in."""
        return [one for one in list(self.heard) if one.member == member]

    def serve(self, path: str, interface: Any, name: str = "") -> None:
        """Export an object, then own a name."""

        async def work() -> None:
            self.bus.export(path, interface)
            if name:
                await self.bus.request_name(name)

        self.wait(work())

    def do(self, job: Callable[[], object]) -> None:
        """Run `job` on the client's loop, where served objects must send their signals."""

        async def work() -> None:
            job()

        self.wait(work())

    async def _connect(self, address: str) -> MessageBus:
        bus = await MessageBus(bus_address=address).connect()
        bus.add_message_handler(self._record)
        return bus

    async def _disconnect(self) -> None:
        self.bus.disconnect()
        await asyncio.sleep(0.01)

    def _record(self, message: Message) -> bool:
        asked = message.message_type is MessageType.METHOD_CALL
        if asked or (message.message_type is MessageType.SIGNAL and message.member != "NameAcquired"):
            self._note(message)
        return False

    def _note(self, message: Message) -> None:
        self.heard.append(
            Heard(
                message.message_type,
                message.sender or "",
                message.destination or "",
                message.path or "",
                message.interface or "",
                message.member or "",
                tuple(unpack_variants(message.body)),
                message.serial,
                message.reply_serial or 0,
            )
        )


class Monitor(BusClient):
    """Hears what others say to each other; it can say nothing itself once it monitors."""

    def __init__(self, address: str, rules: list[str]) -> None:
        super().__init__(address)
        peer = (DAEMON[0], DAEMON[1], "org.freedesktop.DBus.Monitoring")
        self.call(peer, "BecomeMonitor", "asu", rules, 0)

    def _record(self, message: Message) -> bool:
        if message.sender != "org.freedesktop.DBus":
            self._note(message)
        # "handled", or dbus-fast would answer calls meant for others and be thrown off the bus
        return message.message_type is MessageType.METHOD_CALL
