"""google-auth's HTTP transport (the `requests` library) with a deadline and without its surprises."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

from google.auth.exceptions import TransportError as NoConnection
from google.auth.transport.requests import Request

from gpuwatch_tray.language import _
from gpuwatch_tray.within import call_with_timeout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONNECT_TIMEOUT = 5.0  # seconds for one address, so that a dead IPv6 route leaves time for the next
READ_TIMEOUT = 15.0  # seconds of silence
_PROXY_LOGIN = re.compile(r"[^:]*://[^:]*:(.*)@")


def proxy_secrets() -> Iterator[str]:
    """Yield the passwords of the proxies, whole and in the pieces that libraries quote of a wrong address."""
    for address in getproxies().values():
        if login := _PROXY_LOGIN.match(address):
            yield from (login[1], *re.split(r"[/#?@]", login[1]))


class BoundedRequest:
    """
    Requests that together take at most `deadline` seconds; each is sent once, with our headers.

    By itself the library waits forever on a server that sends a byte now and then, follows redirects with the
    secrets in the body, and replaces the sign-in by a login of ~/.netrc. `timeout` is for a silence, in
    seconds. Raises google-auth's TransportError where no answer came.
    """

    def __init__(self, timeout: float, deadline: float) -> None:
        self._request = Request()
        self._request.session.auth = lambda request: request  # without any, ~/.netrc is used
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
            raise NoConnection(_("no end after {seconds:g} s").format(seconds=self._deadline)) from None

    def close(self) -> None:
        """Close the connections."""
        self._request.session.close()
