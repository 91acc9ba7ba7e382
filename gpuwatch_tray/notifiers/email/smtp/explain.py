"""From an exception of smtplib, ssl or the network to the TransportError that says what happened."""

from __future__ import annotations

import smtplib  # this folder is the one importer
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.notifiers.email.smtp import failures
from gpuwatch_tray.notifiers.email.smtp.failures import Step
from gpuwatch_tray.transport import FailureKind, Missed, TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuwatch_tray.notifiers.email.lines import Scrubber

IMPLICIT_TLS_PORT = 465
CLOSING = 421
REFUSALS = range(400, 600)

_MOST_HOPE_FIRST = (
    FailureKind.TRANSIENT,
    FailureKind.QUOTA,
    FailureKind.CONFIGURATION,
    FailureKind.MESSAGE,
    FailureKind.RECIPIENT,
)


@dataclass(frozen=True, slots=True)
class Situation:
    """
    Where the conversation stood when it failed.

    `given_up`: the deadline in seconds, where it passed. `partly`: the mail was for some of the recipients
    only, so that their refusal says nothing of other mails.
    """

    name: str  # how people call the transport
    host: str
    implicit: bool
    plain: bool
    step: Step
    text_sent: bool
    given_up: float | None
    scrub: Scrubber
    partly: bool = False

    def explain(self, error: Exception) -> TransportError:
        """The answers of the server first (smtplib's errors are OSErrors), then TLS, then the network."""
        if self.given_up is not None:  # an answer cut short is no answer
            return self._lost(
                _("no end after {seconds:g} s, given up at {step}").format(
                    seconds=self.given_up, step=_(self.step.value)
                )
            )
        return self._answered(error) or self._secured(error) or self._connected(error)

    def failure(
        self, kind: FailureKind, text: str, mend: str = "", *, for_all: bool = False
    ) -> TransportError:
        """The error of this transport, in these words."""
        return TransportError(kind, f"{self.name}: {text}", mend, for_all=for_all)

    def named(self, refused: Mapping[str, tuple[int, bytes]]) -> str:
        """The refused recipients, each with the server's answer."""
        return ", ".join(f"{name}: {code} {self.scrub(text)}" for name, (code, text) in refused.items())

    def missed(self, refused: Mapping[str, tuple[int, bytes]]) -> tuple[Missed, ...]:
        """The refused recipients by the kind of their refusal."""
        groups: dict[tuple[FailureKind, str], dict[str, tuple[int, bytes]]] = {}
        for name, (code, text) in refused.items():
            verdict = failures.refusal(Step.RECIPIENT, code, self.scrub(text))
            groups.setdefault(verdict, {})[name] = (code, text)
        return tuple(
            Missed(
                tuple(group),
                self.failure(kind, _("recipient refused: {answers}").format(answers=self.named(group)), mend),
            )
            for (kind, mend), group in groups.items()
        )

    def _answered(self, error: Exception) -> TransportError | None:
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            found = dict(
                failures.refusal(Step.RECIPIENT, code, self.scrub(text))
                for code, text in error.recipients.values()
            )
            kind = min(found, key=_MOST_HOPE_FIRST.index)
            text = _("recipient refused: {answers}").format(answers=self.named(error.recipients))
            return self.failure(kind, text, found[kind], for_all=not self.partly)
        if isinstance(error, smtplib.SMTPResponseException):
            return self._refused(error.smtp_code, self.scrub(error.smtp_error))
        if isinstance(error, smtplib.SMTPNotSupportedError):
            if self.step is Step.STARTTLS:
                return self.failure(
                    FailureKind.CONFIGURATION,
                    _("the server offers no STARTTLS, and the password is never sent in plain text"),
                    _("use a port of the server with TLS: SMTP_PORT={port} or 587").format(
                        port=IMPLICIT_TLS_PORT
                    ),
                )
            return self.failure(FailureKind.CONFIGURATION, self.scrub(str(error)), _(failures.SERVER_MEND))
        return None

    def _refused(self, code: int, answer: str) -> TransportError:
        said = f"{code} {answer}" if code > 0 else _("{answer!r}, which is not SMTP").format(answer=answer)
        if self.text_sent and code not in REFUSALS:
            return self._lost(
                _("unintelligible answer to the {step}: {said}").format(step=_(self.step.value), said=said)
            )
        kind, mend = failures.refusal(self.step, code, answer)
        if self.plain and code in failures.LOGIN_REFUSALS:
            mend = _(failures.PLAIN_MEND)
        # All mails have the same sender and recipients; only the text is each mail's own.
        own = kind is FailureKind.MESSAGE or (self.step is Step.TEXT and kind is not FailureKind.QUOTA)
        for_all = not own or code == CLOSING
        return self.failure(
            kind,
            _("{step} refused: {said}").format(step=_(self.step.value), said=said),
            mend,
            for_all=for_all,
        )

    def _secured(self, error: Exception) -> TransportError | None:
        if isinstance(error, ssl.SSLCertVerificationError):
            reason, mend = failures.certificate(error, self.host)
            text = _("the server's certificate is not accepted: {why}").format(why=self.scrub(reason))
            return self.failure(FailureKind.CONFIGURATION, text, mend)
        if isinstance(error, ssl.SSLError) and self.step in (Step.GREETING, Step.STARTTLS):
            kind, words, mend = failures.handshake(error, implicit=self.implicit)
            return self.failure(kind, self.scrub(words), mend, for_all=True)
        return None

    def _connected(self, error: Exception) -> TransportError:
        if not isinstance(error, OSError):
            place = _(self.step.value)
            words = (
                _("SMTP_HOST is no host name")
                if self.step is Step.CONNECT
                else _("bad answer at {place}").format(place=place)
            )
            return self.failure(FailureKind.CONFIGURATION, words, _(failures.SERVER_MEND))
        if isinstance(error, socket.gaierror):
            text = _("the address of the host cannot be found: {why}").format(why=error.strerror)
            return self.failure(FailureKind.TRANSIENT, text, _(failures.NETWORK_MEND), for_all=True)
        # smtplib wraps a time-out or a reset in an error of its own.
        cause = error.__context__ if isinstance(error, smtplib.SMTPServerDisconnected) else error
        if isinstance(cause, TimeoutError):
            return self._lost(_("no answer in time at {step}").format(step=_(self.step.value)))
        if self.step is Step.CONNECT:
            text = self.scrub(error.strerror or str(error))
            return self.failure(FailureKind.TRANSIENT, text, _(failures.NETWORK_MEND), for_all=True)
        return self._lost(_("the connection was lost at {step}").format(step=_(self.step.value)))

    def _lost(self, text: str) -> TransportError:
        if self.text_sent:
            return self.failure(
                FailureKind.AMBIGUOUS, _("{text}: the mail may have been accepted").format(text=text)
            )
        mend = ""
        if self.step is Step.CONNECT:
            mend = _(failures.NETWORK_MEND)
        elif self.step is Step.GREETING and not self.implicit:
            mend = _("where the port speaks TLS from the start, it must be SMTP_PORT={port}").format(
                port=IMPLICIT_TLS_PORT
            )
        return self.failure(FailureKind.TRANSIENT, text, mend, for_all=self.step is not Step.TEXT)
