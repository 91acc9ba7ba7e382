"""
Mail by the Gmail API with an existing sign-in (token.json), and what Google's errors mean.

Requests go through google-auth's `requests` transport: httplib2 doubles mails and ignores HTTPS_PROXY.
"""

from __future__ import annotations

import base64
import json
import logging
import ssl
from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from google.auth.exceptions import GoogleAuthError, RefreshError
from google.auth.exceptions import TransportError as NoConnection
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from msgspec import Struct

from gpuwatch_tray.common.private import replace_private
from gpuwatch_tray.i18n import _
from gpuwatch_tray.notify.email import google_credentials, mime
from gpuwatch_tray.notify.email.google_http import (
    EXPIRED_SIGN_IN,
    NETWORK_MEND,
    PORTAL,
    READ_TIMEOUT,
    BoundedRequest,
    classify_token_error,
    explain_no_answer,
    list_causes,
    proxy_secrets,
)
from gpuwatch_tray.notify.email.mime import Scrubber
from gpuwatch_tray.notify.transport import FailureKind, Receipt, TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gpuwatch_tray.model import Message
    from gpuwatch_tray.notify.transport import ReportStep


SERVER_ERRORS = range(500, 600)


_QUOTA_REASONS = frozenset((
    "rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded", "quotaExceeded",
    "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED",
))  # fmt: skip


class ErrorResponse(Struct, frozen=True):
    """
    A response other than success: `reasons` are Google's reason codes, `text` is for people.

    `foreign`: it is not in Google's format, as a page of a captive portal or a proxy.
    """

    status: int
    reasons: frozenset[str]
    text: str
    foreign: bool = False

    @classmethod
    def parse(cls, status: int, content: bytes) -> ErrorResponse:
        """Read Google's error object; keep only the status of anything else."""
        try:
            error = json.loads(content)["error"]
        except (ValueError, TypeError, KeyError):
            return cls(status, frozenset(), "", foreign=True)
        if not isinstance(error, dict):
            return cls(status, frozenset(), str(error))
        lists = [value for value in (error.get("errors"), error.get("details")) if isinstance(value, list)]
        objects = [item for item in ([error], *lists) for item in item if isinstance(item, dict)]
        reasons = frozenset(str(item[key]) for item in objects for key in ("reason", "status") if key in item)
        return cls(status, reasons, str(error.get("message", "")))

    def classify(self) -> tuple[FailureKind, str]:
        """Return the kind of failure and the mend."""
        if self.status == HTTPStatus.TOO_MANY_REQUESTS or self.reasons & _QUOTA_REASONS:
            return FailureKind.QUOTA, _("Gmail's sending limit is reached")
        if self.status == HTTPStatus.UNAUTHORIZED:
            return FailureKind.SIGN_IN, _(EXPIRED_SIGN_IN)
        if self.foreign and self.status not in (*SERVER_ERRORS, HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
            return FailureKind.TRANSIENT, _(PORTAL)
        if self.status == HTTPStatus.FORBIDDEN:
            if self.reasons & {"accessNotConfigured", "SERVICE_DISABLED"}:
                return FailureKind.CONFIGURATION, _("enable the Gmail API in the Google Cloud console")
            return FailureKind.SIGN_IN, _("sign in with `gpuwatch-tray mail login` and allow sending mail")
        if self.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return FailureKind.MESSAGE, _("the mail is too big for Gmail")
        if self.status in SERVER_ERRORS:
            return FailureKind.TRANSIENT, ""
        if "failedPrecondition" in self.reasons or "FAILED_PRECONDITION" in self.reasons:
            return FailureKind.CONFIGURATION, _("this Google account has no Gmail mailbox")
        if self.status != HTTPStatus.BAD_REQUEST:  # about the request or the network, not the mail
            return FailureKind.TRANSIENT, ""
        return FailureKind.RECIPIENT, _("check TO_EMAIL in gpu-watch.env, and FROM_EMAIL")


log = logging.getLogger(__name__)

GMAIL_URL = "https://gmail.googleapis.com/"
MAIL_DEADLINE = 60.0  # seconds for one mail, the renewal of the sign-in included
# Errors that mean that no connection was made; by name, as we do not depend on urllib3.
_NEVER_REACHED = frozenset((
    "NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "SSLError", "ProxyError",
    "InvalidProxyURL", "InvalidSchema", "InvalidURL", "LocationParseError", "gaierror",
))  # fmt: skip


class _Httplib2Response(dict[str, str]):
    """The headers of a response in the shape that googleapiclient reads (httplib2's)."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in headers.items()})
        self.status = status
        self.reason = ""


class _Httplib2Adapter:
    """The part of httplib2's interface that googleapiclient calls, over google-auth's transport."""

    def __init__(self, request: Any, credentials: Any) -> None:
        self._request = request
        self._credentials = credentials

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **_: object,
    ) -> tuple[_Httplib2Response, bytes]:
        """Send one request, once."""
        signed = {**(headers or {}), "authorization": f"Bearer {self._credentials.token}"}
        answer = self._request(url=uri, method=method, body=body, headers=signed)
        return _Httplib2Response(answer.status, answer.headers), answer.data

    def close(self) -> None:
        """Do nothing: the transport is closed by its owner."""


class _ActiveSignIn(Struct, frozen=True):
    """Google's credentials, a scrubber of their secrets, and whether they have just been renewed."""

    credentials: Any
    scrub: Scrubber
    renewed: bool


class GmailTransport:
    """
    The transport by the Gmail API. Sending needs `token`; `credentials` serves to say what is missing.

    `timeout` is for a silence of the server, `deadline` for a whole mail, in seconds. `endpoint` is for tests
    only: whoever sets it gets the token.
    """

    name = "Gmail API"

    def __init__(
        self,
        token: Path,
        to: Sequence[str],
        *,
        credentials: Path | None = None,
        from_email: str = "",
        endpoint: str = GMAIL_URL,
        timeout: float = READ_TIMEOUT,
        deadline: float = MAIL_DEADLINE,
    ) -> None:
        self._token = token
        self._to = to
        self._credentials = credentials
        self._from = from_email
        self._endpoint = endpoint
        self._timeout = timeout
        self._deadline = deadline

    def send(self, message: Message) -> Receipt:
        """Send to all recipients; renew and store a sign-in that is about to end."""
        recipients = mime.parse_addresses(message.details.only or self._to, "TO_EMAIL")
        sender = mime.parse_address(self._from, "FROM_EMAIL") if self._from else ""
        raw = mime.build_mail(message, sender=sender, recipients=recipients)
        with closing(BoundedRequest(self._timeout, self._deadline)) as request:
            sign_in = self._sign_in(request)
            answer = self._post(sign_in, request, raw)
            if answer is None and not sign_in.renewed:
                # Ended early, revoked, or a wrong clock here: the mail was not accepted, so try once more.
                sign_in = self._sign_in(request, renew=True)
                answer = self._post(sign_in, request, raw)
        if answer is None:
            raise self._error(FailureKind.SIGN_IN, _("sign-in refused"), _(EXPIRED_SIGN_IN))
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), str):
            raise self._offline(_(PORTAL))  # a captive portal's page comes as a success
        text = _("accepted as {id}, thread {thread}")
        text = text.format(id=answer["id"], thread=answer.get("threadId", "?"))
        return Receipt(self.name, sign_in.scrub(text))

    def probe(self, report: ReportStep) -> None:
        """Renew the sign-in, as only Google can confirm it; send nothing."""
        mime.parse_addresses(self._to, "TO_EMAIL")
        self._read()
        report(_("{file} exists and allows sending").format(file=self._token))
        with closing(BoundedRequest(self._timeout, self._deadline)) as request:
            self._sign_in(request, renew=True)
        report(_("Google has renewed the sign-in"))

    def _read(self) -> dict[str, Any]:
        """Return what token.json holds; TransportError."""
        if not self._token.exists():
            google_credentials.read_credentials(self._credentials)  # raises when that is what is missing
        return google_credentials.read_token(self._token)

    def _sign_in(self, request: Any, *, renew: bool = False) -> _ActiveSignIn:
        """Return the sign-in of token.json; renew and store it where it has ended or with `renew`."""
        self._read()  # so that no lock file is made where there is no token
        with google_credentials.token_lock(self._token):
            info = self._read()  # again: another process may have renewed it
            credentials = self._parse_credentials(info)
            renew = renew or not credentials.valid
            if renew:
                self._renew(credentials, request, _scrubber(info))
        return _ActiveSignIn(credentials, _scrubber(info, credentials.token), renew)

    def _error(self, kind: FailureKind, text: str, mend: str = "", **options: Any) -> TransportError:
        return TransportError(kind, f"{self.name}: {text}", mend, **options)

    def _offline(self, text: str) -> TransportError:
        return self._error(FailureKind.TRANSIENT, text, _(NETWORK_MEND), for_all=True)

    def _parse_credentials(self, info: dict[str, Any]) -> Any:
        try:
            credentials = Credentials.from_authorized_user_info(info)
        except (ValueError, TypeError, AttributeError):
            text = _("{file} is not a Google sign-in").format(file=self._token)
            raise google_credentials.sign_in_error(text) from None
        # from_authorized_user_info drops the file's token_uri, and with_token_uri drops the expiry.
        complete = credentials.with_token_uri(info.get("token_uri") or google_credentials.TOKEN_URI)
        complete.expiry = credentials.expiry
        return complete

    def _renew(self, credentials: Any, request: Any, scrub: Scrubber) -> None:
        try:
            credentials.refresh(request)
        except RefreshError as error:
            raise self._renewal_refused(error, scrub) from None
        except NoConnection as error:
            text = _("the sign-in cannot be renewed: {error}").format(error=explain_no_answer(error))
            raise self._offline(text) from None
        except (TypeError, AttributeError, ValueError, GoogleAuthError):
            # The library's reaction to a web page in place of a token.
            raise self._offline(_(PORTAL)) from None
        try:
            replace_private(self._token, credentials.to_json())
        except OSError as error:
            # This mail can still go out; the next one renews again.
            log.warning("%s cannot be written: %s", self._token, error.strerror)

    def _renewal_refused(self, error: Any, scrub: Scrubber) -> TransportError:
        details = error.args[1] if len(error.args) > 1 else None
        code = details.get("error") if isinstance(details, dict) else None
        if error.retryable or not isinstance(code, str):
            text = _("the sign-in cannot be renewed now: {error}")
            reason = scrub(code) if isinstance(code, str) else _("Google's answer is not a token")
            return self._offline(text.format(error=reason))
        kind, mend = classify_token_error(code)
        description = details.get("error_description") if isinstance(details, dict) else None
        text = _("sign-in refused: {code}").format(code=scrub(code))
        return self._error(kind, text + (f", {scrub(str(description))}" if description else ""), mend)

    def _post(self, sign_in: _ActiveSignIn, request: Any, raw: bytes) -> Any:
        """Return Google's answer, None where the sign-in was not accepted; TransportError."""
        service = build(
            "gmail",
            "v1",
            http=_Httplib2Adapter(request, sign_in.credentials),
            static_discovery=True,
            cache_discovery=False,
            # Both are fixed: an environment variable could send the token elsewhere.
            client_options={"api_endpoint": self._endpoint, "universe_domain": "googleapis.com"},
        )
        body = {"raw": base64.urlsafe_b64encode(raw).decode("ascii")}
        try:
            return service.users().messages().send(userId="me", body=body).execute(num_retries=0)
        except HttpError as error:
            if error.resp.status == HTTPStatus.UNAUTHORIZED:
                return None
            raise self._refused(error, sign_in.scrub) from None
        except NoConnection as error:
            raise self._unreachable(error) from None
        except ValueError:
            return ""  # the answer was announced as JSON and is a web page
        finally:
            service.close()

    def _refused(self, error: Any, scrub: Scrubber) -> TransportError:
        answer = ErrorResponse.parse(error.resp.status, error.content)
        kind, mend = answer.classify()
        retry_after = error.resp.get("retry-after", "")
        wait = float(retry_after) if retry_after.isdecimal() else None
        for_all = kind not in (FailureKind.MESSAGE, FailureKind.RECIPIENT)
        text = _("refused: {status} {text}").format(status=answer.status, text=scrub(answer.text)).rstrip()
        return self._error(kind, text, mend, for_all=for_all, wait=wait)

    def _unreachable(self, error: BaseException) -> TransportError:
        reason = explain_no_answer(error)
        for cause in list_causes(error):
            if isinstance(cause, ssl.SSLEOFError):
                break  # cut off, perhaps after the request
            if type(cause).__name__ in _NEVER_REACHED or isinstance(cause, ConnectionRefusedError):
                return self._offline(_("cannot be reached: {error}").format(error=reason))
        text = _("no answer: the mail may have been accepted ({error})").format(error=reason)
        return self._error(FailureKind.AMBIGUOUS, text, _(NETWORK_MEND))


def _scrubber(info: Mapping[str, Any], *more: str) -> Scrubber:
    known = [str(info.get(key) or "") for key in ("token", "refresh_token", "client_secret")]
    return Scrubber([*known, *more, *proxy_secrets()])
