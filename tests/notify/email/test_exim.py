"""Mail through a second real server, Debian's Exim, which has its own mind about TLS, logins and answers."""

from __future__ import annotations

import os
import shutil

import pytest
from msgspec.structs import replace

from gpuwatch_tray.notify.email.sendmail import SYSTEM_FOLDERS
from gpuwatch_tray.notify.email.smtp import SmtpTransport
from gpuwatch_tray.notify.transport import FailureKind
from gpuwatch_tray.settings import Secret, SmtpSecurity, SmtpSettings
from tests.notify.email.failures import send_failure
from tests.support.exim import CRAM_MD5, LOGIN, Exim
from tests.support.installed import Installed
from tests.support.unpacked import ROOT

TO = ("one@example.org",)


@pytest.fixture(scope="module")
def exim():
    """One for all tests that need no other; each looks at the last mail only."""
    with Exim() as running:
        yield running


def transport(exim, to=TO, *, implicit=False, **changes):
    settings = SmtpSettings(
        host=exim.host,
        port=exim.tls_port if implicit else exim.port,
        security=SmtpSecurity.SSL if implicit else SmtpSecurity.TLS,
        user=exim.user,
        password=Secret(exim.password),
        from_email="gpu@example.org",
        ca_file=exim.ca_file,
    )
    return SmtpTransport(replace(settings, **changes), to, timeout=10.0, deadline=20.0)


@pytest.mark.parametrize("implicit", [False, True])
def test_exim_takes_the_mail_encrypted_and_after_a_login(exim, message, implicit):
    """By STARTTLS and from the first byte; the receipt holds Exim's own word."""
    receipt = transport(exim, implicit=implicit).send(message)
    mail = exim.mails()[-1]
    assert receipt.answer.startswith("250 OK id=")
    assert (mail.sender, mail.recipients, mail.user) == ("gpu@example.org", TO, "ada")
    assert mail.tls.startswith("TLS1.3")
    assert f"Message-ID: {message.message_id}" in mail.headers


@pytest.mark.parametrize("mechanism", [LOGIN, CRAM_MD5])
def test_exim_knows_the_other_logins_too(message, mechanism):
    """Where it offers one alone, that is the one."""
    with Exim(mechanism) as other:
        transport(other).send(message)
        assert other.mails()[0].user == "ada"
        assert "535" in str(send_failure(transport(other, password=Secret("wrong")), message))


def test_a_wrong_password_is_a_matter_of_configuration(exim, message):
    """535, with the mend."""
    error = send_failure(transport(exim, password=Secret("wrong")), message)
    assert error.kind is FailureKind.CONFIGURATION
    assert "535" in str(error)


def test_a_certificate_that_nobody_vouches_for_is_refused(exim, message):
    """Without SMTP_CA_FILE the lab's own authority is unknown."""
    error = send_failure(transport(exim, ca_file=None), message)
    assert error.kind is FailureKind.CONFIGURATION
    assert "SMTP_CA_FILE" in str(error)


@pytest.mark.parametrize(
    ("to", "kind", "words"),
    [
        (("nobody@example.org",), FailureKind.RECIPIENT, "550 5.1.1 no such user"),
        (("busy@example.org",), FailureKind.TRANSIENT, "451 4.2.1 mailbox busy"),
        (("nobody@example.org", "busy@example.org"), FailureKind.TRANSIENT, "no such user"),
    ],
)
def test_refused_recipients_are_classed(exim, message, to, kind, words):
    """As against the other server."""
    before = len(exim.mails())
    error = send_failure(transport(exim, to), message)
    assert error.kind is kind
    assert words in str(error)
    assert len(exim.mails()) == before


def test_one_recipient_of_two_is_enough(exim, message):
    """The one who was refused is named in the receipt."""
    receipt = transport(exim, ("nobody@example.org", *TO)).send(message)
    assert "; refused: nobody@example.org: 550 5.1.1 no such user" in receipt.answer
    assert exim.mails()[-1].recipients == TO


def test_a_mail_that_is_too_big_is_one(exim, message):
    """Exim says so before the text is sent."""
    error = send_failure(transport(exim), replace(message, text="line\n" * 40_000))
    assert (error.kind, error.for_all) == (FailureKind.MESSAGE, False)
    assert "552" in str(error)


def test_an_international_address_is_taken(exim, message):
    """Exim speaks SMTPUTF8."""
    transport(exim, ("müller@bücher.example",)).send(message)
    assert exim.mails()[-1].recipients == ("müller@xn--bcher-kva.example",)


def test_a_relay_takes_it_without_both(message):
    """SMTP_SECURITY=none where neither TLS nor a login is offered; without that key it is an error."""
    with Exim(relay=True) as relay:
        transport(relay, security=SmtpSecurity.NONE, user="", password=Secret("")).send(message)
        assert (relay.mails()[0].user, relay.mails()[0].tls) == ("", "")
        assert "no STARTTLS" in str(send_failure(transport(relay), message))


def test_the_installed_program_mails_through_exim(exim, tmp_path):
    """`check --test-mail` prints by which way and Exim's answer; `mail test` sends nothing."""
    installed = Installed(tmp_path)
    installed.mail_through(exim)
    before = len(exim.mails())
    tried = installed.run("mail", "test")
    assert (tried.returncode, len(exim.mails())) == (0, before)
    done = installed.run("check", "--test-mail")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"mail sent to ada@example.org by SMTP localhost:{exim.port}: 250 OK id=" in done.stdout
    assert len(exim.mails()) == before + 1


def test_the_server_under_test_is_not_this_computers_mailer(exim):
    """It is unpacked, not installed: what `auto` finds as mail, mailx or sendmail is none of its files."""
    for program in ("mail", "mailx", "sendmail"):
        found = shutil.which(program, path=os.pathsep.join((os.environ["PATH"], *SYSTEM_FOLDERS)))
        assert str(ROOT) not in str(found)
    assert shutil.which("exim4") != str(ROOT / "usr/sbin/exim4")
