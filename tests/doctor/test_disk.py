"""What lies on the disk: state, log, settings, secrets, and the mails that wait."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from gpuwatch_tray.alerts import RoutingPolicy
from gpuwatch_tray.doctor import CheckState, mail_checks
from gpuwatch_tray.doctor.checks import (
    SecretFile,
    check_log_file,
    check_secrets,
    check_settings,
    check_state_file,
)
from gpuwatch_tray.doctor.mail_checks import check_outbox, check_transport
from gpuwatch_tray.doctor.output import ok
from gpuwatch_tray.model import EmailWhen, Message
from gpuwatch_tray.settings import ConfigProblem, NotifyMethod, Secret, SmtpSettings
from gpuwatch_tray.settings.template import SettingsFile
from gpuwatch_tray.store import Commit, Mail, OutboxSummary, Store
from tests.support.fakes import START, Clock


def states(lines):
    return [line.state.value for line in lines]


def test_a_state_that_is_well(store):
    """The folder, and the file with its size and kind."""
    folder, state = check_state_file(store.path)
    assert (folder.state, state.state) == (CheckState.OK, CheckState.OK)
    assert str(store.path) in state.text
    assert state.text.endswith("KiB, WAL")


def test_a_folder_that_is_none(tmp_path):
    """A file in the place of the folder is a problem with the mend; a folder yet to be made is none."""
    (tmp_path / "plain").write_text("")
    (line,) = check_state_file(tmp_path / "plain" / "state-box.sqlite3")
    assert line.state is CheckState.PROBLEM
    assert "GPUWATCH_CACHE" in line.mend
    (line,) = check_state_file(tmp_path / "new" / "deep" / "state-box.sqlite3")
    assert line == ok("state", f"{tmp_path / 'new' / 'deep'} will be created at the first start")


def test_a_state_that_is_kept_elsewhere(tmp_path):
    """Beside why the folder cannot be used, the file that stands in is a warning."""
    (tmp_path / "plain").write_text("")
    places = [tmp_path / "session" / "0123"]
    Store(tmp_path / "plain", "box", keeper=True, standby=places).close()
    folder, elsewhere = check_state_file(tmp_path / "plain" / "state-box.sqlite3", standby=places)
    assert (folder.state, elsewhere.state) == (CheckState.PROBLEM, CheckState.WARNING)
    assert f"kept in {tmp_path / 'session' / '0123.sqlite3'}" in elsewhere.text


def test_a_folder_that_is_not_ours(tmp_path, monkeypatch):
    """No permission to write is a problem."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    (line,) = check_state_file(tmp_path / "state-box.sqlite3")
    assert line.state is CheckState.PROBLEM


def test_a_disk_that_is_nearly_full(tmp_path, monkeypatch):
    """Less than 50 MiB is a warning."""
    usage = shutil.disk_usage(tmp_path)._replace(free=10 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    (line,) = check_state_file(tmp_path / "state-box.sqlite3")
    assert (line.state, "only 10 MiB free" in line.text) == (CheckState.WARNING, True)


@pytest.mark.parametrize(("kind", "told"), [("nfs4", True), ("fuse.sshfs", True), ("ext4", False)])
def test_a_network_drive_is_named(store, tmp_path, kind, told):
    """The mount that holds the folder counts, also one with a blank in its name, and not the root's."""
    mounts = tmp_path / "mountinfo"
    point = str(tmp_path).replace(" ", "\\040")
    mounts.write_text(
        "21 1 0:20 / / rw - ext4 /dev/vda rw\n"
        f"22 21 0:21 / {point} rw,relatime shared:1 - {kind} server:/home rw\n"
        "23 21 0:22 / /elsewhere rw - nfs4 server:/other rw\n"
    )
    _, state = check_state_file(store.path, mounts)
    assert (f"network drive ({kind})" in state.text) is told


def test_a_damaged_state_that_was_set_aside_is_named(store):
    """It stays a warning until the person removes it."""
    aside = store.path.with_name(f"{store.path.name}.damaged-20260107-152748")
    aside.write_text("")
    aside.with_name(f"{aside.name}-wal").write_text("")
    *_, line = check_state_file(store.path)
    assert (line.state, str(aside) in line.text) == (CheckState.WARNING, True)
    assert states(check_state_file(store.path)).count("warning") == 1


def test_the_log(tmp_path, monkeypatch):
    """Not there yet, there, and not to be written."""
    file = tmp_path / "gpuwatch-tray-box.log"
    (line,) = check_log_file(file)
    assert "nothing has been logged yet" in line.text
    file.write_text("x" * 2048)
    (line,) = check_log_file(file)
    assert line.text == f"{file}: 2 KiB"
    monkeypatch.setattr(os, "access", lambda *_: False)
    (line,) = check_log_file(file)
    assert line.state is CheckState.PROBLEM


def test_a_secret_that_others_can_read(tmp_path):
    """A warning with the command that mends it; for the token, which is refused then, a problem."""
    file = tmp_path / "smtp env"
    file.write_text("SMTP_PASS=x")
    file.chmod(0o600)
    assert states(check_secrets([SecretFile(file)])) == ["ok"]
    file.chmod(0o640)
    (line,) = check_secrets([SecretFile(file)])
    assert (line.state, line.mend) == (CheckState.WARNING, f"chmod 600 '{file}'")
    assert states(check_secrets([SecretFile(file, strict=True)])) == ["problem"]
    assert states(check_secrets([SecretFile(tmp_path / "missing")])) == []


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_secret_that_git_keeps(tmp_path):
    """A file in a repository is a problem once it is tracked, and not before."""
    file = tmp_path / "config" / "smtp.env"
    file.parent.mkdir()
    file.write_text("SMTP_PASS=x")
    file.chmod(0o600)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert states(check_secrets([SecretFile(file)])) == ["ok"]
    subprocess.run(["git", "-C", str(tmp_path), "add", "-f", "config/smtp.env"], check=True)
    (line,) = check_secrets([SecretFile(file)])
    assert (line.state, "is tracked by git" in line.text) == (CheckState.PROBLEM, True)


def test_the_settings(ours):
    """The files, each mistake as it is told elsewhere, the warnings; exposure is the secrets' business."""
    wrong = ConfigProblem("gpu-watch.env", 12, "GPU_LIMIT", "expected a whole number")
    warned = replace(ours, warnings=("FROM_EMAIL is not set", "smtp.env: others can read it: chmod 600 x"))
    lines = list(check_settings(warned, [wrong], [SettingsFile(Path("/a.env"), exists=True)]))
    assert states(lines) == ["ok", "problem", "warning"]
    assert lines[0].text == "read from /a.env"
    assert lines[1].text == "gpu-watch.env:12: GPU_LIMIT: expected a whole number"
    (none,) = check_settings(ours, [], [SettingsFile(Path("/a.env"), exists=False)])
    assert "setup config" in none.text


def test_the_way_of_the_mail(ours, tmp_path, monkeypatch):
    """Which way would be taken and why none is: no recipient, never, a server, no token, no program."""
    (off,) = check_transport(replace(ours, to_email=(), no_recipient="TO_EMAIL is not set"))
    assert (off.state, off.text) == (CheckState.WARNING, "off: TO_EMAIL is not set")
    assert off.mend == "gpuwatch-tray setup mail"
    (tmp_path / "gpu-watch.env").touch()
    (off,) = check_transport(replace(ours, to_email=(), config=tmp_path / "gpu-watch.env"))
    assert off.mend == "set TO_EMAIL in that file"
    (never,) = check_transport(replace(ours, routing=RoutingPolicy(email_when=EmailWhen.NEVER)))
    assert never.state is CheckState.OK
    server = SmtpSettings("mail.example.org", 587, "ada", Secret("hunter2"), "ada@example.org")
    (by_server,) = check_transport(replace(ours, smtp=server))
    assert by_server.text == "by SMTP mail.example.org:587 with the password of SMTP_PASS, to 1 address"
    nowhere = replace(server, password=Secret(""), password_file=tmp_path / "pass")
    (no_password,) = check_transport(replace(ours, smtp=nowhere))
    assert (no_password.state, "SMTP_PASS_FILE" in no_password.text) == (CheckState.PROBLEM, True)
    by_gmail = {"notify_method": NotifyMethod.GMAIL_API, "gmail_token": tmp_path / "token.json"}
    (unsigned,) = check_transport(replace(ours, **by_gmail))
    assert unsigned.state is CheckState.PROBLEM
    assert "mail login" in unsigned.mend
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("gpuwatch_tray.notify.email.sendmail.SYSTEM_FOLDERS", ())
    (no_program,) = check_transport(ours)
    assert no_program.state is CheckState.PROBLEM


def queued(store):
    message = Message("subject", "text", START, "<1@box>")
    store.commit(Commit(Clock().instant(), mails=(Mail(message, ()),)))


@pytest.mark.parametrize(
    ("failure", "later", "state"),
    [
        ("", 10, "ok"),  # it is just being sent
        ("", 400, "warning"),  # nobody sends it
        ("transient", 10, "warning"),
        ("configuration", 10, "problem"),
        ("sign-in", 10, "problem"),
    ],
)
def test_what_waits_in_the_outbox(store, failure, later, state):
    """How many, since when and why; a problem only where somebody has to mend something."""
    queued(store)
    if failure:
        (row,) = store.lease_due(START, 60)
        store.mark_retry(row.id, START + 60, "connection refused", failure=failure)
    (line,) = check_outbox(lambda: Store(store.path.parent, "box"), lambda: START + later)
    assert line.state.value == state
    assert line.text.startswith("1 mail waits since 2026-01-07 ")
    assert line.text.endswith(": connection refused") is bool(failure)


def test_a_mail_that_was_given_up_is_a_problem(ours):
    """It says why, and how to send it again; those held for a digest are only counted."""
    held, dead = mail_checks._stuck_results(OutboxSummary(held=2, dead=1, dead_error="too big"))
    assert (held.state, held.text) == (CheckState.OK, "2 mails are held for a digest")
    assert (dead.state, dead.text) == (CheckState.PROBLEM, "1 mail was given up: too big")
    assert "mail retry" in dead.mend
    assert list(mail_checks._stuck_results(OutboxSummary())) == []


def test_an_outbox_that_is_not_there_is_empty(tmp_path):
    """Looking makes no state."""
    (line,) = check_outbox(lambda: None)
    assert (line.state, list(tmp_path.iterdir())) == (CheckState.OK, [])


def test_an_outbox_that_cannot_be_read_is_a_problem(tmp_path):
    """The store's own words, with the file."""
    (tmp_path / "plain").write_text("")
    (line,) = check_outbox(lambda: Store(tmp_path / "plain", "box"))
    assert (line.state, "plain" in line.text) == (CheckState.PROBLEM, True)
