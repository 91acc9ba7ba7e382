"""
Mail by SMTP: with TLS and a login, in bounded time, each failure classified.

Port 465 speaks TLS from the start (RFC 8314), any other port must offer STARTTLS; only EHLO and STARTTLS go
out in plain text. The exception is a relay on this computer, with SMTP_SECURITY=none.
"""

from __future__ import annotations

import os
import smtplib
import ssl
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gpuwatch_tray import machine
from gpuwatch_tray.language import _
from gpuwatch_tray.notifiers.email import mime
from gpuwatch_tray.notifiers.email.lines import Scrubber, one_line
from gpuwatch_tray.notifiers.email.smtp.client import READY, SmtpClient
from gpuwatch_tray.notifiers.email.smtp.explain import IMPLICIT_TLS_PORT, SmtpErrorContext
from gpuwatch_tray.notifiers.email.smtp.failures import SmtpStep
from gpuwatch_tray.notifiers.email.smtp.sockets import Watchdog
from gpuwatch_tray.settings import SmtpSecurity, is_loopback
from gpuwatch_tray.transport import FailureKind, Receipt, configuration_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpuwatch_tray.model import Message
    from gpuwatch_tray.settings import SmtpSettings
    from gpuwatch_tray.transport import ReportStep

STEP_TIMEOUT = 12.0  # seconds for one answer
DEADLINE = 60.0  # seconds for one mail, whatever happens


class SmtpTransport:
    """
    The transport by the server of smtp.env, to the recipients `to`.

    `timeout` is for one answer of the server, `deadline` for a whole mail, in seconds. `implicit_tls`
    overrides what the port number implies, for tests.
    """

    def __init__(
        self,
        smtp: SmtpSettings,
        to: Sequence[str],
        *,
        timeout: float = STEP_TIMEOUT,
        deadline: float = DEADLINE,
        implicit_tls: bool | None = None,
    ) -> None:
        self._smtp = smtp
        self._to = to
        self._timeout = timeout
        self._deadline = deadline
        self._implicit = smtp.port == IMPLICIT_TLS_PORT if implicit_tls is None else implicit_tls
        self._plain = smtp.security is SmtpSecurity.NONE
        self._scrub = Scrubber((smtp.password.reveal(),))
        self.name = f"SMTP {one_line(smtp.host, 100)}:{smtp.port}"

    def send(self, message: Message) -> Receipt:
        """Send to all recipients at once; the receipt's `missed` are those the server refused."""
        sender = self._sender()
        recipients = mime.parse_addresses(message.details.only or self._to, "TO_EMAIL")
        utf8 = mime.needs_smtputf8((sender, *recipients))
        mail = mime.build_mail(message, sender=sender, recipients=recipients)
        partly = bool(message.details.only)
        with Watchdog(self._deadline) as watchdog, self._session(watchdog, partly=partly) as client:
            if utf8 and not client.has_extn("smtputf8"):
                raise self._error_context(client, watchdog).failure(
                    FailureKind.CONFIGURATION,
                    _("the server takes ASCII addresses only"),
                    _("write TO_EMAIL and FROM_EMAIL without special letters"),
                )
            options = ("SMTPUTF8", "BODY=8BITMIME") if utf8 else ()
            refused = client.sendmail(sender, recipients, mail, mail_options=options)
        answer = f"{client.accepted[0]} {self._scrub(client.accepted[1])}"
        if not refused:
            return Receipt(self.name, answer)
        context = self._error_context(client, watchdog)
        return Receipt(
            self.name,
            _("{answer}; refused: {recipients}").format(
                answer=answer, recipients=context.list_refused(refused)
            ),
            context.group_refused(refused),
        )

    def probe(self, report: ReportStep) -> None:
        """Connect, encrypt and log in, without sending anything."""
        self._sender()
        mime.parse_addresses(self._to, "TO_EMAIL")
        with Watchdog(self._deadline) as watchdog, self._session(watchdog, report):
            pass

    def _sender(self) -> str:
        account = self._smtp.from_email or self._smtp.user
        return mime.parse_address(account or f"{machine.user(os.environ)}@{machine.host()}", "FROM_EMAIL")

    @contextmanager
    def _session(
        self, watchdog: Watchdog, report: ReportStep = lambda _: None, *, partly: bool = False
    ) -> Iterator[SmtpClient]:
        """Yield a client that is ready to send; any error until its end becomes a TransportError."""
        client = SmtpClient(
            self._smtp.host, watchdog, self._timeout, self._tls_context(), implicit=self._implicit
        )
        try:
            self._log_in(client, report)
            yield client
        # smtplib's errors and those of TLS are OSErrors; a host name may not be encodable.
        except (OSError, ValueError) as error:
            # `from None`: those errors hold what was sent, which may be the password.
            raise self._error_context(client, watchdog, partly=partly).explain(error) from None
        finally:
            client.quit_quietly()

    def _error_context(
        self, client: SmtpClient, watchdog: Watchdog, *, partly: bool = False
    ) -> SmtpErrorContext:
        return SmtpErrorContext(
            name=self.name,
            host=self._smtp.host,
            implicit=self._implicit,
            plain=self._plain,
            step=client.step,
            text_sent=client.text_sent,
            expired_after=watchdog.seconds if watchdog.expired else None,
            scrub=self._scrub,
            partly=partly,
        )

    def _tls_context(self) -> ssl.SSLContext:
        ca_file = self._smtp.ca_file
        try:
            return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        except OSError as error:
            reason = error.strerror or str(error)
            raise configuration_error(
                _("SMTP_CA_FILE {file} cannot be used: {why}").format(file=ca_file, why=one_line(reason)),
                _("it must name a readable file with certificates in PEM form"),
            ) from None

    def _log_in(self, client: SmtpClient, report: ReportStep) -> None:
        code, answer = client.connect(self._smtp.host, self._smtp.port)
        if code != READY:
            raise smtplib.SMTPConnectError(code, answer)
        address = "" if client.sock is None else str(client.sock.getpeername()[0]).partition("%")[0]
        report(_("connected to {address}, port {port}").format(address=address, port=self._smtp.port))
        client.step = SmtpStep.HELLO
        if self._plain:
            if not is_loopback(address):
                raise configuration_error(
                    _("{way}: {address} is not this computer, and SMTP_SECURITY=none is for no other").format(
                        way=self.name, address=address
                    ),
                    _("take SMTP_SECURITY out of smtp.env"),
                )
            client.ehlo_or_helo_if_needed()
            report(_("no TLS and no login, as SMTP_SECURITY=none asks for"))
            return
        client.ehlo_or_helo_if_needed()
        if not self._implicit:
            client.start_tls()
            client.step = SmtpStep.HELLO
            client.ehlo_or_helo_if_needed()
        report(_describe_encryption(client))
        client.log_in(self._smtp.user, self._smtp.password.reveal())
        report(_("logged in as {user}").format(user=one_line(self._smtp.user, 100)))


def _describe_encryption(client: SmtpClient) -> str:
    if not isinstance(client.sock, ssl.SSLSocket):
        return _("not encrypted")
    ends = (client.sock.getpeercert() or {}).get("notAfter")
    if not isinstance(ends, str):
        return _("encrypted by {version}").format(version=client.sock.version())
    day = datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC).date()
    return _("encrypted by {version}; the certificate is accepted, and good until {day}").format(
        version=client.sock.version(), day=day
    )
