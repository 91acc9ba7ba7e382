"""The menu's test alert where chats are set up: a real child sends to real services on loopback."""

from __future__ import annotations

import pytest

from gpuwatch_tray.app.context import RunContext, SourceKind
from gpuwatch_tray.app.trial_alert import show_test_alert
from gpuwatch_tray.settings import load
from tests.support.chatserver import ADDRESSES, CANARY
from tests.support.fakes import FakePopups


@pytest.fixture
def context(installed, chats, monkeypatch):
    """The settings of a person without mail, as a tray's own process has them."""
    installed.configure(TO_EMAIL="")
    installed.chat_with(*(f"{name} {ADDRESSES[name]}" for name in ("slack", "webhook")))
    for name, value in installed.environment.items():
        monkeypatch.setenv(name, value)
    settings, problems = load(installed.environment)
    assert problems == ()
    return RunContext(settings, (), SourceKind.NVML, "box", "ada")


def test_each_chat_gets_a_message_and_the_popup_says_so(context, chats):
    """Without mail too; what the services answered is shown, and no address."""
    popups = FakePopups()
    show_test_alert(context, popups)
    first, last = popups.shown
    assert first.body == "This is how an alert looks. A message is on its way…"
    assert (last.key, last.title) == ("test-chat", "Test messages sent")
    assert last.body.splitlines() == [
        "ok slack: Slack has taken it (HTTP 200)",
        "ok webhook: webhook, h***.example.org has taken it (HTTP 204)",
    ]
    assert len(chats.taken["slack"]) == len(chats.taken["webhook"]) == 1


def test_a_chat_that_refuses_is_named(context, chats):
    """The others have theirs."""
    chats.mood["slack"] = "refused"
    popups = FakePopups()
    show_test_alert(context, popups)
    last = popups.shown[-1]
    assert last.title == "A chat was not reached"
    assert "failed slack: Slack does not take it (HTTP 403)" in last.body
    assert CANARY not in last.body
