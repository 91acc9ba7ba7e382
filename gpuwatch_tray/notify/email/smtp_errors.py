"""
From an exception of smtplib, ssl or the network to the TransportError that says what happened.

The server's reply codes come first: smtplib's errors are OSErrors too, and would be retried for ever.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.notify.email.refusals import SERVER_MEND, SmtpStep, classify_refusal
from gpuwatch_tray.notify.transport import FailureKind, MissedRecipients, TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuwatch_tray.notify.email.mime import Scrubber


NETWORK_MEND = N_("check the network, and SMTP_HOST and SMTP_PORT in smtp.env")
CA_MEND = N_("for a lab's own certificate authority set SMTP_CA_FILE in smtp.env to its certificate")


def explain_certificate(error: ssl.SSLCertVerificationError, host: str) -> tuple[str, str]:
    """Return what is wrong with the server's certificate, and the mend."""
    reason = str(getattr(error, "verify_message", "") or error).rstrip(".")
    lower = reason.lower()
    if "expired" in lower or "not yet valid" in lower:
        return reason, _("the server's administrator has to renew it, or this computer's clock is wrong")
    if "mismatch" in lower or "not valid for" in lower:
        mend = _("SMTP_HOST must be a name in the certificate, {host} is not")
        return reason, mend.format(host=host)
    return reason, _(CA_MEND)


def explain_handshake(error: ssl.SSLError, *, implicit: bool) -> tuple[FailureKind, str, str]:
    """Return the kind, the text and the mend of a TLS handshake that failed for another reason."""
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return FailureKind.TRANSIENT, _("the server closed the connection during the TLS handshake"), ""
    reason = (error.reason or "").replace("_", " ").lower() or str(error)
    text, mend = _("TLS handshake failed: {reason}"), _(SERVER_MEND)
    if implicit and reason in ("wrong version number", "record layer failure", "packet length too long"):
        text = _("the server does not use TLS from the start on this port ({reason})")
        mend = _("set SMTP_PORT=587 in smtp.env for STARTTLS, without SMTP_SECURITY=ssl")
    return FailureKind.CONFIGURATION, text.format(reason=reason), mend


IMPLICIT_TLS_PORT = 465
CLOSING = 421
REFUSALS = range(400, 600)

_LEAST_PERMANENT_FIRST = (
    FailureKind.TRANSIENT,
    FailureKind.QUOTA,
    FailureKind.CONFIGURATION,
    FailureKind.MESSAGE,
    FailureKind.RECIPIENT,
)


class EndlessReplyError(OSError):
    """A reply of the server was longer than any real one."""


class SmtpErrorContext(Struct, frozen=True):
    """
    The state of the SMTP session when it failed.

    `expired_after`: the deadline in seconds, where it passed. `partly`: the mail was for some of the
    recipients only, so that their refusal says nothing about other mails.
    """

    name: str  # the transport's, for people
    host: str
    step: SmtpStep
    expired_after: float | None
    scrub: Scrubber
    implicit: bool
    plain: bool
    text_sent: bool
    partly: bool = False

    def explain(self, error: Exception) -> TransportError:
        """Return the TransportError for `error`, by the server's reply, else TLS, else the network."""
        if self.expired_after is not None:  # whatever the error, the deadline caused it
            text = _("not finished after {seconds:g} s, given up at {step}")
            return self._connection_lost(text.format(seconds=self.expired_after, step=self._step_name))
        return self._from_reply(error) or self._from_tls(error) or self._from_network(error)

    def failure(
        self, kind: FailureKind, text: str, mend: str = "", *, for_all: bool = False
    ) -> TransportError:
        """Return an error of this transport with this text."""
        return TransportError(kind, f"{self.name}: {text}", mend, for_all=for_all)

    def list_refused(self, refused: Mapping[str, tuple[int, bytes]]) -> str:
        """Return the refused recipients in one line, each with the server's answer."""
        return ", ".join(f"{name}: {code} {self.scrub(text)}" for name, (code, text) in refused.items())

    def group_refused(self, refused: Mapping[str, tuple[int, bytes]]) -> tuple[MissedRecipients, ...]:
        """Return the refused recipients, grouped by the kind of refusal."""
        groups: dict[tuple[FailureKind, str], dict[str, tuple[int, bytes]]] = {}
        for name, (code, text) in refused.items():
            kind_and_mend = classify_refusal(SmtpStep.RECIPIENT, code, self.scrub(text), plain=self.plain)
            groups.setdefault(kind_and_mend, {})[name] = (code, text)
        return tuple(
            MissedRecipients(tuple(group), self._recipients_refused(kind, group, mend))
            for (kind, mend), group in groups.items()
        )

    @property
    def _step_name(self) -> str:
        return _(self.step.value)

    def _recipients_refused(
        self, kind: FailureKind, refused: Mapping[str, tuple[int, bytes]], mend: str, *, for_all: bool = False
    ) -> TransportError:
        text = _("recipient refused: {answers}").format(answers=self.list_refused(refused))
        return self.failure(kind, text, mend, for_all=for_all)

    def _from_reply(self, error: Exception) -> TransportError | None:
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            mends = dict(
                classify_refusal(SmtpStep.RECIPIENT, code, self.scrub(text), plain=self.plain)
                for code, text in error.recipients.values()
            )
            kind = min(mends, key=_LEAST_PERMANENT_FIRST.index)
            return self._recipients_refused(kind, error.recipients, mends[kind], for_all=not self.partly)
        if isinstance(error, smtplib.SMTPResponseException):
            return self._refused(error.smtp_code, self.scrub(error.smtp_error))
        if isinstance(error, smtplib.SMTPNotSupportedError):
            if self.step is SmtpStep.STARTTLS:
                text = _("the server offers no STARTTLS, and the password is never sent in plain text")
                mend = _("use a port of the server with TLS: SMTP_PORT={port} or 587")
                return self.failure(FailureKind.CONFIGURATION, text, mend.format(port=IMPLICIT_TLS_PORT))
            return self.failure(FailureKind.CONFIGURATION, self.scrub(str(error)), _(SERVER_MEND))
        return None

    def _refused(self, code: int, answer: str) -> TransportError:
        said = f"{code} {answer}" if code > 0 else _("{answer!r}, which is not SMTP").format(answer=answer)
        if self.text_sent and code not in REFUSALS:
            text = _("answer to the {step} not understood: {said}").format(step=self._step_name, said=said)
            return self._connection_lost(text)
        kind, mend = classify_refusal(self.step, code, answer, plain=self.plain)
        # All mails have the same sender and recipients, but each its own text.
        this_mail_only = kind is FailureKind.MESSAGE or (
            self.step is SmtpStep.TEXT and kind is not FailureKind.QUOTA
        )
        text = _("{step} refused: {said}").format(step=self._step_name, said=said)
        return self.failure(kind, text, mend, for_all=not this_mail_only or code == CLOSING)

    def _from_tls(self, error: Exception) -> TransportError | None:
        if isinstance(error, ssl.SSLCertVerificationError):
            reason, mend = explain_certificate(error, self.host)
            text = _("the server's certificate is not accepted: {why}").format(why=self.scrub(reason))
            return self.failure(FailureKind.CONFIGURATION, text, mend)
        if isinstance(error, ssl.SSLError) and self.step in (SmtpStep.GREETING, SmtpStep.STARTTLS):
            kind, words, mend = explain_handshake(error, implicit=self.implicit)
            return self.failure(kind, self.scrub(words), mend, for_all=True)
        return None

    def _from_network(self, error: Exception) -> TransportError:
        if not isinstance(error, OSError):
            text = _("bad answer at {place}").format(place=self._step_name)
            if self.step is SmtpStep.CONNECT:
                text = _("SMTP_HOST is not a host name")
            return self.failure(FailureKind.CONFIGURATION, text, _(SERVER_MEND))
        if isinstance(error, socket.gaierror):
            text = _("the address of the host cannot be found: {why}").format(why=error.strerror)
            return self.failure(FailureKind.TRANSIENT, text, _(NETWORK_MEND), for_all=True)
        # smtplib wraps a time-out or a reset in an error of its own.
        cause = error.__context__ if isinstance(error, smtplib.SMTPServerDisconnected) else error
        if isinstance(cause, EndlessReplyError):
            text = _("the server's answer at {step} never ends; it is not a mail server")
            text = text.format(step=self._step_name)
            if self.text_sent:
                return self._connection_lost(text)
            return self.failure(FailureKind.CONFIGURATION, text, _(SERVER_MEND))
        if isinstance(cause, TimeoutError):
            return self._connection_lost(_("no answer in time at {step}").format(step=self._step_name))
        if self.step is SmtpStep.CONNECT:
            text = self.scrub(error.strerror or str(error))
            return self.failure(FailureKind.TRANSIENT, text, _(NETWORK_MEND), for_all=True)
        return self._connection_lost(_("the connection was lost at {step}").format(step=self._step_name))

    def _connection_lost(self, text: str) -> TransportError:
        if self.text_sent:
            text = _("{text}: the mail may have been accepted").format(text=text)
            return self.failure(FailureKind.AMBIGUOUS, text)
        mend = ""
        if self.step is SmtpStep.CONNECT:
            mend = _(NETWORK_MEND)
        elif self.step is SmtpStep.GREETING and not self.implicit:
            mend = _("if the port uses TLS from the start, set SMTP_SECURITY=ssl in smtp.env")
        return self.failure(FailureKind.TRANSIENT, text, mend, for_all=self.step is not SmtpStep.TEXT)
