"""Refusals as real servers word them: what they are about, and which setting the mend names."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

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
EXCHANGE = [  # learn.microsoft.com, "Email non-delivery reports and SMTP errors in Exchange Online"
    (TEXT, "550 5.1.8 Access denied, bad outbound sender", KEPT, "blocked this account"),
    (RCPT, "550 5.1.10 Recipient not found by SMTP address lookup", DEAD, "TO_EMAIL"),
    (TEXT, "550 5.1.90 you've reached your daily limit for message recipients", LATER, "sending limit"),
    (TEXT, "554 5.2.2 Submission quota exceeded", LATER, "sending limit"),
    (RCPT, "550 5.2.121 Recipient's per hour message receive limit from sender exceeded", LATER, "limit"),
    (RCPT, "550 5.2.122 Recipient's per hour message receive limit exceeded", LATER, "limit"),
    (RCPT, "550 5.4.1 Relay Access Denied", KEPT, "SMTP_USER"),
    (RCPT, "550 5.4.14 Hop count exceeded - possible mail loop", LATER, "error of its own"),
    (RCPT, "550 5.5.0 Requested action not taken: mailbox unavailable", DEAD, "TO_EMAIL"),
    (TEXT, "550 5.6.11 SMTPSEND.BareLinefeedsAreIllegal", MESSAGE, "administrator"),
    (RCPT, "550 5.7.1 Delivery not authorized, message refused", KEPT, "ask its administrator"),
    (TEXT, "550 5.7.1 Delivery not authorized, message refused", KEPT, "ask its administrator"),
    (RCPT, "550 5.7.12 Sender was not authenticated by organization", KEPT, "ask its administrator"),
    (RCPT, "550 5.7.13 Sender was not authenticated for public folder", KEPT, "ask its administrator"),
    (RCPT, "550 5.7.124 Sender not in allowed-senders list", KEPT, "ask its administrator"),
    (RCPT, "550 5.7.133 Sender not authenticated for group", KEPT, "ask its administrator"),
    (RCPT, "550 5.7.134 Sender was not authenticated for mailbox", KEPT, "ask its administrator"),
    (RCPT, "550 5.7.136 Sender was not authenticated", KEPT, "ask its administrator"),
    (MAIL, "530 5.7.57 Client was not authenticated to send anonymous mail", KEPT, "SMTP_USER"),
    (RCPT, "550 5.7.64 TenantAttribution; Relay Access Denied", KEPT, "SMTP_USER"),
    (TEXT, "550 5.7.501 Access denied, spam abuse detected", KEPT, "blocked this account"),
    (TEXT, "550 5.7.502 Access denied, banned sender", KEPT, "blocked this account"),
    (RCPT, "550 5.7.504 [x@y.z]: Recipient address rejected: Access denied", DEAD, "TO_EMAIL"),
    (RCPT, "550 5.7.505 Access denied, banned recipient", DEAD, "TO_EMAIL"),
    (RCPT, "550 5.7.506 Access Denied, Bad HELO", KEPT, "SMTP_HOST"),
    (RCPT, "550 5.7.507 Access denied, rejected by recipient", KEPT, "SMTP_HOST"),
    (TEXT, "550 5.7.508 Access denied, it has exceeded permitted limits within range", LATER, "limit"),
    (TEXT, "550 5.7.509 Access denied, sending domain does not pass DMARC", KEPT, "FROM_EMAIL"),
    (RCPT, "550 5.7.510 Access denied, it does not accept email over IPv6", KEPT, "SMTP_HOST"),
    (RCPT, "550 5.7.511 Access denied, banned sender[192.0.2.1]", KEPT, "SMTP_HOST"),
    (TEXT, "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant", KEPT, "FROM_EMAIL"),
    (RCPT, "550 5.7.513 Service unavailable, Client host blocked by Customer Block list", KEPT, "SMTP_HOST"),
    (RCPT, "550 5.7.606 Access denied, banned sending IP [192.0.2.1]", KEPT, "SMTP_HOST"),
    (RCPT, "550 5.7.649 Access denied, banned sending IP [192.0.2.1]", KEPT, "SMTP_HOST"),
    (TEXT, "550 5.7.703 messages to x@y.z are blocked by your organization", KEPT, "ask its administrator"),
    (TEXT, "550 5.7.705 Access denied, tenant has exceeded threshold", KEPT, "blocked this account"),
    (TEXT, "550 5.7.708 Access denied, traffic not accepted from this IP", KEPT, "blocked this account"),
    (TEXT, "550 5.7.750 Client blocked from sending from unregistered domains", KEPT, "FROM_EMAIL"),
    (TEXT, "550 5.7.800 Access denied, banned sender", KEPT, "blocked this account"),
    (RCPT, "451 4.7.500 Access denied, please try again later", SOON, ""),
]  # fmt: skip
GMAIL = [  # support.google.com/a/answer/3726730, "Gmail SMTP errors and codes"
    (RCPT, "450 4.2.1 The user you are trying to contact is receiving mail too quickly", SOON, ""),
    (RCPT, "550 5.2.1 It is receiving mail at a rate that prevents additional messages", LATER, "limit"),
    (RCPT, "550 5.2.1 The email account that you tried to reach is inactive", DEAD, "TO_EMAIL"),
    (TEXT, "550 5.2.1 The email account that you tried to reach is disabled", DEAD, "TO_EMAIL"),
    (RCPT, "552 5.2.2 The recipient's inbox is out of storage space and inactive", LATER, "mailbox is full"),
    (TEXT, "552 5.2.3 Your message exceeded Google's message size limits", MESSAGE, "too big"),
    (TEXT, "552 5.3.4 The number of attachments exceeds Google's limit of attachments", MESSAGE, "too big"),
    (TEXT, "550 5.4.5 Daily SMTP relay limit exceeded for user", LATER, "sending limit"),
    (RCPT, "550 5.7.1 Daily SMTP relay limit exceeded for customer", LATER, "sending limit"),
    (RCPT, "550 5.5.3 Too many recipients for this sender", LATER, "sending limit"),
    (TEXT, "554 5.4.6 Message exceeded 50 hops, this may indicate a mail loop", LATER, "error of its own"),
    (TEXT, "554 5.6.0 Mail message is malformed. Not accepted", MESSAGE, "administrator"),
    (MAIL, "555 5.5.2 Syntax error, cannot decode response", KEPT, "check SMTP_HOST and SMTP_PORT"),
    (RCPT, "555 5.5.2 Syntax error", KEPT, "check SMTP_HOST and SMTP_PORT"),
    (RCPT, "550 5.7.0 Mail relay denied [192.0.2.1]", KEPT, "SMTP_USER"),
    (MAIL, "550 5.7.0 Mail Sending denied", KEPT, "blocked this account"),
    (RCPT, "550 5.7.1 Invalid credentials for relay [192.0.2.1]", KEPT, "SMTP_USER"),
    (TEXT, "552 5.7.0 Our system detected an illegal attachment on your message", MESSAGE, "administrator"),
    (TEXT, "552 5.7.0 blocked because its content presents a potential security issue", MESSAGE, "administ"),
    (TEXT, "550 5.7.1 Messages missing a valid address in the From: header", KEPT, "FROM_EMAIL"),
    (TEXT, "550 5.7.1 This message is not RFC 5322 compliant", MESSAGE, "administrator"),
    (TEXT, "550 5.7.1 Messages missing a valid Message-ID: header are not accepted", MESSAGE, "administ"),
    (TEXT, "550 5.7.1 The domain that you are sending to has a policy that prohibited", KEPT, "TO_EMAIL"),
    (TEXT, "550 5.7.1 likely suspicious due to the very low reputation of the sending IP", KEPT, "SMTP_HOST"),
    (TEXT, "550 5.7.1 an unusual rate of unsolicited mail originating from your IP address", LATER, "limit"),
    (TEXT, "550 5.7.1 It has detected that this message is likely unsolicited mail", MESSAGE, "adm"),
    (TEXT, "550 5.7.1 does not meet IPv6 sending guidelines regarding PTR records", KEPT, "SMTP_HOST"),
    (TEXT, "550 5.7.26 This message fails to pass SPF checks for an SPF record", KEPT, "FROM_EMAIL"),
    (TEXT, "550 5.7.27 Gmail requires senders to authenticate with SPF", KEPT, "FROM_EMAIL"),
    (TEXT, "550 5.7.29 Gmail requires senders to use TLS/SSL for SMTP", KEPT, "SMTP_HOST"),
    (TEXT, "550 5.7.30 Gmail requires senders to authenticate with DKIM", KEPT, "FROM_EMAIL"),
    (TEXT, "550 5.7.32 the From: header isn't aligned with SPF or DKIM", KEPT, "FROM_EMAIL"),
    (RCPT, "553 5.1.2 We weren't able to find the recipient domain", DEAD, "TO_EMAIL"),
    (RCPT, "553 5.1.3 The recipient address is not a valid RFC 5321 address", DEAD, "TO_EMAIL"),
    (MAIL, "553 5.1.7 The sender address is not a valid RFC 5321 address", KEPT, "FROM_EMAIL"),
    (LOGIN, "534 5.7.9 Please log in with your web browser and then try again", KEPT, "app password"),
    (LOGIN, "535 5.7.9 Application-specific password required", KEPT, "app password"),
    (LOGIN, "454 4.7.0 Too many login attempts, please try again later", SOON, ""),
]  # fmt: skip
POSTFIX = [  # src/smtpd/smtpd.c, smtpd_check.c and smtpd_sasl_glue.c
    (RCPT, "504 5.5.2 <one>: Recipient address rejected: need fully-qualified address", DEAD, "TO_EMAIL"),
    (RCPT, "450 4.1.7 <d@b.c>: Sender address rejected: unverified address: x", SOON, "FROM_EMAIL"),
    (RCPT, "550 5.1.0 <d@b.c>: Sender address rejected: User unknown in local table", KEPT, "FROM_EMAIL"),
    (RCPT, "556 5.1.10 <a@b.c>: Recipient address rejected: no mail there (nullMX)", DEAD, "TO_EMAIL"),
    (RCPT, "550 5.7.27 <d@b.c>: Sender address rejected: no mail there (nullMX)", KEPT, "FROM_EMAIL"),
    (RCPT, "553 5.6.7 Must declare SMTPUTF8 to send unicode address", DEAD, "TO_EMAIL"),
    (MAIL, "553 5.6.7 Must declare SMTPUTF8 to send unicode address", KEPT, "FROM_EMAIL"),
    (MAIL, "501 5.1.7 Bad sender address syntax", KEPT, "FROM_EMAIL"),
    (RCPT, "501 5.1.3 Bad recipient address syntax", DEAD, "TO_EMAIL"),
    (MAIL, "452 4.3.1 Insufficient system storage", SOON, ""),
    (MAIL, "450 4.7.1 Error: too much mail from 192.0.2.1", SOON, ""),
    (MAIL, "530 5.7.0 Must issue a STARTTLS command first", KEPT, "SMTP_USER"),
    (MAIL, "552 5.3.4 Message size exceeds file system imposed limit", MESSAGE, "too big"),
    (LOGIN, "535 5.7.8 Error: authentication failed: (reason unavailable)", KEPT, "SMTP_PASS"),
]  # fmt: skip
EXIM = [  # src/acl.c, src/verify.c, src/receive.c and the default configuration
    (RCPT, "550 Administrative prohibition", KEPT, "ask its administrator"),
    (TEXT, "550 Administrative prohibition", KEPT, "ask its administrator"),
    (RCPT, "550 Unrouteable address", DEAD, "TO_EMAIL"),
    (RCPT, "550 Access denied - Invalid HELO name (See RFC2821 4.1.1.1)", KEPT, "SMTP_HOST"),
    (RCPT, "550 rejected because 192.0.2.1 is in a black list at zen.spamhaus.org", KEPT, "SMTP_HOST"),
    (MAIL, "501 <gpu>: sender address must contain a domain", KEPT, "FROM_EMAIL"),
    (RCPT, "501 <one>: recipient address must contain a domain", DEAD, "TO_EMAIL"),
    (RCPT, "452 too many recipients", SOON, ""),
    (TEXT, "550 header syntax error", MESSAGE, "administrator"),
    (TEXT, "552 Message size exceeds maximum permitted", MESSAGE, "too big"),
]  # fmt: skip
RFC = [  # RFC 5321, 4.2.3; RFC 7504; RFC 3463 where a code is named
    (RCPT, "551 User not local; please try <forward-path>", DEAD, "TO_EMAIL"),
    (RCPT, "553 Requested action not taken: mailbox name not allowed", DEAD, "TO_EMAIL"),
    (MAIL, "553 Requested action not taken: mailbox name not allowed", KEPT, "FROM_EMAIL"),
    (RCPT, "452 Requested action not taken: insufficient system storage", SOON, ""),
    (GREETING, "521 server.example does not accept mail", KEPT, "SMTP_HOST"),
    (RCPT, "556 domain does not accept mail", DEAD, "TO_EMAIL"),
    (RCPT, "554 5.3.5 System incorrectly configured", LATER, "error of its own"),
    (RCPT, "554 5.4.3 Directory server failure", LATER, "error of its own"),
    (RCPT, "550 5.7.17 Mailbox owner has changed", DEAD, "TO_EMAIL"),
    (RCPT, "550 5.7.18 Domain owner has changed", DEAD, "TO_EMAIL"),
]  # fmt: skip
DOCUMENTED = EXCHANGE + GMAIL + POSTFIX + EXIM + RFC


@pytest.mark.parametrize(("step", "reply", "kind", "names"), TABLE + DOCUMENTED)
def test_a_refusal_is_about_what_it_says(step, reply, kind, names):
    """What a setting or time mends is kept, whatever the step; the mend names the setting."""
    found, mend = classify_refusal(step, int(reply[:3]), reply[4:])
    assert (found, names in mend, bool(mend)) == (kind, True, bool(names)), mend


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
        "the server accepts mail from dev@lab.test",
        "and accepts mail to one@example.org, two@example.org",
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
