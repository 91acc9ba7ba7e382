"""The end of a sign-in: revoked at Google (RFC 7009), and token.json deleted."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from google.auth.exceptions import TransportError as NoConnection

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.notifiers.email import googlefiles
from gpuwatch_tray.notifiers.email.lines import Scrubber
from gpuwatch_tray.notifiers.email.web import BoundedRequest, proxy_secrets
from gpuwatch_tray.transport import FailureKind, TransportError, configuration_error

if TYPE_CHECKING:
    from pathlib import Path

REVOKE_URL = "https://oauth2.googleapis.com/revoke"
REVOKE_TIMEOUT = 15.0  # seconds of silence
REVOKE_DEADLINE = 30.0  # seconds for the whole request
HTTP_OK = 200
NOT_REVOKED = N_(
    "the file is kept; try again, or take the access away on https://myaccount.google.com/permissions"
)


def revoke_sign_in(path: Path, *, endpoint: str = REVOKE_URL, timeout: float = REVOKE_TIMEOUT) -> bool:
    """
    Revoke the sign-in of token.json and delete the file; False where Google had ended it already.

    Where Google says neither, keep the file and raise TransportError. `timeout` is for a silence, in seconds;
    `endpoint` is for tests only: it gets the token.
    """
    with googlefiles.token_lock(path):
        token = googlefiles.load_token(path)
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
    scrub = Scrubber((secret, *proxy_secrets()))
    # In the body, which no log of a proxy holds.
    body = urlencode({"token": secret})
    headers = {"content-type": "application/x-www-form-urlencoded"}
    try:
        with contextlib.closing(BoundedRequest(timeout, REVOKE_DEADLINE)) as request:
            answer = request(endpoint, method="POST", body=body, headers=headers)
    except NoConnection as error:
        text = _("the sign-in is not withdrawn, Google is not reached: {error}").format(
            error=scrub(str(error), 160)
        )
        raise TransportError(FailureKind.TRANSIENT, text, _(NOT_REVOKED)) from None
    if answer.status == HTTP_OK and not _is_page(answer.data):
        return True
    if _error_of(answer.data) == "invalid_token":
        return False
    text = _("the sign-in is not withdrawn, Google answered {code}").format(code=answer.status)
    raise TransportError(FailureKind.TRANSIENT, text, _(NOT_REVOKED))


def _is_page(content: bytes) -> bool:
    """Return whether this is a captive portal's page: Google's own answer is empty or JSON."""
    return content.lstrip().startswith(b"<")


def _error_of(content: bytes) -> object:
    with contextlib.suppress(ValueError, AttributeError):
        return json.loads(content).get("error")
    return None
