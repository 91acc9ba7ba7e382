"""
The one session-bus connection and the asyncio loop that it lives on.

`SessionBus.connect` makes both on the calling thread; the loop stands still until `run` (the tray icon's
main loop) turns it. Worker threads use `call`, which is bounded in time, and `post`. When the bus goes away
the loop goes on turning, calls fail at once, and whoever asked by `on_lost` is told: a lost bus ends the
drawing, never the process.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.bus.patience import PatientSocket
from gpuwatch_tray.bus.values import DAEMON, BusUnavailable, CallFailed, Peer, Signal, session_address

if TYPE_CHECKING or sys.platform == "linux":  # elsewhere it is not installed, and `connect` finds no address
    from dbus_fast import DBusFastError, Message, MessageType  # noqa: TID251  # the one importer
    from dbus_fast.aio import MessageBus  # noqa: TID251

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dbus_fast.service import ServiceInterface  # noqa: TID251

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Subscription:
    path: str
    interface: str
    member: str
    handler: Callable[[Signal], None]

    def takes(self, signal: Signal) -> bool:
        return (signal.path, signal.interface, signal.member) == (self.path, self.interface, self.member)


class SessionBus:
    """The connection, made by `connect`. Methods may be called from any thread unless they say otherwise."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: MessageBus) -> None:
        self.loop = loop
        self._connection = connection
        self._stopped = asyncio.Event()
        self._closed = False
        self._thread: int | None = None
        self._subscriptions: list[_Subscription] = []
        self._call_observers: list[Callable[[str], None]] = []
        self._lost_handlers: list[Callable[[], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        writer: Any = connection._writer  # noqa: SLF001
        writer.sock = PatientSocket(writer.sock)
        loop.set_exception_handler(self._loop_error)
        connection.add_message_handler(self._receive)
        self._watch = loop.create_task(self._wait_for_loss())

    @classmethod
    def connect(cls, address: str | None = None, *, timeout: float = 5.0) -> SessionBus:
        """Connect to `address`, or to the session's own bus; raises BusUnavailable."""
        where = address or session_address(os.environ)
        loop = asyncio.new_event_loop()

        async def joined() -> MessageBus:
            return await asyncio.wait_for(MessageBus(bus_address=where).connect(), timeout)

        try:
            connection = loop.run_until_complete(joined())
        except TimeoutError:
            loop.close()
            raise BusUnavailable(f"the session bus at {where} did not answer within {timeout:g} s") from None
        except (OSError, EOFError, DBusFastError) as error:
            loop.close()
            raise BusUnavailable(f"no session bus at {where}: {error}") from error
        return cls(loop, connection)

    @property
    def connected(self) -> bool:
        """Whether messages can still be sent."""
        return not self._closed and bool(self._connection.connected)

    @property
    def name(self) -> str:
        """Our unique name on the bus, such as `:1.42`."""
        return self._connection.unique_name or ""

    def has_owner(self, name: str) -> bool:
        """Whether somebody owns the bus name `name`; only before `run`, on the thread that connected."""
        try:
            (owned,) = self.loop.run_until_complete(self.ask(DAEMON, "NameHasOwner", "s", [name]))
        except CallFailed:
            return False
        return bool(owned)

    # --- the loop -------------------------------------------------------------------------------------

    def run(self) -> None:
        """Turn the loop on this thread until `stop`; also when the bus goes away meanwhile."""
        self._thread = threading.get_ident()
        try:
            self.loop.run_until_complete(self._stopped.wait())
        finally:
            self._thread = None

    def stop(self) -> None:
        """Make `run` return; harmless when it does not run, and when called twice."""
        self.post(self._stopped.set)

    def post(self, job: Callable[[], object]) -> bool:
        """Have the loop's thread run `job` soon; False when the loop is closed for good."""
        try:
            self.loop.call_soon_threadsafe(job)
        except RuntimeError:
            return False
        return True

    def close(self) -> None:
        """Leave the bus and close the loop; on the thread that ran it, after `run` has returned."""
        if self._closed:
            return
        self._closed = True
        self._connection.disconnect()
        self.loop.run_until_complete(self._end_tasks())
        self.loop.close()

    async def _end_tasks(self) -> None:
        await asyncio.wait([self._watch], timeout=0.5)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- calls ----------------------------------------------------------------------------------------

    def call(
        self,
        peer: Peer,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        timeout: float = 2.0,
    ) -> list[Any]:
        """Call a method from a worker thread and wait at most `timeout` s; raises CallFailed."""
        if threading.get_ident() == self._thread:
            raise RuntimeError("SessionBus.call waits for the loop and cannot be used on its thread")
        if not self.connected:
            raise CallFailed("the session bus is gone")
        asking = self.ask(peer, member, signature, body, timeout=timeout)
        try:
            future = asyncio.run_coroutine_threadsafe(asking, self.loop)
        except RuntimeError:
            asking.close()
            raise CallFailed("the session bus is closed") from None
        try:
            return future.result(timeout)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise CallFailed(f"{peer.name} did not answer {member} within {timeout:g} s") from None
        except concurrent.futures.CancelledError:
            raise CallFailed("the session bus is closed") from None

    async def ask(
        self,
        peer: Peer,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        timeout: float = 2.0,  # noqa: ASYNC109  # one bound for both ways of calling
    ) -> list[Any]:
        """Call a method on the loop's own thread; raises CallFailed."""
        if not self.connected:
            raise CallFailed("the session bus is gone")
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
            raise CallFailed(f"{peer.name} did not answer {member} within {timeout:g} s") from None
        except (OSError, EOFError, DBusFastError) as error:
            raise CallFailed(f"the session bus failed at {member}: {error}") from error
        if reply is None:
            raise CallFailed("the session bus is gone")
        if reply.message_type is MessageType.ERROR:
            text = str(reply.body[0]) if reply.body else "no reason given"
            raise CallFailed(f"{peer.name} refused {member}: {text}", reply.error_name or "")
        return list(reply.body)

    # --- what comes in --------------------------------------------------------------------------------

    def subscribe(self, peer: Peer, member: str, handler: Callable[[Signal], None]) -> None:
        """Have the loop's thread call `handler` for each such signal from the owner of the peer's name."""
        rule = (
            f"type='signal',sender='{peer.name}',path='{peer.path}',"
            f"interface='{peer.interface}',member='{member}'"
        )
        self.post(lambda: self._add_match(rule, _Subscription(peer.path, peer.interface, member, handler)))

    def watch_owner(self, name: str, handler: Callable[[str], None]) -> None:
        """
        Have the loop's thread call `handler` with the owner of `name`: now, and at each change.

        The owner is a unique name, or empty for none. The watch stands before the question is asked, so no
        change falls between.
        """
        rule = (
            f"type='signal',sender='{DAEMON.name}',interface='{DAEMON.interface}',"
            f"member='NameOwnerChanged',arg0='{name}'"
        )

        last: list[str] = []  # the first answer may repeat what a change has just told

        def tell(owner: str) -> None:
            if last != [owner]:
                last[:] = [owner]
                handler(owner)

        def changed(signal: Signal) -> None:
            if signal.sender == DAEMON.name and signal.body[0] == name:
                tell(signal.body[2])

        async def first() -> None:
            try:
                (owner,) = await self.ask(DAEMON, "GetNameOwner", "s", [name])
            except CallFailed:
                owner = ""
            tell(owner)

        def start() -> None:
            self._add_match(rule, _Subscription(DAEMON.path, DAEMON.interface, "NameOwnerChanged", changed))
            self.spawn(first())

        self.post(start)

    def observe_calls(self, handler: Callable[[str], None]) -> None:
        """Have the loop's thread call `handler` with the object path of each call that reaches us."""
        self._call_observers.append(handler)

    def on_lost(self, handler: Callable[[], None]) -> None:
        """Have the loop's thread call `handler` once when the bus goes away other than by `close`."""
        self._lost_handlers.append(handler)

    def export(self, path: str, interface: ServiceInterface) -> None:
        """Serve an object; before `run`, or on the loop's thread."""
        self._connection.export(path, interface)

    def spawn(self, work: Any) -> asyncio.Task[None]:
        """Run a coroutine on the loop; only on the loop's thread. It is kept alive until it is done."""
        task: asyncio.Task[None] = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _add_match(self, rule: str, subscription: _Subscription) -> None:
        self._subscriptions.append(subscription)
        self.spawn(self._match(rule))

    async def _match(self, rule: str) -> None:
        try:
            await self.ask(DAEMON, "AddMatch", "s", [rule])
        except CallFailed as error:
            log.warning("the session bus took no match rule (%s): %s", rule, error)

    def _receive(self, message: Message) -> None:
        if message.message_type is MessageType.METHOD_CALL:
            for observer in self._call_observers:
                observer(message.path or "")
        elif message.message_type is MessageType.SIGNAL:
            signal = Signal(
                message.sender or "",
                message.path or "",
                message.interface or "",
                message.member or "",
                tuple(message.body),
            )
            for subscription in self._subscriptions:
                if subscription.takes(signal):
                    subscription.handler(signal)

    async def _wait_for_loss(self) -> None:
        try:
            await self._connection.wait_for_disconnect()  # type: ignore[no-untyped-call]
        except (OSError, EOFError, DBusFastError) as error:
            log.debug("the session bus ended: %r", error)
        if self._closed:
            return
        log.warning("the session bus is gone: no tray icon and no desktop popups any more, watching goes on")
        for handler in self._lost_handlers:
            handler()

    def _loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Keep quiet about messages that could not leave any more; all else is a fault and is logged."""
        if isinstance(context.get("exception"), OSError | EOFError) and not self.connected:
            log.debug("unsent: %r", context["exception"])
            return
        loop.default_exception_handler(context)
