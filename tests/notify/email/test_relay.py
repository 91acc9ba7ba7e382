"""A relay on this computer, in plain text and without a login: only where it was asked for."""

from __future__ import annotations

import socket

import pytest

from gpuwatch_tray.common import host
from gpuwatch_tray.notify.email import smtp_client
from gpuwatch_tray.notify.email.smtp import SmtpTransport
from gpuwatch_tray.notify.transport import FailureKind, TransportError
from gpuwatch_tray.settings import Secret, SmtpSecurity, SmtpSettings
from tests.support.mailserver import MailServer

TO = ("one@example.org",)


@pytest.fixture
def relay():
    """As a mail server of one's own answers on port 25: no TLS, no login."""
    with MailServer(tls="none", user="") as server:
        yield server


def transport(server, *, user="", password="", from_email="gpu@example.org"):
    secret = Secret(password)
    settings = SmtpSettings(server.host, server.port, user, secret, from_email, security=SmtpSecurity.NONE)
    return SmtpTransport(settings, TO, timeout=5.0, deadline=10.0)


def test_the_relay_takes_the_mail(relay, message):
    """Neither STARTTLS nor AUTH is said, not even where a password is set."""
    receipt = transport(relay, user="me", password="never-sent").send(message)
    assert receipt.answer == "250 2.0.0 queued as 42"
    assert relay.seen == ["connect", "ehlo", "mail", "rcpt", "data", "quit"]
    assert (relay.messages[0].tls, relay.messages[0].user) == (False, "")


def test_without_any_address_the_local_account_is_the_sender(relay, message, monkeypatch):
    """As the local mail programs have it."""
    monkeypatch.setenv("USER", "ada")
    monkeypatch.setattr(host, "host", lambda: "box")
    transport(relay, from_email="").send(message)
    assert relay.messages[0].sender == "ada@box"


def test_a_relay_that_wants_a_login_is_a_matter_of_configuration(message):
    """530: the mend is to take SMTP_SECURITY=none out."""
    with MailServer(tls="starttls") as server, pytest.raises(TransportError) as caught:
        transport(server).send(message)
    assert caught.value.kind is FailureKind.CONFIGURATION
    assert "530" in str(caught.value)
    assert "remove SMTP_SECURITY" in str(caught.value)


def test_a_name_of_this_computer_that_leads_elsewhere_is_not_spoken_to(relay, message, monkeypatch):
    """The address decides, not the name: nothing is said in plain text to another computer."""
    real = smtp_client.open_connection

    class Elsewhere(socket.socket):
        def getpeername(self):
            return ("192.0.2.1", 25)

    def connect(*arguments, **options):
        sock = real(*arguments, **options)
        other = Elsewhere(sock.family, sock.type, sock.proto, sock.detach())
        other.settimeout(5.0)  # which is not the file descriptor's own
        return other

    monkeypatch.setattr(smtp_client, "open_connection", connect)
    with pytest.raises(TransportError, match=r"192\.0\.2\.1 is not this computer") as caught:
        transport(relay).send(message)
    assert caught.value.kind is FailureKind.CONFIGURATION
    assert "ehlo" not in relay.seen


def test_trying_the_relay_names_what_it_does_not_do(relay):
    """The steps say that there is no TLS and no login."""
    steps = []
    transport(relay).probe(steps.append)
    assert steps == [
        f"connected to 127.0.0.1, port {relay.port}",
        "no TLS and no login, because of SMTP_SECURITY=none",
        "the server accepts mail from gpu@example.org",
        "and accepts mail to one@example.org",
    ]
    assert relay.messages == ()
