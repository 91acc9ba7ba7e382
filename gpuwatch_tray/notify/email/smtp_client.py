"""
smtplib's client in bounded time: connections, replies and whole mails that end, and a login in UTF-8.

It knows its step, so that a failure can be told by where it happened.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import itertools
import smtplib
import socket
import threading
import time
from typing import TYPE_CHECKING, BinaryIO, Self, TypeAlias, cast

from gpuwatch_tray.common.threads import call_with_timeout
from gpuwatch_tray.i18n import _
from gpuwatch_tray.notify.email.refusals import TEMPORARY, SmtpStep
from gpuwatch_tray.notify.email.smtp_errors import EndlessReplyError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence


SocketAddress: TypeAlias = tuple[socket.AddressFamily, str, int]  # family, numeric address, port
Resolver: TypeAlias = "Callable[[str, int], list[SocketAddress]]"

CONNECT_TIMEOUT = 5.0  # seconds for one address, so that a dead IPv6 route leaves time for the next


class Deadline:
    """Shuts the guarded socket down once `seconds` have passed: a slow sender outlasts a read's time-out."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.expired = False
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def time_left(self, at_most: float) -> float:
        """Return the seconds left, `at_most` at most; TimeoutError when none are."""
        left = self._end - time.monotonic()
        if left <= 0:
            self.expired = True
            raise TimeoutError(_("no time left"))
        return min(left, at_most)

    def guard(self, sock: socket.socket) -> None:
        """Guard this socket instead of the one before."""
        with self._lock:
            self._sock = sock
            if self.expired:
                self._cut()

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            self._cut()

    def _cut(self) -> None:
        if self._sock is not None:
            # The TLS socket's own shutdown is not safe during a read.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()
        self._timer.join()


def resolve(host: str, port: int) -> list[SocketAddress]:
    """Return the addresses of a host, IPv6 and IPv4 in turn, IPv6 first."""
    results = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [(family, str(name[0]), port) for family, _, _, _, name in results]
    six = [address for address in addresses if address[0] == socket.AF_INET6]
    four = [address for address in addresses if address[0] == socket.AF_INET]
    return [address for pair in itertools.zip_longest(six, four) for address in pair if address is not None]


def resolve_with_timeout(
    host: str, port: int, seconds: float, resolver: Resolver = resolve
) -> list[SocketAddress]:
    """Call `resolver`; TimeoutError after `seconds`, else its own OSError or ValueError."""
    try:
        return call_with_timeout(seconds, lambda: resolver(host, port), "resolve")
    except TimeoutError:
        raise TimeoutError(
            _("the name lookup took longer than {seconds:g} s").format(seconds=seconds)
        ) from None


def open_connection(
    host: str, port: int, deadline: Deadline, timeout: float, resolver: Resolver = resolve
) -> socket.socket:
    """Connect to the first address that answers, each tried briefly; else raise the last one's OSError."""
    last: OSError = OSError(_("the name has no address"))
    for family, numeric, number in resolve_with_timeout(host, port, deadline.time_left(timeout), resolver):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(deadline.time_left(min(timeout, CONNECT_TIMEOUT)))
            sock.connect((numeric, number))
        except OSError as error:
            sock.close()
            last = error
        else:
            return sock
    raise last


MOST_LINES, MOST_BYTES = 200, 64 * 1024  # of one reply: EHLO's, the longest, has some twenty lines
QUIT_TIMEOUT = 2.0  # seconds: the mail is sent or not by then
# Replies (RFC 5321, RFC 4954)
READY = 220
LOGGED_IN = 235
CONTINUE_LOGIN = 334
CONTINUE_DATA = 354
ACCEPTED = 250
SUCCESS = range(200, 300)


class BoundedReplies:
    """
    The server's lines, as smtplib reads them from a file; EndlessReplyError at a reply that is too long.

    smtplib bounds a line, but keeps as many lines of one reply as a server sends.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lines = self._bytes = 0

    def begin_reply(self) -> None:
        """Count from here."""
        self._lines = self._bytes = 0

    def readline(self, most: int) -> bytes:
        """Read a line of at most `most` bytes."""
        line = self._file.readline(most)
        self._lines, self._bytes = self._lines + 1, self._bytes + len(line)
        if self._lines > MOST_LINES or self._bytes > MOST_BYTES:
            raise EndlessReplyError
        return line

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class SmtpClient(smtplib.SMTP):
    """smtplib's client, which knows its step and its time limits and logs in in UTF-8."""

    def __init__(
        self, host: str, deadline: Deadline, timeout: float, context: ssl.SSLContext, *, implicit: bool
    ) -> None:
        # A host would connect at once; the default local name is a look-up without a time-out.
        super().__init__(local_hostname="localhost", timeout=timeout)
        self._host = host  # what starttls() checks the certificate against
        self._deadline = deadline
        self._context = context
        self._implicit = implicit
        self._data_accepted = False  # the server has answered 354: the text comes next
        self.step = SmtpStep.CONNECT
        self.text_sent = False  # once it is, silence does not mean refusal
        self.accepted: tuple[int, bytes] = (0, b"")

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = open_connection(host, port, self._deadline, timeout)
        self._deadline.guard(sock)
        self.step = SmtpStep.GREETING
        if self._implicit:
            sock.settimeout(self._deadline.time_left(timeout))
            sock = self._context.wrap_socket(sock, server_hostname=host)
            self._deadline.guard(sock)
        self.local_hostname = _address_literal(sock)
        return sock

    def start_tls(self) -> None:
        """Send STARTTLS; SMTPNotSupportedError where the server does not offer it."""
        self.step = SmtpStep.STARTTLS
        self.starttls(context=self._context)
        if self.sock is not None:
            self._deadline.guard(self.sock)

    def send(self, s: str | bytes) -> None:  # type: ignore[override]  # typeshed wants a buffer
        """Send as smtplib does, within the time left; note when the whole text is out."""
        if self.sock is not None:
            self.sock.settimeout(self._deadline.time_left(self.timeout))
        super().send(s)
        if self._data_accepted and self.sock is not None:
            self.text_sent = True
            # Filters take their time over the text, and giving up on their answer may double the mail.
            self.sock.settimeout(self._deadline.time_left(self._deadline.seconds))

    def getreply(self) -> tuple[int, bytes]:
        """Read a reply as smtplib does, of bounded length; after a 354 the text is sent next."""
        if self.file is None and self.sock is not None:
            self.file = BoundedReplies(cast("BinaryIO", self.sock.makefile("rb")))
        if self.file is not None:
            self.file.begin_reply()
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

    def try_addresses(self, sender: str, recipients: Sequence[str], options: Sequence[str]) -> None:
        """Name sender and recipients as for a mail, then reset; smtplib's error where one is refused."""
        code, answer = self.mail(sender, options)
        if code not in SUCCESS:
            raise smtplib.SMTPSenderRefused(code, answer, sender)
        replies = {recipient: self.rcpt(recipient) for recipient in recipients}
        refused = {name: reply for name, reply in replies.items() if reply[0] not in SUCCESS}
        if refused:
            raise smtplib.SMTPRecipientsRefused(refused)
        self.rset()

    def data(self, msg: str | bytes) -> tuple[int, bytes]:  # type: ignore[override]  # typeshed wants a buffer
        """Send DATA and the text; keep the answer, and take any 2xx for success (RFC 5321, 4.3.2)."""
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
                _("the server offers no supported login (offered: {ways})").format(ways=names)
            )
        if reply[0] != LOGGED_IN:
            raise smtplib.SMTPAuthenticationError(*reply)

    def quit_quietly(self) -> None:
        """Send QUIT and close; an error changes nothing about what was accepted."""
        with contextlib.suppress(OSError):
            if self.sock is not None and not self._deadline.expired:
                self.timeout = QUIT_TIMEOUT
                self.docmd("QUIT")
        self.close()


def _address_literal(sock: socket.socket) -> str:
    """Return our address in the form that EHLO accepts in place of a name (RFC 5321, 4.1.3)."""
    own = str(sock.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{own}]" if ":" in own else f"[{own}]"


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
