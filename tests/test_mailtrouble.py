"""What is said of mails that do not leave: a note while it lasts, one popup when somebody has to act."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuwatch_tray import mailtrouble
from gpuwatch_tray.mailtrouble import MailTrouble
from gpuwatch_tray.model import Button
from gpuwatch_tray.store import OutboxSummary
from tests.fakes import START

PASSWORD = OutboxSummary(2, START, START + 900, "535 wrong (check SMTP_PASS)", "configuration")
SIGN_IN = replace(PASSWORD, error="sign-in refused (gpuwatch-tray mail login)", failure="sign-in")
LATER = OutboxSummary(1, START, START + 30, "451 later", "transient")
DEAD = OutboxSummary(dead=1, dead_error="550 no such user")


def shown(trouble, waiting):
    return [popup.body for popup in trouble.popups(waiting)]


def test_what_needs_nobody_pops_up_nothing():
    """A server that is down for now stands in the menu only."""
    assert shown(MailTrouble(), LATER) == []
    assert next(mailtrouble.notes(LATER, START + 1)).endswith(": 451 later")


@pytest.mark.parametrize("waiting", [PASSWORD, SIGN_IN])
def test_what_somebody_has_to_mend_pops_up_once(waiting):
    """One popup with the mend, however often it fails again; and one more when it comes back."""
    trouble = MailTrouble()
    assert shown(trouble, waiting) == [waiting.error]
    assert shown(trouble, replace(waiting, count=3, next_at=START + 1800)) == []
    assert shown(trouble, OutboxSummary()) == []
    assert shown(trouble, waiting) == [waiting.error]


def test_only_a_sign_in_has_a_button_to_sign_in_again():
    """A wrong password is not mended by a click."""
    (sign_in,) = MailTrouble().popups(SIGN_IN)
    (password,) = MailTrouble().popups(PASSWORD)
    assert (sign_in.buttons, password.buttons) == ((Button.SIGN_IN,), ())


def test_being_offline_in_between_is_no_news():
    """The same refusal after a failure that mends nothing pops up no second time; another one does."""
    trouble = MailTrouble()
    assert len(shown(trouble, SIGN_IN)) == 1
    assert shown(trouble, LATER) == []
    assert shown(trouble, SIGN_IN) == []
    assert len(shown(trouble, PASSWORD)) == 1


def test_the_popup_goes_when_the_mails_have_left():
    """Neither before, nor where there was none."""
    trouble = MailTrouble()
    assert trouble.over(OutboxSummary()) == ()
    shown(trouble, SIGN_IN)
    assert (trouble.over(SIGN_IN), trouble.over(LATER)) == ((), ())
    assert trouble.over(OutboxSummary(1, START, START)) == (mailtrouble.BLOCKED,)
    shown(trouble, OutboxSummary())
    assert trouble.over(OutboxSummary()) == ()


def test_each_mail_that_is_given_up_pops_up():
    """With the server's word and what can be done; a mail fewer is no news."""
    trouble = MailTrouble()
    (body,) = shown(trouble, DEAD)
    assert body.startswith("550 no such user\n`gpuwatch-tray mail queue`")
    assert shown(trouble, DEAD) == []
    assert len(shown(trouble, replace(DEAD, dead=2))) == 1
    assert shown(trouble, DEAD) == []


def test_the_menu_names_all_that_has_not_left():
    """What waits, what is held and what was given up, each with its reason; nothing while all is well."""
    waiting = replace(PASSWORD, held=3, dead=1, dead_error="550 no such user")
    first, second, third = mailtrouble.notes(waiting, START)
    assert first.startswith("Email: 2 mails wait since ")
    assert first.endswith("535 wrong (check SMTP_PASS)")
    assert second.startswith("Email: 3 mails are held")
    assert third == "Email: 1 mail was given up (`gpuwatch-tray mail queue`): 550 no such user"
    assert list(mailtrouble.notes(OutboxSummary(), START)) == []
    fresh = OutboxSummary(1, START, START)
    assert list(mailtrouble.notes(fresh, START + 299)) == []
    assert len(list(mailtrouble.notes(fresh, START + 301))) == 1
