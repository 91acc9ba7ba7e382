"""
What goes over the socket: JSON objects, one request and one answer a connection.

ControlError
├── NobodyThere   nothing listens at the address
└── Refused       it was answered, with an error
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


class NobodyThere(ControlError):  # noqa: N818  # a state of the machine, not a mistake
    """Nothing listens at the address."""


class Refused(ControlError):  # noqa: N818  # what became of the request
    """The running tray answered with an error. A handler raises it to answer so."""


def encode(value: Mapping[str, Any]) -> bytes:
    """A message as bytes; raises ValueError or TypeError for what JSON cannot say."""
    return json.dumps(value, allow_nan=False).encode()


def decode(data: bytes) -> dict[str, Any]:
    """The object that `data` holds; raises ControlError where it holds none."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):  # deep nesting ends the parser's patience, not ours
        raise ControlError(_("the message is not JSON")) from None
    if not isinstance(value, dict):
        raise ControlError(_("the message is not a JSON object"))
    return value


class Line:
    """
    One connection that another thread may end.

    Neither authentication nor a message's second half can be waited for with a time limit, so whoever reads
    or writes does it `within` one: at its end the line is hung up, which wakes the reader.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._lock = threading.Lock()  # a file number that was closed may be another file's already
        self._closed = False

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Hang up when the block takes longer than this."""
        timer = threading.Timer(seconds, self.hang_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def hang_up(self) -> None:
        """Have whoever reads or writes here fail at once; from any thread."""
        with self._lock, contextlib.suppress(OSError):
            if self._closed:
                return
            if not isinstance(self.connection, Connection):
                self.connection.close()  # a named pipe: closing its handle ends what is under way on it
                return
            with socket.socket(fileno=os.dup(self.connection.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Be done with it; on the thread that reads and writes."""
        with self._lock, contextlib.suppress(OSError):
            self._closed = True
            self.connection.close()

    def same_user(self) -> bool:
        """Whether this user or root is at the other end, where the system can tell (Linux)."""
        option = getattr(socket, "SO_PEERCRED", None)
        if option is None:
            return True
        with socket.socket(fileno=os.dup(self.connection.fileno())) as same:
            _pid, uid, _gid = _PEER.unpack(same.getsockopt(socket.SOL_SOCKET, option, _PEER.size))
        return uid in {0, getattr(os, "getuid", int)()}
