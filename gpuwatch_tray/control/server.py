"""
The serving side: a thread that takes connections, and one for each of them.

Nobody who connects can hold up the others or the end of the program: silence, garbage and slowness are each
bounded, and a handler that hangs keeps its own thread and nothing else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import stat
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener, answer_challenge, deliver_challenge
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gpuwatch_tray.control import places, wire
from gpuwatch_tray.control.wire import ControlError, Line, Refused
from gpuwatch_tray.enduring import run_forever
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]

REQUEST_WITHIN = 2.0  # seconds for a client to say what it wants
ANSWER_WITHIN = 2.0  # seconds for it to take the answer
MOST = 32  # connections at a time
BACKLOG = 16
STEP = 0.3  # seconds that each step of the end may take
# what a client that leaves or talks nonsense causes; the standard library asserts in its authentication
FAILURES = (OSError, EOFError, ValueError, AssertionError, AuthenticationError)


class Server:
    """Answers requests at `address` by `handlers`, from `start` to `stop`."""

    def __init__(self, address: str, handlers: Mapping[str, Handler]) -> None:
        self.address = address
        self._handlers = handlers
        self._key: bytes | None = None
        self._listener: Listener | None = None
        self._acceptor: threading.Thread | None = None
        self._ended = threading.Event()
        self._lock = threading.Condition()
        self._silent: dict[Line, None] = {}  # those that have not said yet what they want, oldest first
        self._busy: set[Line] = set()

    def start(self) -> None:
        """Listen; raises ControlError, also where somebody else does."""
        try:
            self._key = places.prepare(self.address)
            _clear(self.address)
            self._listener = Listener(self.address, backlog=BACKLOG)
            if places.key_file(self.address) is None:
                Path(self.address).chmod(0o600)
        except (OSError, ValueError) as error:
            self._close()
            text = _("no socket at {address}: {error}").format(address=self.address, error=error)
            raise ControlError(text) from error
        self._ended.clear()
        self._acceptor = threading.Thread(
            target=run_forever,
            args=("control", partial(self._accept, self._listener), self._ended),
            name="control",
            daemon=True,
        )
        self._acceptor.start()

    def stop(self) -> None:
        """Take no more requests and remove the socket, whatever the handlers do; also without `start`."""
        if self._listener is None:
            return
        self._ended.set()
        # `accept` ends with a connection only, and connecting waits where it has ended already
        waking = threading.Thread(target=self._wake, name="control-end", daemon=True)
        waking.start()
        waking.join(STEP)
        self._close()
        with self._lock:
            self._lock.wait_for(lambda: not self._busy, STEP)  # the one that asked to quit is still answered
            lines = [*self._silent, *self._busy]
        for line in lines:
            line.hang_up()
        if self._acceptor is not None:
            self._acceptor.join(STEP)

    def _wake(self) -> None:
        with contextlib.suppress(*FAILURES):
            Client(self.address).close()

    def _close(self) -> None:
        listener, self._listener = self._listener, None
        with contextlib.suppress(OSError):  # somebody may have removed the file
            if listener is not None:
                listener.close()
        if (file := places.key_file(self.address)) is not None:
            with contextlib.suppress(OSError):
                file.unlink()

    def _accept(self, listener: Listener) -> None:
        while not self._ended.is_set():
            try:
                line = Line(listener.accept())
            except FAILURES as error:
                if not self._ended.wait(STEP):  # such as too many open files: it may pass
                    log.debug("control: no connection taken: %r", error)
                continue
            if self._ended.is_set() or not self._room():
                line.close()
                continue
            with self._lock:
                self._silent[line] = None
            threading.Thread(target=self._talk, args=(line,), name="control-line", daemon=True).start()

    def _room(self) -> bool:
        """Whether one more can be served; the oldest of those that say nothing gives way."""
        with self._lock:
            if len(self._silent) + len(self._busy) < MOST:
                return True
            oldest = next(iter(self._silent), None)
            if oldest is not None:
                del self._silent[oldest]
        if oldest is not None:
            oldest.hang_up()
        return oldest is not None

    def _talk(self, line: Line) -> None:
        try:
            with line.within(REQUEST_WITHIN):
                if not line.same_user():
                    log.warning("control: another user's process was turned away")
                    return
                if self._key is not None:
                    deliver_challenge(line.connection, self._key)
                    answer_challenge(line.connection, self._key)
                data = _received(line)
            with self._lock:
                self._silent.pop(line, None)
                self._busy.add(line)
            answer = wire.encode({"error": f"larger than {wire.LARGEST_REQUEST} bytes"})
            if data is not None:
                answer = self._answer(data)
            with line.within(ANSWER_WITHIN):
                line.connection.send_bytes(answer)
        except FAILURES as error:
            log.debug("control: a client left or talked nonsense: %r", error)
        finally:
            with self._lock:
                self._silent.pop(line, None)
                self._busy.discard(line)
                self._lock.notify_all()
            line.close()

    def _answer(self, data: bytes) -> bytes:
        try:
            request = wire.decode(data)
            return wire.encode(self._handler(request.get("do"))(request))
        except ControlError as error:
            return wire.encode({"error": str(error)})
        except Exception:  # a fault in one answer must not leave the asker without any
            log.exception("control: a request failed")
            return wire.encode({"error": _("the request failed: the running program's log tells why")})

    def _handler(self, asked: object) -> Handler:
        handler = self._handlers.get(asked) if isinstance(asked, str) else None
        if handler is None:
            raise Refused(
                _("unknown request: this one knows {requests}").format(
                    requests=", ".join(sorted(self._handlers))
                )
            )
        return handler


def serve(candidates: Sequence[str], handlers: Mapping[str, Handler]) -> Server:
    """A server at the first address that can be used; raises ControlError with the last one's trouble."""
    trouble = ControlError(_("no place for the control socket: every path to it is too long"))
    for address in candidates:
        server = Server(address, handlers)
        try:
            server.start()
        except ControlError as error:
            log.debug("control: %s", error)
            trouble = error
        else:
            return server
    raise trouble


def _received(line: Line) -> bytes | None:
    """The request, None where it is too large."""
    try:
        data: bytes = line.connection.recv_bytes(wire.LARGEST_REQUEST)
    except OSError as error:
        if error.args == ("bad message length",):
            return None
        raise
    return data


def _clear(address: str) -> None:
    """Remove what a crash left behind; raises OSError where somebody listens, or where it is no socket."""
    family = getattr(socket, "AF_UNIX", None)
    if family is None or not os.path.lexists(address):
        return
    path = Path(address)
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise FileExistsError(f"{address} is not a socket: remove it")
    with socket.socket(family) as trying:
        trying.settimeout(STEP)
        try:
            trying.connect(address)
        except OSError:
            path.unlink()
            return
    raise FileExistsError("another process answers there")
