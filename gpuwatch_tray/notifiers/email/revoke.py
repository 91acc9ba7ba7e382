"""The end of a sign-in: withdrawn at Google (RFC 7009), and token.json deleted."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from google.auth.exceptions import TransportError as NoConnection

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.notifiers.email import googlefiles
from gpuwatch_tray.notifiers.email.lines import Scrubber
from gpuwatch_tray.notifiers.email.web import TIMEOUT, Web, proxy_secrets
from gpuwatch_tray.transport import FailureKind, TransportError

if TYPE_CHECKING:
    from pathlib import Path

ENDPOINT = "https://oauth2.googleapis.com/revoke"
DEADLINE = 30.0  # seconds for all of it
DONE = 200
NOT_REVOKED = N_(
    "the file is kept; try again, or take the access away on https://myaccount.google.com/permissions"
)


def revoke(path: Path, *, endpoint: str = ENDPOINT, timeout: float = TIMEOUT) -> bool:
    """
    Withdraw the sign-in of token.json and delete the file; False where Google had ended it already.

    Unless Google says one or the other the file stays, and TransportError says why. `endpoint` is an
    argument for tests and nothing else: it gets the token.
    """
    with googlefiles.locked(path):
        token = googlefiles.load_token(path)
        secret = str(token.get("refresh_token") or token.get("token") or "")
        withdrawn = bool(secret) and _withdraw(secret, endpoint, timeout)
        try:
            path.unlink()
        except OSError as error:
            text = _("{path} cannot be deleted: {why}").format(path=path, why=error.strerror)
            raise googlefiles.problem(text, _("delete it by hand")) from None
    return withdrawn


def _withdraw(secret: str, endpoint: str, timeout: float) -> bool:
    """Whether Google has withdrawn it, or (False) did not know it any more."""
    web, scrub = Web(timeout, DEADLINE), Scrubber((secret, *proxy_secrets()))
    # In the body, where no log of the way there has it.
    body = urlencode({"token": secret})
    headers = {"content-type": "application/x-www-form-urlencoded"}
    try:
        answer = web(endpoint, method="POST", body=body, headers=headers)
    except NoConnection as error:
        text = _("the sign-in is not withdrawn, Google is not reached: {error}").format(
            error=scrub(str(error), 160)
        )
        raise TransportError(FailureKind.TRANSIENT, text, _(NOT_REVOKED)) from None
    finally:
        web.close()
    if answer.status == DONE and not _is_page(answer.data):
        return True
    if _error_of(answer.data) == "invalid_token":
        return False
    text = _("the sign-in is not withdrawn, Google answered {code}").format(code=answer.status)
    raise TransportError(FailureKind.TRANSIENT, text, _(NOT_REVOKED))


def _is_page(content: bytes) -> bool:
    """Whether this is a captive portal's page: Google's own answer is empty or JSON."""
    return content.lstrip().startswith(b"<")


def _error_of(content: bytes) -> object:
    with contextlib.suppress(ValueError, AttributeError):
        return json.loads(content).get("error")
    return None
