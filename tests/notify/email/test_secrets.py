"""The sources of the mail password, their order, and how each fails."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import keyring  # to put one of ours in its place
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail
from keyring.errors import KeyringLocked, PasswordDeleteError
from msgspec.structs import replace

from gpuwatch_tray.notify.email import create_transport
from gpuwatch_tray.notify.email.secrets import password_source, smtp_entry, smtp_password
from gpuwatch_tray.notify.transport import FailureKind, TransportError
from gpuwatch_tray.settings import Secret, SecretError, Settings, SmtpSecurity, SmtpSettings
from tests.support.mailserver import MailServer

ACCOUNT = SmtpSettings("mail.example.org", 587, "ada", Secret(""), "ada@example.org")


class MemoryKeyring(KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password

    def delete_password(self, service, username):
        try:
            del self.kept[service, username]
        except KeyError:
            raise PasswordDeleteError("not found") from None


class BrokenKeyring(MemoryKeyring):
    """A keyring each of whose answers is this error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def get_password(self, service, username):
        raise self.error


@pytest.fixture
def ring():
    """Set a keyring for this test, and restore the one before."""
    before, memory = keyring.get_keyring(), MemoryKeyring()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


def failure(smtp) -> TransportError:
    with pytest.raises(TransportError) as caught:
        smtp_password(smtp)
    assert caught.value.kind is FailureKind.CONFIGURATION
    assert "\n" not in str(caught.value)
    return caught.value


def test_the_order_is_smtp_pass_then_the_file_then_the_keyring(ring, tmp_path):
    """The next place counts only where the one before says nothing, and each is named."""
    file = tmp_path / "password"
    file.write_text("from the file\n")
    smtp_entry(ACCOUNT).store("from-the-keyring")
    all_three = replace(ACCOUNT, password=Secret("from-smtp-env"), password_file=file)
    places = [all_three, replace(all_three, password=Secret("")), ACCOUNT]
    assert [smtp_password(smtp).reveal() for smtp in places] == [
        "from-smtp-env",
        "fromthefile",
        "from-the-keyring",
    ]
    assert [password_source(smtp) for smtp in places] == [
        "SMTP_PASS",
        f"SMTP_PASS_FILE {file}",
        "the keyring",
    ]


def test_a_relay_without_login_asks_nobody(ring, tmp_path):
    """SMTP_SECURITY=none: neither the file nor the keyring is looked at."""
    keyring.set_keyring(BrokenKeyring(AssertionError("asked")))
    relay = replace(ACCOUNT, security=SmtpSecurity.NONE, password_file=tmp_path / "missing")
    assert (smtp_password(relay).reveal(), password_source(relay)) == ("", "")


# what the file holds -> words of the error
BAD_FILES = [
    (None, "cannot be read: No such file"),
    (b"", "is empty"),
    (b" \n\n", "is empty"),
    (b"one\ntwo\n", "more than one line"),
    (b"x" * 5000, "more than one line"),
    (b"k\xe4se\n", "is not UTF-8"),
    (b"a\x01b\n", "control character"),
]


@pytest.mark.parametrize(("content", "words"), BAD_FILES)
def test_a_file_without_a_password_is_named_with_its_fault(tmp_path, content, words):
    """One line with the path, and nothing of what it holds."""
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    text = str(failure(replace(ACCOUNT, password_file=file)))
    assert f"SMTP_PASS_FILE {file}" in text
    assert words in text
    assert "a\\x01b" not in text


def test_a_pipe_for_a_file_does_not_make_us_wait(tmp_path):
    """Nobody writes into it."""
    pipe = tmp_path / "password"
    os.mkfifo(pipe)
    assert "no plain file" in str(failure(replace(ACCOUNT, password_file=pipe))).replace("not a", "no")


def test_no_password_anywhere_says_how_to_store_one(ring):
    """The account is named, and both ways."""
    text = str(failure(ACCOUNT))
    for words in ("ada@mail.example.org", "gpuwatch-tray mail password", "SMTP_PASS_FILE"):
        assert words in text


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        (fail.Keyring(), "none is available"),
        (BrokenKeyring(KeyringLocked("hunter2")), "KeyringLocked"),
        (BrokenKeyring(ZeroDivisionError("hunter2")), "ZeroDivisionError"),
    ],
)
def test_a_keyring_that_fails_is_told_with_the_other_way(ring, backend, words):
    """None, a locked one, a fault of its own: the mend names SMTP_PASS_FILE, and no foreign text is told."""
    keyring.set_keyring(backend)
    text = str(failure(ACCOUNT))
    assert words in text
    assert "SMTP_PASS_FILE" in text
    assert "hunter2" not in text


def test_a_keyring_that_does_not_answer_is_given_up(ring):
    """A locked one waits for a person, who may not be there."""
    answer = threading.Event()

    class LockedKeyring(MemoryKeyring):
        def get_password(self, service, username):
            answer.wait(10)

    keyring.set_keyring(LockedKeyring())
    with pytest.raises(SecretError, match=r"no answer within 0.05 s: is it locked"):
        smtp_entry(ACCOUNT).read(timeout=0.05)
    answer.set()


def test_a_password_is_stored_and_forgotten(ring):
    """Deleting what is not there is no error."""
    entry = smtp_entry(ACCOUNT)
    entry.store("secret")
    assert entry.read() == "secret"
    assert (entry.delete(), entry.delete(), entry.read()) == (True, False, None)


def test_the_password_of_the_keyring_logs_in(ring, message, tmp_path):
    """From the keyring to the server's 250."""
    with MailServer(password="geheim-ä") as server:
        smtp = SmtpSettings(server.host, server.port, server.user, Secret(""), "a@b.org", server.ca_file)
        settings = Settings(Path("/c"), tmp_path, to_email=("one@example.org",), smtp=smtp)
        smtp_entry(smtp).store("geheim-ä")
        create_transport(settings).send(message)
        assert server.messages[0].user == server.user


def test_the_keyring_is_loaded_only_where_it_is_asked():
    """Neither the choice of a way nor a password in smtp.env loads its library."""
    code = (
        "import sys\n"
        "from gpuwatch_tray.notify.email.secrets import smtp_password\n"
        "from gpuwatch_tray.settings import Secret, SmtpSettings\n"
        "smtp_password(SmtpSettings('h', 587, 'u', Secret('p'), 'a@b.org'))\n"
        "assert 'keyring' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=Path(__file__).parents[3])
