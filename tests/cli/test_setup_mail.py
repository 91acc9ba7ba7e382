"""`setup mail` on a real terminal, with a real mail server."""

from __future__ import annotations

import re
import stat
from contextlib import contextmanager

import pytest

from tests.driver.scenario import without_driver
from tests.support.file_keyring import NONE
from tests.support.terminal import terminal
from tests.support.timing import wait_until

pytestmark = pytest.mark.driver


@pytest.fixture
def asked(installed, server):
    """`setup mail` in a terminal, for a new user whose lab has an authority of its own."""
    with set_up_mail(installed, server) as shown:
        yield shown


@pytest.fixture
def bare(installed, server, tmp_path):
    """The same on a computer without a driver."""
    installed.environment = without_driver(tmp_path / "none", installed.environment)
    with set_up_mail(installed, server) as shown:
        yield shown


@contextmanager
def set_up_mail(installed, server):
    installed.configure(TO_EMAIL="")
    installed.write("smtp.env", f"# ours\nSMTP_CA_FILE={server.ca_file}\n")

    with terminal([installed.script, "setup", "mail"], installed.environment | NONE, 200, 60) as shown:
        yield shown


def answer(shown, question, text):
    """Wait for the question, then type."""
    try:
        wait_until(lambda: re.search(question, "\n".join(shown.lines()).rstrip().split("\n")[-1]), question)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{screen(shown)}") from None
    shown.type(text)


def screen(shown):
    return "\n".join(shown.everything())


def answer_for(shown, server, password):
    """Choose another server, and name this one."""
    answer(shown, r"^Mail server", server.host)
    answer(shown, r"^Port", str(server.port))
    answer(shown, r"^User name", server.user)
    answer(shown, r"^Password", password)


def test_a_new_user_gets_a_test_mail(installed, server, asked):
    """Address, server, password: then the mail is there, and the settings are whole and private."""
    answer(asked, r"^Your email address", "no address")
    answer(asked, r"^Your email address", "ada@example.org")
    answer(asked, r"^\[1\]", "")
    answer_for(asked, server, server.password)
    assert asked.process.wait(60) == 0, screen(asked)
    (mail,) = server.messages
    assert mail.message["To"] == "ada@example.org"
    assert server.password not in screen(asked)
    assert "an address needs an @" in screen(asked)
    smtp = installed.folder / "smtp.env"
    assert smtp.read_text().startswith(f"# ours\nSMTP_CA_FILE={server.ca_file}\n")
    assert stat.S_IMODE(smtp.stat().st_mode) == 0o600
    assert installed.run("setup", "config", "--check").returncode == 0
    assert installed.run("mail", "test").returncode == 0


def test_a_computer_without_a_driver_is_set_up_as_well(server, bare):
    """The test mail arrives, the end says so, and what cannot be read of the GPUs is a note."""
    answer(bare, r"^Your \w+ address", "ada@example.org")
    answer(bare, r"^\[1\]", "")
    answer_for(bare, server, server.password)
    assert bare.process.wait(60) == 0, screen(bare)
    assert len(server.messages) == 1
    _before, after = screen(bare).split("\nDone. ")
    assert "note: the mail was sent, but: no NVIDIA driver" in after


def test_a_wrong_password_asks_again(installed, server, asked):
    """The server's refusal is told, nothing is lost, and the second try goes through."""
    answer(asked, r"^Your email address", "ada@example.org")
    answer(asked, r"^\[1\]", "1")
    answer_for(asked, server, "wrong")
    answer(asked, r"^\[1\]", "1")
    assert "failed  " in screen(asked)
    answer_for(asked, server, server.password)
    assert asked.process.wait(60) == 0, screen(asked)
    assert len(server.messages) == 1


def test_a_known_provider_asks_for_the_password_alone(installed, asked):
    """Server, port and user follow from the address; which password it takes is said before it is asked."""
    answer(asked, r"^Your email address", "ada@gmail.com")
    wait_until(lambda: "1  with your password, by smtp.gmail.com" in screen(asked), "the offer")
    answer(asked, r"^\[1\]", "1")
    answer(asked, r"^User name \[ada@gmail.com\]", "")
    wait_until(lambda: "https://myaccount.google.com/apppasswords" in screen(asked), "which password")
    wait_until(lambda: "Password" in asked.lines()[asked.lines().index("") - 1], "the question")
    assert asked.interrupt() == 1
    assert "`gpuwatch-tray setup mail` begins again" in screen(asked)


def test_a_provider_that_takes_no_password_is_told(installed, asked):
    """Outlook.com is not offered with a password; the other ways are."""
    answer(asked, r"^Your email address", "ada@outlook.com")
    answer(asked, r"^\[1\]", "9")
    wait_until(lambda: "a number from 1 to 2" in screen(asked), "the choice")
    assert "use another account to send" in screen(asked)


def test_gmail_without_its_file_says_where_to_get_it(installed, asked):
    """The sign-in needs credentials.json; without it the choice comes again."""
    answer(asked, r"^Your email address", "ada@example.org")
    answer(asked, r"^\[1\]", "2")
    answer(asked, r"^File credentials.json", "")
    answer(asked, r"^\[1\]", "1")
    assert "There is no file" in screen(asked)
    assert "console.cloud.google.com" in screen(asked)


@pytest.mark.parametrize(
    ("words", "reason"), [(["setup", "mail"], "terminal"), (["setup", "mail", "--demo"], "demo")]
)
def test_without_a_terminal_or_in_a_demo_it_is_wrong_use(installed, words, reason):
    """A question that nobody answers must not hang; a demo writes no settings."""
    done = installed.run(*words)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert reason in done.stderr


def test_a_broken_file_is_named_before_anything_is_asked(installed, server):
    """An answer that would be lost is not asked for."""
    installed.write("smtp.env", "SMTP_HOST='open\n")
    with terminal([installed.script, "setup", "mail"], installed.environment, 100, 30) as shown:
        assert shown.process.wait(30) == 2
    assert f"{installed.folder / 'smtp.env'}:1" in screen(shown).replace("\n", "")
