"""
The connections of the control socket, from either end, and what listens for them: a socket or a named pipe.

A message on a socket is its length and its bytes, as multiprocessing writes it on a pipe. For a socket
multiprocessing is not needed: it takes 8 ms to load, and 1.5 MB of the tray.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


BACKLOG = 16
_UNIX: int = getattr(socket, "AF_UNIX", 1)  # Python for Windows lacks it
_HEAD = struct.Struct("!i")  # a length; below zero for a longer one, which is beyond every limit of ours
_PEER = struct.Struct("3i")  # pid, uid, gid
_TOO_LARGE = "bad message length"  # what multiprocessing says


class TooLargeError(OSError):
    """The message is larger than is taken; it has not been read."""


class MessageConnection(Protocol):
    """One connection."""

    def send(self, message: bytes) -> None:
        """Send a message. Raises OSError."""

    def receive(self, most: int) -> bytes:
        """Receive a message of at most `most` bytes. Raises EOFError, TooLargeError or another OSError."""

    def interrupt(self) -> None:
        """Make a read or write under way on another thread fail at once. Raises OSError."""

    def close(self) -> None:
        """Close it. Raises OSError."""

    def same_user(self) -> bool:
        """Return whether this user or root is at the other end; True where the system cannot tell."""


class Listener(Protocol):
    """What takes connections."""

    def accept(self) -> MessageConnection:
        """Wait for the next one. Raises OSError."""

    def prove(self, connection: MessageConnection) -> None:
        """Have the other end prove that it knows the key, where there is one. Raises OSError, EOFError."""

    def wake(self) -> None:
        """Connect once, so that `accept` returns. Raises OSError."""

    def close(self) -> None:
        """Take no more, and remove what is left of the address. Raises OSError."""


class SocketConnection:
    """A connection by a Unix socket, which it owns."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    @classmethod
    def connect(cls, address: str) -> SocketConnection:
        """Connect, without a time limit. Raises OSError."""
        with contextlib.ExitStack() as stack:
            made = stack.enter_context(socket.socket(_UNIX))
            made.connect(address)
            stack.pop_all()
            return cls(made)

    def send(self, message: bytes) -> None:
        """Send a message. Raises OSError."""
        self._socket.sendall(_HEAD.pack(len(message)) + message)

    def receive(self, most: int) -> bytes:
        """Receive a message of at most `most` bytes. Raises EOFError, TooLargeError or another OSError."""
        (length,) = _HEAD.unpack(self._receive_all(_HEAD.size))
        if not 0 <= length <= most:
            raise TooLargeError(_TOO_LARGE)
        return self._receive_all(length)

    def _receive_all(self, length: int) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            part = self._socket.recv(length - len(parts))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)

    def interrupt(self) -> None:
        """Make a read or write under way on another thread fail at once. Raises OSError."""
        self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it. Raises OSError."""
        self._socket.close()

    def same_user(self) -> bool:
        """Return whether this user or root is at the other end; True where the system cannot tell."""
        option = getattr(socket, "SO_PEERCRED", None)
        if option is None:
            return True
        _pid, uid, _gid = _PEER.unpack(self._socket.getsockopt(socket.SOL_SOCKET, option, _PEER.size))
        return uid in {0, getattr(os, "getuid", int)()}


class SocketListener:
    """Listens at the path of a Unix socket, which only this user can use. The constructor raises OSError."""

    def __init__(self, address: str) -> None:
        self._path = Path(address)
        self._socket = socket.socket(_UNIX)
        try:
            self._socket.bind(address)
            self._path.chmod(0o600)
            self._socket.listen(BACKLOG)
        except OSError:
            self._socket.close()
            raise

    def accept(self) -> MessageConnection:
        """Wait for the next connection. Raises OSError."""
        connected, _address = self._socket.accept()
        connected.setblocking(True)
        return SocketConnection(connected)

    def prove(self, connection: MessageConnection) -> None:
        """Ask nothing: the folder lets only this user in."""

    def wake(self) -> None:
        """Connect once, so that `accept` returns. Raises OSError."""
        SocketConnection.connect(str(self._path)).close()

    def close(self) -> None:
        """Take no more, and remove the path. Raises OSError."""
        self._socket.close()
        self._path.unlink()


class PipeConnection:
    """A connection by a named pipe of Windows, made by multiprocessing."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    @classmethod
    def connect(cls, address: str, key: bytes) -> PipeConnection:
        """Connect, and prove the key. Raises OSError, EOFError."""
        from multiprocessing.connection import Client

        with _plain_errors():
            return cls(Client(address, authkey=key))

    def send(self, message: bytes) -> None:
        """Send a message. Raises OSError."""
        self.connection.send_bytes(message)

    def receive(self, most: int) -> bytes:
        """Receive a message of at most `most` bytes. Raises EOFError, TooLargeError or another OSError."""
        try:
            message: bytes = self.connection.recv_bytes(most)
        except OSError as error:
            if error.args == (_TOO_LARGE,):
                raise TooLargeError(_TOO_LARGE) from None
            raise
        return message

    def interrupt(self) -> None:
        """Close the handle, which ends reads and writes. Raises OSError."""
        self.connection.close()

    def close(self) -> None:
        """Close it. Raises OSError."""
        self.connection.close()

    def same_user(self) -> bool:
        """Return True: who has the key is this user."""
        return True


class PipeListener:
    """Listens at a named pipe; the other end proves that it knows `key`. The constructor raises OSError."""

    def __init__(self, address: str, key: bytes) -> None:
        from multiprocessing.connection import Listener as PipeServer

        self._address = address
        self._key = key
        self._listener = PipeServer(address, backlog=BACKLOG)

    def accept(self) -> MessageConnection:
        """Wait for the next connection. Raises OSError."""
        return PipeConnection(self._listener.accept())

    def prove(self, connection: MessageConnection) -> None:
        """Have the other end prove that it knows the key. Raises OSError, EOFError."""
        from multiprocessing.connection import answer_challenge, deliver_challenge

        if isinstance(connection, PipeConnection):
            with _plain_errors():
                deliver_challenge(connection.connection, self._key)
                answer_challenge(connection.connection, self._key)

    def wake(self) -> None:
        """Connect once, so that `accept` returns. Raises OSError."""
        from multiprocessing.connection import Client

        Client(self._address).close()

    def close(self) -> None:
        """Take no more. Raises OSError."""
        self._listener.close()


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Raise PermissionError for a wrong key, which multiprocessing says, or asserts, in its own way."""
    from multiprocessing import AuthenticationError

    try:
        yield
    except (AuthenticationError, AssertionError) as error:
        raise PermissionError(*error.args) from error
