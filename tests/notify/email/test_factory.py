"""Which way the mail takes, by NOTIFY_METHOD and by what is set up."""

from __future__ import annotations

import pytest

from gpuwatch_tray.notify.email import create_transport
from gpuwatch_tray.notify.transport import FailureKind, TransportError
from gpuwatch_tray.settings import NotifyMethod, Secret, Settings, SmtpSettings
from tests.support.mailserver import MailServer


@pytest.fixture
def smtp():
    """Return the settings of an smtp.env that is set up."""
    return SmtpSettings("smtp.example.org", 587, "user", Secret("hunter2hunter2"), "a@example.org", None)


@pytest.fixture
def gmail_files(tmp_path):
    """Write the two files of Gmail."""
    files = {"gmail_credentials": tmp_path / "credentials.json", "gmail_token": tmp_path / "token.json"}
    for file in files.values():
        file.write_text("{}")
    return files


def settings(tmp_path, **changes) -> Settings:
    defaults = {"config": tmp_path / "gpu-watch.env", "state": tmp_path, "to_email": ("one@example.org",)}
    return Settings(**(defaults | changes))


def test_auto_takes_smtp_where_it_is_set_up(tmp_path, smtp, gmail_files):
    """SMTP comes before Gmail."""
    assert create_transport(settings(tmp_path, smtp=smtp, **gmail_files)).name == "SMTP smtp.example.org:587"


def test_auto_takes_gmail_where_its_two_files_are(tmp_path, gmail_files):
    """Without smtp.env, Gmail comes before the local programs."""
    assert create_transport(settings(tmp_path, **gmail_files)).name == "Gmail API"


@pytest.mark.parametrize("missing", ["gmail_credentials", "gmail_token"])
def test_auto_takes_the_local_programs_else(tmp_path, gmail_files, missing):
    """One of Gmail's files alone is not enough."""
    gmail_files[missing].unlink()
    assert create_transport(settings(tmp_path, **gmail_files)).name == "local mail"
    assert create_transport(settings(tmp_path)).name == "local mail"


def test_smtp_is_strict(tmp_path, gmail_files):
    """NOTIFY_METHOD=smtp without smtp.env is an error, not Gmail."""
    with pytest.raises(TransportError, match=r"smtp\.env is not set up") as caught:
        create_transport(settings(tmp_path, notify_method=NotifyMethod.SMTP, **gmail_files))
    assert caught.value.kind is FailureKind.CONFIGURATION


def test_gmail_is_strict(tmp_path, smtp, gmail_files):
    """NOTIFY_METHOD=gmail_api without a token is an error, not SMTP; with it, SMTP does not matter."""
    with pytest.raises(TransportError, match="GMAIL_API_TOKEN is not set"):
        create_transport(settings(tmp_path, notify_method=NotifyMethod.GMAIL_API, smtp=smtp))
    transport = create_transport(
        settings(tmp_path, notify_method=NotifyMethod.GMAIL_API, smtp=smtp, **gmail_files)
    )
    assert transport.name == "Gmail API"


def test_without_a_recipient_there_is_no_way(tmp_path, smtp):
    """TO_EMAIL empty: the line names the file to write it into."""
    with pytest.raises(TransportError, match=r"gpu-watch\.env: TO_EMAIL is not set") as caught:
        create_transport(settings(tmp_path, smtp=smtp, to_email=()))
    assert caught.value.kind is FailureKind.CONFIGURATION


def local_mailer(tmp_path, monkeypatch):
    """Put a `mail` on PATH that leaves a file when it is run."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "mail").write_text(f"#!/bin/sh\ncat > {tmp_path}/taken\n")
    (folder / "mail").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return tmp_path / "taken"


def test_smtp_that_fails_is_not_passed_on_to_the_local_mailer(tmp_path, monkeypatch, message):
    """As in the Bash tool: with smtp.env set up, auto is strict; without it the mailer takes the mail."""
    taken = local_mailer(tmp_path, monkeypatch)
    with MailServer() as server:
        server.behave(connect="421 4.3.2 down")
        smtp = SmtpSettings(server.host, server.port, "user", Secret("p"), "a@example.org", server.ca_file)
        with pytest.raises(TransportError, match="421"):
            create_transport(settings(tmp_path, smtp=smtp)).send(message)
    assert not taken.exists()
    receipt = create_transport(settings(tmp_path)).send(message)
    assert receipt.transport == "mail"
    assert taken.read_text() == message.text


def test_gmail_that_fails_is_not_passed_on_to_the_local_mailer(tmp_path, monkeypatch, message, gmail_files):
    """The two files are there, and their sign-in is none: the mail waits."""
    taken = local_mailer(tmp_path, monkeypatch)
    gmail_files["gmail_token"].chmod(0o600)
    with pytest.raises(TransportError, match="client_id is missing"):
        create_transport(settings(tmp_path, **gmail_files)).send(message)
    assert not taken.exists()
