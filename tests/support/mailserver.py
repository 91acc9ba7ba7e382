"""
A real SMTP server (aiosmtpd) on loopback with TLS and login, for everybody's tests.

    with MailServer(tls="starttls", user="u", password="p w") as server:
        ...                                  # server.host, server.port, server.ca_file, server.smtp_env()
        server.behave(rcpt="450 4.2.1 later", times=1)
        server.wait_for(1)[0].message["Subject"]

Its certificate is for `localhost`, 127.0.0.1 and ::1, signed by a CA made for this process: a client needs
`server.ca_file` (SMTP_CA_FILE).
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import functools
import hmac
import ssl
import tempfile
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword, TLSSetupException

from tests.support.timing import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from email.message import EmailMessage


Step = Literal["connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "message", "quit"]


@dataclass(frozen=True, slots=True)
class Received:
    """One mail that the server answered with 250, or was told to swallow without an answer."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    user: str  # who logged in; empty without login
    tls: bool

    @property
    def message(self) -> EmailMessage:
        """The mail as parsed by the email package."""
        return cast("EmailMessage", email.message_from_bytes(self.raw, policy=email.policy.default))

    @property
    def text(self) -> str:
        """The text part, with plain newlines."""
        part = self.message.get_body(("plain",))
        return "" if part is None else str(part.get_content()).replace("\r\n", "\n")


@dataclass(slots=True)
class _Behaviour:
    """What the server does instead of the normal answer, step by step, for so many uses."""

    replies: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # recipient -> reply
    hang: Step | None = None
    drop: Step | None = None
    left: int | None = None


@functools.cache
def _authority() -> trustme.CA:
    return trustme.CA()


@functools.cache
def _context(certificate: str) -> ssl.SSLContext:
    names = ["elsewhere.example"] if certificate == "wrong-host" else ["localhost", "127.0.0.1", "::1"]
    dates: dict[str, datetime] = {}
    if certificate == "expired":
        dates["not_before"] = datetime(2001, 1, 1, tzinfo=UTC)
        dates["not_after"] = datetime(2002, 1, 1, tzinfo=UTC)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _authority().issue_cert(*names, **dates).configure_cert(context)
    return context


class _Session(SMTP):
    """One connection: asks the server's behaviour before each step."""

    def __init__(self, server: MailServer, **kwargs: Any) -> None:
        self.owner = server
        super().__init__(server, **kwargs)

    async def _step(
        self, step: Step, go_on: Callable[[Any], Awaitable[None]], arg: str | None, address: str = ""
    ) -> None:
        self.owner.seen.append(step)
        reply = await self.owner.answer(self, step, address)
        if reply is not None:
            await self.push(reply)
        else:
            await go_on(arg)

    async def _handle_client(self) -> None:
        self.owner.seen.append("connect")
        self.owner.connections += 1
        reply = await self.owner.answer(self, "connect")
        if reply is None:
            await super()._handle_client()
            return
        await self.push(reply)
        self.leave()

    def leave(self) -> None:
        """Drop the connection at once, without a word."""
        transport = self._original_transport or self.transport
        if transport is not None:
            with contextlib.suppress(AttributeError):  # CPython 3.11.2 raises it where TLS has ended already
                cast("asyncio.Transport", transport).abort()

    async def handle_exception(self, error: Exception) -> str:
        """Remember a fault of the server itself, so that a test sees it."""
        if not isinstance(error, TLSSetupException):  # a client that refuses our certificate
            self.owner.faults.append(error)
        return f"500 {error!r}"

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802
        await self._step("ehlo", super().smtp_EHLO, hostname)

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802
        await self._step("starttls", super().smtp_STARTTLS, arg)

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802
        await self._step("auth", super().smtp_AUTH, arg)

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802
        await self._step("mail", super().smtp_MAIL, arg)

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        address = (arg or "").partition("<")[2].partition(">")[0]
        await self._step("rcpt", super().smtp_RCPT, arg, address)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if self.owner.takes("drop", "data"):
            await self.push("354 go on")
            await self._reader.readuntil(b"\r\n")
            self.leave()
            await asyncio.Event().wait()
        await self._step("data", super().smtp_DATA, arg)

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802
        await self._step("quit", super().smtp_QUIT, arg)


class MailServer:
    """
    The server, from `with` to its end; all of it may be used from any thread.

    `tls`: "starttls" (login only after it), "implicit" (as port 465) or "none" (STARTTLS is not offered).
    An empty `user` offers no login at all. `smtputf8=False` takes ASCII addresses only.
    """

    host = "localhost"

    def __init__(
        self,
        *,
        tls: Literal["starttls", "implicit", "none"] = "starttls",
        user: str = "user",
        password: str = "secret-password",
        certificate: Literal["good", "expired", "wrong-host"] = "good",
        size_limit: int = 10_000_000,
        smtputf8: bool = True,
    ) -> None:
        self.tls, self.user, self.password = tls, user, password
        self._certificate, self._size_limit, self._smtputf8 = certificate, size_limit, smtputf8
        self.port = 0
        self.ca_file = Path()
        self.connections = 0
        self.seen: list[str] = []  # the steps that clients took, in order
        self.faults: list[Exception] = []
        self._received: list[Received] = []
        self._change = threading.Condition()
        self._behaviour = _Behaviour()
        self._offer = ""
        self._sessions: list[_Session] = []
        self._closing = contextlib.ExitStack()

    # --- what a test asks

    @property
    def messages(self) -> tuple[Received, ...]:
        """The mails so far."""
        with self._change:
            return tuple(self._received)

    def wait_for(self, count: int, timeout: float = PATIENCE) -> tuple[Received, ...]:
        """Return the mails once there are at least `count`; AssertionError after `timeout` seconds."""
        with self._change:
            if not self._change.wait_for(lambda: len(self._received) >= count, timeout):
                raise AssertionError(f"{len(self._received)} mails after {timeout} s, not {count}")
            return tuple(self._received)

    def behave(
        self,
        *,
        refuse: dict[str, str] | None = None,
        hang: Step | None = None,
        drop: Step | None = None,
        times: int | None = None,
        **replies: str,
    ) -> None:
        """
        Misbehave from now on, `times` times or for good; without arguments behave normally again.

        A reply by step replaces the normal answer: connect=, ehlo=, starttls=, auth=, mail=, rcpt=, data=
        (the answer to DATA), message= (the answer after the text), quit=. `refuse` maps recipients to
        replies. `hang` never answers that step; `drop` closes the connection in place of its answer: "data"
        in the middle of the text, "message" after the text, with the mail kept.
        """
        with self._change:
            self._behaviour = _Behaviour(replies, refuse or {}, hang, drop, times)

    def offer(self, auth_line: str) -> None:
        """Say this instead of the real `250-AUTH ...` line; '' says the real one again."""
        self._offer = auth_line

    def forget(self) -> None:
        """Forget mails and steps, and behave normally."""
        self.behave()
        self.offer("")
        with self._change:
            self._received.clear()
            self.seen.clear()

    def smtp_env(self, from_email: str = "gpu@example.org") -> str:
        """Return the text of an smtp.env for this server."""
        return (
            f'SMTP_HOST="{self.host}"\nSMTP_PORT={self.port}\nSMTP_USER="{self.user}"\n'
            f'SMTP_PASS="{self.password}"\nSMTP_CA_FILE="{self.ca_file}"\nFROM_EMAIL="{from_email}"\n'
        )

    # --- what the sessions ask

    def takes(self, what: Literal["drop", "hang"], step: Step) -> bool:
        """Whether the behaviour has this for the step, counting it as used."""
        with self._change:
            found = getattr(self._behaviour, what) == step and self._behaviour.left != 0
            if found and self._behaviour.left is not None:
                self._behaviour.left -= 1
            return found

    async def answer(self, session: _Session, step: Step, address: str = "") -> str | None:
        """Return the reply in place of the normal one, or None; never return when it hangs or drops."""
        if self.takes("hang", step):
            await asyncio.Event().wait()
        if self.takes("drop", step):
            session.leave()
            await asyncio.Event().wait()
        with self._change:
            behaviour = self._behaviour
            if behaviour.left == 0:
                return None
            reply = behaviour.refused.get(address) or behaviour.replies.get(step)
            if reply is not None and behaviour.left is not None:
                behaviour.left -= 1
            return reply

    async def handle_EHLO(  # noqa: N802
        self, server: _Session, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        """Change the line of the logins, or take it off where there is none."""
        session.host_name = hostname
        changed = [self._offer if line.startswith("250-AUTH") and self._offer else line for line in responses]
        return [line for line in changed if self.user or not line.startswith("250-AUTH")]

    async def auth_CRAM__MD5(self, server: _Session, args: list[str]) -> AuthResult:  # noqa: N802
        """CRAM-MD5 (RFC 2195), which aiosmtpd leaves to its users."""
        challenge = b"<42@mail.test>"
        answer = await server.challenge_auth(challenge)
        digest = hmac.new(self.password.encode(), challenge, "md5").hexdigest()
        good = answer == f"{self.user} {digest}".encode()
        return AuthResult(success=good, handled=False, auth_data=LoginPassword(self.user.encode(), b""))

    async def handle_DATA(self, server: _Session, session: Any, envelope: Any) -> str:  # noqa: N802
        """Keep the mail, unless told to answer otherwise."""
        dropped = self.takes("drop", "message")
        reply = None if dropped else await self.answer(server, "message")
        if reply is None or reply.startswith("2"):
            login = session.auth_data.login.decode() if session.auth_data else ""
            tls = server.transport.get_extra_info("ssl_object") is not None
            with self._change:
                self._received.append(
                    Received(envelope.mail_from, tuple(envelope.rcpt_tos), envelope.content, login, tls)
                )
                self._change.notify_all()
        if dropped:
            server.leave()
            await asyncio.Event().wait()
        return reply or "250 2.0.0 queued as 42"

    def _login(  # aiosmtpd's authenticator
        self, server: Any, session: Any, envelope: Any, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        good = data.login == self.user.encode() and data.password == self.password.encode()
        return AuthResult(success=good, handled=False, auth_data=data)

    # --- its life

    def _session(self) -> _Session:
        session = _Session(
            self,
            loop=asyncio.get_running_loop(),
            hostname="mail.test",
            data_size_limit=self._size_limit,
            enable_SMTPUTF8=self._smtputf8,
            tls_context=_context(self._certificate) if self.tls == "starttls" else None,
            require_starttls=self.tls == "starttls",
            auth_require_tls=self.tls == "starttls",
            authenticator=self._login,
        )
        # Not the constructor's argument: it warns where the TLS is not its own STARTTLS.
        session._auth_required = bool(self.user)
        self._sessions.append(session)
        return session

    async def _serve(self, ready: Callable[[Any], None], stop: asyncio.Event) -> None:
        implicit = _context(self._certificate) if self.tls == "implicit" else None
        server = await asyncio.get_running_loop().create_server(self._session, "127.0.0.1", 0, ssl=implicit)
        ready(server.sockets[0].getsockname()[1])
        await stop.wait()
        server.close()
        for _ in range(3):  # again, for one that was just being accepted
            for session in self._sessions:
                session.leave()
            await asyncio.sleep(0.01)  # lets the transports say goodbye to their protocols

    def __enter__(self) -> Self:
        folder = self._closing.enter_context(tempfile.TemporaryDirectory(prefix="mailserver-"))
        self.ca_file = Path(folder, "ca.pem")
        _authority().cert_pem.write_to_path(str(self.ca_file))
        started = threading.Event()
        control: dict[str, Any] = {}

        async def main() -> None:
            control["loop"], control["stop"] = asyncio.get_running_loop(), asyncio.Event()

            def ready(port: int) -> None:
                self.port = port
                started.set()

            await self._serve(ready, control["stop"])

        def run(coroutine: Coroutine[Any, Any, None]) -> None:
            asyncio.run(coroutine)

        thread = threading.Thread(target=run, args=(main(),), name="mailserver", daemon=True)
        thread.start()
        if not started.wait(60):
            raise RuntimeError("the mail server did not start")

        def stop() -> None:
            control["loop"].call_soon_threadsafe(control["stop"].set)
            thread.join(60)

        self._closing.callback(stop)
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.close()
        if self.faults:
            raise ExceptionGroup("the mail server itself failed", self.faults)
