"""Where Google's answer to a sign-in arrives (RFC 8252, 7.3): a request to our port, or a pasted address."""

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

LOOPBACK = "127.0.0.1"
REQUEST_TIMEOUT = 5.0  # seconds for one request to our port: a silent connection holds up the others
LONGEST_LINE = 16_384  # bytes of a pasted line: an address is shorter


class RedirectServer(HTTPServer):
    """
    Listens on 127.0.0.1 for the redirect at the end of a sign-in; `answer` is its query once it has arrived.

    The library's `run_local_server` takes any request for the answer. Here only an address with the `state`
    of this sign-in counts, so that a favicon request or a port scan changes nothing.
    """

    # On Windows the option would let a second sign-in share the port. On POSIX it only allows another sign-in
    # within a minute of the last.
    allow_reuse_address = os.name == "posix"

    def __init__(self, port: int) -> None:
        self.state = ""
        self.answer: dict[str, list[str]] | None = None
        self.query = ""
        super().__init__((LOOPBACK, port), _RedirectHandler)

    @property
    def address(self) -> str:
        """The address to which Google sends the browser at the end."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    def accept(self, address: str) -> bool:
        """Store the answer if this address (or its path and query) is the one to this sign-in."""
        query = urlsplit(address).query
        fields = parse_qs(query)
        if not self.state or fields.get("state") != [self.state] or not fields.keys() & {"code", "error"}:
            return False
        self.answer, self.query = fields, query
        return True

    def wait(self, timeout: float) -> bool:
        """Serve requests until the answer has arrived, by request or paste; False after `timeout` seconds."""
        end = time.monotonic() + timeout
        while self.answer is None:
            left = end - time.monotonic()
            if left <= 0:
                return False
            self.timeout = min(left, 0.5)
            self.handle_request()
        return True

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one request in bounded time: a byte now and then outlasts any time-out for a read."""

        def cut() -> None:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(REQUEST_TIMEOUT, cut)
        timer.start()
        try:
            super().finish_request(request, client_address)
        finally:
            timer.cancel()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a stranger's broken request."""


class _RedirectHandler(BaseHTTPRequestHandler):
    timeout = REQUEST_TIMEOUT
    server: RedirectServer

    def do_GET(self) -> None:
        """Accept the redirect of this sign-in; answer 404 to anything else."""
        if not self.server.accept(self.path):
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
        """Log nothing: the address holds the code."""


def read_pasted(server: RedirectServer, source: int, complain: Callable[[str], None]) -> None:
    """
    Also accept an address that is pasted as a line into the file descriptor `source`, on a thread of its own.

    It reads without Python's buffers: a thread that waits in those would keep the interpreter from ending.
    """

    def read() -> None:
        rest = b""
        while server.answer is None:
            try:
                chunk = os.read(source, LONGEST_LINE)
            except OSError:
                return
            if not chunk:
                return  # end of input; the browser may still answer
            *lines, rest = (rest + chunk)[-LONGEST_LINE:].split(b"\n")
            for line in filter(None, map(bytes.strip, lines)):
                if not server.accept(line.decode("ascii", "replace")):
                    complain(
                        _(
                            "This is not the address at which the browser ended: it begins with {address}"
                        ).format(address=f"{server.address}?state=")
                    )

    start_thread("pasted", read)
