"""
The sign-in to Gmail: from credentials.json, through the browser, to token.json (RFC 8252).

google-auth-oauthlib makes the addresses, the state, the PKCE challenge and the exchange. Its own
`run_local_server` takes the first request for the answer, whatever it is: a stray request to the port (a
browser's favicon, a port scan) would end the sign-in. So the answer is waited for here.
"""

from __future__ import annotations

import time
import webbrowser
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import parse_qs, urlsplit

from google_auth_oauthlib.flow import InstalledAppFlow
from oauthlib.oauth2 import OAuth2Error  # type: ignore[import-untyped]  # has no types

from gpuwatch_tray.notifiers.email import googlefiles
from gpuwatch_tray.notifiers.email.lines import Scrubber
from gpuwatch_tray.transport import FailureKind, TransportError

if TYPE_CHECKING:
    from pathlib import Path

    from gpuwatch_tray.settings import Settings

HOST = "127.0.0.1"
PORT = 8765
TIMEOUT = 300.0  # seconds for the person in front of the browser
EXCHANGE_TIMEOUT = 15.0  # seconds for Google to give the token
REQUEST_TIMEOUT = 5.0  # seconds for one request to our port: a connection that says nothing holds up others

THANKS = "The sign-in is done. You may close this window and go back to the terminal.\n"
REFUSED = "The sign-in was refused. You may close this window and go back to the terminal.\n"
AGAIN = "sign in again with `gpuwatch-tray mail login`"


class _Catcher(HTTPServer):
    """Waits for the one request that carries the state of this sign-in, and keeps its address."""

    allow_reuse_address = False  # a second sign-in on this port must be an error, not a race
    timeout = 1.0

    def __init__(self, port: int, state: str) -> None:
        self.state = state
        self.found: str | None = None
        super().__init__((HOST, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a stranger's broken request."""


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_TIMEOUT
    server: _Catcher

    def do_GET(self) -> None:
        """Take the redirect of this sign-in; anything else is not found."""
        query = parse_qs(urlsplit(self.path).query)
        if query.get("state") != [self.server.state] or not query.keys() & {"code", "error"}:
            self.send_error(404)
            return
        self.server.found = self.path
        text = (THANKS if "code" in query else REFUSED).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Stay silent: the address holds the code."""


def login(
    settings: Settings, *, port: int = PORT, open_browser: bool, timeout: float = TIMEOUT, out: TextIO
) -> Path:
    """
    Sign in, and write token.json; returns its path. `port` 0 takes a free one.

    TransportError says what failed: the files, the port, the time, the person's or Google's refusal.
    """
    if settings.gmail_token is None:
        raise googlefiles.problem("GMAIL_API_TOKEN is not set", "set it in notify.env: where token.json goes")
    config = googlefiles.read_credentials(settings.gmail_credentials)
    scrub = Scrubber((config["installed"]["client_secret"],))
    flow = InstalledAppFlow.from_client_config(config, scopes=[googlefiles.SCOPE])
    with _listen(port) as server:
        flow.redirect_uri = f"http://{HOST}:{server.server_port}/"
        # offline and consent, or Google gives no refresh token the second time.
        address, server.state = flow.authorization_url(access_type="offline", prompt="consent")
        own = server.server_port
        print(f"Open this address in a browser, sign in and allow sending mail:\n\n  {address}\n", file=out)
        print(f"Waiting on port {own} (over SSH: ssh -L {own}:{HOST}:{own} ...)", file=out, flush=True)
        if open_browser:
            webbrowser.open(address, new=1)
        answer = _wait(server, timeout)
    denied = parse_qs(urlsplit(answer).query).get("error")
    if denied:
        raise googlefiles.problem(f"Google refused the sign-in: {scrub(denied[0])}", AGAIN)
    _exchange(flow, answer, scrub)
    return _keep(flow, settings.gmail_token)


def _listen(port: int) -> _Catcher:
    try:
        return _Catcher(port, "")
    except OSError as error:
        raise googlefiles.problem(
            f"port {port} on {HOST} cannot be used: {error.strerror}",
            "is another sign-in still waiting? End it, or give another port",
        ) from None


def _wait(server: _Catcher, timeout: float) -> str:
    end = time.monotonic() + timeout
    while server.found is None:
        left = end - time.monotonic()
        if left <= 0:
            raise TransportError(FailureKind.CONFIGURATION, f"nobody signed in within {timeout:g} s", AGAIN)
        server.timeout = min(left, 1.0)
        server.handle_request()
    return server.found


def _exchange(flow: Any, answer: str, scrub: Scrubber) -> None:
    """The code for the token. oauthlib wants https in the address, which a loopback address has not."""
    try:
        flow.fetch_token(authorization_response=f"https://{HOST}{answer}", timeout=EXCHANGE_TIMEOUT)
    except Warning:  # raised, not warned: oauthlib's way to say that other scopes were granted
        raise _wrong_scope() from None
    except OAuth2Error as error:
        raise googlefiles.problem(f"Google gave no token: {scrub(str(error.error))}", AGAIN) from None
    except OSError as error:  # requests' errors are
        raise TransportError(
            FailureKind.TRANSIENT, f"Google's token address is not reached: {scrub(str(error), 160)}", AGAIN
        ) from None
    except ValueError:
        raise TransportError(
            FailureKind.TRANSIENT, "the token address answered with something else", AGAIN
        ) from None


def _keep(flow: Any, path: Path) -> Path:
    credentials = flow.credentials
    granted = credentials.granted_scopes if credentials.granted_scopes is not None else credentials.scopes
    if not googlefiles.SENDING_SCOPES.intersection(granted or ()):
        raise _wrong_scope()
    if not credentials.refresh_token:
        raise googlefiles.problem(
            "Google gave no refresh token",
            "take away the app's access on https://myaccount.google.com/permissions, then " + AGAIN,
        )
    try:
        googlefiles.write_token(path, credentials.to_json())
    except OSError as error:
        text = f"{path} cannot be written: {error.strerror}"
        raise googlefiles.problem(text, "correct GMAIL_API_TOKEN in notify.env") from None
    return path


def _wrong_scope() -> TransportError:
    return googlefiles.problem("sending mail was not allowed", f"{AGAIN} and tick the box for sending mail")
