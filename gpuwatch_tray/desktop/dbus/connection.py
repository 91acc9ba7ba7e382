"""A connection to a message bus, on an asyncio loop that it shares with others."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from msgspec import Struct

from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Mapping, Sequence


log = logging.getLogger(__name__)


class BlockingWriter:
    """
    The connection's socket for dbus-fast's writer, without errors.

    The writer takes every error for the end of the bus, also a full buffer (python-dbus-next issue 153): a
    large menu would cost the connection. When nothing was sent it waits for room. The reader notices a lost
    bus; what can no longer be sent is dropped, for the writer would raise in the middle of an answer.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def send(self, data: memoryview) -> int:
        """Send what there is room for; return the number of bytes sent or dropped."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            log.debug("unsent: %r", error)
            return len(data)


class Peer(Struct, frozen=True):
    """The target of a call: a bus name, an object path and an interface."""

    name: str
    path: str
    interface: str


SYSTEM_SOCKETS = (Path("/run/dbus/system_bus_socket"), Path("/var/run/dbus/system_bus_socket"))
PLATFORMS_WITHOUT_BUS = ("win32", "darwin")  # their desktops have none
DAEMON = Peer("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")


class BusUnavailableError(Exception):  # a state of the machine, not a mistake
    """No bus can be reached; the text says why in one line."""


class DBusCallError(Exception):  # what became of the call
    """A call failed: an error reply (`name` is its D-Bus name), a time-out, or a lost bus."""

    def __init__(self, text: str, name: str = "") -> None:
        super().__init__(text)
        self.name = name


class Signal(Struct, frozen=True):
    """A signal; `sender` is a unique name."""

    sender: str
    path: str
    interface: str
    member: str
    body: tuple[Any, ...]


def no_answer(peer: Peer, member: str, seconds: float) -> DBusCallError:
    """Return the error of a call that timed out."""
    text = _("{service} did not answer {member} within {seconds:g} s")
    return DBusCallError(text.format(service=peer.name, member=member, seconds=seconds))


def session_address(environ: Mapping[str, str]) -> str:
    """Return the session bus's address: the variable, else systemd's socket; raises BusUnavailableError."""
    if address := environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return address
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        path = Path(runtime) / "bus"
        if path.is_socket():
            return f"unix:path={path}"
    raise BusUnavailableError(_("no session bus: DBUS_SESSION_BUS_ADDRESS is not set"))


def system_address(environ: Mapping[str, str]) -> str:
    """Return the system bus's address: the variable, else its usual socket; raises BusUnavailableError."""
    if address := environ.get("DBUS_SYSTEM_BUS_ADDRESS"):
        return address
    for path in SYSTEM_SOCKETS:
        if path.is_socket():
            return f"unix:path={path}"
    raise BusUnavailableError(_("no system bus: {socket} is not there").format(socket=SYSTEM_SOCKETS[0]))


if TYPE_CHECKING or sys.platform == "linux":  # not installed elsewhere
    from dbus_fast import DBusFastError, Message, MessageType  # the one importer
    from dbus_fast.aio import MessageBus

CONNECT_TIMEOUT = 5.0  # seconds


class _Subscription(Struct, frozen=True):
    path: str
    interface: str
    member: str
    handler: Callable[[Signal], None]

    def matches(self, signal: Signal) -> bool:
        return (signal.path, signal.interface, signal.member) == (self.path, self.interface, self.member)


async def connect_bus(where: str, label: str, seconds: float) -> MessageBus:
    """Connect to the bus at the address `where`, within `seconds`; raises BusUnavailableError."""
    try:
        return await asyncio.wait_for(MessageBus(bus_address=where).connect(), seconds)
    except TimeoutError:
        raise BusUnavailableError(
            _("the {bus} at {where} did not answer within {seconds:g} s").format(
                bus=_(label), where=where, seconds=seconds
            )
        ) from None
    except (OSError, EOFError, DBusFastError) as error:
        raise BusUnavailableError(
            _("no {bus} at {where}: {error}").format(bus=_(label), where=where, error=error)
        ) from error


class Connection:
    """
    Calls and signals over one bus; methods may be called from any thread unless they say otherwise.

    `label` names the bus in errors, such as "session bus".
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: MessageBus, label: str) -> None:
        self.loop = loop
        self.label = label
        self._connection = connection
        self._closed = False
        self._subscriptions: list[_Subscription] = []
        self.caller = ""  # the unique name whose call came last: of the method that is being answered
        self._call_observers: list[Callable[[str, str], None]] = []
        self._lost_handlers: list[Callable[[], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        writer: Any = connection._writer  # noqa: SLF001  # dbus-fast has no other way in
        writer.sock = BlockingWriter(writer.sock)
        connection.add_message_handler(self._receive)
        self._loss_task = loop.create_task(self._wait_for_loss())

    @classmethod
    async def open(cls, where: str, label: str) -> Self:
        """Connect to the bus at the address `where` on the running loop; raises BusUnavailableError."""
        connection = await connect_bus(where, label, CONNECT_TIMEOUT)
        return cls(asyncio.get_running_loop(), connection, label)

    @property
    def connected(self) -> bool:
        """Whether messages can still be sent."""
        return not self._closed and bool(self._connection.connected)

    @property
    def name(self) -> str:
        """The connection's unique name on the bus, such as `:1.42`."""
        return self._connection.unique_name or ""

    def post(self, job: Callable[[], object]) -> bool:
        """Schedule `job` on the loop's thread; return False when the loop is closed."""
        try:
            self.loop.call_soon_threadsafe(job)
        except RuntimeError:
            return False
        return True

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine as a task, kept alive until it is done; on the loop's thread only."""
        task: asyncio.Task[None] = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def disconnect(self) -> None:
        """Leave the bus and end its tasks within half a second; the loop goes on."""
        self._closed = True
        self._connection.disconnect()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.wait([self._loss_task], timeout=0.5)

    async def wait_lost(self) -> None:
        """Wait until the bus is lost or left."""
        await asyncio.wait([self._loss_task])

    async def call_async(
        self,
        peer: Peer,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        timeout: float = 2.0,  # noqa: ASYNC109  # one bound for both ways of calling
    ) -> list[Any]:
        """Call a method on the loop's own thread; raises DBusCallError."""
        if not self.connected:
            raise DBusCallError(_("the {bus} is gone").format(bus=_(self.label)))
        message = Message(
            destination=peer.name,
            path=peer.path,
            interface=peer.interface,
            member=member,
            signature=signature,
            body=list(body),
        )
        try:
            reply = await asyncio.wait_for(self._connection.call(message), timeout)
        except TimeoutError:
            raise no_answer(peer, member, timeout) from None
        except (OSError, EOFError, DBusFastError) as error:
            raise DBusCallError(
                _("the {bus} failed at {member}: {error}").format(
                    bus=_(self.label), member=member, error=error
                )
            ) from error
        if reply is None:
            raise DBusCallError(_("the {bus} is gone").format(bus=_(self.label)))
        if reply.message_type is MessageType.ERROR:
            text = str(reply.body[0]) if reply.body else _("no reason given")
            raise DBusCallError(
                _("{service} refused {member}: {why}").format(service=peer.name, member=member, why=text),
                reply.error_name or "",
            )
        return list(reply.body)

    def subscribe(self, peer: Peer, member: str, handler: Callable[[Signal], None]) -> None:
        """Call `handler` on the loop's thread for each such signal from the owner of the peer's name."""
        self.post(lambda: self.spawn(self.subscribe_now(peer, member, handler)))

    async def subscribe_now(self, peer: Peer, member: str, handler: Callable[[Signal], None]) -> None:
        """Subscribe on the loop's own thread; no signal is missed after the return."""
        rule = (
            f"type='signal',sender='{peer.name}',path='{peer.path}',"
            f"interface='{peer.interface}',member='{member}'"
        )
        await self._match(rule, _Subscription(peer.path, peer.interface, member, handler))

    def follow_owner(self, name: str, handler: Callable[[str], None]) -> None:
        """
        Call `handler` on the loop's thread with the owner of `name`: now, and at each change.

        The owner is a unique name, or empty for none. The subscription precedes the question, so that no
        change is missed; a change that arrives before the answer is newer, and the answer is dropped.
        """
        rule = (
            f"type='signal',sender='{DAEMON.name}',interface='{DAEMON.interface}',"
            f"member='NameOwnerChanged',arg0='{name}'"
        )
        changed_already = False

        def changed(signal: Signal) -> None:
            nonlocal changed_already
            if signal.sender == DAEMON.name and signal.body[0] == name:
                changed_already = True
                handler(signal.body[2])

        async def begin() -> None:
            await self._match(rule, _Subscription(DAEMON.path, DAEMON.interface, "NameOwnerChanged", changed))
            try:
                (owner,) = await self.call_async(DAEMON, "GetNameOwner", "s", [name])
            except DBusCallError:
                owner = ""
            if not changed_already:
                handler(owner)

        self.post(lambda: self.spawn(begin()))

    async def program_of(self, owner: str) -> str:
        """Return the name of the program that owns this unique name, as the kernel has it; "" for unknown."""
        try:
            (pid,) = await self.call_async(DAEMON, "GetConnectionUnixProcessID", "s", [owner])
            return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()  # noqa: ASYNC240  # in memory
        except (DBusCallError, OSError):
            return ""

    def observe_calls(self, handler: Callable[[str, str], None]) -> None:
        """Call `handler` on the loop's thread with the caller and the object path of each call to us."""
        self._call_observers.append(handler)

    def on_lost(self, handler: Callable[[], None]) -> None:
        """Call `handler` on the loop's thread once when the bus is lost other than by our leaving."""
        self._lost_handlers.append(handler)

    async def _match(self, rule: str, subscription: _Subscription) -> None:
        self._subscriptions.append(subscription)
        try:
            await self.call_async(DAEMON, "AddMatch", "s", [rule])
        except DBusCallError as error:
            log.warning("the %s took no match rule (%s): %s", self.label, rule, error)

    def _receive(self, message: Message) -> None:
        if message.message_type is MessageType.METHOD_CALL:
            self.caller = message.sender or ""
            for observer in self._call_observers:
                observer(self.caller, message.path or "")
        elif message.message_type is MessageType.SIGNAL:
            signal = Signal(
                message.sender or "",
                message.path or "",
                message.interface or "",
                message.member or "",
                tuple(message.body),
            )
            for subscription in self._subscriptions:
                if subscription.matches(signal):
                    subscription.handler(signal)

    async def _wait_for_loss(self) -> None:
        try:
            await self._connection.wait_for_disconnect()  # type: ignore[no-untyped-call]
        except (OSError, EOFError, DBusFastError) as error:
            log.debug("the %s ended: %r", self.label, error)
        if self._closed:
            return
        for handler in self._lost_handlers:
            handler()
