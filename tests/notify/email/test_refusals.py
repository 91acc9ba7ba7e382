"""Refusals as real servers word them: what they are about, and which setting the mend names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuwatch_tray.notify.email.refusals import SmtpStep, classify_refusal
from gpuwatch_tray.notify.email.smtp import SmtpTransport
from gpuwatch_tray.notify.transport import FailureKind, TransportError
from gpuwatch_tray.settings import Secret, SmtpSecurity, SmtpSettings
from tests.support.mailserver import MailServer

TO = ("one@example.org", "two@example.org")
RCPT, TEXT, MAIL, GREETING, LOGIN = (
    SmtpStep.RECIPIENT,
    SmtpStep.TEXT,
    SmtpStep.SENDER,
    SmtpStep.GREETING,
    SmtpStep.LOGIN,
)
KEPT, LATER, DEAD = FailureKind.CONFIGURATION, FailureKind.QUOTA, FailureKind.RECIPIENT
MESSAGE, SOON = FailureKind.MESSAGE, FailureKind.TRANSIENT

# step, reply, kind, what the mend names. Words of Postfix, Exim, sendmail, Exchange, Gmail and providers.
TABLE = [
    # the sender
    (RCPT, "553 5.7.1 <d@b.c>: Sender address rejected: not owned by user o@b.c", KEPT, "FROM_EMAIL"),
    (RCPT, "553 5.7.1 <d@lab.test>: Sender address rejected: not logged in", KEPT, "FROM_EMAIL"),
    (RCPT, "550 5.1.8 <gpu@nowhere>: Sender address rejected: Domain not found", KEPT, "FROM_EMAIL"),
    (RCPT, "504 5.5.2 <gpu>: Sender address rejected: need fully-qualified address", KEPT, "FROM_EMAIL"),
    (RCPT, "550 Sender verify failed", KEPT, "FROM_EMAIL"),
    (RCPT, "550 5.7.23 The message was rejected because of SPF policy", KEPT, "FROM_EMAIL"),
    (RCPT, "550 5.7.1 Recipient address rejected: SPF fail, sender not allowed", KEPT, "FROM_EMAIL"),
    (RCPT, "450 4.1.8 <gpu@nowhere>: Sender address rejected: Domain not found", SOON, "FROM_EMAIL"),
    (MAIL, "553 5.1.8 Domain of sender address does not resolve", KEPT, "FROM_EMAIL"),
    (MAIL, "550 no", KEPT, "FROM_EMAIL"),
    (MAIL, "501 5.1.7 Invalid address", KEPT, "FROM_EMAIL"),
    (TEXT, "554 5.2.252 SendAsDenied; o@lab.test not allowed to send as d@lab.test", KEPT, "FROM_EMAIL"),
    (TEXT, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", KEPT, "FROM_EMAIL"),
    (TEXT, "550-5.7.26 Unauthenticated email from lab.test is not accepted due to DMARC", KEPT, "FROM_EMAIL"),
    (TEXT, "550 From address is not one of your addresses", KEPT, "FROM_EMAIL"),
    (TEXT, "550 Not allowed to send from this address", KEPT, "FROM_EMAIL"),
    # the client
    (RCPT, "504 5.5.2 <[127.0.0.1]>: Helo command rejected: need a full name", KEPT, "SMTP_HOST"),
    (RCPT, "550 5.7.1 <x[192.0.2.1]>: Client host rejected: cannot find your hostname", KEPT, "SMTP_HOST"),
    (RCPT, "550 5.7.1 client blocked", KEPT, "SMTP_HOST"),
    (RCPT, "554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org", KEPT, "SMTP_PORT"),
    (RCPT, "550 JunkMail rejected - [192.0.2.1] is in an RBL", KEPT, "SMTP_HOST"),
    (RCPT, "450 4.7.25 Client host rejected: cannot find your hostname", SOON, "SMTP_HOST"),
    (TEXT, "550-5.7.1 The IP you're using to send mail is not authorized to send", KEPT, "SMTP_HOST"),
    (TEXT, "550 5.7.25 The IP address sending this message does not have a PTR record", KEPT, "SMTP_HOST"),
    (GREETING, "554 5.7.1 You are on our block list", KEPT, "SMTP_HOST"),
    (GREETING, "554 No SMTP service here", KEPT, "SMTP_HOST"),
    (MAIL, "503 Error: send HELO first", KEPT, "check SMTP_HOST and SMTP_PORT"),
    # relaying, the login
    (RCPT, "554 5.7.1 <one@example.org>: Relay access denied", KEPT, "SMTP_USER"),
    (RCPT, "550 relay not permitted", KEPT, "SMTP_USER"),
    (RCPT, "550 5.7.1 Unable to relay", KEPT, "SMTP_HOST"),
    (RCPT, "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", KEPT, "SMTP_HOST"),
    (RCPT, "550 5.7.1 <a@b.c>... Relaying denied. Authentication required.", KEPT, "SMTP_USER"),
    (RCPT, "503 5.5.1 Authentication required", KEPT, "SMTP_USER"),
    (MAIL, "530 5.7.57 Client not authenticated to send mail", KEPT, "SMTP_USER"),
    (MAIL, "530 5.7.0 Authentication Required", KEPT, "SMTP_PASS"),
    (LOGIN, "535 5.7.139 Authentication unsuccessful, basic authentication is disabled", KEPT, "SMTP AUTH"),
    (LOGIN, "535 5.7.139 SmtpClientAuthentication is disabled for the Tenant", KEPT, "SMTP AUTH"),
    (LOGIN, "535 5.7.8 Username and Password not accepted", KEPT, "app password"),
    # limits that pass
    (RCPT, "550 5.4.5 Daily user sending limit exceeded", LATER, "sending limit"),
    (MAIL, "550 5.4.5 Daily user sending limit exceeded", LATER, "sending limit"),
    (MAIL, "554 Message rate limit exceeded", LATER, "sending limit"),
    (TEXT, "554 5.2.0 Submission quota exceeded for this account", LATER, "sending limit"),
    (TEXT, "550 5.7.28 There is an unusual rate of mail", LATER, "sending limit"),
    (TEXT, "554 5.7.0 Too many messages", LATER, "sending limit"),
    (RCPT, "552 5.2.2 mailbox full", LATER, "mailbox is full"),
    (RCPT, "552 Requested mail action aborted: exceeded storage allocation", LATER, "mailbox is full"),
    (RCPT, "550 User over quota", LATER, "mailbox is full"),
    (RCPT, "552 no", LATER, "mailbox is full"),
    (TEXT, "552 5.2.2 <one@example.org> Mailbox full", LATER, "mailbox is full"),
    (RCPT, "452 4.2.2 mailbox full", SOON, "mailbox is full"),
    (RCPT, "554 5.3.2 System not accepting network messages", LATER, "no mail now"),
    # the mail
    (TEXT, "552 5.3.4 Message size exceeds fixed limit", MESSAGE, "too big"),
    (MAIL, "552 5.3.4 Message size exceeds fixed limit", MESSAGE, "too big"),
    (TEXT, "552 no", MESSAGE, "too big"),
    (TEXT, "550 message too large", MESSAGE, "too big"),
    (TEXT, "554 5.6.0 Message contains invalid header", MESSAGE, "administrator"),
    (TEXT, "554 5.7.1 spam", MESSAGE, "administrator"),
    (TEXT, "554 5.7.1 Message blocked due to its content", MESSAGE, "administrator"),
    (TEXT, "554 Transaction failed", MESSAGE, "administrator"),
    # the recipient
    (RCPT, "550 5.1.1 <one@example.org>: Recipient address rejected: User unknown", DEAD, "TO_EMAIL"),
    (RCPT, "550 5.1.1 <sender-spam-quota@example.org>: User unknown", DEAD, "TO_EMAIL"),
    (RCPT, "550 5.4.1 Recipient address rejected: Access denied", DEAD, "TO_EMAIL"),
    (RCPT, "550 5.7.1 <one@example.org>: Recipient address rejected: Access denied", DEAD, "TO_EMAIL"),
    (RCPT, "550 No such user here", DEAD, "TO_EMAIL"),
    (RCPT, "550 no", DEAD, "TO_EMAIL"),
    (TEXT, "550 5.1.1 <one@example.org> User unknown", DEAD, "TO_EMAIL"),
    # nothing but rules
    (RCPT, "554 5.7.1 Access denied", KEPT, "FROM_EMAIL"),
]  # fmt: skip


@pytest.mark.parametrize(("step", "reply", "kind", "names"), TABLE)
def test_a_refusal_is_about_what_it_says(step, reply, kind, names):
    """What a setting or time mends is kept, whatever the step; the mend names the setting."""
    found, mend = classify_refusal(step, int(reply[:3]), reply[4:])
    assert (found, names in mend) == (kind, True), mend


@pytest.mark.parametrize("reply", ["554 5.7.1 <x>: Relay access denied", "530 5.7.0 log in", "550 5.7.57 no"])
def test_a_relay_without_login_that_wants_one_says_so(reply):
    """With SMTP_SECURITY=none the mend is to log in."""
    kind, mend = classify_refusal(RCPT, int(reply[:3]), reply[4:], plain=True)
    assert (kind, "remove SMTP_SECURITY" in mend) == (KEPT, True)


@pytest.fixture
def transport(smtpd):
    smtpd.forget()
    settings = SmtpSettings(
        smtpd.host,
        smtpd.port,
        smtpd.user,
        Secret(smtpd.password),
        "dev@lab.test",
        smtpd.ca_file,
    )
    return SmtpTransport(settings, TO, timeout=5.0)


REFUSED_SENDER = "553 5.7.1 <dev@lab.test>: Sender address rejected: not owned by user ops@lab.test"


@pytest.mark.parametrize(
    "behaviour",
    [
        {"rcpt": REFUSED_SENDER},
        {"mail": REFUSED_SENDER},
        {"message": "554 5.2.252 SendAsDenied; ops@lab.test not allowed to send as dev@lab.test"},
        {"message": "550 5.7.60 SMTP; Client does not have permissions to send as this sender"},
    ],
)
def test_a_refused_sender_is_told_as_such_at_any_step(smtpd, transport, message, behaviour):
    """The mail waits for FROM_EMAIL, and so do all others."""
    smtpd.behave(**behaviour)
    with pytest.raises(TransportError) as caught:
        transport.send(message)
    assert (caught.value.kind, caught.value.for_all) == (KEPT, True)
    assert "FROM_EMAIL" in caught.value.mend


def test_one_of_two_recipients_whose_mailbox_is_full_is_tried_again(smtpd, transport, message):
    """The other has the mail; for the one it waits."""
    smtpd.behave(refuse={TO[1]: "552 5.2.2 mailbox full"})
    (missed,) = transport.send(message).missed
    assert (missed.recipients, missed.error.kind) == (TO[1:], LATER)


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        ({"mail": "553 5.7.1 Sender address rejected: not owned by user"}, "FROM_EMAIL"),
        ({"rcpt": REFUSED_SENDER}, "FROM_EMAIL"),
        ({"rcpt": "550 5.1.1 unknown"}, "TO_EMAIL"),
        ({"refuse": {TO[1]: "550 5.1.1 unknown"}}, TO[1]),
    ],
)
def test_the_probe_tells_a_refused_sender_or_recipient(smtpd, transport, behaviour, says):
    """MAIL FROM and RCPT TO are tried as for a mail; one refused recipient of two is told as well."""
    smtpd.behave(**behaviour)
    with pytest.raises(TransportError) as caught:
        transport.probe(lambda _step: None)
    assert says in str(caught.value)


def test_the_probe_says_who_may_send_to_whom_and_sends_nothing(smtpd, transport):
    """Sender and recipients are in its lines, and the server has no mail."""
    steps: list[str] = []
    transport.probe(steps.append)
    assert steps[-2:] == [
        "the server takes mail from dev@lab.test",
        "and takes mail to one@example.org, two@example.org",
    ]
    assert smtpd.seen[-4:] == ["mail", "rcpt", "rcpt", "quit"]
    assert smtpd.messages == ()


def test_the_probe_of_a_relay_tries_the_addresses_too(smtpd):
    """Without a login, too."""
    with MailServer(tls="none", user="") as relay:
        settings = SmtpSettings(
            relay.host, relay.port, "", Secret(""), "dev@lab.test", security=SmtpSecurity.NONE
        )
        relay.behave(rcpt="554 5.7.1 Relay access denied")
        with pytest.raises(TransportError) as caught:
            SmtpTransport(replace(settings), TO, timeout=5.0).probe(lambda _step: None)
        assert "remove SMTP_SECURITY" in caught.value.mend
