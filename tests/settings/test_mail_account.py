"""The ways out: what counts as set up, what is half set up, and what never falls through to another way."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuwatch_tray.settings import NotifyMethod, Secret, SmtpSecurity
from tests.settings.checkout import NOTIFY, SMTP, SMTP_TEXT, WATCH

AUTO, BY_SMTP, GMAIL = NotifyMethod.AUTO, NotifyMethod.SMTP, NotifyMethod.GMAIL_API
UNTOUCHED_SMTP = 'SMTP_HOST="smtp.example.com"\nSMTP_PORT=587\nSMTP_USER="your_user"\nSMTP_PASS="your_pass"\n'
HALF = "but SMTP_HOST is: set all of them or none"
UNTOUCHED_GMAIL = (
    'GMAIL_API_CREDENTIALS="/ABS/PATH/to/credentials.json"\nGMAIL_API_TOKEN="/ABS/PATH/to/token.json"\n'
)


def test_untouched_placeholders_count_as_not_set(house):
    """The Bash tool's examples, copied and left as they are, set nothing up but what they say."""
    house.write(WATCH, 'TO_EMAIL="you@example.com"\n')
    house.write(NOTIFY, UNTOUCHED_GMAIL + 'FROM_EMAIL="you@example.com"\n')
    house.write(SMTP, UNTOUCHED_SMTP)
    settings = house.settings()
    assert (settings.notify_method, settings.smtp, settings.to_email) == (AUTO, None, ())
    assert (settings.gmail_credentials, settings.gmail_token, settings.from_email) == (None, None, "")


def test_a_placeholder_is_as_if_its_line_were_not_there(house):
    """A placeholder in a later file does not undo the value of an earlier one."""
    house.write(NOTIFY, "FROM_EMAIL=me@example.org\n")
    house.write(SMTP, SMTP_TEXT + "FROM_EMAIL=you@example.com\n")
    assert house.settings().smtp.from_email == "me@example.org"


@pytest.mark.parametrize(
    ("notify", "smtp", "general", "server"),
    [
        ("FROM_EMAIL=n@b.org", "FROM_EMAIL=s@b.org", "n@b.org", "s@b.org"),
        ("FROM_EMAIL=n@b.org", "", "n@b.org", "n@b.org"),
        ("", "FROM_EMAIL=s@b.org", "", "s@b.org"),
        ("", "", "", "labuser"),
        ("FROM_EMAIL=n@b.org", "FROM_EMAIL=", "n@b.org", "labuser"),  # as Bash: emptied, so the default
    ],
)
def test_the_sender(house, notify, smtp, general, server):
    """smtp.env's FROM_EMAIL wins for the server, else notify.env's, else SMTP_USER."""
    house.write(NOTIFY, notify)
    house.write(SMTP, SMTP_TEXT + smtp)
    settings = house.settings()
    assert (settings.from_email, settings.smtp.from_email) == (general, server)


def test_smtp_keys_may_stand_in_any_file(house):
    """The three files are one namespace."""
    house.write(WATCH, SMTP_TEXT)
    assert house.settings().smtp.password == Secret("abcdefgh")


@pytest.mark.parametrize(
    ("smtp", "expected"),
    [
        (
            "SMTP_HOST=mail.example.org\n",  # and so the password is forgotten, not in the keyring
            [
                f"config/smtp.env: SMTP_USER: not set, {HALF}",
                f"config/smtp.env: SMTP_PASS: not set, {HALF}",
            ],
        ),
        (
            UNTOUCHED_SMTP + "SMTP_HOST=mail.example.org\nSMTP_USER=me\n",
            [f"config/smtp.env:4: SMTP_PASS: still the example value, {HALF}"],
        ),
        (
            "SMTP_USER=me\nSMTP_PASS=x\n",
            ["config/smtp.env: SMTP_HOST: not set, but SMTP_USER is: set all of them or none"],
        ),
    ],
)
def test_smtp_half_set_up_is_a_problem_and_its_mail_waits(house, smtp, expected):
    """Each missing key is named with its file, and auto does not mail by another way."""
    house.write(NOTIFY, UNTOUCHED_GMAIL.replace("/ABS/PATH", "/real"))
    house.write(SMTP, smtp)
    settings, problems = house.load()
    assert problems == expected
    assert (settings.notify_method, settings.smtp) == (BY_SMTP, None)


@pytest.mark.parametrize(
    "smtp",
    [
        SMTP_TEXT + "SMTP_PORT=x",
        SMTP_TEXT + "SMTP_HOST=$(hostname)",
        "SMTP_HOST = mail.example.org\nSMTP_USER=u\nSMTP_PASS=p",
        SMTP_TEXT.replace("'", ""),
        SMTP_TEXT.encode("utf-16"),
    ],
)
def test_smtp_set_up_wrongly_is_one_problem_and_its_mail_waits(house, smtp):
    """A mistake in smtp.env does not let the mail leave by the local mail program."""
    house.write(SMTP, smtp)
    settings, problems = house.load()
    assert len([problem for problem in problems if "SMTP_HOST is" not in problem]) == 1
    assert (settings.notify_method, settings.smtp) == (BY_SMTP, None)


def test_a_named_smtp_file_that_is_missing_lets_the_mail_wait(house):
    """A GPUWATCH_SMTP_CONFIG that leads nowhere does not let the mail leave by another way."""
    settings, problems = house.load(GPUWATCH_SMTP_CONFIG="/nowhere/smtp.env")
    assert len(problems) == 1
    assert settings.notify_method is BY_SMTP


ACCOUNT = "SMTP_HOST=mail.example.org\nSMTP_USER=labuser\n"


@pytest.mark.parametrize(
    ("text", "password", "file"),
    [
        (ACCOUNT, "", None),
        (ACCOUNT + "SMTP_PASS_FILE=/ABS/PATH/to/password\n", "", None),
        (ACCOUNT + "SMTP_PASS_FILE=/etc/lab/password\n", "", Path("/etc/lab/password")),
        (ACCOUNT + "SMTP_PASS=your_pass\nSMTP_PASS_FILE=/etc/lab/password\n", "", Path("/etc/lab/password")),
        (ACCOUNT + "SMTP_PASS=x\nSMTP_PASS_FILE=/etc/lab/password\n", "x", Path("/etc/lab/password")),
    ],
)
def test_the_password_may_stand_in_a_file_or_in_the_keyring(house, text, password, file):
    """With an account and no line with a password the server is set up: the keyring is asked at sending."""
    house.write(SMTP, text)
    settings = house.settings()
    assert (settings.smtp.password.reveal(), settings.smtp.password_file) == (password, file)
    assert settings.smtp.security is SmtpSecurity.TLS


@pytest.mark.parametrize(("line", "port"), [("", 465), ("SMTP_PORT=2465\n", 2465)])
def test_tls_from_the_start_can_be_asked_for_on_any_port(house, line, port):
    """SMTP_SECURITY=ssl, at port 465 where none is set, needs the account and the password as ever."""
    house.write(SMTP, f"{ACCOUNT}SMTP_PASS=x\nSMTP_SECURITY=SSL\n{line}")
    smtp = house.settings().smtp
    assert (smtp.security, smtp.port, smtp.user) == (SmtpSecurity.SSL, port, "labuser")
    house.write(SMTP, "SMTP_HOST=mail.example.org\nSMTP_SECURITY=ssl\n")
    settings, problems = house.load()
    assert (settings.smtp, ["SMTP_USER" in line or "SMTP_PASS" in line for line in problems]) == (
        None,
        [True, True],
    )


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1", "LOCALHOST."])
def test_a_relay_on_this_computer_needs_neither_login_nor_tls(house, host):
    """Only where SMTP_SECURITY=none asks for it; its port is 25 then."""
    house.write(SMTP, f"SMTP_HOST={host}\nSMTP_SECURITY=none\n")
    settings = house.settings()
    smtp = settings.smtp
    assert (smtp.security, smtp.port, smtp.user) == (SmtpSecurity.NONE, 25, "")
    assert (settings.notify_method, settings.warnings) == (AUTO, ())
    house.write(SMTP, f"SMTP_HOST={host}\nSMTP_SECURITY=None\nSMTP_PORT=1025\n")
    assert house.settings().smtp.port == 1025


@pytest.mark.parametrize("host", ["mail.example.org", "192.0.2.1", "localhost.example.org", "::2"])
def test_a_server_elsewhere_is_never_spoken_to_in_plain_text(house, host):
    """SMTP_SECURITY=none for another computer is a problem on its line, and the mail waits."""
    house.write(SMTP, SMTP_TEXT + f"SMTP_HOST={host}\nSMTP_SECURITY=none\n")
    settings, (problem,) = house.load()
    assert problem.startswith("config/smtp.env:5: SMTP_SECURITY: none is only for a server on this computer")
    assert (settings.notify_method, settings.smtp) == (BY_SMTP, None)


def test_a_relay_needs_a_host(house):
    """SMTP_SECURITY=none alone has begun to set up SMTP: its mail waits."""
    house.write(SMTP, "SMTP_SECURITY=none\n")
    settings, problems = house.load()
    assert problems == [
        "config/smtp.env: SMTP_HOST: not set, but another of its keys is: set all of them or none"
    ]
    assert settings.notify_method is BY_SMTP


def test_a_login_that_a_relay_does_not_get_is_told(house):
    """A password beside SMTP_SECURITY=none is not used, and nobody shall think it is."""
    house.write(SMTP, SMTP_TEXT + "SMTP_HOST=localhost\nSMTP_SECURITY=none\nFROM_EMAIL=a@b.org\n")
    assert house.settings().warnings == (
        "SMTP_SECURITY=none sends without a login: SMTP_USER and the password are not used",
    )


def test_notify_method_smtp_needs_a_server(house):
    """NOTIFY_METHOD=smtp with nothing set up names the three keys, in the file that `setup config` writes."""
    house.write(NOTIFY, "NOTIFY_METHOD=smtp\n")
    why = "not set, but NOTIFY_METHOD=smtp needs it: set it, or use NOTIFY_METHOD=auto"
    keys = ("HOST", "USER", "PASS")
    assert house.load()[1] == [f"{house.user / 'smtp.env'}: SMTP_{part}: {why}" for part in keys]


def test_notify_method_gmail_api_needs_both_paths(house):
    """The Bash tool's untouched notify.env, which asks for Gmail, names both, on their lines."""
    house.write(NOTIFY, "NOTIFY_METHOD=gmail_api\n" + UNTOUCHED_GMAIL)
    settings, problems = house.load()
    why = "still the example value, but NOTIFY_METHOD=gmail_api needs it: set it, or use NOTIFY_METHOD=auto"
    assert problems == [
        f"config/notify.env:2: GMAIL_API_CREDENTIALS: {why}",
        f"config/notify.env:3: GMAIL_API_TOKEN: {why}",
    ]
    assert settings.notify_method is GMAIL


def test_gmail_half_set_up_is_a_problem_and_its_mail_waits(house):
    """One of the two files alone is named under auto too."""
    house.write(NOTIFY, "GMAIL_API_TOKEN=/t.json\n")
    settings, problems = house.load()
    assert problems == [
        "config/notify.env: GMAIL_API_CREDENTIALS: not set, but GMAIL_API_TOKEN is: set all of them or none"
    ]
    assert (settings.notify_method, settings.gmail_token) == (GMAIL, Path("/t.json"))


def test_a_way_that_is_not_taken_need_not_be_complete(house):
    """With gmail_api a half-filled smtp.env is left alone, and with a server a half-filled Gmail is."""
    house.write(NOTIFY, "NOTIFY_METHOD=GMAIL_API GMAIL_API_TOKEN=/t.json GMAIL_API_CREDENTIALS=/c.json\n")
    house.write(SMTP, "SMTP_HOST=mail.example.org\n")
    assert house.settings().notify_method is GMAIL
    house.write(NOTIFY, "GMAIL_API_TOKEN=/t.json\n")
    house.write(SMTP, SMTP_TEXT)
    assert house.settings().notify_method is AUTO
