"""SMTP against a real server: what arrives, and how each failure is classed and told."""

from __future__ import annotations

import logging
import socket
import threading
import time
import traceback

import pytest
import trustme
from msgspec.structs import replace

from gpuwatch_tray.notify.email.smtp import SmtpTransport
from gpuwatch_tray.notify.transport import FailureKind, TransportError
from gpuwatch_tray.settings import Secret, SmtpSecurity, SmtpSettings
from tests.notify.email.failures import send_failure
from tests.support.mailserver import MailServer
from tests.support.timing import slowness

PASSWORD = "käse+Wörd/?&9"
TO = ("one@example.org",)


def settings_for(smtpd: MailServer, **changes) -> SmtpSettings:
    settings = SmtpSettings(
        host=smtpd.host,
        port=smtpd.port,
        user=smtpd.user,
        password=Secret(smtpd.password),
        from_email="gpu@example.org",
        ca_file=smtpd.ca_file,
    )
    return replace(settings, **changes)


def transport(smtpd: MailServer, to=TO, *, timeout=5.0, deadline=10.0, implicit=False, **changes):
    security = SmtpSecurity.SSL if implicit else SmtpSecurity.TLS
    settings = settings_for(smtpd, security=security, **changes)
    return SmtpTransport(settings, to, timeout=timeout, deadline=deadline)


def failure(mailer: SmtpTransport, message) -> TransportError:
    error = send_failure(mailer, message)
    assert str(error).startswith(f"{mailer.name}: ")
    return error


def test_a_mail_arrives_over_starttls_after_a_login_in_utf8(smtpd, message):
    """The server gets one mail, over TLS, from the right user; the receipt names way and answer."""
    receipt = transport(smtpd).send(message)
    (mail,) = smtpd.messages
    assert (mail.tls, mail.user, mail.sender, mail.recipients) == (True, "jürgen", "gpu@example.org", TO)
    assert receipt.transport == f"SMTP localhost:{smtpd.port}"
    assert receipt.answer == "250 2.0.0 queued as 42"
    assert smtpd.seen[-1] == "quit"


def test_the_mail_has_the_headers_and_the_text_unchanged(smtpd, message):
    """Subject, text, Date, Message-ID and Auto-Submitted arrive as they were made."""
    transport(smtpd).send(message)
    mail = smtpd.messages[0].message
    assert mail["Subject"] == message.subject
    assert smtpd.messages[0].text == message.text
    assert mail["Date"].datetime.timestamp() == message.created
    assert mail["Message-ID"] == message.message_id
    assert mail["Auto-Submitted"] == "auto-generated"
    assert (mail["From"], mail["To"]) == ("gpu@example.org", "one@example.org")


def test_a_mail_arrives_over_implicit_tls(message):
    """As on port 465: TLS from the first byte, then login."""
    with MailServer(tls="implicit") as smtpd:
        transport(smtpd, implicit=True).send(message)
        assert smtpd.messages[0].tls
        assert smtpd.messages[0].user == "user"
        assert "starttls" not in smtpd.seen


def test_port_465_speaks_tls_from_the_start():
    """Port 465, or SMTP_SECURITY=ssl on any port, means implicit TLS; else it is STARTTLS."""
    settings = SmtpSettings("h", 465, "u", Secret("p"), "a@b.c", None)
    assert SmtpTransport(settings, TO)._implicit
    assert not SmtpTransport(replace(settings, port=587), TO)._implicit
    assert SmtpTransport(replace(settings, port=2465, security=SmtpSecurity.SSL), TO)._implicit


@pytest.mark.parametrize("mechanism", ["LOGIN", "CRAM-MD5"])
def test_other_login_mechanisms_are_used_when_plain_is_not_offered(smtpd, message, mechanism):
    """A server without AUTH PLAIN is spoken to in its own way, in UTF-8."""
    smtpd.offer(f"250-AUTH {mechanism}")
    transport(smtpd).send(message)
    assert smtpd.messages[0].user == "jürgen"


@pytest.mark.parametrize("mechanism", ["LOGIN", "CRAM-MD5"])
def test_a_wrong_password_is_refused_by_each_mechanism(smtpd, message, mechanism):
    """535, whichever way it was told."""
    smtpd.offer(f"250-AUTH {mechanism}")
    error = failure(transport(smtpd, password=Secret("wrong")), message)
    assert error.kind is FailureKind.CONFIGURATION
    assert "535" in str(error)


@pytest.mark.parametrize(
    ("password", "says"),
    [("“wrong”", "typographic quotes"), ("wrong\u200b", "invisible characters"), ("wrong", "app password")],
)
def test_a_refused_password_that_was_pasted_is_told_so(server, message, password, says):
    """The mend names what nobody types, wherever the password came from; never the password."""
    error = failure(transport(server, password=Secret(password)), message)
    assert (error.kind, says in error.mend) == (FailureKind.CONFIGURATION, True)
    assert "wrong" not in str(error)


def test_a_server_with_unknown_logins_only_is_a_matter_of_configuration(smtpd, message):
    """XOAUTH2 alone cannot be used with a password: the error lists what is offered."""
    smtpd.offer("250-AUTH XOAUTH2")
    error = failure(transport(smtpd), message)
    assert error.kind is FailureKind.CONFIGURATION
    assert "XOAUTH2" in str(error)


def test_without_from_email_the_user_is_the_sender(smtpd, message):
    """FROM_EMAIL defaults to SMTP_USER."""
    with MailServer(user="me@example.org") as other:
        transport(other, from_email="").send(message)
        assert other.messages[0].sender == "me@example.org"


def test_an_international_address_is_sent_where_the_server_can(smtpd, message):
    """A letter beyond ASCII before the @ asks for SMTPUTF8; after it, the domain is encoded."""
    transport(smtpd, to=("müller@bücher.example",)).send(message)
    assert smtpd.messages[0].recipients == ("müller@xn--bcher-kva.example",)


def test_an_international_address_is_an_error_where_the_server_cannot(message):
    """Without SMTPUTF8 nothing is sent, and the error says what to write instead."""
    with MailServer(smtputf8=False) as smtpd:
        error = failure(transport(smtpd, to=("müller@example.org",)), message)
        assert error.kind is FailureKind.CONFIGURATION
        assert "ASCII" in str(error)
        assert smtpd.messages == ()


def test_strangers_cannot_add_headers_or_control_characters(smtpd, message):
    """A process name with CR, LF and escapes changes neither headers nor the shape of the text."""
    evil = "evil\r\nBcc: victim@example.org\r\n\r\nbody\x1b[2J\u202e\udcff"
    transport(smtpd).send(replace(message, subject=evil, text=f"CMD: {evil}", message_id="<a\r\nX: y@h>"))
    mail = smtpd.messages[0]
    assert mail.recipients == TO
    assert mail.message["Bcc"] is None
    assert mail.message["X"] is None
    assert mail.message["Subject"].startswith("evil Bcc: victim@example.org")
    assert "\x1b" not in mail.text
    assert "\u202e" not in mail.text
    assert mail.text.endswith("body\\x1b[2J\\u202e\\udcff\n")


def test_several_recipients_get_one_mail(smtpd, message):
    """Each address is named once in To and in the envelope."""
    transport(smtpd, to=("a@example.org", "b@example.org", "a@example.org")).send(message)
    assert smtpd.messages[0].recipients == ("a@example.org", "b@example.org")
    assert smtpd.messages[0].message["To"] == "a@example.org, b@example.org"


def test_a_refused_recipient_among_others_is_reported_and_the_others_get_the_mail(smtpd, message):
    """Partial refusal is a success that names who did not get it."""
    smtpd.behave(refuse={"b@example.org": "550 5.1.1 no such user"})
    receipt = transport(smtpd, to=("a@example.org", "b@example.org")).send(message)
    assert smtpd.messages[0].recipients == ("a@example.org",)
    assert receipt.answer == "250 2.0.0 queued as 42; refused: b@example.org: 550 5.1.1 no such user"


@pytest.mark.parametrize("quit_reply", [{"quit": "500 what?"}, {"drop": "quit"}])
def test_a_failed_goodbye_does_not_undo_the_mail(smtpd, message, quit_reply):
    """QUIT answered with nonsense or with nothing: the mail was accepted all the same."""
    smtpd.behave(**quit_reply)
    assert transport(smtpd).send(message).answer.startswith("250 ")


def test_any_answer_that_begins_with_2_is_consent(smtpd, message):
    """A server whose answer to the text is no 250 would otherwise get the mail again and again."""
    smtpd.behave(message="251 2.0.0 passed on")
    assert transport(smtpd).send(message).answer == "251 2.0.0 passed on"


# what the server answers, at which step -> the kind, whether other mails are affected, words of the error
REFUSALS = [
    ({"connect": "554 5.3.2 go away"}, FailureKind.CONFIGURATION, True, "greeting refused: 554 5.3.2"),
    ({"connect": "421 4.3.2 busy"}, FailureKind.TRANSIENT, True, "421 4.3.2 busy"),
    ({"connect": "HTTP/1.1 400 Bad"}, FailureKind.CONFIGURATION, True, "which is not SMTP"),
    ({"ehlo": "421 4.3.2 closing"}, FailureKind.TRANSIENT, True, "EHLO refused: 421 4.3.2"),
    ({"starttls": "454 4.7.0 no TLS now"}, FailureKind.TRANSIENT, True, "STARTTLS refused: 454"),
    ({"auth": "535 5.7.8 wrong"}, FailureKind.CONFIGURATION, True, "SMTP_PASS"),
    ({"auth": "534 5.7.9 app password needed"}, FailureKind.CONFIGURATION, True, "app password"),
    ({"auth": "454 4.7.0 later"}, FailureKind.TRANSIENT, True, "login refused: 454"),
    ({"mail": "530 5.7.0 log in first"}, FailureKind.CONFIGURATION, True, "SMTP_PASS"),
    ({"mail": "553 5.7.1 not your address"}, FailureKind.CONFIGURATION, True, "FROM_EMAIL"),
    ({"mail": "552 5.3.4 too big"}, FailureKind.MESSAGE, False, "too big"),
    ({"mail": "451 4.3.0 later"}, FailureKind.TRANSIENT, True, "sender refused: 451"),
    ({"rcpt": "450 4.2.1 mailbox busy"}, FailureKind.TRANSIENT, True, "one@example.org: 450 4.2.1"),
    ({"rcpt": "550 5.1.1 unknown"}, FailureKind.RECIPIENT, True, "TO_EMAIL"),
    ({"rcpt": "552 5.2.2 mailbox full"}, FailureKind.QUOTA, True, "mailbox full"),
    ({"rcpt": "550 5.4.5 daily quota exceeded"}, FailureKind.QUOTA, True, "limit"),
    ({"rcpt": "421 4.7.0 too many"}, FailureKind.TRANSIENT, True, "421"),
    ({"data": "451 4.3.0 later"}, FailureKind.TRANSIENT, False, "mail text refused: 451"),
    ({"data": "554 5.5.1 no"}, FailureKind.MESSAGE, False, "554"),
    ({"message": "451 4.3.0 filter is down"}, FailureKind.TRANSIENT, False, "filter is down"),
    ({"message": "421 4.3.2 closing"}, FailureKind.TRANSIENT, True, "421"),
    ({"message": "552 5.3.4 too big"}, FailureKind.MESSAGE, False, "too big"),
    ({"message": "554 5.7.1 spam"}, FailureKind.MESSAGE, False, "spam (the server's rules refuse"),
    ({"message": "550 5.1.1 unknown"}, FailureKind.RECIPIENT, False, "TO_EMAIL"),
    ({"message": "550 5.4.5 quota"}, FailureKind.QUOTA, True, "limit"),
    ({"message": "?? what"}, FailureKind.AMBIGUOUS, False, "may have been accepted"),
]


@pytest.mark.parametrize(("replies", "kind", "for_all", "words"), REFUSALS)
def test_each_refusal_is_classed_and_told(smtpd, message, replies, kind, for_all, words):
    """The kind decides what the outbox does; the line holds the server's answer and the mend."""
    smtpd.behave(**replies)
    error = failure(transport(smtpd), message)
    assert (error.kind, error.for_all) == (kind, for_all)
    assert words in str(error)
    assert smtpd.messages == ()


def test_with_all_refused_the_most_hopeful_answer_counts(smtpd, message):
    """One recipient for ever, one for now: the mail is tried again."""
    smtpd.behave(refuse={"a@example.org": "550 5.1.1 no", "b@example.org": "450 4.2.1 later"})
    error = failure(transport(smtpd, to=("a@example.org", "b@example.org")), message)
    assert error.kind is FailureKind.TRANSIENT
    assert "a@example.org: 550 5.1.1 no, b@example.org: 450 4.2.1 later" in str(error)


def test_a_wrong_password_is_tried_once_only(smtpd, message):
    """One failed login a mail, though the server offers two mechanisms: accounts lock."""
    error = failure(transport(smtpd, password=Secret("wrong")), message)
    assert error.kind is FailureKind.CONFIGURATION
    assert "535 5.7.8" in str(error)
    assert smtpd.seen.count("auth") == 1


def test_no_starttls_means_no_password_in_plain_text(message):
    """A server without STARTTLS is never told the password."""
    with MailServer(tls="none") as smtpd:
        error = failure(transport(smtpd), message)
        assert error.kind is FailureKind.CONFIGURATION
        assert "STARTTLS" in str(error)
        assert "465" in str(error)
        assert "auth" not in smtpd.seen


def test_a_server_without_login_is_an_error(message):
    """No AUTH offered: nothing is sent without login."""
    with MailServer(user="") as smtpd:
        error = failure(transport(smtpd, user="me"), message)
        assert error.kind is FailureKind.CONFIGURATION
        assert "mail" not in smtpd.seen


def test_tls_spoken_to_a_plain_port_says_which_port_to_take(smtpd, message):
    """SMTP_PORT=465 for a STARTTLS port is a matter of configuration."""
    error = failure(transport(smtpd, implicit=True), message)
    assert error.kind is FailureKind.CONFIGURATION
    assert "SMTP_PORT=587" in str(error)


def test_plain_text_spoken_to_a_tls_port_says_which_port_to_take(message):
    """A TLS port never greets: the time-out's error names port 465."""
    with MailServer(tls="implicit") as smtpd:
        error = failure(transport(smtpd, timeout=0.3), message)
        assert error.kind is FailureKind.TRANSIENT
        assert "SMTP_SECURITY=ssl" in str(error)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize(
    ("certificate", "words"),
    [("expired", "has expired"), ("wrong-host", "not valid for 'localhost'")],
)
def test_a_bad_certificate_is_refused_before_the_login(message, tls, certificate, words):
    """Expired or for another host: no password is sent."""
    with MailServer(tls=tls, certificate=certificate) as smtpd:
        error = failure(transport(smtpd, implicit=tls == "implicit"), message)
        assert error.kind is FailureKind.CONFIGURATION
        assert words in str(error)
        assert "auth" not in smtpd.seen


@pytest.mark.parametrize("own_ca", [True, False])
def test_an_unknown_authority_is_refused(smtpd, message, own_ca, tmp_path):
    """A certificate that neither SMTP_CA_FILE nor the system vouches for: the mend names SMTP_CA_FILE."""
    other = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    error = failure(transport(smtpd, ca_file=other if own_ca else None), message)
    assert error.kind is FailureKind.CONFIGURATION
    assert "SMTP_CA_FILE" in str(error)
    assert "auth" not in smtpd.seen


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_unusable_ca_file_is_named(smtpd, message, content, tmp_path):
    """SMTP_CA_FILE missing or not PEM: the error says which file."""
    file = tmp_path / "lab-ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(TransportError, match=r"lab-ca\.pem") as caught:
        transport(smtpd, ca_file=file).send(message)
    assert caught.value.kind is FailureKind.CONFIGURATION


def test_a_connection_lost_during_the_text_is_tried_again(smtpd, message):
    """Cut in the middle of a text too long for the buffers: nothing was accepted."""
    smtpd.behave(drop="data")
    error = failure(transport(smtpd), replace(message, text="x" * 70 + "\n" + "line\n" * 1_600_000))
    assert error.kind is FailureKind.TRANSIENT
    assert smtpd.messages == ()


@pytest.mark.parametrize("behaviour", [{"drop": "message"}, {"hang": "message"}])
def test_no_answer_to_the_text_is_ambiguous(smtpd, message, behaviour):
    """The server has the mail, its answer never came: it may be sent again, under the same Message-ID."""
    smtpd.behave(**behaviour)
    error = failure(transport(smtpd, deadline=2.0), message)
    assert error.kind is FailureKind.AMBIGUOUS
    assert not error.for_all


@pytest.mark.parametrize("step", ["connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data"])
def test_a_silent_server_is_given_up_after_the_step_timeout(smtpd, message, step):
    """Whatever the step, it ends in time and nothing counts as sent."""
    smtpd.behave(hang=step)
    start = time.monotonic()
    error = failure(transport(smtpd, timeout=0.3), message)
    assert time.monotonic() - start < 5 * slowness()
    assert error.kind is FailureKind.TRANSIENT
    assert "no answer in time" in str(error)


@pytest.mark.parametrize("step", ["connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data"])
def test_a_dropped_connection_is_transient(smtpd, message, step):
    """Before the end of the text, a lost connection cannot have sent anything."""
    smtpd.behave(drop=step)
    error = failure(transport(smtpd), message)
    assert error.kind in (FailureKind.TRANSIENT, FailureKind.AMBIGUOUS if step == "data" else None)
    assert smtpd.messages == ()


def test_a_server_that_drips_is_ended_by_the_deadline(message):
    """A byte now and then outlasts every step's time-out, not the whole's."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"2")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        settings = SmtpSettings("127.0.0.1", listener.getsockname()[1], "u", Secret("p"), "a@b.c", None)
        start = time.monotonic()
        error = failure(SmtpTransport(settings, TO, timeout=5, deadline=0.5), message)
        stop.set()
        thread.join()
    assert time.monotonic() - start < 5 * slowness()
    assert error.kind is FailureKind.TRANSIENT
    assert "not finished after 0.5 s" in str(error)


def test_a_refused_port_is_transient(message):
    """Nobody listens: tried again, and the line names host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings = SmtpSettings("localhost", port, "u", Secret("p"), "a@b.c", None)
    error = failure(SmtpTransport(settings, TO), message)
    assert (error.kind, error.for_all) == (FailureKind.TRANSIENT, True)
    assert f"SMTP localhost:{port}: Connection refused" in str(error)


def test_an_unknown_host_is_transient(message, no_network):
    """DNS fails while the network is down: tried again, and SMTP_HOST is named in case it is wrong."""
    settings = SmtpSettings("smtp.example.org", 587, "u", Secret("p"), "a@b.c", None)
    error = failure(SmtpTransport(settings, TO, timeout=5), message)
    assert error.kind is FailureKind.TRANSIENT
    assert "SMTP_HOST" in str(error)


@pytest.mark.parametrize("host", ["smtp..example.org", "x" * 70 + ".example"])
def test_an_impossible_host_name_is_a_matter_of_configuration(message, host):
    """No name at all cannot get better by waiting."""
    settings = SmtpSettings(host, 587, "u", Secret("p"), "a@b.c", None)
    assert failure(SmtpTransport(settings, TO), message).kind is FailureKind.CONFIGURATION


@pytest.mark.parametrize("to", ["-oQ/tmp@example.org", "a b@x", "a@b@c", "x@", "a@x\nb", "@", "a@b..c"])
def test_an_impossible_recipient_is_a_matter_of_configuration(smtpd, message, to):
    """It is refused before anybody is spoken to, and the setting is named."""
    with pytest.raises(TransportError, match="TO_EMAIL") as caught:
        transport(smtpd, to=(to,)).send(message)
    assert caught.value.kind is FailureKind.CONFIGURATION
    assert smtpd.seen == []


@pytest.mark.parametrize(
    "leak",
    [
        {"auth": "535 5.7.8 wrong: {}"},
        {"connect": "554 {}"},
        {"rcpt": "550 {}"},
        {"message": "554 {}"},
        {"message": "250 ok {}"},
    ],
)
def test_the_password_is_never_told(smtpd, message, leak, caplog):
    """A server that repeats the password in any form: neither error, receipt nor log holds it."""
    import base64
    from urllib.parse import quote, quote_plus

    plain = base64.b64encode(f"\0{smtpd.user}\0{PASSWORD}".encode()).decode()
    alone = base64.b64encode(PASSWORD.encode()).decode()
    forms = [PASSWORD, plain, alone, quote(PASSWORD), quote(PASSWORD, safe=""), quote_plus(PASSWORD)]
    smtpd.behave(**{step: text.format(" ".join(forms)) for step, text in leak.items()})
    with caplog.at_level(logging.DEBUG):
        try:
            said = repr(transport(smtpd).send(message))
        except TransportError as error:
            said = "".join(traceback.format_exception(error)) + repr(vars(error))
    logged = " ".join(record.getMessage() for record in caplog.records if record.name != "mail.log")
    for form in [*forms, alone[4:20], plain[-24:-4]]:
        assert form not in said
        assert form not in logged
    assert "***" in said
