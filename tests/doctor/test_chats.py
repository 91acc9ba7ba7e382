"""What `doctor` says of chats: what is set up, the library that is missing, and what waits."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.doctor.chat_checks import check_chat_outbox, check_chats, library_version
from gpuwatch_tray.doctor.mail_checks import check_transport
from gpuwatch_tray.doctor.output import CheckState
from gpuwatch_tray.model import EmailWhen
from gpuwatch_tray.settings import Settings
from gpuwatch_tray.settings.chat_addresses import parse_line
from gpuwatch_tray.store import Mail, Store
from tests.store.commits import message, step
from tests.support.fakes import START

SECRET = "hushhush"
PHONE = parse_line(f"phone ntfys://ntfy.sh/{SECRET}")
HOOK = parse_line(f"hook webhook://h.example.org/{SECRET}")


def said(results):
    return [(result.state.value, result.text, result.mend) for result in results]


@pytest.fixture
def ours(tmp_path):
    """Settings with chats."""
    base = Settings(config=tmp_path / "gpu-watch.env", state=tmp_path, no_recipient="no mail address is set")

    def made(*chats, **routing):
        routes = tuple(chat.route for chat in chats)
        return replace(base, chats=chats, routing=replace(base.routing, chats=routes, **routing))

    return made


def test_the_library_of_this_environment_is_found_without_loading_it():
    """By its metadata: the tray's process may ask too."""
    assert library_version()[0].isdecimal()


def test_none_is_set_up(ours):
    """That is well; the line says how to begin, and what is missing for it."""
    assert said(check_chats(ours(), lambda: "2.3")) == [
        ("ok", "none is set up: `gpuwatch-tray setup chat` asks for one", "")
    ]
    ((state, text, _mend),) = said(check_chats(ours(), lambda: None))
    assert state == "ok"
    assert text.endswith("pip install 'gpuwatch-tray[chat]'")


def test_each_is_named_by_service_and_masked_server(ours):
    """The address is not shown; one in the keyring is said to be there, and it is not asked."""
    stored = parse_line("old keyring:tgram")
    results = said(check_chats(ours(PHONE, stored), lambda: "2.3"))
    assert [text for _state, text, _mend in results] == [
        "phone: ntfy, n***.sh",
        "old: Telegram, its address in the keyring",
        "Apprise 2.3",
    ]


def test_without_the_library_nothing_is_sent(ours):
    """A problem with the way to get it; a webhook needs none."""
    *_named, (state, _text, mend) = said(check_chats(ours(PHONE), lambda: None))
    assert (state, mend) == ("problem", "pip install 'gpuwatch-tray[chat]'")
    assert {state for state, *_ in said(check_chats(ours(HOOK), lambda: None))} == {"ok"}


def test_never_is_off(ours):
    """As EMAIL_WHEN=never is."""
    (result,) = check_chats(ours(PHONE, chat_when=EmailWhen.NEVER), lambda: None)
    assert (result.state, result.text) == (CheckState.OK, "off: CHAT_WHEN=never")


def test_without_a_mail_address_a_chat_is_enough(ours):
    """That nobody is mailed is a warning only where nobody else is told."""
    (alone,) = check_transport(ours())
    (told,) = check_transport(ours(PHONE))
    assert (alone.state, told.state) == (CheckState.WARNING, CheckState.OK)


@pytest.mark.parametrize(
    ("failure", "state", "mend"),
    [
        ("configuration", "problem", "gpuwatch-tray chat test phone"),
        ("transient", "warning", "it will be tried again automatically"),
    ],
)
def test_what_waits_for_a_chat(ours, tmp_path, failure, state, mend):
    """A refusal is a problem, with the command that tries it; a service that is down is none."""
    store = Store(tmp_path, "box")
    store.commit(step(Mail(message(1), ("a",), channel=PHONE.route.channel.value)))
    store.mark_retry(1, START + 60, "does not take it", failure=failure)
    ((found, text, fix),) = said(check_chat_outbox(ours(PHONE), lambda: store, lambda: START + 10))
    assert (found, fix) == (state, mend)
    assert text.startswith("1 message to chat phone waits since 2026-01-07 ")
    assert text.endswith(": does not take it")


def test_what_was_given_up_is_a_problem(ours, tmp_path):
    """With the commands that list it, send it again or drop it."""
    store = Store(tmp_path, "box")
    store.commit(step(Mail(message(1), ("a",), channel=PHONE.route.channel.value)))
    store.mark_dead(1, START, "no connection")
    ((state, text, mend),) = said(check_chat_outbox(ours(PHONE), lambda: store, lambda: START))
    assert (state, text) == ("problem", "1 message to chat phone was given up: no connection")
    assert "gpuwatch-tray outbox" in mend


def test_no_state_is_no_chats_message(ours):
    """Looking makes none."""
    assert list(check_chat_outbox(ours(PHONE), lambda: None)) == []


def test_what_waits_for_a_chat_that_is_gone_is_a_warning(ours, tmp_path):
    """A chat that was renamed, or whose line was deleted, leaves behind what nobody sends any more."""
    store = Store(tmp_path, "box")
    store.commit(step(*(Mail(message(number), ("a",), channel="chat:pager") for number in (1, 2))))
    ((state, text, fix),) = said(check_chat_outbox(ours(), lambda: store, lambda: START))
    assert (state, text) == (
        "warning",
        "2 messages wait for chat pager, which is not set up any more",
    )
    assert "outbox drop ID" in fix
