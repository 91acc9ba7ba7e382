"""Which notification is whose, whatever the order in which the server tells."""

from __future__ import annotations

import pytest

from gpuwatch_tray.desktop.dbus import Signal
from gpuwatch_tray.model import Button, Popup, Severity
from gpuwatch_tray.notify.notification_registry import JUST_SHOWN, LATE_CLICK, Click, NotificationRegistry

BUTTONS = (Button.ACKNOWLEDGE, Button.SHOW)
POPUP = Popup("limit", "GPU limit", "3 GPUs", Severity.WARNING, BUTTONS)
ACKNOWLEDGED = Click("limit", 7, Button.ACKNOWLEDGE)


def signal(member, *body, sender=":1.5"):
    name = "org.freedesktop.Notifications"
    return Signal(sender, "/org/freedesktop/Notifications", name, member, body)


def clicked(number=7, action="acknowledge", **more):
    return signal("ActionInvoked", number, action, **more)


def closed(number=7, reason=2, **more):
    return signal("NotificationClosed", number, reason, **more)


class Time:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Time()


@pytest.fixture
def ledger(clock):
    """One with POPUP on the screen, as number 7 of the server :1.5."""
    made = NotificationRegistry(clock)
    made.owner_changed(":1.5")
    assert made.record(POPUP, 7, made.begin_showing()) is None
    return made


@pytest.mark.parametrize(
    ("comment", "signals", "expected"),
    [
        ("as the specification has it", [clicked(), closed()], [ACKNOWLEDGED, None]),
        ("awesome closes first", [closed(), clicked()], [None, ACKNOWLEDGED]),
        ("told twice", [clicked(), closed(), clicked(), closed()], [ACKNOWLEDGED, None, None, None]),
        ("closed twice", [closed(), closed(), clicked(), clicked()], [None, None, ACKNOWLEDGED, None]),
        ("Budgie adds a click on the body", [clicked(), clicked(action="default")], [ACKNOWLEDGED, None]),
        ("the body", [clicked(action="default")], [Click("limit", 7, Button.SHOW)]),
        ("not offered: only put away", [clicked(action="kill"), clicked()], [Click("limit", 7, None), None]),
        ("somebody else's popup", [clicked(8), closed(8), clicked()], [None, None, ACKNOWLEDGED]),
        ("a relay under another name", [clicked(sender=":1.9"), closed(sender=":1.9")], [None, None]),
        ("nonsense", [signal("ActionInvoked", *body) for body in ((), ([7], ""), (7, 1))], [None] * 3),
    ],
)  # fmt: skip
def test_what_the_signals_mean(ledger, comment, signals, expected):
    """Each click once, whatever the server adds to it."""
    assert [ledger.observe(one) for one in signals] == expected, comment


def test_after_a_click_the_popup_is_over(ledger):
    """Its key is shown anew, not replaced."""
    ledger.observe(clicked())
    assert ledger.find("limit") is None
    assert ledger.forget("limit") is None


def test_a_click_long_after_the_closing_is_nobodys(ledger, clock):
    """The id may be somebody else's by then."""
    ledger.observe(closed())
    clock.now += LATE_CLICK
    assert ledger.observe(clicked()) is None


def test_a_former_servers_clicks_and_ids_are_worth_nothing(ledger):
    """The next server counts from one again."""
    ledger.owner_changed("")
    ledger.owner_changed(":1.6")
    assert ledger.find("limit") is None
    assert ledger.observe(clicked()) is None
    assert ledger.observe(clicked(sender=":1.6")) is None


def test_a_popup_that_another_replaces_takes_no_clicks(ledger):
    """The one in its place may have other buttons."""
    assert ledger.forget("limit") == 7
    assert ledger.observe(clicked()) is None


def test_a_popup_that_we_closed_takes_the_click_that_was_on_its_way_alone(ledger, clock):
    """Whoever gets it says that it comes too late; the server's echo of our closing is none."""
    assert ledger.withdraw("limit") == 7
    assert (ledger.shown_keys(), ledger.withdraw("limit")) == ((), None)
    assert ledger.observe(closed()) is None
    assert ledger.observe(clicked()) == ACKNOWLEDGED
    assert ledger.observe(clicked()) is None


def test_a_popup_that_we_closed_takes_no_later_clicks(ledger, clock):
    """The id may be somebody else's by then."""
    ledger.withdraw("limit")
    clock.now += LATE_CLICK
    assert ledger.observe(clicked()) is None


def test_signals_that_overtake_the_noting_of_the_id_count(ledger):
    """The loop hears them while the thread that showed the popup is still on its way."""
    second = Popup("lost", "GPU 1 is lost", "", Severity.CRITICAL, BUTTONS)
    owner = ledger.begin_showing()
    assert [ledger.observe(one) for one in (clicked(9, "show"), closed(8), clicked(8))] == [None] * 3
    assert ledger.observe(clicked()) == ACKNOWLEDGED  # known all along
    assert ledger.record(second, 8, owner) == Click("lost", 8, Button.ACKNOWLEDGE)
    assert ledger.find("lost") is None


def test_a_popup_that_was_closed_before_its_id_was_noted_is_not_taken_for_open(ledger):
    """As daemons do that are told not to disturb."""
    owner = ledger.begin_showing()
    ledger.observe(closed(8))
    assert ledger.record(Popup("lost", "t", "b", Severity.INFO), 8, owner) is None
    assert ledger.find("lost") is None


def test_early_signals_end_with_the_showing_that_they_were_kept_for(ledger):
    """A popup that failed leaves nothing to be mistaken for a later one's."""
    ledger.begin_showing()
    ledger.observe(clicked(8))
    ledger.end_showing()
    assert ledger.record(Popup("lost", "t", "b", Severity.INFO, BUTTONS), 8, ledger.begin_showing()) is None
    assert ledger.find("lost") is not None


def test_an_id_of_a_server_that_went_meanwhile_is_not_noted(ledger):
    """Unless nobody was known before: then the call itself started the server."""
    owner = ledger.begin_showing()
    ledger.owner_changed(":1.6")
    assert ledger.record(POPUP, 8, owner) is None
    assert ledger.find("limit") is None
    ledger.owner_changed("")
    owner = ledger.begin_showing()
    ledger.owner_changed(":1.7")
    ledger.record(POPUP, 1, owner)
    assert ledger.observe(clicked(1, sender=":1.7")) == Click("limit", 1, Button.ACKNOWLEDGE)


def test_the_same_text_is_just_shown_for_a_second_and_while_it_is_there(ledger, clock):
    """Replacing it by itself would only make it flicker."""
    assert ledger.just_shown(POPUP)
    assert not ledger.just_shown(Popup("limit", "GPU limit", "4 GPUs", Severity.WARNING, BUTTONS))
    clock.now += JUST_SHOWN
    assert not ledger.just_shown(POPUP)
    clock.now -= JUST_SHOWN
    ledger.observe(closed())
    assert not ledger.just_shown(POPUP)
