"""
The sign-in to Gmail through the browser (RFC 8252), its revocation (RFC 7009), and bounded requests.

google-auth-oauthlib makes the address, the state, the PKCE challenge and the exchange of the code for tokens.
"""

from __future__ import annotations

import contextlib
import sys
import webbrowser
from typing import TYPE_CHECKING, Any, TextIO

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.notifiers.email import googlefiles
from gpuwatch_tray.notifiers.email.lines import Scrubber
from gpuwatch_tray.notifiers.email.redirect import LOOPBACK, RedirectServer, read_pasted
from gpuwatch_tray.notifiers.email.web import proxy_secrets
from gpuwatch_tray.transport import FailureKind, TransportError, configuration_error
from gpuwatch_tray.within import call_with_timeout, start_thread

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gpuwatch_tray.settings import Settings

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
            _("GMAIL_API_TOKEN is not set"), _("set it in notify.env: where token.json goes")
        )
    config = googlefiles.read_credentials(settings.gmail_credentials)
    scrub = Scrubber((config["installed"]["client_secret"], *proxy_secrets()))
    flow = InstalledAppFlow.from_client_config(config, scopes=[googlefiles.SCOPE])
    with _listen(port) as server:
        flow.redirect_uri = server.address
        # offline and consent, or Google gives no refresh token the second time.
        address, server.state = flow.authorization_url(access_type="offline", prompt="consent")
        _print_address(address, server.server_port, out)
        if pasted is not None:
            print(
                _("Or paste the address at which the browser ended, and press Enter."), file=out, flush=True
            )
            read_pasted(server, pasted, lambda text: print(text, file=out, flush=True))
        if open_browser:
            _open_browser(address)
        if not server.wait(timeout):
            raise googlefiles.sign_in_error(
                _("nobody signed in within {seconds:g} s").format(seconds=timeout), _(SIGN_IN_AGAIN)
            )
    answer = server.answer or {}
    if "error" in answer:
        raise googlefiles.sign_in_error(
            _("Google refused the sign-in: {error}").format(error=scrub(answer["error"][0])), _(SIGN_IN_AGAIN)
        )
    return _store_token(_exchange_code(flow, server.query, scrub), settings.gmail_token)


def _print_address(address: str, port: int, out: TextIO) -> None:
    print(_("Open this address in a browser, sign in and allow sending mail:"), file=out)
    print(f"\n  {address}\n", file=out)
    forward = f"ssh -L {port}:{LOOPBACK}:{port} ..."
    waiting = _("Waiting on port {port} (over SSH: {forward})").format(port=port, forward=forward)
    print(waiting, file=out, flush=True)


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
        raise googlefiles.sign_in_error(
            _("port {port} on {host} cannot be used: {why}").format(
                port=port, host=LOOPBACK, why=error.strerror
            ),
            _("is another sign-in still waiting? End it, or give another port with --port"),
        ) from None


def _exchange_code(flow: Any, query: str, scrub: Scrubber) -> Any:
    """
    Return Google's credentials for the code in the redirect's `query`; TransportError.

    oauthlib insists on https in the address, which a loopback redirect does not have.
    """
    from oauthlib.oauth2 import OAuth2Error  # type: ignore[import-untyped]  # has no types

    def fetch() -> Any:
        flow.fetch_token(authorization_response=f"https://{LOOPBACK}/?{query}", timeout=EXCHANGE_TIMEOUT)
        return flow.credentials

    try:
        return call_with_timeout(EXCHANGE_DEADLINE, fetch, "exchange")
    except Warning:  # oauthlib raises one where other scopes were granted
        raise _wrong_scope() from None
    except OAuth2Error as error:
        raise googlefiles.sign_in_error(
            _("Google gave no token: {error}").format(error=scrub(str(error.error))), _(SIGN_IN_AGAIN)
        ) from None
    except OSError as error:  # the errors of requests and the time-out
        reason = scrub(str(error), 160) or _("no end after {seconds:g} s").format(seconds=EXCHANGE_DEADLINE)
        raise TransportError(
            FailureKind.TRANSIENT,
            _("Google's token address is not reached: {error}").format(error=reason),
            _(SIGN_IN_AGAIN),
        ) from None
    except (ValueError, TypeError, AttributeError, KeyError):
        # The libraries' reaction to an answer that is no token.
        raise TransportError(
            FailureKind.TRANSIENT, _("the token address answered with something else"), _(SIGN_IN_AGAIN)
        ) from None


def _store_token(credentials: Any, path: Path) -> Path:
    granted = credentials.granted_scopes if credentials.granted_scopes is not None else credentials.scopes
    if not googlefiles.SENDING_SCOPES.intersection(granted or ()):
        raise _wrong_scope()
    if not credentials.refresh_token:
        raise googlefiles.sign_in_error(
            _("Google gave no refresh token"),
            _(
                "take away the app's access on https://myaccount.google.com/permissions,"
                " then sign in again with `gpuwatch-tray mail login`"
            ),
        )
    try:
        with googlefiles.token_lock(path):
            googlefiles.write_token(path, credentials.to_json())
    except OSError as error:
        text = _("{path} cannot be written: {why}").format(path=path, why=error.strerror)
        raise configuration_error(text, _("correct GMAIL_API_TOKEN in notify.env")) from None
    return path


def _wrong_scope() -> TransportError:
    return googlefiles.sign_in_error(
        _("sending mail was not allowed"),
        _("sign in again with `gpuwatch-tray mail login` and tick the box for sending mail"),
    )
