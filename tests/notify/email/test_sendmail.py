"""The computer's own mail programs, played by scripts in a folder."""

from __future__ import annotations

import email
import email.policy
import os
import stat

import pytest
from msgspec.structs import replace

from gpuwatch_tray.notify.email.sendmail import LocalTransport
from gpuwatch_tray.notify.transport import FailureKind
from tests.notify.email.failures import send_failure

TO = ("one@example.org", "root")


@pytest.fixture
def programs(tmp_path):
    """Where the programs are."""
    place = tmp_path / "bin"
    place.mkdir()
    return place


def program(programs, name, script='printf "%s\\n" "$@" > "$0.args"; cat > "$0.body"'):
    path = programs / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def read(path, what):
    return path.with_name(f"{path.name}.{what}").read_text()


def transport(programs, **options):
    return LocalTransport(TO, folders=[str(programs)], **options)


@pytest.mark.parametrize("name", ["mail", "mailx"])
def test_mail_and_mailx_get_the_subject_as_option_and_the_text_on_stdin(programs, message, name):
    """As the Bash tool calls them: -s SUBJECT, the recipients, the body on stdin."""
    path = program(programs, name)
    receipt = transport(programs).send(message)
    assert read(path, "args").splitlines() == ["-s", message.subject, *TO]
    assert read(path, "body") == message.text
    assert receipt.transport == name
    assert "not yet delivered" in receipt.answer


def test_sendmail_gets_the_whole_mail(programs, message):
    """-t takes the recipients from the headers; a lone dot does not end the mail."""
    path = program(programs, "sendmail")
    receipt = transport(programs, from_email="gpu@example.org").send(message)
    raw = path.with_name("sendmail.body").read_bytes()
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert read(path, "args").splitlines() == ["-t", "-oi"]
    assert (mail["To"], mail["From"]) == ("one@example.org, root", "gpu@example.org")
    assert mail["Subject"] == message.subject
    assert mail.get_content() == message.text
    assert b"\r" not in raw
    assert receipt.transport == "sendmail (queued, not yet delivered)"


def test_sendmail_is_left_to_fill_in_the_sender(programs, message):
    """Without FROM_EMAIL the mail has no From: sendmail knows user and host."""
    path = program(programs, "sendmail")
    transport(programs).send(message)
    assert "\nFrom:" not in "\n" + read(path, "body")


def test_mail_comes_before_mailx_before_sendmail(programs, message):
    """The order of the Bash tool."""
    paths = [program(programs, name) for name in ("sendmail", "mailx", "mail")]
    used = []
    for _ in range(3):
        used.append(transport(programs).send(message).transport.split()[0])
        (programs / used[-1]).unlink()
    assert used == ["mail", "mailx", "sendmail"]
    assert len(paths) == 3


def test_the_programs_are_looked_for_at_each_sending_on_the_path(programs, message, monkeypatch):
    """A program installed later is found by the running tray."""
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr("gpuwatch_tray.notify.email.sendmail.SYSTEM_FOLDERS", ())
    mailer = LocalTransport(TO)
    path = program(programs, "mail")
    mailer.send(message)
    assert read(path, "body") == message.text


def test_sendmail_is_found_off_the_path(programs, message, monkeypatch):
    """The PATH of cron has no /usr/sbin."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("gpuwatch_tray.notify.email.sendmail.SYSTEM_FOLDERS", (str(programs),))
    program(programs, "sendmail", "while read -r line; do :; done")
    assert LocalTransport(TO).send(message).transport.startswith("sendmail")


def test_without_any_program_it_is_a_matter_of_configuration(programs, message):
    """The line says what was looked for, and what to set up."""
    error = send_failure(transport(programs), message)
    assert error.kind is FailureKind.CONFIGURATION
    assert "no mail, mailx or sendmail" in str(error)
    assert "smtp.env" in str(error)


def test_a_failing_program_is_tried_again_with_its_words(programs, message):
    """Exit code and stderr are in the line."""
    program(programs, "mail", "echo 'mail: cannot send message:\nqueue full' >&2; exit 75")
    error = send_failure(transport(programs), message)
    assert error.kind is FailureKind.TRANSIENT
    assert "mail failed with exit code 75: mail: cannot send message: queue full" in str(error)


def test_a_recipient_that_is_nobody_is_refused_for_good(programs, message):
    """sysexits.h's EX_NOUSER: tried again it would be refused again, and the person is told."""
    program(programs, "sendmail", "echo 'nobody... User unknown' >&2; exit 67")
    error = send_failure(transport(programs), message)
    assert error.kind is FailureKind.RECIPIENT
    assert "User unknown" in str(error)


def test_a_program_that_hangs_is_ended(programs, message):
    """After the time-out nobody knows whether it was taken."""
    program(programs, "mail", "exec sleep 60")
    error = send_failure(transport(programs, timeout=0.3), message)
    assert error.kind is FailureKind.AMBIGUOUS
    assert "0.3 s" in str(error)


def test_a_child_left_behind_does_not_hold_us_up(programs, message):
    """Mail programs send in the background; the exit code of the first process counts."""
    program(programs, "mail", 'cat > /dev/null; sleep 2 & echo "$!" > "$0.pid"')
    transport(programs, timeout=1.0).send(message)
    os.kill(int(read(programs / "mail", "pid")), 15)


def test_a_program_that_does_not_read_its_input_is_no_problem(programs, message):
    """A text longer than a pipe, and nobody reads it."""
    program(programs, "mail", "exit 0")
    transport(programs, timeout=5.0).send(replace(message, text="line\n" * 100_000))


def test_a_broken_program_is_named(programs, message):
    """A script whose interpreter is gone."""
    path = program(programs, "mail")
    path.write_text("#!/nonexistent/sh\n")
    error = send_failure(transport(programs), message)
    assert error.kind is FailureKind.CONFIGURATION
    assert str(path) in str(error)


def test_a_line_with_a_tilde_is_no_command(programs, message):
    """GNU mail runs `~!command` lines of its input: none of ours begins with a tilde (CVE-2021-32749)."""
    path = program(programs, "mail")
    transport(programs).send(replace(message, text="~!touch /tmp/x\na\n~r /etc/passwd\n"))
    assert read(path, "body") == " ~!touch /tmp/x\na\n ~r /etc/passwd\n"


def test_a_recipient_that_looks_like_an_option_is_refused(programs, message):
    """TO_EMAIL never becomes an option."""
    path = program(programs, "mail")
    mailer = LocalTransport(("-Xfile",), folders=[str(programs)])
    assert send_failure(mailer, message).kind is FailureKind.CONFIGURATION
    assert not path.with_name("mail.args").exists()


def test_the_subject_stays_one_argument_on_one_line(programs, message):
    """A process name with newlines and controls cannot add headers."""
    path = program(programs, "mail")
    transport(programs).send(replace(message, subject="evil\nBcc: x@y\x1b[2J"))
    assert read(path, "args").splitlines()[1] == "evil Bcc: x@y\\x1b[2J"
