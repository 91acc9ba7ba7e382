"""
The rows in Prometheus's text format, and the endpoint that it scrapes; the one importer of prometheus-client.

The library's own server would let one silent connection with TLS hold up every other: it shakes hands on the
thread that accepts.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import socket
import ssl
import sys
import threading
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, generate_latest, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from gpuwatch_tray.common.threads import start_thread
from gpuwatch_tray.export.metrics import METRICS, PREFIX, MetricKind
from gpuwatch_tray.i18n import _
from gpuwatch_tray.settings.validators import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prometheus_client.metrics_core import Metric

    from gpuwatch_tray.export.rows import Rows


log = logging.getLogger(__name__)

CONNECTION_WITHIN = 10.0  # seconds that a connection may keep us waiting at each step
MOST_CONNECTIONS = 32  # at once
ENDS_WITHIN = 0.5  # seconds for which it waits for a client, until it looks whether it shall end
STOP_WITHIN = 1.0  # seconds


def families(rows: Rows, since: float | None) -> Iterator[Metric]:
    """Yield the rows as the library's families; `since` (wall time) is when counting by ourselves began."""
    for name, values in rows.items():
        metric = METRICS[name]
        full = PREFIX + name
        if metric.kind is MetricKind.INFO:
            info = InfoMetricFamily(full.removesuffix("_info"), metric.about, labels=metric.labels)
            for labels in values:
                info.add_metric(labels, {})
            yield info
        elif metric.kind is MetricKind.COUNTER:
            counter = CounterMetricFamily(full.removesuffix("_total"), metric.about, labels=metric.labels)
            for labels, value in values.items():
                counter.add_metric(labels, value, created=since if "code" in metric.labels else None)
            yield counter
        else:
            gauge = GaugeMetricFamily(full, metric.about, labels=metric.labels)
            for labels, value in values.items():
                gauge.add_metric(labels, value)
            yield gauge


class RowsCollector(Collector):
    """Asks `read` for the rows, and since when is counted, at each scrape; `read` returns in bounded time."""

    def __init__(self, read: Callable[[], tuple[Rows, float | None]]) -> None:
        self._read = read

    def describe(self) -> Iterator[Metric]:
        """Name nothing: asking for the names alone would read the GPUs."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """Yield the families of now."""
        return families(*self._read())


def _registry(read: Callable[[], tuple[Rows, float | None]]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)  # without the library's own facts about this process
    registry.register(RowsCollector(read))
    return registry


def metrics_text(rows: Rows, since: float | None) -> str:
    """Write the rows in Prometheus's text format."""
    return generate_latest(_registry(lambda: (rows, since))).decode()


def _for_this_machine(app: Any) -> Any:
    """
    Answer only who asks for this machine by a name or address of its own.

    A page in the browser may have its server's name lead here (DNS rebinding), and would read the answer.
    """

    def checked(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        named = environ.get("HTTP_HOST", "localhost")
        if is_loopback(re.sub(r":\d*$", "", named).strip("[]")):
            return app(environ, start_response)
        start_response("421 Misdirected Request", [("Content-Type", "text/plain")])
        return [b"this is answered at localhost alone\n"]

    return checked


class EndpointError(Exception):
    """The endpoint cannot be opened: one line that says why."""


class _Handler(WSGIRequestHandler):
    timeout = CONNECTION_WITHIN
    server: _Server

    def setup(self) -> None:
        if isinstance(self.request, ssl.SSLSocket):
            self.request.settimeout(CONNECTION_WITHIN)
            self.request.do_handshake()
        super().setup()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name for it
        log.debug("export: %s", format % args)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, address: tuple[str, int], family: socket.AddressFamily, tls: TlsFiles | None) -> None:
        self.address_family = family
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._context = None if tls is None else tls.context()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # Without the look-up of our own name that the library does here: it may take long.
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if os.name == "posix":  # on Windows it would let two programs have one port
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = map(str, self.server_address[:2])  # type: ignore[assignment]
        self.setup_environ()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = self.socket.accept()
        if self._context is None:
            return connection, address
        # The handshake waits for the other side: it is made on the connection's own thread.
        wrapped = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return wrapped, address

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, _request: Any, client_address: Any) -> None:
        log.debug("export: %s left or sent garbage: %r", client_address[0], sys.exception())


class TlsFiles:
    """Certificate and key of the endpoint; with `client_ca` only clients with its certificates get in."""

    def __init__(self, certificate: Path, key: Path | None, client_ca: Path | None) -> None:
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca

    def context(self) -> ssl.SSLContext:
        """Load them; raises EndpointError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            file: Path = self._certificate
            context.load_cert_chain(self._certificate, self._key)
            if self._client_ca is not None:
                file = self._client_ca
                context.load_verify_locations(self._client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as error:  # SSLError is an OSError
            why = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            raise EndpointError(_("{file} cannot be used: {why}").format(file=file, why=why)) from error
        return context


class Endpoint:
    """Answers scrapes from `start` to `stop`."""

    def __init__(
        self,
        host: str,
        port: int,
        read: Callable[[], tuple[Rows, float | None]],
        tls: TlsFiles | None = None,
    ) -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, _type, _protocol, _name, address = found[0]
            self._server = _Server((str(address[0]), port), family, tls)
        except OSError as error:
            text = _("{host}:{port} cannot be used: {why}")
            if error.errno == errno.EADDRINUSE:
                text = _(
                    "{host}:{port} cannot be used: {why} (another `gpuwatch-tray export`? --listen takes"
                    " another port)"
                )
            why = error.strerror or str(error)
            raise EndpointError(text.format(host=host, port=port, why=why)) from error
        app = make_wsgi_app(_registry(read))
        self._server.set_app(_for_this_machine(app) if is_loopback(host) else app)
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port, chosen by the system where 0 was asked for."""
        return int(self._server.server_port)

    def start(self) -> None:
        """Answer from now on."""
        self._thread = start_thread("export", self._server.serve_forever, ENDS_WITHIN)

    def stop(self) -> None:
        """Take no more connections."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join(STOP_WITHIN)
        with contextlib.suppress(OSError):
            self._server.server_close()
