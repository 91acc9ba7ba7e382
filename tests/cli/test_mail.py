"""`mail login`, `mail password` and `mail test` through the installed console script."""

from __future__ import annotations

import base64
import os
import pty
import re
import shlex
import signal
import stat
import subprocess
import urllib.request
from urllib.parse import quote, quote_plus

import pytest

from tests.support.file_keyring import NONE
from tests.support.installed import closed_port
from tests.support.mailserver import MailServer

pytestmark = pytest.mark.driver
SECRETS = ("GOCSPX-client-secret", "1//old-refresh-token", "ya29.good-access-token", "1//new-refresh-token")


@pytest.fixture
def gmail(installed, google):
    """A downloaded credentials.json and no token yet."""
    google.write_credentials(installed.folder / "credentials.json").chmod(0o600)
    token = installed.folder / "token.json"
    installed.write(
        "notify.env",
        f"NOTIFY_METHOD=gmail_api\nGMAIL_API_TOKEN={token}\n"
        f"GMAIL_API_CREDENTIALS={installed.folder / 'credentials.json'}\n",
    )
    installed.environment["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # the local Google speaks plain http
    return token


def silent(done: subprocess.CompletedProcess[str]) -> None:
    """Nothing secret was said."""
    assert not any(secret in done.stdout + done.stderr for secret in SECRETS)
    assert "Traceback" not in done.stderr


def test_a_sign_in_from_the_command_to_the_token(installed, google, gmail):
    """The address is printed, the browser ends on our port, the token is written, nothing secret is said."""
    with installed.start("mail", "login", "--port", str(closed_port())) as running:
        said = ""
        while "Waiting on port" not in said:
            said += (line := running.stdout.readline())
            assert line, running.stderr.read()
        address = re.search(r"http://\S+/auth\S+", said)[0]
        with urllib.request.urlopen(address, timeout=10) as page:  # noqa: S310  # the local Google
            assert b"has arrived" in page.read()
        rest, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (0, "")
    assert rest == f"Signed in; the token is in {gmail}.\n"
    assert stat.S_IMODE(gmail.stat().st_mode) == 0o600
    assert not any(secret in said + rest for secret in SECRETS)


def test_at_a_terminal_the_address_can_be_pasted(installed, google, gmail):
    """As over SSH without a forwarded port: the line that the browser shows is enough."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [str(installed.script), "mail", "auth", "--port", str(closed_port())],
        env=installed.environment,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=installed.folder,
    ) as running:
        os.close(theirs)
        said = ""
        while "Or paste" not in said:
            said += (line := running.stdout.readline())
            assert line, running.stderr.read()
        address = re.search(r"http://\S+/auth\S+", said)[0].replace("/auth?", "/auth_without_browser?")
        with urllib.request.urlopen(address, timeout=10) as page:  # noqa: S310  # the local Google
            os.write(ours, page.read() + b"\n")
        _, errors = running.communicate(timeout=60)
    os.close(ours)
    assert (running.returncode, errors) == (0, "")
    assert gmail.exists()


def test_ctrl_c_ends_a_sign_in_at_once(installed, gmail):
    """While it waits for a paste too: no error of the interpreter's, no token."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [str(installed.script), "mail", "login", "--port", str(closed_port())],
        env=installed.environment,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        os.close(theirs)
        while "Or paste" not in running.stdout.readline():
            pass
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    os.close(ours)
    assert (running.returncode, errors) == (1, "")
    assert not gmail.exists()


def test_how_the_sign_in_stands_is_told_without_the_network(installed, google, gmail):
    """File, scope and end of the token; nothing secret; 1 where there is none, with the mend."""
    missing = installed.run("mail", "login", "--status")
    assert missing.returncode == 1
    assert missing.stderr.startswith(f"gpuwatch-tray: Not signed in: {gmail} is missing")
    assert "mail login" in missing.stderr
    google.write_token(gmail, expiry="2026-01-07T12:00:00.000000Z")
    done = installed.run("mail", "login", "--status")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"Signed in: {gmail}",
        "Allows: https://www.googleapis.com/auth/gmail.send",
        "Access token: expired on 2026-01-07 12:00, will be renewed at the next mail",
        "`gpuwatch-tray mail test` checks whether Google still accepts it.",
    ]
    assert google.requests == []
    silent(done)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (None, 2, "credentials.json is missing (GMAIL_API_CREDENTIALS)"),
        ("{", 2, "credentials.json is not a JSON file"),
        ('{"web": {}}', 2, "of type 'web', not 'installed'"),
    ],
)
def test_a_sign_in_without_good_credentials_is_wrong_use(installed, gmail, content, code, words):
    """One line with the file and where to get the right one; exit code 2."""
    credentials = installed.folder / "credentials.json"
    credentials.unlink()
    if content is not None:
        credentials.write_text(content)
        credentials.chmod(0o600)
    done = installed.run("mail", "login")
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    assert words in line
    assert "Google Cloud console" in line


def test_trying_gmail_prints_each_step(installed, google, gmail):
    """ok, then failed with the mend; exit code 1; nothing sent, nothing secret."""
    google.write_token(gmail)
    good = installed.run("mail", "test")
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.splitlines()[:3] == [
        "ok      the mail is sent by Gmail API",
        f"ok      {gmail} exists and allows sending",
        "ok      Google has renewed the sign-in",
    ]
    google.answer("token", 400, {"error": "invalid_grant", "error_description": " ".join(SECRETS[:3])})
    bad = installed.run("mail", "test")
    assert bad.returncode == 1
    *_, failed, mend = bad.stdout.splitlines()
    assert failed.startswith("failed  Gmail API: sign-in refused: invalid_grant")
    assert "'Testing'" in mend
    assert google.mails == []
    silent(good)
    silent(bad)


def test_trying_smtp_prints_each_step(installed):
    """Connection, certificate, login and addresses, each with ok; a wrong password fails with the mend."""
    with MailServer() as server:
        installed.mail_through(server)
        good = installed.run("mail", "test")
        assert (good.returncode, good.stderr) == (0, "")
        way, place, connected, encrypted, login, sender, recipient, last = good.stdout.splitlines()
        assert way == f"ok      the mail is sent by SMTP localhost:{server.port}"
        assert place == "ok      the password is in SMTP_PASS"
        assert connected == f"ok      connected to 127.0.0.1, port {server.port}"
        assert re.fullmatch(
            r"ok      encrypted by TLSv1\.3; the certificate is accepted, .* \d{4}-\d\d-\d\d", encrypted
        )
        assert login == "ok      logged in as user"
        assert sender == "ok      the server accepts mail from watch@example.org"
        assert recipient == "ok      and accepts mail to ada@example.org"
        assert "nothing was sent" in last
        server.password = "another"
        bad = installed.run("mail", "test")
        assert bad.returncode == 1
        assert "failed  SMTP localhost" in bad.stdout
        assert "535" in bad.stdout
        assert "secret-password" not in good.stdout + bad.stdout + bad.stderr
        assert (server.messages, server.seen.count("mail"), "data" in server.seen) == ((), 1, False)


def test_trying_the_local_program_names_it(installed, tmp_path):
    """Which one is taken and where it is; without any, what to set up. None is run."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "mailx"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
    program.chmod(0o755)
    done = installed.run("mail", "test", PATH=str(folder))
    assert done.returncode == 0
    assert f"ok      mailx found: {program}" in done.stdout
    assert not (tmp_path / "was-run").exists()


def test_without_a_recipient_there_is_no_way_to_try(installed):
    """Wrong configuration, as for `check`: the line says where TO_EMAIL belongs."""
    installed.write("gpu-watch.env", "")
    done = installed.run("mail", "test")
    assert (done.returncode, done.stdout) == (2, "")
    assert "TO_EMAIL" in done.stderr


def test_a_password_goes_into_the_keyring_and_out_again(installed, ring):
    """From a pipe; it then logs in, and stands in no file of ours; its account is told, never itself."""
    with MailServer(user="ada", password="hunter2hunter2") as server:
        installed.write(
            "smtp.env",
            f"SMTP_HOST={server.host}\nSMTP_PORT={server.port}\nSMTP_USER=ada\n"
            f"FROM_EMAIL=watch@example.org\nSMTP_CA_FILE={server.ca_file}\n",
        )
        without = installed.run("mail", "test")
        assert without.returncode == 1
        assert "there is no password for ada@localhost" in without.stdout
        stored = subprocess.run(
            [str(installed.script), "mail", "password"],
            env=installed.environment,
            input="hunter2 hunter2\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (stored.returncode, stored.stderr) == (0, "")
        assert stored.stdout == "The password for ada@localhost is in the keyring (a test's keyring).\n"
        assert ring.kept == {"gpuwatch-tray SMTP/ada@localhost": "hunter2hunter2"}
        tried = installed.run("mail", "test")
        assert tried.returncode == 0
        assert "ok      the password is in the keyring" in tried.stdout
        deleted = [installed.run("mail", "password", "--delete") for _ in range(2)]
        assert [done.stdout for done in deleted] == [
            "The password for ada@localhost was deleted.\n",
            "There is no password for ada@localhost.\n",
        ]
        assert "hunter2" not in without.stdout + tried.stdout


def test_without_any_input_no_password_can_be_asked_for(installed, ring):
    """Standard input closed, as some starters leave it: wrong use, in one line."""
    installed.write("smtp.env", "SMTP_HOST=mail.example.org\nSMTP_USER=ada@example.org\n")
    command = shlex.join([str(installed.script), "mail", "password"])
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {command} <&-"],
        env=installed.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "run this in a terminal" in done.stderr


def test_without_a_keyring_the_other_way_is_told(installed):
    """As under cron: exit code 1, one line, SMTP_PASS_FILE."""
    installed.write("smtp.env", "SMTP_HOST=mail.example.org\nSMTP_USER=ada@example.org\n")
    done = installed.run("mail", "password", "--delete", **NONE)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "the keyring cannot be used: none is available" in line
    assert "SMTP_PASS_FILE" in line


def test_a_typed_password_is_not_shown_and_asked_for_twice(installed, ring):
    """At a terminal: no echo, and two that differ are not kept."""
    installed.write("smtp.env", "SMTP_HOST=mail.example.org\nSMTP_USER=ada@example.org\n")
    for second, code in (("other", 2), ("geheim", 0)):
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [str(installed.script), "mail", "password"],
            env=installed.environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as running:
            os.close(theirs)
            shown = _type(ours, ("Password for", "geheim"), ("Again", second))
            assert running.wait(60) == code
        os.close(ours)
        assert "geheim" not in shown
    assert "geheim" in str(ring.kept)


def _type(terminal: int, *answers: tuple[str, str]) -> str:
    """Type each answer when its question is there; everything that the terminal shows."""
    shown = ""
    for question, answer in answers:
        while question not in shown:
            shown += os.read(terminal, 1024).decode()
        os.write(terminal, f"{answer}\n".encode())
    try:
        while chunk := os.read(terminal, 1024):
            shown += chunk.decode()
    except OSError:  # the other side is closed
        pass
    return shown


def test_no_command_tells_the_password_in_any_form(installed, ring):
    """A server that repeats it as it is, in base64 and URL-encoded; with --verbose; in the state's files."""
    secret = "käse+Wörd/?&9"
    plain = base64.b64encode(f"\0user\0{secret}".encode()).decode()
    alone = base64.b64encode(secret.encode()).decode()
    forms = [secret, plain, alone, quote(secret), quote(secret, safe=""), quote_plus(secret)]
    with MailServer(password=secret) as server:
        server.behave(auth="535 5.7.8 " + " ".join(forms))
        account = f"SMTP_HOST={server.host}\nSMTP_PORT={server.port}\nSMTP_USER=user\n"
        account += f"FROM_EMAIL=watch@example.org\nSMTP_CA_FILE={server.ca_file}\n"
        file = installed.write("password", secret + "\n")
        ring.keep("gpuwatch-tray SMTP/user@localhost", secret)
        said = ""
        for place in (f"SMTP_PASS='{secret}'\n", f"SMTP_PASS_FILE={file}\n", ""):
            installed.write("smtp.env", account + place)
            for command in (("mail", "test"), ("check", "--test-mail")):
                done = installed.run(*command, "--verbose")
                assert done.returncode == 1
                assert "535 5.7.8" in done.stdout + done.stderr
                said += done.stdout + done.stderr
        assert server.seen.count("auth") == 6
    kept = b"".join(path.read_bytes() for path in installed.state.rglob("*") if path.is_file())
    for form in forms:
        assert form not in said
        assert form.encode() not in kept


def test_the_local_program_gets_no_secret_and_is_named(installed, tmp_path):
    """`auto` without a server: which program took the mail is printed, and its arguments hold the subject."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "mail"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\n/bin/cat > {tmp_path}/text\n')
    program.chmod(0o755)
    done = installed.run("check", "--test-mail", PATH=str(folder))
    assert done.returncode == 0
    assert done.stdout == "mail sent to ada@example.org by mail: exit code 0: queued, not yet delivered\n"
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert (arguments[0], arguments[2:]) == ("-s", ["ada@example.org"])
    assert arguments[1].startswith("[GPU Watchdog] ada@")
