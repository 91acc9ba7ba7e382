"""
The sign-in to Gmail: from credentials.json, through the browser, to token.json (RFC 8252).

google-auth-oauthlib makes the addresses, the state, the PKCE challenge and the exchange. Its own
`run_local_server` takes the first request for the answer, whatever it is: a stray request to the port would
end the sign-in. So the answer is waited for in `redirect`.
"""

from __future__ import annotations

import contextlib
import sys
import webbrowser
from typing import TYPE_CHECKING, Any, TextIO

from google_auth_oauthlib.flow import InstalledAppFlow
from oauthlib.oauth2 import OAuth2Error  # type: ignore[import-untyped]  # has no types

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.notifiers.email import googlefiles
from gpuwatch_tray.notifiers.email.lines import Scrubber
from gpuwatch_tray.notifiers.email.redirect import HOST, Redirect, take_pasted
from gpuwatch_tray.notifiers.email.web import proxy_secrets
from gpuwatch_tray.transport import FailureKind, TransportError
from gpuwatch_tray.within import call_with_timeout, start_thread

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gpuwatch_tray.settings import Settings

PORT = 8765
TIMEOUT = 300.0  # seconds for the person in front of the browser
EXCHANGE_TIMEOUT = 15.0  # seconds of silence while Google gives the token
EXCHANGE_DEADLINE = 30.0  # seconds for all of it
AGAIN = N_("sign in again with `gpuwatch-tray mail login`")


def browser_is_here(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a browser started here opens in front of the person: not over SSH, nor without a screen."""
    if environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"):
        return False
    return platform in ("win32", "darwin") or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def login(
    settings: Settings,
    *,
    port: int = PORT,
    open_browser: bool,
    timeout: float = TIMEOUT,
    out: TextIO,
    pasted: int | None = None,
) -> Path:
    """
    Sign in, and write token.json; returns its path. `port` 0 takes a free one.

    `pasted` is a file descriptor from which the address at which the browser ended is taken as well.
    TransportError says what failed: the files, the port, the time, the person's or Google's refusal.
    """
    if settings.gmail_token is None:
        raise googlefiles.problem(
            _("GMAIL_API_TOKEN is not set"), _("set it in notify.env: where token.json goes")
        )
    config = googlefiles.read_credentials(settings.gmail_credentials)
    scrub = Scrubber((config["installed"]["client_secret"], *proxy_secrets()))
    flow = InstalledAppFlow.from_client_config(config, scopes=[googlefiles.SCOPE])
    with _listen(port) as server:
        flow.redirect_uri = server.address
        # offline and consent, or Google gives no refresh token the second time.
        address, server.state = flow.authorization_url(access_type="offline", prompt="consent")
        _tell(address, server.server_port, out)
        if pasted is not None:
            print(
                _("Or paste the address at which the browser ended, and press Enter."), file=out, flush=True
            )
            take_pasted(server, pasted, lambda text: print(text, file=out, flush=True))
        if open_browser:
            _open(address)
        if not server.wait(timeout):
            raise googlefiles.sign_in_needed(
                _("nobody signed in within {seconds:g} s").format(seconds=timeout), _(AGAIN)
            )
    answer = server.answer or {}
    if "error" in answer:
        raise googlefiles.sign_in_needed(
            _("Google refused the sign-in: {error}").format(error=scrub(answer["error"][0])), _(AGAIN)
        )
    return _keep(_exchange(flow, server.query, scrub), settings.gmail_token)


def _tell(address: str, port: int, out: TextIO) -> None:
    print(_("Open this address in a browser, sign in and allow sending mail:"), file=out)
    print(f"\n  {address}\n", file=out)
    forward = f"ssh -L {port}:{HOST}:{port} ..."
    waiting = _("Waiting on port {port} (over SSH: {forward})").format(port=port, forward=forward)
    print(waiting, file=out, flush=True)


def _open(address: str) -> None:
    """Start the browser beside us: what BROWSER names may go on until the person closes it."""

    def run() -> None:
        with contextlib.suppress(webbrowser.Error):  # the address is printed, and can be opened by hand
            webbrowser.open(address, new=1)

    start_thread("browser", run)


def _listen(port: int) -> Redirect:
    try:
        return Redirect(port)
    except OSError as error:
        raise googlefiles.sign_in_needed(
            _("port {port} on {host} cannot be used: {why}").format(port=port, host=HOST, why=error.strerror),
            _("is another sign-in still waiting? End it, or give another port with --port"),
        ) from None


def _exchange(flow: Any, query: str, scrub: Scrubber) -> Any:
    """
    Google's credentials for the code of the redirect.

    oauthlib wants https in the address, which a loopback address has not.
    """

    def fetch() -> Any:
        flow.fetch_token(authorization_response=f"https://{HOST}/?{query}", timeout=EXCHANGE_TIMEOUT)
        return flow.credentials

    try:
        return call_with_timeout(EXCHANGE_DEADLINE, fetch, "exchange")
    except Warning:  # raised, not warned: oauthlib's way to say that other scopes were granted
        raise _wrong_scope() from None
    except OAuth2Error as error:
        raise googlefiles.sign_in_needed(
            _("Google gave no token: {error}").format(error=scrub(str(error.error))), _(AGAIN)
        ) from None
    except OSError as error:  # requests' errors are, and the time-out
        said = scrub(str(error), 160) or _("no end after {seconds:g} s").format(seconds=EXCHANGE_DEADLINE)
        raise TransportError(
            FailureKind.TRANSIENT,
            _("Google's token address is not reached: {error}").format(error=said),
            _(AGAIN),
        ) from None
    except (ValueError, TypeError, AttributeError, KeyError):
        # What the libraries make of an answer that is no token.
        raise TransportError(
            FailureKind.TRANSIENT, _("the token address answered with something else"), _(AGAIN)
        ) from None


def _keep(credentials: Any, path: Path) -> Path:
    granted = credentials.granted_scopes if credentials.granted_scopes is not None else credentials.scopes
    if not googlefiles.SENDING_SCOPES.intersection(granted or ()):
        raise _wrong_scope()
    if not credentials.refresh_token:
        raise googlefiles.sign_in_needed(
            _("Google gave no refresh token"),
            _(
                "take away the app's access on https://myaccount.google.com/permissions,"
                " then sign in again with `gpuwatch-tray mail login`"
            ),
        )
    try:
        with googlefiles.locked(path):
            googlefiles.write_token(path, credentials.to_json())
    except OSError as error:
        text = _("{path} cannot be written: {why}").format(path=path, why=error.strerror)
        raise googlefiles.problem(text, _("correct GMAIL_API_TOKEN in notify.env")) from None
    return path


def _wrong_scope() -> TransportError:
    return googlefiles.sign_in_needed(
        _("sending mail was not allowed"),
        _("sign in again with `gpuwatch-tray mail login` and tick the box for sending mail"),
    )
