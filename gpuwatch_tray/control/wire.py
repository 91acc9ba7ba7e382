"""
The protocol of the control socket: one request and one answer a connection, each a JSON object.

ControlError
├── NotRunningError       nothing listens at the address
└── RequestRefusedError   the answer is an error
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.language import _
from gpuwatch_tray.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LARGEST_REQUEST = MIB  # bytes
LARGEST_ANSWER = 16 * MIB
_PEER = struct.Struct("3i")  # pid, uid, gid


class ControlError(Exception):
    """The running tray could not be asked; the text says why in one line."""


class NotRunningError(ControlError):
    """Nothing listens at the address."""


class RequestRefusedError(ControlError):
    """The running tray answered with an error. A handler raises it to answer so."""


def encode(value: Mapping[str, Any]) -> bytes:
    """Encode a message; raises ValueError or TypeError for what JSON cannot hold."""
    return json.dumps(value, allow_nan=False).encode()


def decode(data: bytes) -> dict[str, Any]:
    """Decode a message; raises ControlError where `data` is no JSON object."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):  # from deep nesting
        raise ControlError(_("the message is not JSON")) from None
    if not isinstance(value, dict):
        raise ControlError(_("the message is not a JSON object"))
    return value


class ControlConnection:
    """
    One connection that another thread may end.

    Neither the authentication nor a message's second half has a timeout of its own, so reads and writes
    happen `within` one: when it ends, the connection is shut down, which wakes the reader.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._lock = threading.Lock()  # a closed file number may belong to another file already
        self._closed = False

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Shut the connection down when the block takes longer than `seconds`."""
        timer = threading.Timer(seconds, self.shut_down)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def shut_down(self) -> None:
        """Make a read or write under way fail at once; from any thread."""
        with self._lock, contextlib.suppress(OSError):
            if self._closed:
                return
            if not isinstance(self.connection, Connection):
                self.connection.close()  # a named pipe: closing the handle ends reads and writes
                return
            with socket.socket(fileno=os.dup(self.connection.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; on the thread that reads and writes."""
        with self._lock, contextlib.suppress(OSError):
            self._closed = True
            self.connection.close()

    def same_user(self) -> bool:
        """Return whether this user or root is at the other end; True where the system cannot tell."""
        option = getattr(socket, "SO_PEERCRED", None)
        if option is None:
            return True
        with socket.socket(fileno=os.dup(self.connection.fileno())) as same:
            _pid, uid, _gid = _PEER.unpack(same.getsockopt(socket.SOL_SOCKET, option, _PEER.size))
        return uid in {0, getattr(os, "getuid", int)()}
