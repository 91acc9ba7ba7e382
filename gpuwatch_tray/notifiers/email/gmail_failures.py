"""What the answers of Google's servers mean and what mends them; no network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.transport import FailureKind

UNAUTHORISED = 401
FORBIDDEN = 403
BAD_REQUEST = 400
TOO_BIG = 413
TOO_MANY = 429
SERVER_ERRORS = range(500, 600)

PORTAL = N_("the answer is a page, not Google's: does this network want a sign-in?")
EXPIRED_SIGN_IN = N_(
    "sign in with `gpuwatch-tray mail login`; while the Google app is in 'Testing', a sign-in ends after"
    " 7 days: publish it first. Other causes: access revoked, password changed, six months unused"
)

_QUOTA_REASONS = frozenset(
    {
        "rateLimitExceeded",
        "userRateLimitExceeded",
        "dailyLimitExceeded",
        "quotaExceeded",
        "RESOURCE_EXHAUSTED",
        "RATE_LIMIT_EXCEEDED",
    }
)


@dataclass(frozen=True, slots=True)
class ErrorResponse:
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
        items: list[Any] = [error, *_items(error.get("errors")), *_items(error.get("details"))]
        objects = [item for item in items if isinstance(item, dict)]
        reasons = frozenset(str(item[key]) for item in objects for key in ("reason", "status") if key in item)
        return cls(status, reasons, str(error.get("message", "")))

    def classify(self) -> tuple[FailureKind, str]:
        """Return the kind of failure and the mend."""
        if self.status == TOO_MANY or self.reasons & _QUOTA_REASONS:
            return FailureKind.QUOTA, _("Gmail's sending limit is reached")
        if self.status == UNAUTHORISED:
            return FailureKind.SIGN_IN, _(EXPIRED_SIGN_IN)
        if self.foreign and self.status not in (*SERVER_ERRORS, TOO_BIG):
            return FailureKind.TRANSIENT, _(PORTAL)
        if self.status == FORBIDDEN:
            if self.reasons & {"accessNotConfigured", "SERVICE_DISABLED"}:
                return FailureKind.CONFIGURATION, _("enable the Gmail API in the Google Cloud console")
            return FailureKind.SIGN_IN, _("sign in with `gpuwatch-tray mail login` and allow sending mail")
        if self.status == TOO_BIG:
            return FailureKind.MESSAGE, _("the mail is too big for Gmail")
        if self.status in SERVER_ERRORS:
            return FailureKind.TRANSIENT, ""
        if "failedPrecondition" in self.reasons or "FAILED_PRECONDITION" in self.reasons:
            return FailureKind.CONFIGURATION, _("this Google account has no Gmail mailbox")
        if self.status != BAD_REQUEST:  # about the request or the network, not the mail
            return FailureKind.TRANSIENT, ""
        return FailureKind.RECIPIENT, _("check TO_EMAIL in gpu-watch.env, and FROM_EMAIL")


def classify_token_error(code: str) -> tuple[FailureKind, str]:
    """Return the kind and the mend of an error code of the token endpoint (RFC 6749, 5.2)."""
    if code in ("invalid_client", "unauthorized_client", "deleted_client", "disabled_client"):
        return (
            FailureKind.CONFIGURATION,
            _(
                "download credentials.json again from the Google Cloud console, then sign in with"
                " `gpuwatch-tray mail login`"
            ),
        )
    return FailureKind.SIGN_IN, _(EXPIRED_SIGN_IN)


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
