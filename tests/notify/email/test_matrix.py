"""
Each way in which a mail can fail, from the real outbox by the real worker to a real server.

What the person sees, what the outbox holds, what is sent again and when: a row of a table for each.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import Button, Instant
from gpuwatch_tray.notify.email.gmail import GmailTransport
from gpuwatch_tray.notify.email.smtp import SmtpTransport
from gpuwatch_tray.notify.outbox_process import BLOCKED_KEY, DEAD_KEY, MailHealth, mail_notes
from gpuwatch_tray.notify.outbox_worker import deliver_due
from gpuwatch_tray.settings import Secret, SmtpSecurity, SmtpSettings
from gpuwatch_tray.store import Commit, Mail, Store
from tests.support.googleserver import GoogleServer
from tests.support.installed import closed_port
from tests.support.mailserver import MailServer

TO = ("one@example.org", "two@example.org")
HOUR = 3600.0


@dataclass(frozen=True)
class FailureCase:
    """
    One row: how the first attempt goes wrong, and what is to come of it.

    `does` is the server's behaviour, `server` how it is made, `settings` what is wrong in smtp.env. `popup`
    is the key of the one that is shown; `delay` the seconds to the next attempt, None where there is none;
    `copies` how often the mail has arrived in the end.
    """

    does: dict = field(default_factory=dict)
    server: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    popup: str = ""
    delay: float | None = 30.0
    copies: int = 1
    says: str = ""


LOGIN = {"popup": BLOCKED_KEY, "delay": HOUR / 4}
REFUSED = {"popup": DEAD_KEY, "delay": None, "copies": 0}
SMTP = {
    "RCPT 450": FailureCase({"rcpt": "450 4.2.1 mailbox busy"}, says="450 4.2.1 mailbox busy"),
    "RCPT 550": FailureCase({"rcpt": "550 5.1.1 unknown"}, **REFUSED, says="check TO_EMAIL"),
    "RCPT quota": FailureCase({"rcpt": "550 5.4.5 daily limit"}, delay=HOUR, says="sending limit"),
    "sender at RCPT": FailureCase({"rcpt": "553 5.7.1 Sender address rejected"}, **LOGIN, says="FROM_EMAIL"),
    "mailbox full": FailureCase({"rcpt": "552 5.2.2 full"}, delay=HOUR, says="mailbox is full"),
    "client at RCPT": FailureCase({"rcpt": "550 5.7.1 client blocked"}, **LOGIN, says="SMTP_HOST"),
    "DATA quota": FailureCase({"message": "554 5.2.0 quota exceeded"}, delay=HOUR, says="sending limit"),
    "DATA SendAs": FailureCase({"message": "554 5.2.252 SendAsDenied"}, **LOGIN, says="FROM_EMAIL"),
    "DATA 451": FailureCase({"message": "451 4.3.0 later"}, says="mail text refused: 451 4.3.0 later"),
    "DATA 552": FailureCase({"message": "552 5.3.4 too big"}, **REFUSED, says="too big"),
    "DATA 554": FailureCase({"message": "554 5.7.1 spam"}, **REFUSED, says="554 5.7.1 spam"),
    "oversize": FailureCase(server={"size_limit": 300}, **REFUSED, says="too big"),
    "drop before DATA": FailureCase({"drop": "rcpt"}, says="connection was lost"),
    "drop after DATA": FailureCase({"drop": "message"}, copies=2, says="may have been accepted"),
    "slow": FailureCase({"hang": "mail"}, says="no answer in time"),
    "slow after DATA": FailureCase({"hang": "message"}, says="may have been accepted"),
    "421": FailureCase({"connect": "421 4.3.2 busy"}, says="421 4.3.2 busy"),
    "refused": FailureCase(settings={"port": closed_port}, says="Connection refused"),
    "no STARTTLS": FailureCase(server={"tls": "none"}, **LOGIN, says="offers no STARTTLS"),
    "TLS to plain text": FailureCase(settings={"security": SmtpSecurity.SSL}, **LOGIN, says="SMTP_PORT=587"),
    "expired certificate": FailureCase(server={"certificate": "expired"}, **LOGIN, says="has expired"),
    "wrong host": FailureCase(
        server={"certificate": "wrong-host"}, **LOGIN, says="not valid for 'localhost'"
    ),
    "AUTH 535": FailureCase(settings={"password": Secret("wrong")}, **LOGIN, says="SMTP_PASS"),
    "AUTH 534": FailureCase({"auth": "534 5.7.9 app password"}, **LOGIN, says="app password"),
    "AUTH 530": FailureCase({"mail": "530 5.7.0 log in"}, **LOGIN, says="SMTP_PASS"),
    "AUTH 454": FailureCase({"auth": "454 4.7.0 later"}, says="454 4.7.0 later"),
}


def refusal(status: int, reason: str) -> tuple[str, int, dict]:
    return "send", status, {"error": {"code": status, "message": reason, "errors": [{"reason": reason}]}}


SIGN_IN = {"popup": BLOCKED_KEY, "delay": HOUR / 4}
GMAIL = {
    "invalid_grant": FailureCase(
        {"token": ("token", 400, {"error": "invalid_grant"})}, **SIGN_IN, says="7 days"
    ),
    "401 twice": FailureCase({"send": ("send", 401, {})}, **SIGN_IN, says="mail login"),
    "403 scope": FailureCase(
        {"send": refusal(403, "insufficientPermissions")}, **SIGN_IN, says="allow sending mail"
    ),
    "403 quota": FailureCase({"send": refusal(403, "rateLimitExceeded")}, delay=HOUR, says="sending limit"),
    "429": FailureCase({"send": refusal(429, "userRateLimitExceeded")}, delay=HOUR, says="sending limit"),
    "500": FailureCase({"send": refusal(500, "backendError")}, says="500"),
    "503 for the token": FailureCase({"token": ("token", 503, "<html>")}, says="cannot be renewed"),
    "captive portal": FailureCase(
        {"send": ("send", 200, "<html>Please pay</html>")}, says="require a sign-in"
    ),
    "drop after send": FailureCase({"send": ("send", 0, "")}, says="may have been accepted"),
    "413": FailureCase({"send": refusal(413, "uploadTooLarge")}, **REFUSED, says="too big"),
    "400": FailureCase({"send": refusal(400, "invalidArgument")}, **REFUSED, says="TO_EMAIL"),
}


class OutboxUser:
    """An outbox with one mail, and a person who reads the menu and the popups."""

    def __init__(self, folder, message):
        self.store = Store(folder, "lab")
        self.message = message
        self.health = MailHealth()
        assert self.health.popups(self.store.outbox_summary(message.created), 0.0) == ()
        self.store.commit(Commit(Instant(message.created), mails=(Mail(message, ("gpu_count:",)),)))

    def deliver(self, transport, now):
        """Run the worker once; return the popups that follow."""
        deliver_due(self.store, lambda: transport, lambda: now, chance=lambda: 0.0)
        return self.health.popups(self.store.outbox_summary(now), 0.0)

    def fails(self, transport, row):
        """Check a first attempt, what the person sees of it and the outbox; return when it is due again."""
        now = self.message.created
        popups = self.deliver(transport, now)
        waiting = self.store.outbox_summary(now)
        (note,) = mail_notes(waiting, now)
        assert row.says in note
        assert [popup.key for popup in popups] == ([row.popup] if row.popup else [])
        assert all(row.says in popup.body for popup in popups)
        assert self.store.delivered("email") == {}  # no cooldown for what nobody has been told
        if row.delay is None:
            assert (waiting.count, waiting.dead, waiting.next_at) == (0, 1, None)
            return now + 30 * 86400
        assert (waiting.count, waiting.dead, waiting.next_at) == (1, 0, now + row.delay)
        return waiting.next_at

    def recovers(self, transport, at, row):
        """Check that the mail is sent once when it is due, and not again."""
        if row.delay is not None:
            self.deliver(transport, at - 1)
            assert self.store.outbox_summary(at).count == 1
        for later in (at, at + 1, at + 86400):
            assert self.deliver(transport, later) == ()
        assert self.store.outbox_summary(at).count == 0
        assert bool(self.store.delivered("email")) is (row.delay is not None)


@pytest.fixture
def user(tmp_path, message):
    with ExitStack() as closing_stack:
        made = OutboxUser(tmp_path / "state", message)
        closing_stack.enter_context(closing(made.store))
        yield made


def smtp(server, *, port=None, security=SmtpSecurity.TLS, password=None):
    settings = SmtpSettings(
        server.host,
        port() if port else server.port,
        server.user,
        password or Secret(server.password),
        "gpu@example.org",
        server.ca_file,
        security,
    )
    return SmtpTransport(settings, TO, timeout=0.5, deadline=1.0)


@pytest.mark.parametrize("name", SMTP)
def test_smtp(user, name):
    """One failure by SMTP, told, kept or given up, and sent again under the same Message-ID when mended."""
    row = SMTP[name]
    with ExitStack() as servers:
        server = servers.enter_context(MailServer(**row.server))
        server.behave(**row.does)
        due = user.fails(smtp(server, **row.settings), row)
        arrived = list(server.messages)
        mended = servers.enter_context(MailServer()) if row.server else server
        mended.forget()
        user.recovers(smtp(mended), due, row)
        arrived += mended.messages
    # A server that never answered the text may have it or not.
    assert len(arrived) == row.copies or name == "slow after DATA"
    assert {mail.message["Message-ID"] for mail in arrived} <= {user.message.message_id}


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ({}, "250 2.0.0 queued as 42"),
        ({"quit": "500 what?"}, "250 2.0.0 queued as 42"),
        ({"drop": "quit"}, "250 2.0.0 queued as 42"),
    ],
)
def test_smtp_that_is_a_success(user, does, says):
    """ok, QUIT not 221: sent once, the cooldown runs, nobody is bothered."""
    with MailServer() as server:
        server.behave(**does)
        now = user.message.created
        report = deliver_due(user.store, lambda: smtp(server), lambda: now)
        assert says in report.sent[0].receipt.answer
        assert user.deliver(smtp(server), now + 86400) == ()
        assert list(mail_notes(user.store.outbox_summary(now), now)) == []
        assert set(user.store.delivered("email")) == {"gpu_count:"}
        assert len(server.messages) == 1


def test_smtp_for_some_only(user):
    """One has it, two not yet, three never: the cooldown runs, each gets it once, and three's is given up."""
    to = ("one@example.org", "two@example.org", "three@example.org")
    with MailServer() as server:
        refused = {"two@example.org": "450 4.2.0 greylisted", "three@example.org": "550 5.1.1 unknown"}
        server.behave(refuse=refused)
        transport = SmtpTransport(smtp(server)._smtp, to, timeout=5.0)
        now = user.message.created
        (popup,) = user.deliver(transport, now)
        assert (popup.key, "three@example.org: 550 5.1.1 unknown" in popup.body) == (DEAD_KEY, True)
        waiting = user.store.outbox_summary(now)
        assert (waiting.count, waiting.dead, waiting.next_at) == (1, 1, now + 30)
        assert "two@example.org: 450 4.2.0 greylisted" in waiting.error
        assert set(user.store.delivered("email")) == {"gpu_count:"}

        user.deliver(transport, now + 30)  # greylisted still
        server.behave()
        for later in (now + 89, now + 90, now + 86400):
            user.deliver(transport, later)
        assert [mail.recipients for mail in server.messages] == [to[:1], to[1:2]]
        assert server.messages[1].message["To"] == "two@example.org"
        assert server.messages[1].text == server.messages[0].text
        (given_up,) = user.store.unsent_mails()
        user.store.resend_mails([given_up.id], now + 90000)
        user.deliver(transport, now + 90000)
        assert server.messages[2].recipients == to[2:]
        assert user.store.unsent_mails() == ()


@pytest.mark.parametrize("refusal", ["450 4.2.0 greylisted", "550 5.1.1 unknown"])
def test_who_is_refused_again_holds_up_no_other_mail(user, message, refusal):
    """The mail for two alone is refused once more; the next mail of the same run reaches one all the same."""
    with MailServer() as server:
        server.behave(refuse={"two@example.org": "450 4.2.0 greylisted"})
        now = message.created
        user.deliver(smtp(server), now)
        server.behave(refuse={"two@example.org": refusal})
        news = Mail(replace(message, message_id="<news@lab>", created=now + 30), ("news",))
        user.store.commit(Commit(Instant(now + 30), mails=(news,)))
        user.deliver(smtp(server), now + 30)
        assert [mail.message["Message-ID"] for mail in server.messages] == [message.message_id, "<news@lab>"]
        assert "news" in user.store.delivered("email")


def test_smtp_offline(user, no_network):
    """No name can be looked up: told in the menu alone, and tried again."""
    settings = SmtpSettings("smtp.example.org", 587, "u", Secret("p"), "gpu@example.org")
    user.fails(
        SmtpTransport(settings, TO, timeout=5.0), FailureCase(says="the address of the host cannot be found")
    )


@pytest.mark.parametrize("name", GMAIL)
def test_gmail(user, name, tmp_path):
    """One failure by Gmail, through Google's own libraries; a sign-in that has ended has its button."""
    row = GMAIL[name]
    with GoogleServer() as google:
        token = google.write_token(tmp_path / "token.json")
        if "token" in row.does:
            google.write_token(token, expiry="2020-01-01T00:00:00Z")
        transport = GmailTransport(token, TO, endpoint=google.url, timeout=5.0)
        for answer in row.does.values():
            google.answer(*answer)
        due = user.fails(transport, row)
        failure = user.store.outbox_summary(user.message.created).failure
        assert (failure == "sign-in") is (row.popup == BLOCKED_KEY)
        for endpoint in ("send", "token"):
            google.answer(endpoint, 200, {}, times=0)
        user.recovers(transport, due, row)
        assert len(google.mails) == row.copies
        assert {mail["Message-ID"] for mail in google.mails} <= {user.message.message_id}


def test_gmail_whose_sign_in_has_ended_offers_to_sign_in_again(user, tmp_path):
    """The one popup has the button; how often it is tried meanwhile does not matter."""
    with GoogleServer() as google:
        token = google.write_token(tmp_path / "token.json", expiry="2020-01-01T00:00:00Z")
        google.answer("token", 400, {"error": "invalid_grant"})
        transport = GmailTransport(token, TO, endpoint=google.url, timeout=5.0)
        now = user.message.created
        (popup,) = user.deliver(transport, now)
        assert popup.buttons == (Button.SIGN_IN,)
        assert "'Testing'" in popup.body
        for hours in range(1, 20):
            assert user.deliver(transport, now + 4 * HOUR * hours) == ()
        user.store.make_mails_due(now + 90 * HOUR)  # as the sign-in does
        google.answer("token", 400, {}, times=0)
        user.deliver(transport, now + 90 * HOUR)
        assert len(google.mails) == 1
        assert user.health.closed_keys(user.store.outbox_summary(now + 90 * HOUR)) == ()


def test_one_broken_way_costs_one_attempt_for_all_that_waits(user, message):
    """Ten mails and a wrong password: one login, one popup, ten mails that wait."""
    for number in range(9):
        mail = Mail(replace(message, message_id=f"<{number}@lab>"), (f"rule:{number}",))
        user.store.commit(Commit(Instant(message.created), mails=(mail,)))
    with MailServer() as server:
        (popup,) = user.deliver(smtp(server, password=Secret("wrong")), message.created)
        assert (popup.key, server.seen.count("auth")) == (BLOCKED_KEY, 1)
        assert user.store.outbox_summary(message.created).count == 10
