"""The sign-in to Gmail through the browser (RFC 8252), and its revocation (RFC 7009)."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
import webbrowser
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import parse_qs, urlencode, urlsplit

from google.auth.exceptions import TransportError as NoConnection

from gpuwatch_tray.common.private import replace_private
from gpuwatch_tray.common.threads import call_with_timeout, start_thread
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.notify.email import google_credentials
from gpuwatch_tray.notify.email.google_http import (
    NETWORK_MEND,
    PORTAL,
    BoundedRequest,
    classify_token_error,
    explain_no_answer,
    proxy_secrets,
)
from gpuwatch_tray.notify.email.mime import Scrubber
from gpuwatch_tray.notify.transport import FailureKind, TransportError, configuration_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from gpuwatch_tray.settings import Settings


LOOPBACK = "127.0.0.1"
REQUEST_TIMEOUT = 5.0  # seconds for one request to our port
MOST_CONNECTIONS = 32  # at once; of more, the oldest is cut
LONGEST_LINE = 16_384  # bytes of a pasted line: an address is shorter


class RedirectServer(ThreadingHTTPServer):
    """
    Listens on 127.0.0.1 for the redirect at the end of a sign-in; `answer` is its query once it has arrived.

    Only an address with the `state` of this sign-in counts, so that a port scan changes nothing. Each
    connection has a thread: browsers connect ahead of time and say nothing, which holds up no other.
    """

    request_queue_size = MOST_CONNECTIONS
    block_on_close = False  # `server_close` cuts what is still open

    # On Windows the option would let a second sign-in share the port. On POSIX it only allows another sign-in
    # within a minute of the last.
    allow_reuse_address = os.name == "posix"

    def __init__(self, port: int) -> None:
        self.state = ""
        self.answer: dict[str, list[str]] | None = None
        self.query = ""
        self._open: dict[socket.socket, None] = {}  # the connections that have a thread, oldest first
        self._lock = threading.Lock()
        super().__init__((LOOPBACK, port), _RedirectHandler)

    @property
    def address(self) -> str:
        """The address to which Google sends the browser at the end."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    def read_answer(self, address: str) -> dict[str, list[str]] | None:
        """Return the answer in this address (or its path and query), None for one not to this sign-in."""
        fields = parse_qs(urlsplit(address).query)
        if not self.state or fields.get("state") != [self.state] or not fields.keys() & {"code", "error"}:
            return None
        return fields

    def accept(self, address: str) -> bool:
        """Store the answer if this address is the one to this sign-in, and none has come before."""
        fields = self.read_answer(address)
        with self._lock:
            if fields is not None and self.answer is None:
                self.query = urlsplit(address).query
                self.answer = fields  # last: `wait` looks for it
        return fields is not None

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

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve one request on a thread of its own."""
        with self._lock:
            self._open[request] = None
            oldest = next(iter(self._open)) if len(self._open) > MOST_CONNECTIONS else None
        if oldest is not None:
            self._cut(oldest)
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one request in bounded time: a byte now and then outlasts any time-out for a read."""
        timer = threading.Timer(REQUEST_TIMEOUT, self._cut, (request,))
        timer.daemon = True
        timer.start()
        try:
            super().finish_request(request, client_address)
        finally:
            timer.cancel()
            with self._lock:  # its file number may belong to another file soon
                self._open.pop(request, None)

    def server_close(self) -> None:
        """Listen no more, and cut the connections that are still open."""
        super().server_close()
        with self._lock:
            left = list(self._open)
        for request in left:
            self._cut(request)

    def _cut(self, request: socket.socket) -> None:
        with self._lock, contextlib.suppress(OSError):
            if request in self._open:
                del self._open[request]
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a stranger's broken request."""


class _RedirectHandler(BaseHTTPRequestHandler):
    timeout = REQUEST_TIMEOUT
    server: RedirectServer

    def do_GET(self) -> None:
        """Accept the redirect of this sign-in; answer 404 to anything else."""
        answer = self.server.read_answer(self.path)
        if answer is None:
            self.send_error(404)
            return
        try:
            text = _("Google's answer has arrived.") if "code" in answer else _("The sign-in was refused.")
            then = _("You can close this window.")
            page = f"{text} {then}\n".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)
        finally:
            self.server.accept(self.path)  # last: the program may end then

    def log_message(self, *_: object) -> None:
        """Log nothing: the address holds the code."""


def read_pasted(server: RedirectServer, source: int, complain: Callable[[str], None]) -> None:
    """
    Also accept an address that is pasted as a line into the file descriptor `source`.

    A thread reads it without Python's buffers, in which it would keep the interpreter from ending.
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
                    text = _(
                        "This is not the address that the browser ended up at: that one begins with {address}"
                    )
                    complain(text.format(address=f"{server.address}?state="))

    start_thread("pasted", read)


PORT = 8765
SIGN_IN_TIMEOUT = 300.0  # seconds for the person in front of the browser
EXCHANGE_TIMEOUT = 15.0  # seconds of silence while Google gives the token
EXCHANGE_DEADLINE = 30.0  # seconds for the whole exchange
SIGN_IN_AGAIN = N_("sign in again with `gpuwatch-tray mail login`")


def browser_is_here(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Return whether a browser started here opens before the person: not over SSH, not without a screen."""
    if environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"):
        return False
    return platform in ("win32", "darwin") or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def sign_in(
    settings: Settings,
    *,
    port: int = PORT,
    open_browser: bool,
    timeout: float = SIGN_IN_TIMEOUT,
    out: TextIO,
    pasted: int | None = None,
) -> Path:
    """
    Sign in, write token.json and return its path. `port` 0 takes a free one; `timeout` is in seconds.

    `pasted` is a file descriptor from which the address at which the browser ended is read as well.
    TransportError says what failed: the files, the port, the time, the person's or Google's refusal.
    """
    from google_auth_oauthlib.flow import InstalledAppFlow  # no other part of this module needs it

    if settings.gmail_token is None:
        raise configuration_error(
            _("GMAIL_API_TOKEN is not set"), _("set it in notify.env to the path for token.json")
        )
    config = google_credentials.read_credentials(settings.gmail_credentials)
    scrub = Scrubber((config["installed"]["client_secret"], *proxy_secrets()))
    flow = InstalledAppFlow.from_client_config(config, scopes=[google_credentials.SCOPE])
    with _listen(port) as server:
        flow.redirect_uri = server.address
        # offline and consent, or Google gives no refresh token the second time.
        address, server.state = flow.authorization_url(access_type="offline", prompt="consent")
        _print_address(address, server.server_port, out)
        if pasted is not None:
            ask = _("Or paste the address that the browser ended up at, and press Enter.")
            print(ask, file=out, flush=True)
            read_pasted(server, pasted, lambda text: print(text, file=out, flush=True))
        if open_browser:
            _open_browser(address)
        if not server.wait(timeout):
            raise google_credentials.sign_in_error(
                _("no one signed in within {seconds:g} s").format(seconds=timeout), _(SIGN_IN_AGAIN)
            )
    answer = server.answer or {}
    if "error" in answer:
        raise google_credentials.sign_in_error(
            _("Google refused the sign-in: {error}").format(error=scrub(answer["error"][0])), _(SIGN_IN_AGAIN)
        )
    return _store_token(_exchange_code(flow, server.query, scrub), settings.gmail_token)


def _print_address(address: str, port: int, out: TextIO) -> None:
    heading = _("Open this address in a browser, sign in and allow sending mail:")
    forward = f"ssh -L {port}:{LOOPBACK}:{port} ..."
    waiting = _("Waiting on port {port} (over SSH: {forward})").format(port=port, forward=forward)
    print(f"{heading}\n\n  {address}\n\n{waiting}", file=out, flush=True)


def _open_browser(address: str) -> None:
    """Start the browser without waiting: what BROWSER names may run until the person closes it."""

    def run() -> None:
        with contextlib.suppress(webbrowser.Error):  # the printed address can be opened by hand
            webbrowser.open(address, new=1)

    start_thread("browser", run)


def _listen(port: int) -> RedirectServer:
    try:
        return RedirectServer(port)
    except OSError as error:
        text = _("port {port} on {host} cannot be used: {why}")
        raise google_credentials.sign_in_error(
            text.format(port=port, host=LOOPBACK, why=error.strerror),
            _("is another sign-in still waiting? End it, or give another port with --port"),
        ) from None


def _exchange_code(flow: Any, query: str, scrub: Scrubber) -> Any:
    """Return Google's credentials for the code in the redirect's `query`; TransportError."""
    from oauthlib.oauth2 import OAuth2Error  # type: ignore[import-untyped]  # has no types

    def fetch() -> Any:
        # oauthlib insists on https, which a loopback redirect does not have.
        flow.fetch_token(authorization_response=f"https://{LOOPBACK}/?{query}", timeout=EXCHANGE_TIMEOUT)
        return flow.credentials

    try:
        return call_with_timeout(EXCHANGE_DEADLINE, fetch, "exchange")
    except Warning:  # oauthlib raises one where other scopes were granted
        raise _wrong_scope() from None
    except OAuth2Error as error:
        if error.error == "missing_token":  # by the library: the answer holds none
            raise TransportError(FailureKind.TRANSIENT, _(PORTAL), _(NETWORK_MEND)) from None
        kind, mend = classify_token_error(str(error.error))
        text = _("Google gave no token: {error}").format(error=scrub(str(error.error)))
        mend = mend if kind is FailureKind.CONFIGURATION else _(SIGN_IN_AGAIN)
        raise TransportError(kind, text, mend) from None
    except OSError as error:  # the errors of requests and the time-out
        reason = _("not finished after {seconds:g} s").format(seconds=EXCHANGE_DEADLINE)
        if not isinstance(error, TimeoutError):
            reason = explain_no_answer(error)
        text = _("Google's token address cannot be reached: {error}").format(error=reason)
        raise TransportError(FailureKind.TRANSIENT, text, _(SIGN_IN_AGAIN)) from None
    except (ValueError, TypeError, AttributeError, KeyError):
        # The libraries' reaction to an answer that is no token.
        text = _("the token address gave an unexpected answer")
        raise TransportError(FailureKind.TRANSIENT, text, _(SIGN_IN_AGAIN)) from None


def _store_token(credentials: Any, path: Path) -> Path:
    granted = credentials.granted_scopes if credentials.granted_scopes is not None else credentials.scopes
    if not google_credentials.SENDING_SCOPES.intersection(granted or ()):
        raise _wrong_scope()
    if not credentials.refresh_token:
        raise google_credentials.sign_in_error(
            _("Google gave no refresh token"),
            _(
                "remove the app's access at https://myaccount.google.com/permissions,"
                " then sign in again with `gpuwatch-tray mail login`"
            ),
        )
    try:
        with google_credentials.token_lock(path):
            replace_private(path, credentials.to_json())
    except OSError as error:
        text = _("{path} cannot be written: {why}").format(path=path, why=error.strerror)
        raise configuration_error(text, _("correct GMAIL_API_TOKEN in notify.env")) from None
    return path


def _wrong_scope() -> TransportError:
    return google_credentials.sign_in_error(
        _("sending mail was not allowed"),
        _("sign in again with `gpuwatch-tray mail login` and tick the box for sending mail"),
    )


REVOKE_URL = "https://oauth2.googleapis.com/revoke"
REVOKE_TIMEOUT = 15.0  # seconds of silence
REVOKE_DEADLINE = 30.0  # seconds for the whole request
NOT_REVOKED = N_(
    "the file is kept; try again, or remove the access at https://myaccount.google.com/permissions"
)


def revoke_sign_in(path: Path, *, endpoint: str = REVOKE_URL, timeout: float = REVOKE_TIMEOUT) -> bool:
    """
    Revoke the sign-in of token.json and delete the file; False where Google had ended it already.

    Where Google says neither, keep the file and raise TransportError; `endpoint` is for tests.
    """
    with google_credentials.token_lock(path):
        token = google_credentials.load_token(path)
        secret = str(token.get("refresh_token") or token.get("token") or "")
        revoked = bool(secret) and _request_revocation(secret, endpoint, timeout)
        try:
            path.unlink()
        except OSError as error:
            text = _("{path} cannot be deleted: {why}").format(path=path, why=error.strerror)
            raise configuration_error(text, _("delete it by hand")) from None
    return revoked


def _request_revocation(secret: str, endpoint: str, timeout: float) -> bool:
    """Return True once Google has revoked the token, False where it no longer knew it."""
    # In the body, which no log of a proxy holds.
    body = urlencode({"token": secret})
    headers = {"content-type": "application/x-www-form-urlencoded"}
    try:
        with contextlib.closing(BoundedRequest(timeout, REVOKE_DEADLINE)) as request:
            answer = request(endpoint, method="POST", body=body, headers=headers)
    except NoConnection as error:
        text = _("the sign-in was not revoked: Google cannot be reached: {error}")
        text = text.format(error=explain_no_answer(error))
        raise TransportError(FailureKind.TRANSIENT, text, _(NOT_REVOKED)) from None
    # Google's answer is empty or JSON, a captive portal's is a page.
    if answer.status == HTTPStatus.OK and not answer.data.lstrip().startswith(b"<"):
        return True
    with contextlib.suppress(ValueError, AttributeError):
        if json.loads(answer.data).get("error") == "invalid_token":
            return False
    text = _("the sign-in was not revoked: Google answered {code}").format(code=answer.status)
    raise TransportError(FailureKind.TRANSIENT, text, _(NOT_REVOKED))
