"""
Connections that come about, and end, in bounded time.

`socket.create_connection` tries each address with the full time-out, and a name look-up has none at all;
a server that sends a byte now and then outlasts any time-out by step. Hence a look-up on a thread of its
own, short tries address by address, and a watchdog for the whole.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from typing import TYPE_CHECKING, TypeAlias

from gpuwatch_tray.language import _
from gpuwatch_tray.within import call_with_timeout

if TYPE_CHECKING:
    from collections.abc import Callable

Place: TypeAlias = tuple[socket.AddressFamily, str, int]  # family, numeric address, port
Resolve: TypeAlias = "Callable[[str, int], list[Place]]"

CONNECT_TIMEOUT = 5.0  # seconds for one address: a dead IPv6 route must not eat the time of the next


class Watchdog:
    """
    Ends whatever waits on the watched socket once `seconds` have passed.

    It shuts the connection down under the layers above it, so that a read in any of them ends as if the
    server had gone; `expired` then tells the difference.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.expired = False
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._bark)
        self._timer.daemon = True

    def left(self, at_most: float) -> float:
        """The seconds that a step may take; TimeoutError when none are left."""
        left = self._end - time.monotonic()
        if left <= 0:
            self.expired = True
            raise TimeoutError(_("no time left"))
        return min(left, at_most)

    def watch(self, sock: socket.socket) -> None:
        """Watch this socket instead of the one before."""
        with self._lock:
            self._sock = sock
            if self.expired:
                self._cut()

    def _bark(self) -> None:
        with self._lock:
            self.expired = True
            self._cut()

    def _cut(self) -> None:
        if self._sock is not None:
            # Not the TLS socket's own shutdown, which is not safe beside a read.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def __enter__(self) -> Watchdog:  # noqa: PYI034  # no subclass
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()
        self._timer.join()


def resolve(host: str, port: int) -> list[Place]:
    """The addresses of a host, IPv6 and IPv4 in turn, IPv6 first."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    places = [(family, str(name[0]), port) for family, _, _, _, name in found]
    six = [place for place in places if place[0] == socket.AF_INET6]
    four = [place for place in places if place[0] == socket.AF_INET]
    return [place for pair in itertools.zip_longest(six, four) for place in pair if place is not None]


def resolve_within(host: str, port: int, seconds: float, look_up: Resolve = resolve) -> list[Place]:
    """As `resolve`, with a time-out: TimeoutError after `seconds`. Passes OSError and ValueError on."""
    try:
        return call_with_timeout(seconds, lambda: look_up(host, port), "resolve")
    except TimeoutError:
        raise TimeoutError(
            _("the name look-up took longer than {seconds:g} s").format(seconds=seconds)
        ) from None


def connect(
    host: str, port: int, watchdog: Watchdog, timeout: float, look_up: Resolve = resolve
) -> socket.socket:
    """A connection to the first address that answers; else the last address's OSError."""
    last: OSError = OSError(_("the name has no address"))
    for family, numeric, number in resolve_within(host, port, watchdog.left(timeout), look_up):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(watchdog.left(min(timeout, CONNECT_TIMEOUT)))
            sock.connect((numeric, number))
        except OSError as error:
            sock.close()
            last = error
        else:
            return sock
    raise last
