"""smtplib's client made fit: it knows where it is, how long it may take, and logs in in UTF-8."""

from __future__ import annotations

import base64
import contextlib
import hmac
import smtplib  # this folder is the one importer
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.notifiers.email.smtp import sockets
from gpuwatch_tray.notifiers.email.smtp.failures import TEMPORARY, Step

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Sequence

GOODBYE = 2.0  # seconds for QUIT: the mail is sent or not by then

# Replies (RFC 5321, RFC 4954)
READY = 220
SIGNED_IN = 235
GO_ON_LOGIN = 334
GO_ON_TEXT = 354
ACCEPTED = 250
CONSENT = range(200, 300)


class Client(smtplib.SMTP):
    """smtplib's client, told where it is, how long it may take, and with logins in UTF-8."""

    def __init__(
        self,
        host: str,
        watchdog: sockets.Watchdog,
        timeout: float,
        context: ssl.SSLContext,
        *,
        implicit: bool,
    ) -> None:
        # Neither a host, which would connect at once, nor the default name, a look-up without a time-out.
        super().__init__(local_hostname="localhost", timeout=timeout)
        self._host = host  # what starttls() checks the certificate against
        self._watchdog = watchdog
        self._context = context
        self._implicit = implicit
        self._go_on = False
        self.step = Step.CONNECT
        self.text_sent = False  # from here on, silence does not mean refusal
        self.accepted: tuple[int, bytes] = (0, b"")

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = sockets.connect(host, port, self._watchdog, timeout)
        self._watchdog.watch(sock)
        self.step = Step.GREETING
        if self._implicit:
            sock.settimeout(self._watchdog.left(timeout))
            sock = self._context.wrap_socket(sock, server_hostname=host)
            self._watchdog.watch(sock)
        self.local_hostname = _literal(sock)
        return sock

    def secure(self) -> None:
        """STARTTLS, or SMTPNotSupportedError."""
        self.step = Step.STARTTLS
        self.starttls(context=self._context)
        if self.sock is not None:
            self._watchdog.watch(self.sock)

    def send(self, s: str | bytes) -> None:  # type: ignore[override]  # typeshed wants a buffer
        """As smtplib's, within what is left of the time; knows when the whole text is out."""
        if self.sock is not None:
            self.sock.settimeout(self._watchdog.left(self.timeout))
        super().send(s)
        if self._go_on and self.sock is not None:
            self.text_sent = True
            # Filters take their time over the text, and giving up on their answer may double the mail.
            self.sock.settimeout(self._watchdog.left(self._watchdog.seconds))

    def getreply(self) -> tuple[int, bytes]:
        """As smtplib's; a 354 means that what is sent next is the text."""
        code, answer = super().getreply()
        self._go_on = code == GO_ON_TEXT
        return code, answer

    def ehlo(self, name: str = "") -> tuple[int, bytes]:
        """As smtplib's; a server that has no time now is not greeted once more by HELO."""
        code, answer = super().ehlo(name)
        if code in TEMPORARY:
            raise smtplib.SMTPHeloError(code, answer)
        return code, answer

    def mail(self, sender: str, options: Sequence[str] = ()) -> tuple[int, bytes]:
        """MAIL FROM."""
        self.step = Step.SENDER
        return super().mail(sender, options)

    def rcpt(self, recip: str, options: Sequence[str] = ()) -> tuple[int, bytes]:
        """RCPT TO."""
        self.step = Step.RECIPIENT
        return super().rcpt(recip, options)

    def data(self, msg: str | bytes) -> tuple[int, bytes]:  # type: ignore[override]  # typeshed wants a buffer
        """
        DATA and the text; keeps the answer, which smtplib drops.

        Any 2xx is consent (RFC 5321, 4.3.2: the first digit counts); smtplib takes 250 alone.
        """
        self.step = Step.TEXT
        self.accepted = super().data(msg)
        code, answer = self.accepted
        return (ACCEPTED, answer) if code in CONSENT else self.accepted

    def sign_in(self, user: str, password: str) -> None:
        """
        AUTH with the first mechanism that both sides know, in UTF-8 (RFC 4616); smtplib's takes ASCII only.

        A refused password is not tried by a second mechanism: that would count twice against the account.
        """
        self.step = Step.LOGIN
        offered = self.esmtp_features.get("auth", "").upper().split()
        name, secret = user.encode(), password.encode()
        if "PLAIN" in offered:
            reply = self.docmd("AUTH", "PLAIN " + _base64(b"\0" + name + b"\0" + secret))
        elif "LOGIN" in offered:
            reply = self.docmd("AUTH", "LOGIN")
            for answer in (name, secret):
                if reply[0] == GO_ON_LOGIN:
                    reply = self.docmd(_base64(answer))
        elif "CRAM-MD5" in offered:
            reply = self.docmd("AUTH", "CRAM-MD5")
            if reply[0] == GO_ON_LOGIN:
                digest = hmac.new(secret, base64.b64decode(reply[1]), "md5").hexdigest()
                reply = self.docmd(_base64(name + b" " + digest.encode()))
        else:
            ways = " ".join(offered) or "none"
            raise smtplib.SMTPNotSupportedError(
                _("no login that we know is offered (offered: {ways})").format(ways=ways)
            )
        if reply[0] != SIGNED_IN:
            raise smtplib.SMTPAuthenticationError(*reply)

    def leave(self) -> None:
        """Say goodbye, but never let it matter: what was accepted is accepted."""
        with contextlib.suppress(OSError):
            if self.sock is not None and not self._watchdog.expired:
                self.timeout = GOODBYE
                self.docmd("QUIT")
        self.close()


def _literal(sock: socket.socket) -> str:
    """Our address as EHLO wants it where there is no name to give (RFC 5321, 4.1.3)."""
    own = str(sock.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{own}]" if ":" in own else f"[{own}]"


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
