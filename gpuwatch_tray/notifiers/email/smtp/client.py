"""smtplib's client, which knows its step and its time limits and logs in in UTF-8."""

from __future__ import annotations

import base64
import contextlib
import hmac
import smtplib
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.notifiers.email.smtp.failures import TEMPORARY, SmtpStep
from gpuwatch_tray.notifiers.email.smtp.sockets import open_connection

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Sequence

    from gpuwatch_tray.notifiers.email.smtp.sockets import Watchdog

QUIT_TIMEOUT = 2.0  # seconds: the mail is sent or not by then

# Replies (RFC 5321, RFC 4954)
READY = 220
LOGGED_IN = 235
CONTINUE_LOGIN = 334
CONTINUE_DATA = 354
ACCEPTED = 250
SUCCESS = range(200, 300)


class SmtpClient(smtplib.SMTP):
    """smtplib's client, which knows its step and its time limits and logs in in UTF-8."""

    def __init__(
        self,
        host: str,
        watchdog: Watchdog,
        timeout: float,
        context: ssl.SSLContext,
        *,
        implicit: bool,
    ) -> None:
        # A host would connect at once; the default local name is a look-up without a time-out.
        super().__init__(local_hostname="localhost", timeout=timeout)
        self._host = host  # what starttls() checks the certificate against
        self._watchdog = watchdog
        self._context = context
        self._implicit = implicit
        self._data_accepted = False  # the server has answered 354: the text comes next
        self.step = SmtpStep.CONNECT
        self.text_sent = False  # once it is, silence does not mean refusal
        self.accepted: tuple[int, bytes] = (0, b"")

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = open_connection(host, port, self._watchdog, timeout)
        self._watchdog.guard(sock)
        self.step = SmtpStep.GREETING
        if self._implicit:
            sock.settimeout(self._watchdog.time_left(timeout))
            sock = self._context.wrap_socket(sock, server_hostname=host)
            self._watchdog.guard(sock)
        self.local_hostname = _address_literal(sock)
        return sock

    def start_tls(self) -> None:
        """Send STARTTLS; SMTPNotSupportedError where the server does not offer it."""
        self.step = SmtpStep.STARTTLS
        self.starttls(context=self._context)
        if self.sock is not None:
            self._watchdog.guard(self.sock)

    def send(self, s: str | bytes) -> None:  # type: ignore[override]  # typeshed wants a buffer
        """Send as smtplib does, within the time left; note when the whole text is out."""
        if self.sock is not None:
            self.sock.settimeout(self._watchdog.time_left(self.timeout))
        super().send(s)
        if self._data_accepted and self.sock is not None:
            self.text_sent = True
            # Filters take their time over the text, and giving up on their answer may double the mail.
            self.sock.settimeout(self._watchdog.time_left(self._watchdog.seconds))

    def getreply(self) -> tuple[int, bytes]:
        """Read a reply as smtplib does; after a 354 the text is sent next."""
        code, answer = super().getreply()
        self._data_accepted = code == CONTINUE_DATA
        return code, answer

    def ehlo(self, name: str = "") -> tuple[int, bytes]:
        """Send EHLO; raise at a temporary refusal, where smtplib would go on with HELO."""
        code, answer = super().ehlo(name)
        if code in TEMPORARY:
            raise smtplib.SMTPHeloError(code, answer)
        return code, answer

    def mail(self, sender: str, options: Sequence[str] = ()) -> tuple[int, bytes]:
        """Send MAIL FROM."""
        self.step = SmtpStep.SENDER
        return super().mail(sender, options)

    def rcpt(self, recip: str, options: Sequence[str] = ()) -> tuple[int, bytes]:
        """Send RCPT TO."""
        self.step = SmtpStep.RECIPIENT
        return super().rcpt(recip, options)

    def data(self, msg: str | bytes) -> tuple[int, bytes]:  # type: ignore[override]  # typeshed wants a buffer
        """
        Send DATA and the text; keep the answer, which smtplib drops.

        Any 2xx means success (RFC 5321, 4.3.2: the first digit counts); smtplib accepts 250 alone.
        """
        self.step = SmtpStep.TEXT
        self.accepted = super().data(msg)
        code, answer = self.accepted
        return (ACCEPTED, answer) if code in SUCCESS else self.accepted

    def log_in(self, user: str, password: str) -> None:
        """
        Send AUTH with the first mechanism both sides know, in UTF-8 (RFC 4616); smtplib takes ASCII only.

        A refused password is not tried with a second mechanism: that would count twice against the account.
        """
        self.step = SmtpStep.LOGIN
        offered = self.esmtp_features.get("auth", "").upper().split()
        name, secret = user.encode(), password.encode()
        if "PLAIN" in offered:
            reply = self.docmd("AUTH", "PLAIN " + _base64(b"\0" + name + b"\0" + secret))
        elif "LOGIN" in offered:
            reply = self.docmd("AUTH", "LOGIN")
            for answer in (name, secret):
                if reply[0] == CONTINUE_LOGIN:
                    reply = self.docmd(_base64(answer))
        elif "CRAM-MD5" in offered:
            reply = self.docmd("AUTH", "CRAM-MD5")
            if reply[0] == CONTINUE_LOGIN:
                digest = hmac.new(secret, base64.b64decode(reply[1]), "md5").hexdigest()
                reply = self.docmd(_base64(name + b" " + digest.encode()))
        else:
            names = " ".join(offered) or "none"
            raise smtplib.SMTPNotSupportedError(
                _("no login that we know is offered (offered: {ways})").format(ways=names)
            )
        if reply[0] != LOGGED_IN:
            raise smtplib.SMTPAuthenticationError(*reply)

    def quit_quietly(self) -> None:
        """Send QUIT and close; an error changes nothing about what was accepted."""
        with contextlib.suppress(OSError):
            if self.sock is not None and not self._watchdog.expired:
                self.timeout = QUIT_TIMEOUT
                self.docmd("QUIT")
        self.close()


def _address_literal(sock: socket.socket) -> str:
    """Return our address in the form that EHLO accepts in place of a name (RFC 5321, 4.1.3)."""
    own = str(sock.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{own}]" if ":" in own else f"[{own}]"


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
