"""
google-auth's transport (the `requests` library), made fit for mails that have to leave.

By itself it waits for ever on a server that sends a byte now and then, tries each address of a dead IPv6
route with the whole time-out, follows redirects with the secrets in the body, and puts the login of a
~/.netrc in the place of the sign-in.
"""

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

CONNECT_TIMEOUT = 5.0  # seconds for one address: a dead IPv6 route must not eat the time of the next
TIMEOUT = 15.0  # seconds of silence


_PROXY_LOGIN = re.compile(r"[^:]*://[^:]*:(.*)@")


def proxy_secrets() -> Iterator[str]:
    """The passwords of the proxies, whole and in the pieces that libraries quote of a wrong address."""
    for address in getproxies().values():
        if found := _PROXY_LOGIN.match(address):
            yield from (found[1], *re.split(r"[/#?@]", found[1]))


def _as_it_is(request: Any) -> Any:
    """A login of no kind: without any, `requests` takes that of ~/.netrc."""
    return request


class Web:
    """
    Requests that all together take at most `deadline` seconds; each is sent once, with our headers.

    Raises google-auth's TransportError where no answer came.
    """

    def __init__(self, timeout: float, deadline: float) -> None:
        self._request = Request()
        self._request.session.auth = _as_it_is
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
        """One request, in the shape in which google-auth asks for it."""

        def ask() -> Any:
            return self._request(
                url=url,
                method=method,
                body=body,
                headers=headers,
                timeout=(min(CONNECT_TIMEOUT, self._timeout), self._timeout),
                allow_redirects=False,
            )

        try:
            return call_with_timeout(self._end - time.monotonic(), ask, "web")
        except TimeoutError:
            raise NoConnection(_("no end after {seconds:g} s").format(seconds=self._deadline)) from None

    def close(self) -> None:
        """Let go of the connections."""
        self._request.session.close()
