"""Popups over org.freedesktop.Notifications: to a daemon played by the test, then to real ones."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from msgspec.structs import replace
from PIL import Image, ImageChops  # the test looks at the screen

from gpuwatch_tray import drawing
from gpuwatch_tray.desktop.dbus import SessionBus
from gpuwatch_tray.model import Button, Level, Popup, Severity
from gpuwatch_tray.notify import desktop_popups, one_at_a_time
from gpuwatch_tray.notify.desktop_popups import DesktopPopups
from gpuwatch_tray.rules import RULES
from tests.e2e import rig
from tests.e2e.client import BusClient
from tests.e2e.peers import FakeServer
from tests.support.timing import slowness, wait_until

pytestmark = pytest.mark.desktop

PATH = "/org/freedesktop/Notifications"
LIMIT = Popup("limit", "GPU limit", "GPU_COUNT(3) > GPU_LIMIT(2) & <b>more</b>", Severity.WARNING)
LOST = Popup("lost", "GPU 1 is lost", "fallen off the bus", Severity.CRITICAL)


def popups_on(address):
    bus = SessionBus.connect(address)
    turning = threading.Thread(target=bus.run)
    turning.start()

    def end():
        bus.stop()
        turning.join(60)
        bus.close()

    return DesktopPopups(bus), end


@pytest.fixture
def popups(address):
    sink, end = popups_on(address)
    yield sink
    end()


@pytest.fixture
def daemon(client):
    played = FakeServer(["body", "body-markup"])
    client.serve(PATH, played, rig.NOTIFICATIONS)
    return played


def test_one_popup_per_key_replaced_rather_than_stacked(popups, daemon):
    """The second showing of a key replaces the first, another key stands beside it."""
    worse = replace(LIMIT, body="GPU_COUNT(4) > GPU_LIMIT(2)")
    assert all([popups.show(LIMIT), popups.show(LOST), popups.show(worse)])
    assert [(one["id"], one["replaces"]) for one in daemon.shown] == [(1, 0), (2, 0), (1, 1)]


def test_the_same_text_again_is_not_sent_again_at_once(popups, daemon):
    """It is on the screen."""
    assert all([popups.show(LIMIT), popups.show(LIMIT)])
    assert len(daemon.shown) == 1


def test_urgency_follows_the_severity(popups, daemon):
    """Critical only for the top one, because it stays on the screen."""
    for severity in Severity:
        popups.show(Popup(severity.name, "t", "b", severity))
    assert [one["hints"]["urgency"] for one in daemon.shown] == [0, 1, 2]
    assert [one["hints"]["category"] for one in daemon.shown] == ["device", "device", "device.error"]
    assert {one["hints"]["desktop-entry"] for one in daemon.shown} == {"gpuwatch-tray"}


def test_the_popup_carries_our_picture(popups, daemon):
    """As a file URI of a picture that exists."""
    popups.show(LOST)
    assert daemon.shown[0]["icon"] == drawing.icon_path(Level.CRITICAL).as_uri()
    assert drawing.icon_path(Level.CRITICAL).is_file()


@pytest.mark.parametrize(
    ("abilities", "body"),
    [
        (["body", "body-markup"], "GPU_COUNT(3) &gt; GPU_LIMIT(2) &amp; &lt;b&gt;more&lt;/b&gt;"),
        (["body"], "GPU_COUNT(3) > GPU_LIMIT(2) & <b>more</b>"),
    ],
)
def test_the_body_is_escaped_where_it_is_markup_and_only_there(popups, client, abilities, body):
    """A process named `<b>` is shown as it is called."""
    played = FakeServer(abilities)
    client.serve(PATH, played, rig.NOTIFICATIONS)
    popups.show(LIMIT)
    assert played.shown[0]["body"] == body


def test_closing_takes_the_popup_of_the_key_away(popups, daemon):
    """Once, and a key that was never shown is nobody's business."""
    popups.show(LIMIT)
    popups.show(LOST)
    popups.close("lost")
    popups.close("lost")
    popups.close("never shown")
    assert daemon.closed == [2]


def test_a_popup_put_away_by_the_user_is_not_replaced_but_new(popups, daemon, client):
    """Its id may be somebody else's by now."""
    popups.show(LIMIT)
    client.do(lambda: daemon.notification_closed(1, 2))
    wait_until(lambda: not popups._registry.find("limit"), "the signal")
    popups.show(LIMIT)
    assert [(one["id"], one["replaces"]) for one in daemon.shown] == [(1, 0), (2, 0)]


def test_ids_of_a_daemon_that_is_gone_are_forgotten(popups, address):
    """The next daemon gives the same numbers to other people's popups."""
    with BusClient(address) as first:
        first.serve(PATH, FakeServer(["body-markup"], first_id=7), rig.NOTIFICATIONS)
        wait_until(lambda: popups._registry.owner == first.name, "the first daemon")
        assert popups.show(LIMIT)
    wait_until(lambda: not popups._registry.owner, "its end")
    with BusClient(address) as second:
        played = FakeServer(["body"])
        second.serve(PATH, played, rig.NOTIFICATIONS)
        wait_until(lambda: popups._registry.owner == second.name, "the second daemon")
        popups.close("limit")
        assert popups.show(LIMIT)
        assert (played.shown[0]["replaces"], played.closed) == (0, [])
        assert "<b>" in played.shown[0]["body"]  # its abilities were asked anew


def test_no_daemon_is_false_and_quick(popups):
    """A desktop without notifications costs no waiting."""
    began = time.monotonic()
    assert not popups.show(LIMIT)
    popups.close("limit")
    assert time.monotonic() - began < slowness()


class SlowServer(FakeServer):
    """A notification daemon that answers each Notify only when the test lets it."""

    def __init__(self, abilities):
        super().__init__(abilities)
        self.asked = 0
        self.turn = asyncio.Semaphore(0)

    async def delay(self):
        self.asked += 1
        await self.turn.acquire()


@pytest.fixture
def slow(client):
    played = SlowServer(["actions", "body"])
    client.serve(PATH, played, rig.NOTIFICATIONS)
    return played


@pytest.fixture
def impatient(monkeypatch):
    """Make whoever shows a popup wait for a moment only."""
    monkeypatch.setattr(one_at_a_time, "POPUP_TIMEOUT", 0.1)


def test_a_slow_daemon_holds_nobody_up(popups, slow):
    """After two seconds the popup counts as shown, and the worker thread goes on."""
    began = time.monotonic()
    assert popups.show(LIMIT)
    assert 1.9 < time.monotonic() - began < 2.5 * slowness()
    assert slow.asked == 1


@pytest.mark.usefixtures("impatient")
def test_while_a_popup_is_unanswered_no_second_is_sent(popups, slow, client):
    """The last of each key follows once the answer has come, and replaces the first by its late number."""
    for count in range(4):
        assert popups.show(replace(LIMIT, body=f"{count} GPUs"))
    popups.show(LOST)
    assert slow.asked == 1
    for expected in (2, 3):
        client.do(slow.turn.release)
        wait_until(lambda expected=expected: slow.asked == expected, "the next one")
    client.do(slow.turn.release)
    wait_until(lambda: len(slow.shown) == 3, "the last one")
    first, second, third = slow.shown
    assert [(one["body"], one["replaces"]) for one in (first, second)] == [
        ("0 GPUs", 0),
        ("3 GPUs", first["id"]),
    ]
    assert third["title"] == LOST.title


@pytest.mark.usefixtures("impatient")
def test_the_buttons_of_a_popup_that_came_late_work(popups, slow, client):
    """Its number is taken when it comes."""
    clicks = []
    popups.answer(lambda key, button: clicks.append((key, button)))
    assert popups.show(replace(LIMIT, buttons=(Button.SNOOZE,)))
    client.do(slow.turn.release)
    wait_until(lambda: popups._registry.find("limit"), "its number")
    client.do(lambda: slow.action_invoked(1, Button.SNOOZE.value))
    wait_until(lambda: clicks, "the click")
    assert clicks == [("limit", Button.SNOOZE)]


@pytest.mark.usefixtures("impatient")
def test_what_is_over_before_it_was_shown_is_closed_when_its_number_comes(popups, slow, client):
    """It does not stay on the screen."""
    popups.show(LIMIT)
    popups.close("limit")
    client.do(slow.turn.release)
    wait_until(lambda: slow.closed == [1], "the closing")


@pytest.mark.usefixtures("impatient")
def test_a_popup_that_fails_after_all_is_reported(popups, client, monkeypatch):
    """The daemon dies, or does not answer within the bus's time: a mail may have to go instead."""
    monkeypatch.setattr(desktop_popups, "ANSWER_TIMEOUT", 0.5)
    answers = []
    client.serve(PATH, SlowServer(["body"]), rig.NOTIFICATIONS)
    assert popups.show(LIMIT, answers.append)
    wait_until(lambda: answers, "the report")
    assert answers == [False]


@pytest.mark.parametrize("daemon", ["dunst", "xfce4-notifyd"])
def test_a_real_daemon_shows_replaces_and_closes(desk, daemon, tmp_path):
    """The popup is on the screen, once, with its text unharmed, and goes when the alert is over."""
    desk.stop_notifier()
    desk.start_notifier(daemon)
    popups, end = popups_on(desk.address)
    try:
        empty = desk.windows()
        before = len(desk.notifications())
        assert popups.show(LIMIT)
        assert popups.show(Popup("limit", "GPU limit", "GPU_COUNT(4) > GPU_LIMIT(2) & <b>", Severity.WARNING))
        wait_until(lambda: len(desk.notifications()) == before + 2, "both calls to be answered")
        first, second = desk.notifications()[before:]
        assert (second.replaces, second.id) == (first.id, first.id)
        wait_until(lambda: desk.windows() - empty, "the popup's window")
        rig.settle(0.6)
        shot = desk.screenshot(rig.shots(tmp_path) / f"popup-{daemon}.png")
        with Image.open(shot) as screen:
            colours = {colour for _, colour in screen.convert("RGB").getcolors(1 << 24)}
        assert drawing.COLOURS[Level.WARNING] in colours
        popups.close("limit")
        wait_until(lambda: second.id in desk.closed_notifications(), "the popup to be closed")
    finally:
        end()
        desk.stop_notifier()
        desk.start_notifier("dunst")


def seen_popup(desk, popups, title, path):
    """Return the screen under the panel with a popup of this title."""
    popups.show(Popup(title, title, "body", Severity.WARNING))
    rig.settle(1.0)
    with Image.open(desk.screenshot(path)) as screen:
        picture = screen.convert("RGB").crop((0, 40, *screen.size))
    popups.close(title)
    rig.settle(0.8)
    return picture


def test_the_titles_of_the_rules_are_not_cut(desk, tmp_path):
    """On xfce4-notifyd, the narrowest: a mark behind a title that fits is seen, behind a longer one not."""
    desk.stop_notifier()
    desk.start_notifier("xfce4-notifyd")
    popups, end = popups_on(desk.address)
    try:
        longest = sorted((rule.title for rule in RULES.values()), key=len)[-3:]
        for title, whole in [(title, True) for title in longest] + [(f"{longest[0]} {longest[1]}", False)]:
            plain, marked = (
                seen_popup(desk, popups, words, tmp_path / "popup.png") for words in (title, f"{title}!")
            )
            assert bool(ImageChops.difference(plain, marked).getbbox()) is whole, title
    finally:
        end()
        desk.stop_notifier()
        desk.start_notifier("dunst")
