"""
The session bus and the asyncio loop that it lives on.

`SessionBus.connect` makes both on the calling thread; `run`, the tray's main loop, turns the loop. Worker
threads use `call`, which is bounded in time, and `post`. When the bus is lost the loop goes on and calls fail
at once: that ends the icon, never the process. Other connections (`Connection.open`) may share the loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from gpuwatch_tray.desktop.dbus.connection import (
    CONNECT_TIMEOUT,
    DAEMON,
    BusUnavailableError,
    Connection,
    DBusCallError,
    Peer,
    connect_bus,
    no_answer,
    session_address,
)
from gpuwatch_tray.i18n import N_, _

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence

    from dbus_fast.aio import MessageBus
    from dbus_fast.service import ServiceInterface


log = logging.getLogger(__name__)

LABEL = N_("session bus")
Result = TypeVar("Result")


class SessionBus(Connection):
    """The session bus; methods may be called from any thread unless they say otherwise."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: MessageBus) -> None:
        super().__init__(loop, connection, LABEL)
        self._stopped = asyncio.Event()
        self._thread: int | None = None
        loop.set_exception_handler(self._loop_error)
        self.on_lost(self._log_loss)

    @classmethod
    def connect(cls, address: str | None = None, *, timeout: float = CONNECT_TIMEOUT) -> SessionBus:
        """Connect to `address`, or to the session's own bus; raises BusUnavailableError."""
        where = address or session_address(os.environ)
        loop = asyncio.new_event_loop()
        try:
            connection = loop.run_until_complete(connect_bus(where, LABEL, timeout))
        except BusUnavailableError:
            loop.close()
            raise
        return cls(loop, connection)

    def has_owner(self, name: str) -> bool:
        """Return whether `name` has an owner; before `run`, on the thread that connected."""
        try:
            (owned,) = self.loop.run_until_complete(self.call_async(DAEMON, "NameHasOwner", "s", [name]))
        except DBusCallError:
            return False
        return bool(owned)

    def export(self, path: str, interface: ServiceInterface) -> None:
        """Serve an object; before `run`, or on the loop's thread."""
        self._connection.export(path, interface)

    def call(
        self,
        peer: Peer,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        timeout: float = 2.0,
    ) -> list[Any]:
        """Call a method from a worker thread and wait at most `timeout` s; raises DBusCallError."""
        future = self.start(self.call_async(peer, member, signature, body, timeout=timeout))
        try:
            return future.result(timeout)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise no_answer(peer, member, timeout) from None
        except concurrent.futures.CancelledError:
            raise DBusCallError(_("the session bus is closed")) from None

    def start(self, work: Coroutine[Any, Any, Result]) -> concurrent.futures.Future[Result]:
        """Run a coroutine on the loop, from a worker thread; raises DBusCallError without a bus."""
        if threading.get_ident() == self._thread:
            work.close()
            raise RuntimeError("SessionBus.call waits for the loop and cannot be used on its thread")
        if not self.connected:
            work.close()
            raise DBusCallError(_("the session bus is gone"))
        try:
            return asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError:
            work.close()
            raise DBusCallError(_("the session bus is closed")) from None

    def run(self) -> None:
        """Turn the loop on this thread until `stop`, also when the bus is lost meanwhile."""
        self._thread = threading.get_ident()
        try:
            self.loop.run_until_complete(self._stopped.wait())
        finally:
            self._thread = None

    def stop(self) -> None:
        """Make `run` return; harmless when it does not run, or when called twice."""
        self.post(self._stopped.set)

    def close(self) -> None:
        """
        Leave the bus, end the loop's tasks, and close the loop.

        Call it on the thread that ran the loop, after `run`; harmless when called twice.
        """
        if self.loop.is_closed():
            return
        self.loop.run_until_complete(self._end())
        self.loop.close()

    async def _end(self) -> None:
        await self.disconnect()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _log_loss(self) -> None:
        log.warning("the session bus is gone: no tray icon and no desktop popups any more, watching goes on")

    def _loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Ignore messages that could not be sent to a lost bus; log any other error."""
        if isinstance(context.get("exception"), OSError | EOFError) and not self.connected:
            log.debug("unsent: %r", context["exception"])
            return
        loop.default_exception_handler(context)


LEAVE_TIMEOUT = 1.0  # seconds for the loop to end


@contextmanager
def temporary_session(address: str | None = None, *, timeout: float = 3.0) -> Iterator[SessionBus]:
    """Connect to the session bus with its loop on a thread of its own; raises BusUnavailableError."""
    bus = SessionBus.connect(address, timeout=timeout)
    loop_thread = threading.Thread(target=bus.run, name="bus visit", daemon=True)
    loop_thread.start()
    try:
        yield bus
    finally:
        bus.stop()
        loop_thread.join(LEAVE_TIMEOUT)
        if not loop_thread.is_alive():
            bus.close()
