"""
Mail by SMTP: with TLS and a login, in bounded time, every failure classed.

Port 465 speaks TLS from the start (RFC 8314), any other port must offer STARTTLS; nothing is ever said in
plain text but EHLO and STARTTLS. The exception is a relay on this very computer, where SMTP_SECURITY=none.
"""

from __future__ import annotations

import os
import smtplib  # this folder is the one importer
import ssl
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gpuwatch_tray import machine
from gpuwatch_tray.language import _
from gpuwatch_tray.notifiers.email import mime
from gpuwatch_tray.notifiers.email.lines import Scrubber, one_line
from gpuwatch_tray.notifiers.email.smtp import sockets
from gpuwatch_tray.notifiers.email.smtp.client import READY, Client
from gpuwatch_tray.notifiers.email.smtp.explain import IMPLICIT_TLS_PORT, Situation
from gpuwatch_tray.notifiers.email.smtp.failures import Step
from gpuwatch_tray.settings import SmtpSecurity, is_loopback
from gpuwatch_tray.transport import FailureKind, Receipt, Report, TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpuwatch_tray.model import Message
    from gpuwatch_tray.settings import SmtpSettings

STEP_TIMEOUT = 12.0  # seconds for one answer
DEADLINE = 60.0  # seconds for one mail, whatever happens


class SmtpTransport:
    """
    The way by the server of smtp.env. `to`: the recipients.

    `implicit_tls` overrules the port's custom, for tests on a port of their own.
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
        """Send to all recipients at once. Those refused while others are not are missed in the receipt."""
        sender = mime.address(self._smtp.from_email or self._smtp.user or _local_account(), "FROM_EMAIL")
        recipients = mime.addresses(message.details.only or self._to, "TO_EMAIL")
        utf8 = mime.international((sender, *recipients))
        mail = mime.as_bytes(mime.build(message, sender=sender, recipients=recipients), utf8=utf8)
        partly = bool(message.details.only)
        with sockets.Watchdog(self._deadline) as watchdog, self._session(watchdog, partly=partly) as client:
            if utf8 and not client.has_extn("smtputf8"):
                raise self._situation(client, watchdog).failure(
                    FailureKind.CONFIGURATION,
                    _("the server takes ASCII addresses only"),
                    _("write TO_EMAIL and FROM_EMAIL without special letters"),
                )
            options = ("SMTPUTF8", "BODY=8BITMIME") if utf8 else ()
            refused = client.sendmail(sender, recipients, mail, mail_options=options)
        answer = f"{client.accepted[0]} {self._scrub(client.accepted[1])}"
        if not refused:
            return Receipt(self.name, answer)
        situation = self._situation(client, watchdog)
        return Receipt(
            self.name,
            _("{answer}; refused: {recipients}").format(answer=answer, recipients=situation.named(refused)),
            situation.missed(refused),
        )

    def probe(self, report: Report) -> None:
        """Connect, encrypt and log in, and send nothing."""
        mime.address(self._smtp.from_email or self._smtp.user or _local_account(), "FROM_EMAIL")
        mime.addresses(self._to, "TO_EMAIL")
        with sockets.Watchdog(self._deadline) as watchdog, self._session(watchdog, report):
            pass

    @contextmanager
    def _session(
        self, watchdog: sockets.Watchdog, report: Report = lambda _: None, *, partly: bool = False
    ) -> Iterator[Client]:
        """A client that is ready to send; whatever goes wrong meanwhile becomes a TransportError."""
        context = self._context()
        client = Client(self._smtp.host, watchdog, self._timeout, context, implicit=self._implicit)
        try:
            self._sign_in(client, report)
            yield client
        # smtplib's errors and those of TLS are OSErrors; a host name may not be encodable.
        except (OSError, ValueError) as error:
            # The chain is cut: those errors hold what was said, and that may be the password.
            raise self._situation(client, watchdog, partly=partly).explain(error) from None
        finally:
            client.leave()

    def _situation(self, client: Client, watchdog: sockets.Watchdog, *, partly: bool = False) -> Situation:
        return Situation(
            name=self.name,
            host=self._smtp.host,
            implicit=self._implicit,
            plain=self._plain,
            step=client.step,
            text_sent=client.text_sent,
            given_up=watchdog.seconds if watchdog.expired else None,
            scrub=self._scrub,
            partly=partly,
        )

    def _context(self) -> ssl.SSLContext:
        ca_file = self._smtp.ca_file
        try:
            return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        except OSError as error:
            reason = error.strerror or str(error)
            raise TransportError(
                FailureKind.CONFIGURATION,
                _("SMTP_CA_FILE {file} cannot be used: {why}").format(file=ca_file, why=one_line(reason)),
                _("it must name a readable file with certificates in PEM form"),
            ) from None

    def _sign_in(self, client: Client, report: Report) -> None:
        code, answer = client.connect(self._smtp.host, self._smtp.port)
        if code != READY:
            raise smtplib.SMTPConnectError(code, answer)
        address = "" if client.sock is None else str(client.sock.getpeername()[0]).partition("%")[0]
        report(_("connected to {address}, port {port}").format(address=address, port=self._smtp.port))
        client.step = Step.HELLO
        if self._plain:
            if not is_loopback(address):
                raise TransportError(
                    FailureKind.CONFIGURATION,
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
            client.secure()
            client.step = Step.HELLO
            client.ehlo_or_helo_if_needed()
        report(_encryption(client))
        client.sign_in(self._smtp.user, self._smtp.password.reveal())
        report(_("logged in as {user}").format(user=one_line(self._smtp.user, 100)))


def _local_account() -> str:
    return f"{machine.user(os.environ)}@{machine.host()}"


def _encryption(client: Client) -> str:
    if not isinstance(client.sock, ssl.SSLSocket):
        return _("not encrypted")
    ends = (client.sock.getpeercert() or {}).get("notAfter")
    if not isinstance(ends, str):
        return _("encrypted by {version}").format(version=client.sock.version())
    day = datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC).date()
    return _("encrypted by {version}; the certificate is accepted, and good until {day}").format(
        version=client.sock.version(), day=day
    )
