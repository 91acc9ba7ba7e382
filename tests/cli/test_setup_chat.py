"""`setup chat` on a real terminal, with real services on loopback."""

from __future__ import annotations

import re
import stat
from contextlib import contextmanager

import pytest

from tests.support.chatserver import ADDRESSES, CANARY
from tests.support.file_keyring import NONE
from tests.support.terminal import terminal
from tests.support.timing import wait_until


@contextmanager
def set_up_chat(installed):
    with terminal([installed.script, "setup", "chat"], installed.environment | NONE, 200, 60) as shown:
        yield shown


def answer(shown, question, text):
    """Wait for the question, then type."""
    wait_until(lambda: re.search(question, "\n".join(shown.lines()).rstrip().split("\n")[-1]), question)
    shown.type(text)


def screen(shown):
    return "\n".join(shown.everything())


def test_a_new_user_gets_a_test_message(installed, chats):
    """Address and name: then the message is there, and what was written is whole and private."""
    installed.configure(TO_EMAIL="")
    with set_up_chat(installed) as shown:
        answer(shown, "^Address", f"syslog://{CANARY}")
        answer(shown, "^Address", ADDRESSES["slack"])
        answer(shown, r"^Name \[slack\]", "my team")
        answer(shown, r"^Name \[slack\]", "team")
        assert shown.process.wait(60) == 0, screen(shown)
    assert "syslog:// is no service that is known here" in screen(shown)
    assert "letters, digits, - and _" in screen(shown)
    assert "Slack has taken the test message (HTTP 200)." in screen(shown)
    assert CANARY not in screen(shown)
    (message,) = chats.texts("slack")
    assert "a test of gpuwatch-tray" in message
    file = installed.folder / "chats"
    assert file.read_text() == f"team {ADDRESSES['slack']}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"NOTIFY_URLS_FILE={file}\n" in (installed.folder / "notify.env").read_text()
    assert installed.run("setup", "config", "--check").returncode == 0
    assert installed.run("chat", "test", "team").returncode == 0


def test_a_second_one_is_added(installed, chats):
    """The first stays as it was; a taken name or address is asked for again, and filters are kept."""
    file = installed.chat_with("# mine", f"team {ADDRESSES['slack']} severity=critical")
    with set_up_chat(installed) as shown:
        answer(shown, "^Address", ADDRESSES["slack"])
        answer(shown, "^Address", f"{ADDRESSES['webhook']} rule=when,gpu_lost severity=warning")
        answer(shown, "^Name", "team")
        answer(shown, "^Name", "")
        assert shown.process.wait(60) == 0, screen(shown)
    assert "the same address as in line 2" in screen(shown)
    assert "the name team is taken" in screen(shown)
    assert file.read_text().splitlines() == [
        "# mine",
        f"team {ADDRESSES['slack']} severity=critical",
        f"webhook {ADDRESSES['webhook']} severity=warning rule=gpu_lost,when",
    ]


def test_an_address_that_is_refused_is_not_written(installed, chats):
    """The reason is said, and the address asked for again."""
    chats.mood["slack"] = "refused"
    with set_up_chat(installed) as shown:
        answer(shown, "^Address", ADDRESSES["slack"])
        answer(shown, "^Name", "")
        wait_until(lambda: "does not take it (HTTP 403)" in screen(shown), "the reason")
        answer(shown, "^Address", "\x03")
        assert shown.process.wait(60) == 1, screen(shown)
    assert not (installed.folder / "chats").exists()
    assert "NOTIFY_URLS_FILE" not in (installed.folder / "notify.env").read_text()


@pytest.mark.driver
def test_with_a_keyring_the_file_has_no_address(installed, chats, ring, two):
    """Only the child that sends asks the keyring; an alert reaches the chat all the same."""
    from tests.support.installed import busy

    with terminal([installed.script, "setup", "chat"], installed.environment, 200, 60) as shown:
        answer(shown, "^Address", ADDRESSES["telegram"])
        answer(shown, "^Name", "phone")
        assert shown.process.wait(60) == 0, screen(shown)
    assert (installed.folder / "chats").read_text() == "phone keyring:tgram\n"
    assert CANARY in str(ring.kept)
    installed.configure(TO_EMAIL="")
    installed.play(busy(*two))
    assert installed.run("check").returncode == 0
    assert len(chats.taken["telegram"]) == 2
    ring.file.unlink()
    done = installed.run("chat", "test")
    assert done.returncode == 1
    assert "the keyring has no address of the chat phone" in done.stdout
