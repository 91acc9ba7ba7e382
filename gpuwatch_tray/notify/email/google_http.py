"""Requests to Google in bounded time, and what a missing, a foreign or a refusing answer means."""

from __future__ import annotations

import re
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

from google.auth.exceptions import TransportError as NoConnection
from google.auth.transport.requests import Request
from requests.exceptions import RequestException

from gpuwatch_tray.common.threads import call_with_timeout
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.notify.transport import FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


NETWORK_MEND = N_("check the network")
PORTAL = N_("the answer is a web page, not Google's: does this network require a sign-in?")
EXPIRED_SIGN_IN = N_(
    "sign in with `gpuwatch-tray mail login`; while the Google app is in 'Testing', a sign-in ends after"
    " 7 days: publish it first. Other causes: access revoked, password changed, six months unused"
)
CONNECT_TIMEOUT = 5.0  # seconds for one address, so that a dead IPv6 route leaves time for the next
READ_TIMEOUT = 15.0  # seconds of silence
LONGEST_BODY = 1024 * 1024  # bytes: Google's answers have a few hundred
_PROXY_LOGIN = re.compile(r"[^:]*://[^:]*:(.*)@")


def proxy_secrets() -> Iterator[str]:
    """Yield the passwords of the proxies, whole and in the pieces that libraries quote of a wrong address."""
    for address in getproxies().values():
        if login := _PROXY_LOGIN.match(address):
            yield from (login[1], *re.split(r"[/#?@]", login[1]))


class DeadlinePassed(Exception):  # noqa: N818  # the cause of google-auth's error
    """Our own deadline passed; the text is ours."""


class EndlessAnswerError(RequestException):
    """An answer was longer than any of Google's."""


class BoundedBody:
    """The body of an answer, as requests reads it, of at most LONGEST_BODY bytes."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    def stream(self, size: int, **options: Any) -> Iterator[bytes]:
        """Yield the pieces; EndlessAnswerError once they are too much."""
        left = LONGEST_BODY
        for piece in self._body.stream(size, **options):
            left -= len(piece)
            if left < 0:
                self._body.close()
                raise EndlessAnswerError
            yield piece


def _bound_body(response: Any, **_options: object) -> None:
    response.raw = BoundedBody(response.raw)


class BoundedRequest:
    """
    Requests that together take at most `deadline` seconds, each sent once with our headers.

    By itself the library waits for ever on a slow sender, follows redirects with the secrets in the body, and
    takes a login of ~/.netrc. `timeout` is for a silence. Without an answer, google-auth's TransportError.
    """

    def __init__(self, timeout: float, deadline: float) -> None:
        self._request = Request()
        self._request.session.auth = lambda request: request  # without any, ~/.netrc is used
        self._request.session.hooks["response"].append(_bound_body)
        self._timeout = timeout
        self._deadline = deadline
        self._end = time.monotonic() + deadline

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **_options: object,
    ) -> Any:
        """Send one request; the parameters are those that google-auth passes."""

        def send() -> Any:
            return self._request(
                url=url,
                method=method,
                body=body,
                headers=headers,
                timeout=(min(CONNECT_TIMEOUT, self._timeout), self._timeout),
                allow_redirects=False,
            )

        try:
            return call_with_timeout(self._end - time.monotonic(), send, "web")
        except TimeoutError:
            text = _("not finished after {seconds:g} s").format(seconds=self._deadline)
            raise NoConnection(text) from DeadlinePassed(text)

    def close(self) -> None:
        """Close the connections."""
        self._request.session.close()


def list_causes(error: BaseException) -> list[BaseException]:
    """Return the error and what it wraps: libraries keep the cause as cause, context or argument."""
    found, waiting = list[BaseException](), [error]
    while waiting:
        cause = waiting.pop(0)
        if any(cause is other for other in found):
            continue
        found.append(cause)
        inner = [cause.__cause__ or cause.__context__, getattr(cause, "reason", None), *cause.args]
        waiting += [value for value in inner if isinstance(value, BaseException)]
    return found


def explain_no_answer(error: BaseException) -> str:
    """Say why no answer came, in our words: those of the libraries are for programmers."""
    causes = list_causes(error)
    names = {type(cause).__name__ for cause in causes}
    for cause in causes:
        if isinstance(cause, DeadlinePassed):
            return str(cause)
        if isinstance(cause, socket.gaierror):
            return _("the address of the host cannot be found: {why}").format(why=cause.strerror)
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = str(getattr(cause, "verify_message", "")).rstrip(".")
            return _("the server's certificate is not accepted: {why}").format(why=why)
        if isinstance(cause, EndlessAnswerError):
            return _("the answer never ends")
    if names & {"ProxyError", "InvalidProxyURL", "InvalidSchema", "InvalidURL", "LocationParseError"}:
        return _("cannot connect through the proxy set in HTTPS_PROXY or HTTP_PROXY")
    if any(isinstance(cause, TimeoutError) for cause in causes) or names & {"Timeout", "ReadTimeout"}:
        return _("no answer in time")
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return _("the TLS handshake failed")
    reasons = (cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror)
    return next(reasons, None) or _("the connection was lost")


def classify_token_error(code: str) -> tuple[FailureKind, str]:
    """Return the kind and the mend of an error code of the token endpoint (RFC 6749, 5.2)."""
    if code in ("invalid_client", "unauthorized_client", "deleted_client", "disabled_client"):
        mend = _(
            "download credentials.json again from the Google Cloud console, then sign in with"
            " `gpuwatch-tray mail login`"
        )
        return FailureKind.CONFIGURATION, mend
    return FailureKind.SIGN_IN, _(EXPIRED_SIGN_IN)
