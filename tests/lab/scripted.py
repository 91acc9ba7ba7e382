"""A server on loopback that answers each question with the bytes that a test gives it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import TYPE_CHECKING, Any, Self

from gpuwatch_tray.lab.login import LabSecret
from gpuwatch_tray.settings import LabSettings, Secret

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable


def reply(body: bytes | str, status: str = "200 OK", **headers: str) -> bytes:
    """An answer with its length."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *lines])
    return head.encode() + b"\r\n\r\n" + content


def vector(*rows: tuple[dict[str, str], str], at: float = 1000.0) -> bytes:
    """Prometheus's answer to an instant query."""
    result = [{"metric": labels, "value": [at, value]} for labels, value in rows]
    return reply(json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}))


class GivenSecret(LabSecret):
    """A secret that is at hand."""

    def __init__(self, text: str = "") -> None:
        super().__init__(LabSettings())
        self._text = text

    def read(self, seconds: float = 0.0) -> Secret:
        return Secret(self._text)


class ScriptedServer:
    """
    From `with` to its end. `answer` gets a question's head and gives the pieces to send.

    After an answer without a length, the connection is closed.
    """

    def __init__(self, answer: Callable[[str], Iterable[bytes]], tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.end = threading.Event()  # a script that waits waits for this

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}"

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def __exit__(self, *error: object) -> None:
        self.end.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), plain:
            connection: Any = plain if self._tls is None else self._tls.wrap_socket(plain, server_side=True)
            self._open.append(connection)  # over TLS it is another object, and `plain` is none any more
            with connection, connection.makefile("rb") as stream:
                self._converse(connection, stream)

    def _converse(self, connection: Any, stream: Any) -> None:
        while True:
            lines = [stream.readline()]
            while lines[-1] not in {b"", b"\r\n"}:
                lines.append(stream.readline())
            if not lines[-1]:
                return
            head = b"".join(lines).decode("latin-1")
            self.heads.append(head)
            length = [line for line in head.lower().splitlines() if line.startswith("content-length:")]
            self.bodies.append(stream.read(int(length[0].split(":")[1])) if length else b"")
            sized = False
            for piece in self._answer(head):
                sized = sized or b"Content-Length" in piece
                connection.sendall(piece)
            if not sized:
                return


DRIPPING_HEAD = b"HTTP/1.1 200 OK\r\nX-Long: "


class DrippingServer(ScriptedServer):
    """
    Its first connection gets `begin` and then one byte after the other for ever, the next ones `answers`.

    With `greeting` those bytes come before any question, in place of a TLS server's.
    """

    def __init__(
        self,
        begin: bytes = DRIPPING_HEAD,
        drop: bytes = b"a",
        *,
        greeting: bool = False,
        answers: Callable[[str], Iterable[bytes]] = lambda _head: [reply("2")],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(lambda head: self._drip() if self.connections == 1 else answers(head), tls)
        self._begin, self._drop, self._greeting = begin, drop, greeting

    def _drip(self) -> Iterable[bytes]:
        yield self._begin
        while not self.end.wait(0.02):
            yield self._drop

    def _serve(self, plain: socket.socket) -> None:
        if not self._greeting or self.connections > 1:
            super()._serve(plain)
            return
        with contextlib.suppress(OSError), plain:
            for piece in self._drip():
                plain.sendall(piece)
