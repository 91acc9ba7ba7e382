"""
Questions to the lab's servers over HTTP, with JSON as answers: bounded in time and size, and nothing told.

The one importer of urllib3. No redirect is followed, as it would carry the login elsewhere; no proxy is used
but that of LAB_PROXY, whatever the environment says; no error holds a login, a header or a body.
"""

from __future__ import annotations

import json
import re
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import urllib3
from msgspec import Struct
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util import Timeout, make_headers

from gpuwatch_tray.common import redact
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.lab.bounded_sockets import BoundedSocket, BoundedTlsSocket, ending_at, seconds_left
from gpuwatch_tray.lab.lab_error import LabError, LabFailure
from gpuwatch_tray.lab.login import secret_place
from gpuwatch_tray.settings import LabLogin

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from gpuwatch_tray.lab.login import LabSecret
    from gpuwatch_tray.settings import LabSettings

MOST_BYTES = 8 * 2**20  # of one answer, unpacked: 500 hosts are 60 KB a question
CONNECT_SECONDS = 4.0  # a host that drops packets must leave time for the next one
_PIECE = 2**16
_TOKEN = re.compile(r"[!-~]+")  # what a header can hold
_LONGEST_ERROR = 200  # characters of what a server says
_NO_PAGE = N_(
    "see the address in lab.env: with the path that a server below one has, without a page such as /graph"
)
_MAX_DEPTH_ERROR = (ValueError, RecursionError)  # what json raises at no JSON, and at brackets without an end


class HttpAnswer(Struct, frozen=True):
    """The JSON of an answer, its length in bytes, and the server's clock (wall time), where it tells it."""

    json: Any
    size: int
    clock: float | None


class LabServer:
    """
    One server of the lab, over connections that are kept.

    `address` begins with http:// or https:// and holds no login; `secret` is asked for the password or the
    token with each question, and told where that is refused. `seconds` bounds all of a question but the
    resolver, and a connection to a name with several addresses of which none answers: who must not wait
    longer for these asks on a thread beside.
    """

    def __init__(self, address: str, settings: LabSettings, secret: LabSecret) -> None:
        self.address = address.rstrip("/")
        self.name = redact.visible(urlsplit(address).netloc.rpartition("@")[2])
        self._settings = settings
        self._secret = secret
        self._pool: urllib3.PoolManager | None = None

    def get(self, path: str, seconds: float, fields: Sequence[tuple[str, str]] = ()) -> HttpAnswer:
        """Ask for `path`, which begins with a slash; raises LabError."""
        query = f"?{urlencode(fields)}" if fields else ""
        end = time.monotonic() + seconds
        try:
            return self._ask("GET", path + query, seconds)
        except _ConnectionLostError:  # one that was kept, and that the server closed meanwhile
            try:
                return self._ask("GET", path + query, end - time.monotonic())
            except _ConnectionLostError as error:
                raise self._lost() from error

    def post(self, path: str, seconds: float, value: Any) -> HttpAnswer:
        """Send `value` as JSON; raises LabError. It is never sent twice."""
        return self._write("POST", path, seconds, json.dumps(value).encode())

    def delete(self, path: str, seconds: float) -> HttpAnswer:
        """Ask to delete what is at `path`; raises LabError."""
        return self._write("DELETE", path, seconds, None)

    def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            self._pool.clear()

    def _write(self, method: str, path: str, seconds: float, body: bytes | None) -> HttpAnswer:
        try:
            return self._ask(method, path, seconds, body)
        except _ConnectionLostError as error:
            raise self._lost() from error

    def _lost(self) -> LabError:
        return LabError(
            LabFailure.UNREACHABLE, _("{server} broke the connection off").format(server=self.name)
        )

    def _ask(self, method: str, path: str, seconds: float, body: bytes | None = None) -> HttpAnswer:
        end = time.monotonic() + seconds
        if seconds <= 0:
            raise self._too_slow(0)
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "gpuwatch-tray"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        headers |= self._login()
        pool = self._pool_of()
        try:
            with ending_at(end):
                response = pool.request(
                    method,
                    self.address + path,
                    body=body,
                    headers=headers,
                    redirect=False,
                    retries=False,
                    timeout=Timeout(connect=min(seconds, CONNECT_SECONDS), read=seconds),
                    preload_content=False,
                )
                try:
                    text = self._read(response, end, seconds)
                except BaseException:
                    response.close()  # a connection with half an answer in it is of no use
                    raise
                response.release_conn()
        except HTTPError as error:
            if time.monotonic() >= end:  # whatever the library makes of the step that it ended in
                raise self._too_slow(seconds) from None
            raise self._failure(error, seconds) from None
        return self._parse(response, text)

    def _read(self, response: urllib3.BaseHTTPResponse, end: float, seconds: float) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while True:
            if time.monotonic() > end:
                raise self._too_slow(seconds)
            piece = response.read1(_PIECE, decode_content=True)
            size += len(piece)
            if size > MOST_BYTES:
                text = _("{server}: its answer has more than {most} MiB")
                raise LabError(LabFailure.QUERY, text.format(server=self.name, most=MOST_BYTES // 2**20))
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)

    def _parse(self, response: urllib3.BaseHTTPResponse, text: bytes) -> HttpAnswer:
        try:
            value = json.loads(text) if text else None
        except _MAX_DEPTH_ERROR:
            value = None
            is_json = False
        else:
            is_json = bool(text)
        if response.status // 100 != 2:  # noqa: PLR2004  # the successes of HTTP
            raise self._refusal(response, value)
        if not is_json and text:
            raise LabError(
                LabFailure.OTHER_PROGRAM,
                _("{server} answers with a page and not with JSON").format(server=self.name),
                _("look at {address} in a browser: a proxy or a login page may stand before it").format(
                    address=self.address
                ),
            )
        return HttpAnswer(value, len(text), _clock(response.headers.get("Date")))

    def _refusal(self, response: urllib3.BaseHTTPResponse, value: object) -> LabError:
        """Say what a status that is no success means."""
        status = response.status
        said = _said(value)
        if status == 401:  # noqa: PLR2004
            text, mend = self._login_refused()
            kind = LabFailure.LOGIN
            self._secret.refused()
        elif status == 403:  # noqa: PLR2004
            text, mend = _("{server} refuses access"), _("ask who keeps it; see LAB_AUTH in lab.env")
            kind = LabFailure.LOGIN
        elif status == 407:  # noqa: PLR2004
            text, mend, kind = (
                _("the proxy asks for a login"),
                _("see LAB_PROXY in lab.env"),
                LabFailure.LOGIN,
            )
        elif 300 <= status < 400:  # noqa: PLR2004
            text = _("{server} leads to another address, where the login is not sent")
            mend, kind = _("write the address that it leads to into lab.env"), LabFailure.OTHER_PROGRAM
        elif status == 404:  # noqa: PLR2004
            text, mend = _("{server} has no such page"), _(_NO_PAGE)
            kind = LabFailure.OTHER_PROGRAM
        elif status in {400, 405, 415, 422}:
            text, mend, kind = _("{server} refuses the question"), "", LabFailure.QUERY
        else:
            text, mend, kind = _("{server} cannot answer now (HTTP {status})"), "", LabFailure.BUSY
        line = text.format(server=self.name, status=status)
        return LabError(kind, f"{line}: {said}" if said else line, mend)

    def _login_refused(self) -> tuple[str, str]:
        login = self._settings.login
        if login is LabLogin.NONE:
            return _("{server} asks for a login"), _(
                "set LAB_AUTH in lab.env; `gpuwatch-tray lab password` stores the password or the token"
            )
        mend = _("see LAB_AUTH and LAB_USER in lab.env, and the password in {place}")
        if login is LabLogin.BEARER:
            mend = _("see LAB_AUTH in lab.env, and the token in {place}")
        return _("{server} does not take our login"), mend.format(place=secret_place(self._settings))

    def _failure(self, error: HTTPError, seconds: float) -> LabError:
        """Say what went wrong below HTTP; urllib3's own texts hold whole addresses."""
        if isinstance(error, ProxyError):
            return LabError(
                LabFailure.UNREACHABLE,
                _("the proxy of LAB_PROXY does not lead to {server}").format(server=self.name),
                _("see LAB_PROXY in lab.env"),
            )
        if isinstance(error, NameResolutionError):
            text = _("{server}: no such name").format(server=self.name)
            return LabError(LabFailure.UNREACHABLE, text, _("see the address in lab.env"))
        if isinstance(error, NewConnectionError):
            why = redact.text(_cause(error))[:_LONGEST_ERROR]
            return LabError(
                LabFailure.UNREACHABLE,
                _("{server} cannot be reached: {why}").format(server=self.name, why=why),
                _("does it run, and is this computer in its network?"),
            )
        if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
            return self._too_slow(seconds)
        if isinstance(error, SSLError):
            return self._tls_failure(error)
        if isinstance(error, ProtocolError):
            raise _ConnectionLostError from error
        return LabError(
            LabFailure.OTHER_PROGRAM,
            _("{server} does not speak HTTP as expected ({error})").format(
                server=self.name, error=type(error).__name__
            ),
        )

    def _tls_failure(self, error: SSLError) -> LabError:
        cause = error.args[0] if error.args else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = redact.text(cause.verify_message)[:_LONGEST_ERROR]
            return LabError(
                LabFailure.TLS,
                _("the certificate of {server} is not accepted: {why}").format(server=self.name, why=why),
                _("LAB_CA_FILE in lab.env takes the certificate of your own authority"),
            )
        why = redact.text(str(getattr(cause, "reason", "") or type(cause).__name__))[:_LONGEST_ERROR]
        return LabError(
            LabFailure.TLS,
            _("no TLS with {server}: {why}").format(server=self.name, why=why),
            _("see https:// or http:// in the address, and LAB_CLIENT_CERT, in lab.env"),
        )

    def _too_slow(self, seconds: float) -> LabError:
        text = _("{server} did not answer within {seconds:.0f} s").format(server=self.name, seconds=seconds)
        return LabError(LabFailure.UNREACHABLE, text)

    def _login(self) -> dict[str, str]:
        login = self._settings.login
        if login is LabLogin.NONE:
            return {}
        secret = self._secret.read().reveal()
        if login is LabLogin.BEARER:
            # The library shows a header that it refuses, with the token in it.
            if not _TOKEN.fullmatch(secret):
                text = _("what is stored for LAB_AUTH=bearer is no token")
                raise LabError(LabFailure.CONFIGURATION, text, _("see LAB_AUTH in lab.env"))
            return {"Authorization": f"Bearer {secret}"}
        # Both servers compare bytes: a password beyond Latin-1 goes as UTF-8, as browsers send it.
        pair = f"{self._settings.user}:{secret}".encode().decode("latin-1")
        return dict(make_headers(basic_auth=pair))

    def _pool_of(self) -> urllib3.PoolManager:
        if self._pool is None:
            context = self._context() if self.address.startswith("https:") else None
            proxy = self._settings.proxy
            if proxy:
                to_proxy = self._context() if proxy.startswith("https:") else None
                self._pool = urllib3.ProxyManager(
                    proxy, maxsize=1, ssl_context=context, proxy_ssl_context=to_proxy
                )
            else:
                self._pool = urllib3.PoolManager(maxsize=1, ssl_context=context)
            self._pool.pool_classes_by_scheme = {"http": _Connections, "https": _TlsConnections}
        return self._pool

    def _context(self) -> ssl.SSLContext:
        settings = self._settings
        try:
            context = ssl.create_default_context(cafile=settings.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise _unusable("LAB_CA_FILE", settings.ca_file, error) from None
        if settings.client_cert is not None:
            try:
                # With a password, so that an encrypted key fails and does not ask on the terminal.
                context.load_cert_chain(settings.client_cert, settings.client_key, password="")
            except (OSError, ssl.SSLError) as error:
                raise _unusable("LAB_CLIENT_CERT", settings.client_cert, error) from None
        context.sslsocket_class = BoundedTlsSocket
        return context


class _Connection(HTTPConnection):
    """A connection that ends with the question, the answer of a proxy included."""

    def _new_conn(self) -> socket.socket:
        return _bounded(super()._new_conn())


class _TlsConnection(HTTPSConnection):
    """The same with TLS, whose greetings take the time-out of the socket for all of them."""

    def _new_conn(self) -> socket.socket:
        return _bounded(super()._new_conn())


class _Connections(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsConnections(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def _bounded(plain: socket.socket) -> socket.socket:
    bounded = BoundedSocket.in_place_of(plain)
    try:
        bounded.settimeout(seconds_left())
    except TimeoutError:
        bounded.close()
        raise
    return bounded


class _ConnectionLostError(Exception):
    """The server closed the connection before it had answered."""


def _unusable(key: str, file: object, error: OSError) -> LabError:
    why = error.strerror if error.errno and not isinstance(error, ssl.SSLError) else None
    return LabError(
        LabFailure.CONFIGURATION,
        _("{key} {file} cannot be used: {why}").format(
            key=key, file=file, why=why or _("not a certificate in PEM form, or a key with a password")
        ),
        _("see {key} in lab.env").format(key=key),
    )


def _cause(error: BaseException) -> str:
    """Return the system's words for why a connection failed."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, OSError) and at.strerror:
            return at.strerror
        at = at.__cause__ or at.__context__
    return type(error).__name__


def _said(value: object) -> str:
    """Return the reason that a server gives in its JSON: Prometheus in an object, Alertmanager as a text."""
    reason: object = value
    if isinstance(value, dict):
        reason = value.get("error") or value.get("message")
    return redact.text(reason[:_LONGEST_ERROR]) if isinstance(reason, str) else ""


def _clock(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (ValueError, TypeError, OverflowError):
        return None
