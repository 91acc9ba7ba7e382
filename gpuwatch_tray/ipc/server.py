"""The server of the control socket: a thread accepts, one serves each connection, in bounded time."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import stat
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gpuwatch_tray.common.threads import run_forever, start_thread
from gpuwatch_tray.i18n import _
from gpuwatch_tray.ipc.connections import PipeListener, SocketListener, TooLargeError
from gpuwatch_tray.ipc.protocol import (
    LARGEST_REQUEST,
    ControlConnection,
    ControlError,
    decode,
    encode,
    key_file,
    prepare_address,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpuwatch_tray.ipc.connections import Listener

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]

REQUEST_WITHIN = 2.0  # seconds for a client to send its request
ANSWER_WITHIN = 2.0  # seconds for it to receive the answer
MOST_CONNECTIONS = 32
STOP_STEP = 0.3  # seconds that each step of `stop` may take
CLIENT_FAILURES = (OSError, EOFError, ValueError)  # of a client that leaves or sends garbage


class ControlServer:
    """Answers requests at `address` with `handlers`, from `start` to `stop`."""

    def __init__(self, address: str, handlers: Mapping[str, Handler]) -> None:
        self.address = address
        self._handlers = handlers
        self._listener: Listener | None = None
        self._acceptor: threading.Thread | None = None
        self._ended = threading.Event()
        self._lock = threading.Condition()
        self._pending: dict[ControlConnection, None] = {}  # no request received yet, oldest first
        self._busy: set[ControlConnection] = set()

    def start(self) -> None:
        """Listen; raises ControlError, also where another process listens."""
        try:
            key = prepare_address(self.address)
            _remove_stale(self.address)
            self._listener = SocketListener(self.address) if key is None else PipeListener(self.address, key)
        except (OSError, ValueError) as error:
            self._close()
            text = _("no socket at {address}: {error}").format(address=self.address, error=error)
            raise ControlError(text) from error
        self._ended.clear()
        accept = partial(self._accept, self._listener)
        self._acceptor = start_thread("control", run_forever, "control", accept, self._ended)

    def stop(self) -> None:
        """Accept no more requests and remove the socket, whatever the handlers do; also without `start`."""
        listener = self._listener
        if listener is None:
            return
        self._ended.set()
        # `accept` returns for a connection only, and connecting blocks where it has returned already
        start_thread("control-end", _wake, listener).join(STOP_STEP)
        self._close()
        with self._lock:
            self._lock.wait_for(lambda: not self._busy, STOP_STEP)  # `quit` is still answered
            links = [*self._pending, *self._busy]
        for link in links:
            link.shut_down()
        if self._acceptor is not None:
            self._acceptor.join(STOP_STEP)

    def _close(self) -> None:
        listener, self._listener = self._listener, None
        with contextlib.suppress(OSError):  # somebody may have removed the file
            if listener is not None:
                listener.close()
        if (file := key_file(self.address)) is not None:
            with contextlib.suppress(OSError):
                file.unlink()

    def _accept(self, listener: Listener) -> None:
        while not self._ended.is_set():
            try:
                link = ControlConnection(listener.accept())
            except CLIENT_FAILURES as error:
                if not self._ended.wait(STOP_STEP):  # such as too many open files: it may pass
                    log.debug("control: no connection taken: %r", error)
                continue
            if self._ended.is_set() or not self._make_room():
                link.close()
                continue
            with self._lock:
                self._pending[link] = None
            start_thread("control-answer", self._serve_connection, listener, link)

    def _make_room(self) -> bool:
        """Return whether one more can be served; drops the oldest that has sent no request."""
        with self._lock:
            if len(self._pending) + len(self._busy) < MOST_CONNECTIONS:
                return True
            oldest = next(iter(self._pending), None)
            if oldest is not None:
                del self._pending[oldest]
        if oldest is not None:
            oldest.shut_down()
        return oldest is not None

    def _serve_connection(self, listener: Listener, link: ControlConnection) -> None:
        try:
            with link.within(REQUEST_WITHIN):
                if not link.connection.same_user():
                    log.warning("control: another user's process was turned away")
                    return
                listener.prove(link.connection)
                data = _receive(link)
            with self._lock:
                self._pending.pop(link, None)
                self._busy.add(link)
            answer = encode({"error": f"larger than {LARGEST_REQUEST} bytes"})
            if data is not None:
                answer = self._answer(data)
            with link.within(ANSWER_WITHIN):
                link.connection.send(answer)
        except CLIENT_FAILURES as error:
            log.debug("control: a client left or sent garbage: %r", error)
        finally:
            with self._lock:
                self._pending.pop(link, None)
                self._busy.discard(link)
                self._lock.notify_all()
            link.close()

    def _answer(self, data: bytes) -> bytes:
        try:
            request = decode(data)
            handler = self._handlers.get(str(request.get("do")))
            if handler is None:
                known = ", ".join(sorted(self._handlers))
                text = _("unknown request (known: {requests})").format(requests=known)
                return encode({"error": text})
            return encode(handler(request))
        except ControlError as error:
            return encode({"error": str(error)})
        except Exception:  # a fault in a handler must not leave the client without an answer
            log.exception("control: a request failed")
            return encode({"error": _("the request failed: see the running program's log")})


def serve(candidates: Sequence[str], handlers: Mapping[str, Handler]) -> ControlServer:
    """Start a server at the first usable address; raises ControlError with the last one's trouble."""
    trouble = ControlError(_("no place for the control socket: every path to it is too long"))
    for address in candidates:
        server = ControlServer(address, handlers)
        try:
            server.start()
        except ControlError as error:
            log.debug("control: %s", error)
            trouble = error
        else:
            return server
    raise trouble


def _wake(listener: Listener) -> None:
    with contextlib.suppress(*CLIENT_FAILURES):
        listener.wake()


def _receive(link: ControlConnection) -> bytes | None:
    """Receive the request, None where it is too large."""
    try:
        return link.connection.receive(LARGEST_REQUEST)
    except TooLargeError:
        return None


def _remove_stale(address: str) -> None:
    """Remove the socket of a crashed process; raises OSError where one listens, or it is no socket."""
    family = getattr(socket, "AF_UNIX", None)
    if family is None or not os.path.lexists(address):
        return
    path = Path(address)
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise FileExistsError(f"{address} is not a socket: remove it")
    with socket.socket(family) as probe:
        probe.settimeout(STOP_STEP)
        try:
            probe.connect(address)
        except OSError:
            path.unlink()
            return
    raise FileExistsError("another process answers there")
