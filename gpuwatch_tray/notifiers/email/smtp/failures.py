"""What each failure of an SMTP session means and what mends it; no network."""

from __future__ import annotations

import re
import ssl
from enum import Enum

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.transport import FailureKind


class SmtpStep(Enum):
    """Where in the session we are, with its name for people."""

    CONNECT = N_("connecting")
    GREETING = N_("greeting")
    HELLO = "EHLO"
    STARTTLS = "STARTTLS"
    LOGIN = N_("login")
    SENDER = N_("sender")
    RECIPIENT = N_("recipient")
    TEXT = N_("mail text")


LOGIN_MEND = N_(
    "check SMTP_USER and the password (SMTP_PASS or SMTP_PASS_FILE in smtp.env, or"
    " `gpuwatch-tray mail password`); Gmail, iCloud and others want an app password here"
)
PLAIN_MEND = N_(
    "this relay wants a login: take SMTP_SECURITY out of smtp.env, and set SMTP_USER and SMTP_PASS"
)
SENDER_MEND = N_("set FROM_EMAIL in smtp.env to an address that this account may send from")
SIZE_MEND = N_("the mail is too big for this server")
POLICY_MEND = N_("the server's rules refuse this mail: its administrator can say why")
ADDRESS_MEND = N_("check TO_EMAIL in gpu-watch.env")
SERVER_MEND = N_("check SMTP_HOST and SMTP_PORT in smtp.env")
NETWORK_MEND = N_("check the network, and SMTP_HOST and SMTP_PORT in smtp.env")
CA_MEND = N_("for a lab's own certificate authority set SMTP_CA_FILE in smtp.env to its certificate")

# Replies (RFC 5321, RFC 4954)
TEMPORARY = range(400, 500)
PERMANENT = range(500, 600)
LOGIN_REFUSALS = (530, 534, 535)
REFUSED = 550
TOO_MUCH = 552

_BEFORE_THE_MAIL = frozenset(
    {SmtpStep.CONNECT, SmtpStep.GREETING, SmtpStep.HELLO, SmtpStep.STARTTLS, SmtpStep.LOGIN}
)
_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")  # RFC 3463, at the start of the answer


def _enhanced_code(answer: str) -> str:
    """Return the enhanced status code of an answer, or ''."""
    match = _ENHANCED.match(answer)
    return match[1] if match else ""


def classify_refusal(step: SmtpStep, code: int, answer: str) -> tuple[FailureKind, str]:
    """Return the kind and the mend of a reply other than success."""
    detail = _enhanced_code(answer)
    if code == REFUSED and detail == "5.4.5":
        return FailureKind.QUOTA, _("the account's sending limit is reached")
    if code in TEMPORARY:
        return FailureKind.TRANSIENT, ""
    if code in LOGIN_REFUSALS or step is SmtpStep.LOGIN:
        return FailureKind.CONFIGURATION, _(LOGIN_MEND)
    if step in _BEFORE_THE_MAIL or code not in PERMANENT:
        return FailureKind.CONFIGURATION, _(SERVER_MEND)
    if detail in ("5.3.4", "5.2.3") or (code == TOO_MUCH and step is not SmtpStep.RECIPIENT):
        return FailureKind.MESSAGE, _(SIZE_MEND)
    if step is SmtpStep.TEXT and detail.startswith("5.7."):
        return FailureKind.RECIPIENT, _(POLICY_MEND)
    if step is SmtpStep.SENDER:
        return FailureKind.CONFIGURATION, _(SENDER_MEND)
    return FailureKind.RECIPIENT, _(ADDRESS_MEND)


def explain_certificate(error: ssl.SSLCertVerificationError, host: str) -> tuple[str, str]:
    """Return what is wrong with the server's certificate, and the mend."""
    reason = str(getattr(error, "verify_message", "") or error).rstrip(".")
    lower = reason.lower()
    if "expired" in lower or "not yet valid" in lower:
        return reason, _("the server's administrator has to renew it, or this computer's clock is wrong")
    if "mismatch" in lower or "not valid for" in lower:
        return reason, _("SMTP_HOST must be a name that the certificate holds, {host} is none").format(
            host=host
        )
    return reason, _(CA_MEND)


def explain_handshake(error: ssl.SSLError, *, implicit: bool) -> tuple[FailureKind, str, str]:
    """Return the kind, the text and the mend of a TLS handshake that failed for another reason."""
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return FailureKind.TRANSIENT, _("the server closed the connection during the TLS handshake"), ""
    reason = (error.reason or "").replace("_", " ").lower() or str(error)
    if implicit and reason in ("wrong version number", "record layer failure", "packet length too long"):
        return (
            FailureKind.CONFIGURATION,
            _("the server does not speak TLS from the start on this port ({reason})").format(reason=reason),
            _("set SMTP_PORT=587 in smtp.env for STARTTLS"),
        )
    return (
        FailureKind.CONFIGURATION,
        _("TLS handshake failed: {reason}").format(reason=reason),
        _(SERVER_MEND),
    )
