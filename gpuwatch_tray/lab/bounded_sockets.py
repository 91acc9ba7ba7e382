"""
Sockets whose every wait ends with the question that they serve, however slowly the bytes come.

A socket's own time-out counts from byte to byte: a server that sends one now and then is never timed out.
Here what is left of the question's time is set before each step, so that no thread has to look after it.
"""

from __future__ import annotations

import math
import socket
import ssl
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import ReadableBuffer, WriteableBuffer


# On the monotonic clock, for each thread by itself: a connection that is kept serves others later.
_END: ContextVar[float] = ContextVar("end of the question", default=math.inf)


@contextmanager
def ending_at(end: float) -> Iterator[None]:
    """Have all that this thread waits for on such sockets end at this monotonic time."""
    token = _END.set(end)
    try:
        yield
    finally:
        _END.reset(token)


def seconds_left() -> float | None:
    """Return what is left of the question's time, None for no end; raises TimeoutError where nothing is."""
    left = _END.get() - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time of the question is over")
    return None if math.isinf(left) else left


class BoundedSocket(socket.socket):
    """A connected socket without TLS; it takes another one's place."""

    __slots__ = ()

    @classmethod
    def in_place_of(cls, plain: socket.socket) -> BoundedSocket:
        """Take over the connection of `plain`, which is of no use then."""
        kind = plain.family, plain.type, plain.proto
        return cls(*kind, plain.detach())

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receive within the question's time."""
        self.settimeout(seconds_left())
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        """Send within the question's time."""
        self.settimeout(seconds_left())
        super().sendall(data, flags)


class BoundedTlsSocket(ssl.SSLSocket):
    """A socket with TLS, as `SSLContext.sslsocket_class` takes it; TLS within TLS uses `recv`."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Receive within the question's time."""
        self.settimeout(seconds_left())
        return super().recv(buflen, flags)

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        """Receive within the question's time."""
        self.settimeout(seconds_left())
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        """Send within the question's time."""
        self.settimeout(seconds_left())
        super().sendall(data, flags)
