"""
Where Google's answer to a sign-in arrives (RFC 8252, 7.3): a request to our port, or what a person pastes.

Only an address that carries the state of this sign-in is taken. A stray request to the port (a browser's
favicon, a port scan, a connection that says nothing) changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from gpuwatch_tray.language import _
from gpuwatch_tray.within import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"
REQUEST_TIMEOUT = 5.0  # seconds for one request to our port: a connection that says nothing holds up others
LONGEST_LINE = 16_384  # bytes that a paste may have: an address is shorter


class Redirect(HTTPServer):
    """
    Listens on 127.0.0.1 from its making to its end; `answer` is the query of the redirect, once it is there.

    `state` is set once the address for the browser is known, before anything is waited for.
    """

    # A second sign-in on this port must be an error, not a race: on Windows the option would allow that. On
    # POSIX it only allows what it is named for, another sign-in within a minute of the last.
    allow_reuse_address = os.name == "posix"

    def __init__(self, port: int) -> None:
        self.state = ""
        self.answer: dict[str, list[str]] | None = None
        self.query = ""
        super().__init__((HOST, port), _Handler)

    @property
    def address(self) -> str:
        """Where the browser shall end."""
        return f"http://{HOST}:{self.server_port}/"

    def take(self, address: str) -> bool:
        """Take this address (or its path and query) if it is the answer to this sign-in."""
        query = urlsplit(address).query
        found = parse_qs(query)
        if not self.state or found.get("state") != [self.state] or not found.keys() & {"code", "error"}:
            return False
        self.answer, self.query = found, query
        return True

    def wait(self, timeout: float) -> bool:
        """Serve requests until the answer is there, by either way; False after `timeout` seconds."""
        end = time.monotonic() + timeout
        while self.answer is None:
            left = end - time.monotonic()
            if left <= 0:
                return False
            self.timeout = min(left, 0.5)
            self.handle_request()
        return True

    def finish_request(self, request: Any, client_address: Any) -> None:
        """As the library's, in bounded time: a byte now and then outlasts any time-out by read."""

        def cut() -> None:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

        patience = threading.Timer(REQUEST_TIMEOUT, cut)
        patience.start()
        try:
            super().finish_request(request, client_address)
        finally:
            patience.cancel()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a stranger's broken request."""


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_TIMEOUT
    server: Redirect

    def do_GET(self) -> None:
        """Take the redirect of this sign-in; anything else is not found."""
        if not self.server.take(self.path):
            self.send_error(404)
            return
        refused = self.server.answer is not None and "code" not in self.server.answer
        text = _("The sign-in was refused.") if refused else _("Google's answer has arrived.")
        page = f"{text} {_('You may close this window.')}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Stay silent: the address holds the code."""


def take_pasted(server: Redirect, source: int, complain: Callable[[str], None]) -> None:
    """
    Also take what is pasted into the file descriptor `source`, a line an address, on a thread of its own.

    Read without Python's buffers: a thread that waits in those would keep the interpreter from ending.
    """

    def read() -> None:
        rest = b""
        while server.answer is None:
            try:
                some = os.read(source, LONGEST_LINE)
            except OSError:
                return
            if not some:
                return  # nobody is there to paste: the browser still may
            *lines, rest = (rest + some)[-LONGEST_LINE:].split(b"\n")
            for line in filter(None, map(bytes.strip, lines)):
                if not server.take(line.decode("ascii", "replace")):
                    complain(
                        _(
                            "This is not the address at which the browser ended: it begins with {address}"
                        ).format(address=f"{server.address}?state=")
                    )

    start_thread("pasted", read)
