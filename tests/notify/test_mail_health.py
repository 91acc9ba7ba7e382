"""What is said of mails that do not leave: a note while it lasts, one popup when somebody has to act."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import Button
from gpuwatch_tray.notify import outbox_process
from gpuwatch_tray.notify.outbox_process import MailHealth
from gpuwatch_tray.store import OutboxSummary
from tests.support.fakes import START

PASSWORD = OutboxSummary(2, START, START + 900, "535 wrong (check SMTP_PASS)", "configuration")
SIGN_IN = replace(PASSWORD, error="sign-in refused (gpuwatch-tray mail login)", failure="sign-in")
LATER = OutboxSummary(1, START, START + 30, "451 later", "transient")
NOTHING = OutboxSummary()
DEAD = OutboxSummary(dead=1, dead_error="550 no such user")


def started(waiting=NOTHING):  # frozen
    """Return what a tray has that found `waiting` at its start."""
    health = MailHealth()
    health.popups(waiting, 0.0)
    return health


def shown(health, waiting, now=0.0):
    return [popup.body for popup in health.popups(waiting, now)]


def test_what_needs_nobody_pops_up_nothing():
    """A server that is down for now stands in the menu only."""
    assert shown(started(), LATER) == []
    assert next(outbox_process.mail_notes(LATER, START + 1)).endswith(": 451 later")


@pytest.mark.parametrize("waiting", [PASSWORD, SIGN_IN])
def test_what_somebody_has_to_mend_pops_up_once(waiting):
    """One popup with the mend, however often it fails again; and one more when it comes back."""
    health = started()
    assert shown(health, waiting) == [waiting.error]
    assert shown(health, replace(waiting, count=3, next_at=START + 1800)) == []
    assert shown(health, OutboxSummary()) == []
    assert shown(health, waiting) == [waiting.error]


def test_only_a_sign_in_has_a_button_to_sign_in_again():
    """A wrong password is not mended by a click."""
    (sign_in,) = started().popups(SIGN_IN, 0.0)
    (password,) = started().popups(PASSWORD, 0.0)
    assert (sign_in.buttons, password.buttons) == ((Button.SIGN_IN,), ())


def test_being_offline_in_between_is_no_news():
    """The same refusal after a failure that mends nothing pops up no second time; another one does."""
    health = started()
    assert len(shown(health, SIGN_IN)) == 1
    assert shown(health, LATER) == []
    assert shown(health, SIGN_IN) == []
    assert len(shown(health, PASSWORD)) == 1


def test_the_popup_goes_when_the_mails_have_left():
    """Neither before, nor where there was none."""
    health = started()
    assert health.closed_keys(OutboxSummary()) == ()
    shown(health, SIGN_IN)
    assert (health.closed_keys(SIGN_IN), health.closed_keys(LATER)) == ((), ())
    assert health.closed_keys(OutboxSummary(1, START, START)) == (outbox_process.BLOCKED_KEY,)
    shown(health, OutboxSummary())
    assert health.closed_keys(OutboxSummary()) == ()


def test_each_mail_that_is_given_up_pops_up():
    """With the server's word and what can be done; a mail fewer is no news."""
    health = started()
    (body,) = shown(health, DEAD)
    assert body.startswith("550 no such user\n`gpuwatch-tray mail queue`")
    assert shown(health, DEAD) == []
    assert len(shown(health, replace(DEAD, dead=2))) == 1
    assert shown(health, DEAD) == []


def test_a_mail_that_was_given_up_before_the_start_has_been_told():
    """A tray that is started again pops up no second time for it, but for the next."""
    health = started(DEAD)
    assert shown(health, DEAD) == []
    assert len(shown(health, replace(DEAD, dead=2))) == 1


def test_the_menu_names_all_that_has_not_left():
    """What waits, what is held and what was given up, each with its reason; nothing while all is well."""
    waiting = replace(PASSWORD, held=3, dead=1, dead_error="550 no such user")
    first, second, third = outbox_process.mail_notes(waiting, START)
    assert first.startswith("Email: 2 mails wait since ")
    assert first.endswith("535 wrong (check SMTP_PASS)")
    assert second.startswith("Email: 3 mails are held")
    assert third == "Email: 1 mail was given up (`gpuwatch-tray mail queue`): 550 no such user"
    assert list(outbox_process.mail_notes(OutboxSummary(), START)) == []
    fresh = OutboxSummary(1, START, START)
    assert list(outbox_process.mail_notes(fresh, START + 299)) == []
    assert len(list(outbox_process.mail_notes(fresh, START + 301))) == 1


@pytest.mark.parametrize("waiting", [PASSWORD, DEAD])
def test_a_popup_that_nobody_saw_is_shown_again(waiting):
    """After a minute, each minute, until it was shown; and no more when it is over."""
    health = started()
    (popup,) = health.popups(waiting, 100.0)
    health.record_popup(popup.key, 100.0, shown=False)
    assert not health.is_due(159.0)
    assert shown(health, waiting, 159.0) == []
    assert health.is_due(160.0)
    (again,) = health.popups(waiting, 160.0)
    assert again == popup
    health.record_popup(popup.key, 170.0, shown=False)
    assert shown(health, waiting, 230.0) == [popup.body]
    health.record_popup(popup.key, 231.0, shown=True)
    assert not health.is_due(1e9)
    health.record_popup(popup.key, 240.0, shown=False)
    assert shown(health, NOTHING, 300.0) == []
    assert not health.is_due(1e9)


def test_a_failure_that_passes_meanwhile_waits_for_the_one_that_needs_somebody():
    """What pops up again names what has to be done, and not the last broken connection."""
    health = started()
    (popup,) = health.popups(PASSWORD, 0.0)
    health.record_popup(popup.key, 0.0, shown=False)
    assert shown(health, LATER, 61.0) == []
    assert shown(health, PASSWORD, 62.0) == [PASSWORD.error]


REFUSED = OutboxSummary(1, START, START + 30, "ntfy does not take it", "configuration")


def test_a_chats_refusal_is_told_at_the_third():
    """A first 401 may be the service's own mistake; then one popup, which goes once it is taken."""
    health = MailHealth("phone")
    assert health.popups(NOTHING, 0.0) == ()
    for attempts in (1, 2):
        assert health.popups(replace(REFUSED, attempts=attempts), 0.0) == ()
    (popup,) = health.popups(replace(REFUSED, attempts=3), 0.0)
    assert popup.title == "Chat phone is not reached until you act"
    assert (popup.key, popup.body, popup.buttons) == ("mail-blocked:phone", "ntfy does not take it", ())
    assert health.popups(replace(REFUSED, attempts=4), 0.0) == ()
    assert health.closed_keys(NOTHING) == ("mail-blocked:phone",)


def test_messages_that_were_given_up_are_told_once():
    """With the command that lists them, under a key that no mail's popup has."""
    health = MailHealth("phone")
    health.popups(NOTHING, 0.0)
    (popup,) = health.popups(OutboxSummary(dead=2, dead_error="no connection"), 0.0)
    assert popup.key == "mail-dead:phone"
    assert popup.title == "Messages to chat phone were given up"
    assert popup.body.startswith("no connection\n`gpuwatch-tray outbox`")
    assert health.popups(OutboxSummary(dead=2, dead_error="no connection"), 0.0) == ()


def test_the_notes_about_a_chat_name_it():
    """What waits with an error or for long, is held, or was given up; nothing while all is well."""
    assert list(outbox_process.chat_notes("phone", OutboxSummary(1, START, START), START)) == []
    waiting = OutboxSummary(2, START, START, "no connection", "transient", 3, 1, "no answer")
    first, held, dead = outbox_process.chat_notes("phone", waiting, START)
    assert first.startswith("Chat phone: 2 messages wait since ")
    assert first.endswith(": no connection")
    assert held == "Chat phone: 3 messages are held for a digest (hourly limit reached)"
    assert dead == "Chat phone: 1 message was given up (`gpuwatch-tray outbox`): no answer"
