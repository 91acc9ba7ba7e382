"""
Mail by SMTP: with TLS and a login, in bounded time, each failure classified.

Only EHLO and STARTTLS go out in plain text, save to a relay on this computer with SMTP_SECURITY=none.
"""

from __future__ import annotations

import contextlib
import os
import smtplib
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gpuwatch_tray.common import host
from gpuwatch_tray.i18n import _
from gpuwatch_tray.notify.email import mime
from gpuwatch_tray.notify.email.mime import Scrubber, one_line
from gpuwatch_tray.notify.email.refusals import SmtpStep
from gpuwatch_tray.notify.email.smtp_client import READY, Deadline, SmtpClient
from gpuwatch_tray.notify.email.smtp_errors import IMPLICIT_TLS_PORT, SmtpErrorContext
from gpuwatch_tray.notify.transport import FailureKind, Receipt, configuration_error
from gpuwatch_tray.settings import SmtpSecurity, is_loopback, odd_characters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpuwatch_tray.model import Message
    from gpuwatch_tray.notify.transport import ReportStep
    from gpuwatch_tray.settings import SmtpSettings


STEP_TIMEOUT = 12.0  # seconds for one answer
DEADLINE = 60.0  # seconds for one mail, whatever happens


class SmtpTransport:
    """
    The transport by the server of smtp.env, to the recipients `to`.

    `timeout` is for one answer of the server, `deadline` for a whole mail, in seconds.
    """

    def __init__(
        self,
        smtp: SmtpSettings,
        to: Sequence[str],
        *,
        timeout: float = STEP_TIMEOUT,
        deadline: float = DEADLINE,
    ) -> None:
        self._smtp = smtp
        self._to = to
        self._timeout = timeout
        self._deadline = deadline
        self._plain = smtp.security is SmtpSecurity.NONE
        self._implicit = smtp.port == IMPLICIT_TLS_PORT or smtp.security is SmtpSecurity.SSL
        self._scrub = Scrubber((smtp.password.reveal(),))
        self.name = f"SMTP {one_line(smtp.host, 100)}:{smtp.port}"

    def send(self, message: Message) -> Receipt:
        """Send to all recipients at once; the receipt's `missed` are those the server refused."""
        sender = self._sender()
        recipients = mime.parse_addresses(message.details.only or self._to, "TO_EMAIL")
        mail = mime.build_mail(message, sender=sender, recipients=recipients)
        partly = bool(message.details.only)
        with Deadline(self._deadline) as deadline, self._session(deadline, partly=partly) as client:
            options = self._mail_options(client, (sender, *recipients))
            refused = client.sendmail(sender, recipients, mail, mail_options=options)
        answer = f"{client.accepted[0]} {self._scrub(client.accepted[1])}"
        if not refused:
            return Receipt(self.name, answer)
        context = self._error_context(client, deadline)
        text = _("{answer}; refused: {recipients}")
        text = text.format(answer=answer, recipients=context.list_refused(refused))
        return Receipt(self.name, text, context.group_refused(refused))

    def probe(self, report: ReportStep) -> None:
        """Connect, encrypt, log in, and name sender and recipients, without sending anything."""
        sender, recipients = self._sender(), mime.parse_addresses(self._to, "TO_EMAIL")
        with Deadline(self._deadline) as deadline, self._session(deadline, report) as client:
            client.try_addresses(sender, recipients, self._mail_options(client, (sender, *recipients)))
        report(_("the server accepts mail from {sender}").format(sender=sender))
        report(_("and accepts mail to {recipients}").format(recipients=", ".join(recipients)))

    def _mail_options(self, client: SmtpClient, addresses: Sequence[str]) -> Sequence[str]:
        """Return the options of MAIL FROM; TransportError where the server cannot take these addresses."""
        if not mime.needs_smtputf8(addresses):
            return ()
        if not client.has_extn("smtputf8"):
            text = _("the server accepts only ASCII addresses")
            mend = _("use ASCII letters only in TO_EMAIL and FROM_EMAIL")
            raise configuration_error(f"{self.name}: {text}", mend)
        return ("SMTPUTF8", "BODY=8BITMIME")

    def _sender(self) -> str:
        account = self._smtp.from_email or self._smtp.user
        return mime.parse_address(account or f"{host.user(os.environ)}@{host.host()}", "FROM_EMAIL")

    @contextlib.contextmanager
    def _session(
        self, deadline: Deadline, report: ReportStep = lambda _: None, *, partly: bool = False
    ) -> Iterator[SmtpClient]:
        """Yield a client that is ready to send; any error until its end becomes a TransportError."""
        client = SmtpClient(
            self._smtp.host, deadline, self._timeout, self._tls_context(), implicit=self._implicit
        )
        try:
            self._log_in(client, report)
            yield client
        # smtplib's errors and those of TLS are OSErrors; a host name may not be encodable.
        except (OSError, ValueError) as error:
            failure = self._error_context(client, deadline, partly=partly).explain(error)
            odd = odd_characters(self._smtp.password)
            if client.step is SmtpStep.LOGIN and failure.kind is FailureKind.CONFIGURATION and odd:
                failure.mend = _("the password contains {what}: type it again instead of pasting it").format(
                    what=odd
                )
            # `from None`: those errors hold what was sent, which may be the password.
            raise failure from None
        finally:
            client.quit_quietly()

    def _error_context(
        self, client: SmtpClient, deadline: Deadline, *, partly: bool = False
    ) -> SmtpErrorContext:
        after = deadline.seconds if deadline.expired else None
        return SmtpErrorContext(
            self.name, self._smtp.host, client.step, after, self._scrub,
            implicit=self._implicit, plain=self._plain, text_sent=client.text_sent, partly=partly,
        )  # fmt: skip

    def _tls_context(self) -> ssl.SSLContext:
        ca_file = self._smtp.ca_file
        try:
            return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        except OSError as error:
            reason = error.strerror or str(error)
            raise configuration_error(
                _("SMTP_CA_FILE {file} cannot be used: {why}").format(file=ca_file, why=one_line(reason)),
                _("it must be a readable file with certificates in PEM format"),
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
                text = _(
                    "{way}: {address} is not this computer; SMTP_SECURITY=none is for this computer only"
                )
                raise configuration_error(
                    text.format(way=self.name, address=address), _("remove SMTP_SECURITY from smtp.env")
                )
            client.ehlo_or_helo_if_needed()
            report(_("no TLS and no login, because of SMTP_SECURITY=none"))
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
