"""
Mail by the Gmail API with an existing sign-in (token.json).

The requests go through the `requests` transport of google-auth, not through httplib2: that one sends a POST
again by itself when the connection drops, which doubles mails, and ignores HTTPS_PROXY in silence.
"""

from __future__ import annotations

import base64
import logging
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.auth.exceptions import GoogleAuthError, RefreshError
from google.auth.exceptions import TransportError as NoConnection
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.notifiers.email import gmail_failures, googlefiles, mime
from gpuwatch_tray.notifiers.email.lines import Scrubber
from gpuwatch_tray.notifiers.email.web import TIMEOUT, Web, proxy_secrets
from gpuwatch_tray.transport import FailureKind, Receipt, Report, TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gpuwatch_tray.model import Message

log = logging.getLogger(__name__)

ENDPOINT = "https://gmail.googleapis.com/"
DEADLINE = 60.0  # seconds for one mail, the renewal of the sign-in included
NETWORK_MEND = N_("check the network")
# Errors by which a connection never came about, by name: they belong to a library that is not ours to import.
_NEVER_REACHED = frozenset(
    {
        "NewConnectionError",
        "ConnectTimeoutError",
        "NameResolutionError",
        "SSLError",
        "ProxyError",
        "InvalidProxyURL",
        "InvalidSchema",
        "InvalidURL",
        "LocationParseError",
        "gaierror",
    }
)


class _Answer(dict[str, str]):
    """The head of an answer in the shape that googleapiclient reads (httplib2's)."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in headers.items()})
        self.status = status
        self.reason = ""


class _Http:
    """What googleapiclient asks of an HTTP library, over google-auth's transport."""

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
    ) -> tuple[_Answer, bytes]:
        """One request, sent once."""
        signed = {**(headers or {}), "authorization": f"Bearer {self._credentials.token}"}
        answer = self._request(url=uri, method=method, body=body, headers=signed)
        return _Answer(answer.status, answer.headers), answer.data

    def close(self) -> None:
        """Nothing is kept open here."""


@dataclass(frozen=True, slots=True)
class _SignIn:
    """Google's credentials, what must not be told of them, and whether they have just been renewed."""

    credentials: Any
    scrub: Scrubber
    renewed: bool


class GmailTransport:
    """
    The way by the Gmail API. `credentials` only serves to say what is missing; sending needs the token.

    `endpoint` is an argument for tests and nothing else: whoever could set it would get the token. `timeout`
    is for a silence of the server, `deadline` for a mail as a whole, in seconds.
    """

    name = "Gmail API"

    def __init__(
        self,
        token: Path,
        to: Sequence[str],
        *,
        credentials: Path | None = None,
        from_email: str = "",
        endpoint: str = ENDPOINT,
        timeout: float = TIMEOUT,
        deadline: float = DEADLINE,
    ) -> None:
        self._token = token
        self._to = to
        self._credentials = credentials
        self._from = from_email
        self._endpoint = endpoint
        self._timeout = timeout
        self._deadline = deadline

    def send(self, message: Message) -> Receipt:
        """Send to all recipients; a sign-in that is about to end is renewed, and kept."""
        recipients = mime.addresses(message.details.only or self._to, "TO_EMAIL")
        sender = mime.address(self._from, "FROM_EMAIL") if self._from else ""
        mail = mime.build(message, sender=sender, recipients=recipients)
        raw = mime.as_bytes(mail, utf8=mime.international((sender, *recipients)))
        request = Web(self._timeout, self._deadline)
        try:
            held = self._sign_in(request)
            answer = self._post(held, request, raw)
            if answer is None and not held.renewed:
                # Ended before its time, revoked or the clock is wrong: the mail was not taken, so once more.
                held = self._sign_in(request, renew=True)
                answer = self._post(held, request, raw)
        finally:
            request.close()
        if answer is None:
            raise self._error(FailureKind.SIGN_IN, _("sign-in refused"), _(gmail_failures.EXPIRED_SIGN_IN))
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), str):
            # A captive portal's page comes as a success.
            raise self._error(FailureKind.TRANSIENT, _(gmail_failures.PORTAL), _(NETWORK_MEND), for_all=True)
        said = _("accepted as {id}, thread {thread}").format(
            id=answer["id"], thread=answer.get("threadId", "?")
        )
        return Receipt(self.name, held.scrub(said))

    def probe(self, report: Report) -> None:
        """Renew the sign-in, which only Google can say is good, and send nothing."""
        mime.addresses(self._to, "TO_EMAIL")
        self._read()
        report(_("{file} is there, and allows sending").format(file=self._token))
        request = Web(self._timeout, self._deadline)
        try:
            self._sign_in(request, renew=True)
        finally:
            request.close()
        report(_("Google has renewed the sign-in"))

    def _read(self) -> dict[str, Any]:
        """What token.json holds."""
        if not self._token.exists():
            googlefiles.read_credentials(self._credentials)  # raises when that is what is missing
        return googlefiles.read_token(self._token)

    def _sign_in(self, request: Any, *, renew: bool = False) -> _SignIn:
        """The sign-in of token.json; renewed, and kept, where it has ended or `renew` asks for it."""
        self._read()  # before the lock, which would be there without a token
        with googlefiles.locked(self._token):
            info = self._read()  # as the last who had the lock left it
            credentials = self._load(info)
            renew = renew or not credentials.valid
            if renew:
                self._renew(credentials, request, _scrubber(info))
        return _SignIn(credentials, _scrubber(info, credentials.token), renew)

    def _error(
        self,
        kind: FailureKind,
        text: str,
        mend: str = "",
        *,
        for_all: bool = False,
        wait: float | None = None,
    ) -> TransportError:
        return TransportError(kind, f"{self.name}: {text}", mend, for_all=for_all, wait=wait)

    def _load(self, info: dict[str, Any]) -> Any:
        try:
            credentials = Credentials.from_authorized_user_info(info)
        except (ValueError, TypeError, AttributeError):
            text = _("{file} is no sign-in of Google's").format(file=self._token)
            raise googlefiles.sign_in_needed(text) from None
        # from_authorized_user_info forgets the file's token_uri, and with_token_uri the end of the token.
        complete = credentials.with_token_uri(info.get("token_uri") or googlefiles.TOKEN_URI)
        complete.expiry = credentials.expiry
        return complete

    def _renew(self, credentials: Any, request: Any, scrub: Scrubber) -> None:
        try:
            credentials.refresh(request)
        except RefreshError as error:
            raise self._sign_in_refused(error, scrub) from None
        except NoConnection as error:
            text = _("the sign-in cannot be renewed: {error}").format(error=scrub(str(error)))
            raise self._error(FailureKind.TRANSIENT, text, _(NETWORK_MEND), for_all=True) from None
        except (TypeError, AttributeError, ValueError, GoogleAuthError):
            # What the library makes of a page in place of a token.
            raise self._error(
                FailureKind.TRANSIENT, _(gmail_failures.PORTAL), _(NETWORK_MEND), for_all=True
            ) from None
        try:
            googlefiles.write_token(self._token, credentials.to_json())
        except OSError as error:
            # The mail can go out all the same; the next one renews again.
            log.warning("%s cannot be written: %s", self._token, error.strerror)

    def _sign_in_refused(self, error: Any, scrub: Scrubber) -> TransportError:
        details = error.args[1] if len(error.args) > 1 else None
        code = details.get("error") if isinstance(details, dict) else None
        if error.retryable or not isinstance(code, str):
            text = _("the sign-in cannot be renewed now: {error}").format(
                error=scrub(str(error.args[0]), 120)
            )
            return self._error(FailureKind.TRANSIENT, text, _(NETWORK_MEND), for_all=True)
        kind, mend = gmail_failures.sign_in_refused(code)
        said = details.get("error_description") if isinstance(details, dict) else None
        text = _("sign-in refused: {code}").format(code=scrub(code)) + (
            f", {scrub(str(said))}" if said else ""
        )
        return self._error(kind, text, mend)

    def _post(self, held: _SignIn, request: Any, raw: bytes) -> Any:
        """Google's answer; None when the sign-in was not accepted. TransportError."""
        service = build(
            "gmail",
            "v1",
            http=_Http(request, held.credentials),
            static_discovery=True,
            cache_discovery=False,
            # Both fixed here, or a variable of the environment could send the token elsewhere.
            client_options={"api_endpoint": self._endpoint, "universe_domain": "googleapis.com"},
        )
        body = {"raw": base64.urlsafe_b64encode(raw).decode("ascii")}
        try:
            return service.users().messages().send(userId="me", body=body).execute(num_retries=0)
        except HttpError as error:
            if error.resp.status == gmail_failures.UNAUTHORISED:
                return None
            raise self._refused(error, held.scrub) from None
        except NoConnection as error:
            raise self._unreachable(error, held.scrub) from None
        except ValueError:
            return ""  # JSON was announced, and a page came
        finally:
            service.close()

    def _refused(self, error: Any, scrub: Scrubber) -> TransportError:
        answer = gmail_failures.Answer.parse(error.resp.status, error.content)
        kind, mend = answer.verdict()
        asked = error.resp.get("retry-after", "")
        own = kind in (FailureKind.MESSAGE, FailureKind.RECIPIENT)
        return self._error(
            kind,
            _("refused: {status} {text}").format(status=answer.status, text=scrub(answer.text)).rstrip(),
            mend,
            for_all=not own,
            wait=float(asked) if asked.isdecimal() else None,
        )

    def _unreachable(self, error: BaseException, scrub: Scrubber) -> TransportError:
        link: BaseException | None = error
        while link is not None:
            if any(isinstance(each, ssl.SSLEOFError) for each in link.args):
                break  # cut off, and nobody knows whether before the request
            if type(link).__name__ in _NEVER_REACHED or isinstance(link, ConnectionRefusedError):
                text = _("not reached: {error}").format(error=scrub(str(error), 160))
                return self._error(FailureKind.TRANSIENT, text, _(NETWORK_MEND), for_all=True)
            link = link.__cause__ or link.__context__
        text = _("no answer: the mail may have been accepted ({error})").format(error=scrub(str(error), 160))
        return self._error(FailureKind.AMBIGUOUS, text, _(NETWORK_MEND))


def _scrubber(info: dict[str, Any], *more: str) -> Scrubber:
    known = [str(info.get(key) or "") for key in ("token", "refresh_token", "client_secret")]
    return Scrubber([*known, *more, *proxy_secrets()])
