"""Connections that are made, and end, in bounded time."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from typing import TYPE_CHECKING, Self, TypeAlias

from gpuwatch_tray.language import _
from gpuwatch_tray.within import call_with_timeout

if TYPE_CHECKING:
    from collections.abc import Callable

SocketAddress: TypeAlias = tuple[socket.AddressFamily, str, int]  # family, numeric address, port
Resolver: TypeAlias = "Callable[[str, int], list[SocketAddress]]"

CONNECT_TIMEOUT = 5.0  # seconds for one address, so that a dead IPv6 route leaves time for the next


class Watchdog:
    """
    Shuts the guarded socket down once `seconds` have passed; `expired` tells that from the server's end.

    A server that sends a byte now and then outlasts any time-out for a single read.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.expired = False
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def time_left(self, at_most: float) -> float:
        """Return the seconds left, `at_most` at most; TimeoutError when none are."""
        left = self._end - time.monotonic()
        if left <= 0:
            self.expired = True
            raise TimeoutError(_("no time left"))
        return min(left, at_most)

    def guard(self, sock: socket.socket) -> None:
        """Guard this socket instead of the one before."""
        with self._lock:
            self._sock = sock
            if self.expired:
                self._cut()

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            self._cut()

    def _cut(self) -> None:
        if self._sock is not None:
            # The TLS socket's own shutdown is not safe during a read.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()
        self._timer.join()


def resolve(host: str, port: int) -> list[SocketAddress]:
    """Return the addresses of a host, IPv6 and IPv4 in turn, IPv6 first."""
    results = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [(family, str(name[0]), port) for family, _, _, _, name in results]
    six = [address for address in addresses if address[0] == socket.AF_INET6]
    four = [address for address in addresses if address[0] == socket.AF_INET]
    return [address for pair in itertools.zip_longest(six, four) for address in pair if address is not None]


def resolve_with_timeout(
    host: str, port: int, seconds: float, resolver: Resolver = resolve
) -> list[SocketAddress]:
    """Call `resolver`; TimeoutError after `seconds`, else its own OSError or ValueError."""
    try:
        return call_with_timeout(seconds, lambda: resolver(host, port), "resolve")
    except TimeoutError:
        raise TimeoutError(
            _("the name look-up took longer than {seconds:g} s").format(seconds=seconds)
        ) from None


def open_connection(
    host: str, port: int, watchdog: Watchdog, timeout: float, resolver: Resolver = resolve
) -> socket.socket:
    """Connect to the first address that answers, each tried briefly; else raise the last one's OSError."""
    last: OSError = OSError(_("the name has no address"))
    for family, numeric, number in resolve_with_timeout(host, port, watchdog.time_left(timeout), resolver):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(watchdog.time_left(min(timeout, CONNECT_TIMEOUT)))
            sock.connect((numeric, number))
        except OSError as error:
            sock.close()
            last = error
        else:
            return sock
    raise last
