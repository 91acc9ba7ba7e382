"""
What goes over the wire while a message is sent, and what is not let through.

Apprise answers yes or no, for all of 401, 429 and no answer at all. Nearly each of its services asks by
`requests`, and so does our webhook: here each answer is noted, a redirect ends the request before anything of
it is sent on, and plain http leaves this computer only where the person has asked for it.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from msgspec import Struct, field

from gpuwatch_tray.i18n import _
from gpuwatch_tray.notify.transport import FailureKind, TransportError
from gpuwatch_tray.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


TOO_MANY, TIMED_OUT, TOO_EARLY = 429, 408, 425
REDIRECTS, REFUSALS, FAULTS = 300, 400, 500
CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 20.0  # seconds
LONGEST_WAIT = 24 * 3600.0  # seconds: what a server asks for beyond that is a mistake


class NotLetThroughError(requests.RequestException):
    """A request that is not made or not followed; Apprise takes it for a failed connection."""


class Wire(Struct):
    """What was answered, in order: a status, or the error in place of one; `wait` is what a server asked."""

    plain_text: bool  # plain http may leave this computer
    statuses: list[int] = field(default_factory=list)
    error: TransportError | None = None
    wait: float | None = None

    @property
    def accepted(self) -> int | None:
        """The last status, where it says that the request was taken."""
        last = self.statuses[-1] if self.statuses else REFUSALS
        return last if last < REDIRECTS else None

    def failure(self, place: str, mend: str) -> TransportError:
        """Return what has gone wrong at the last request, in words without the address."""
        if self.error is not None:
            error = self.error
            text = _("{place}: {why}").format(place=place, why=error.text)
            mend = mend if error.kind is FailureKind.CONFIGURATION else ""
            return TransportError(error.kind, text, error.mend or mend, for_all=True)
        status = self.statuses[-1] if self.statuses else None
        if status in {TOO_MANY, TIMED_OUT, TOO_EARLY} or (status or 0) >= FAULTS:
            kind = FailureKind.QUOTA if status == TOO_MANY else FailureKind.TRANSIENT
            text = _("{place} asks to come back later (HTTP {status})").format(place=place, status=status)
            return TransportError(kind, text, for_all=True, wait=self.wait)
        text = _("{place} does not take it").format(place=place)
        if status is not None and status >= REFUSALS:
            text = _("{place} does not take it (HTTP {status})").format(place=place, status=status)
        return TransportError(FailureKind.CONFIGURATION, text, mend)


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Post `body`; what comes of it is on the wire."""
    timeout = (CONNECT_TIMEOUT, READ_TIMEOUT)
    with suppress(requests.RequestException):  # noted already; its text holds the address
        requests.post(url, data=body, headers=dict(headers), timeout=timeout, allow_redirects=False)


@contextmanager
def watched(*, plain_text: bool = False) -> Iterator[Wire]:
    """Watch the requests of this thread meanwhile, and let none through that another one makes unwatched."""
    # By thread: one that was left alone after its deadline goes on, and must not answer for the next message.
    wire = Wire(plain_text)
    setattr(requests.adapters.HTTPAdapter, "send", _watching)  # noqa: B010  # for the type checker it is fixed
    token = _wire.set(wire)
    _open.append(wire)
    try:
        yield wire
    finally:
        _open.remove(wire)
        _wire.reset(token)


_wire: ContextVar[Wire | None] = ContextVar("wire", default=None)
_open: list[Wire] = []
_SEND = requests.adapters.HTTPAdapter.send


def _watching(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
    """Send a request, as requests would, and note what comes of it."""
    wire = _wire.get()
    if wire is None:
        if _open:
            raise NotLetThroughError("not watched")
        return _SEND(self, request, *args, **kwargs)
    parts = urlsplit(request.url)
    if parts.scheme != "https" and not wire.plain_text and not is_loopback(parts.hostname or ""):
        wire.error = TransportError(
            FailureKind.CONFIGURATION,
            _("it would go unencrypted (http)"),
            _("give an address with https, or add the word plain to its line"),
        )
        raise NotLetThroughError("plain http")
    if parts.scheme != "https" and is_loopback(parts.hostname or ""):
        kwargs["proxies"] = {}  # to this computer; by a proxy it would leave it, unencrypted
    wire.error = None
    try:
        answer = _SEND(self, request, *args, **kwargs)
    except requests.RequestException as error:
        wire.error = _connection_error(error)
        raise
    except Exception:  # noqa: BLE001  # as of a server's name that is none; its text holds the address
        wire.error = _connection_error(requests.RequestException())
        raise NotLetThroughError("not made") from None
    wire.statuses.append(_status(answer))
    if answer.is_redirect:
        # Followed, it would take the token of the address to wherever it points.
        wire.error = TransportError(
            FailureKind.CONFIGURATION,
            _("it points elsewhere (HTTP {status}), which is not followed").format(status=answer.status_code),
        )
        raise NotLetThroughError("redirect")
    wire.wait = _asked_wait(answer) if wire.statuses[-1] >= REFUSALS else None
    return answer


# What services say in the JSON of an answer whose status is 200, as the status that it would have elsewhere:
# WeChat Work (https://developer.work.weixin.qq.com/document/path/90313), DingTalk, Feishu and Lark.
BAD, GONE = 400, 503
_TOO_OFTEN = {45009, 45033, 130101, 660026, 9499, 11232}
_TOO_BUSY = {-1}
_WITH_CODE = ("open.feishu.cn", "open.larksuite.com")


def _status(answer: Any) -> int:
    """Return the status of an answer, also where only its JSON says that the message was not taken."""
    status = int(answer.status_code)
    if status >= REDIRECTS:
        return status
    try:
        found = json.loads(answer.content)
        host = urlsplit(answer.url).hostname
        code = int(found.get("code", 0) if host in _WITH_CODE else found.get("errcode", 0))
    except (ValueError, TypeError, AttributeError):
        return status
    if code in _TOO_OFTEN:
        return TOO_MANY
    if code in _TOO_BUSY:
        return GONE
    return BAD if code or found.get("ok") is False else status


def _connection_error(error: requests.RequestException) -> TransportError:
    """Return a failed connection in words: the library's own text holds the address."""
    if isinstance(error, requests.exceptions.SSLError):
        text = _("its certificate is not accepted, or it speaks no TLS")
        return TransportError(FailureKind.CONFIGURATION, text)
    if isinstance(error, requests.exceptions.ProxyError):
        return TransportError(FailureKind.TRANSIENT, _("the proxy does not let it through"))
    if isinstance(error, requests.exceptions.Timeout):
        return TransportError(FailureKind.TRANSIENT, _("no answer in time"))
    if isinstance(error, requests.exceptions.ConnectionError):
        return TransportError(FailureKind.TRANSIENT, _("no connection"))
    return TransportError(FailureKind.CONFIGURATION, _("its address makes no request"))


def _asked_wait(answer: Any) -> float | None:
    """Return the seconds that the server asks to wait: by Retry-After, or in the JSON of its answer."""
    asked = answer.headers.get("Retry-After", "")
    seconds: float | None = None
    try:
        seconds = float(asked)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(asked).timestamp() - time.time()
        except (ValueError, TypeError):
            seconds = _wait_in_json(answer)
    return None if seconds is None or not 0 <= seconds < float("inf") else min(seconds, LONGEST_WAIT)


def _wait_in_json(answer: Any) -> float | None:
    """Find it where Discord, Telegram (`parameters`) and Matrix (in ms) have it."""
    try:
        found = json.loads(answer.content)
        if "retry_after_ms" in found:
            return float(found["retry_after_ms"]) / 1000
        return float(found.get("parameters", found)["retry_after"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
