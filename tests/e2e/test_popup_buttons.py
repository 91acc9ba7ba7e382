"""Popups that answer: clicks told by a daemon that the test plays, then real clicks on real daemons."""

from __future__ import annotations

import subprocess
import threading
from contextlib import contextmanager
from typing import Annotated

import pytest
from dbus_fast import Message, MessageType  # the tests speak the protocol too
from dbus_fast.annotations import DBusSignature
from dbus_fast.service import dbus_method
from msgspec.structs import replace
from PIL import Image  # the test looks at the screen

from gpuwatch_tray.desktop.dbus import SessionBus
from gpuwatch_tray.model import Button, Popup, Severity
from gpuwatch_tray.notify.desktop_popups import DesktopPopups
from gpuwatch_tray.notify.sinks import Popups
from tests.e2e import rig
from tests.e2e.client import BusClient
from tests.e2e.peers import FakeServer
from tests.support.timing import wait_until

pytestmark = pytest.mark.desktop

PATH = "/org/freedesktop/Notifications"
BUTTONS = (Button.ACKNOWLEDGE, Button.SNOOZE, Button.SHOW)
LIMIT = Popup("limit", "GPU limit", "GPU_COUNT(3) > GPU_LIMIT(2)", Severity.WARNING, BUTTONS)
HUNG = Popup(
    "ending:1:2", "train.py goes on", "It did not end within 10 s.", Severity.WARNING, (Button.KILL,)
)
OFFERED = ["acknowledge", "Acknowledge", "snooze", "Snooze 1 h", "show", "Show", "default", ""]

Clicked = Annotated[tuple[int, str], DBusSignature("us")]
Information = Annotated[tuple[str, str, str, str], DBusSignature("ssss")]


class ButtonServer(FakeServer):
    """A daemon with buttons, which says what it is told to say."""

    def __init__(self, abilities=("body", "actions"), name="played", **more):
        super().__init__(list(abilities), **more)
        self.called = name

    @dbus_method("GetServerInformation")
    def information(self) -> Information:
        return self.called, "the tests", "1", "1.2"


class Answering:
    """A sink over the bus, and what was clicked on its popups."""

    def __init__(self, address):
        self.clicks, self.threads, self.error = [], set(), None
        self.bus = SessionBus.connect(address)
        self.loop = threading.Thread(target=self.bus.run, name="loop")
        self.loop.start()
        self.sink = DesktopPopups(self.bus)
        self.popups = Popups([self.sink], self.on_button)

    def on_button(self, key, button):
        self.clicks.append((key, button))
        self.threads.add(threading.current_thread().name)
        if self.error is not None:
            raise self.error

    def show(self, *popups):
        for popup in popups:
            assert self.popups.show(popup)

    def expect(self, *clicks):
        """Wait for the last of these clicks; there must have been no other one before it."""
        wait_until(lambda: self.clicks[-1:] == list(clicks[-1:]), f"a click: {clicks[-1]}")
        assert self.clicks == list(clicks)

    def stop(self):
        self.bus.stop()
        self.loop.join(60)
        self.bus.close()


@contextmanager
def answering(address):
    made = Answering(address)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def desktop_popups(address):
    with answering(address) as made:
        yield made


@contextmanager
def daemon(address, popups, server):
    """Run the server on a connection of its own; yield a function that makes it send signals."""
    with BusClient(address) as connection:
        connection.serve(PATH, server, rig.NOTIFICATIONS)
        wait_until(lambda: popups.sink._registry.owner == connection.name, "the daemon to be known")
        yield connection.do
    wait_until(lambda: not popups.sink._registry.owner, "its end")


def test_buttons_stand_in_the_popups_order_and_a_click_is_answered(address, desktop_popups):
    """On a thread of its own, and the popup goes with it, also where the daemon would leave it."""
    server = ButtonServer()
    with daemon(address, desktop_popups, server) as say:
        desktop_popups.show(LIMIT, HUNG)
        assert [one["actions"] for one in server.shown] == [OFFERED, ["kill", "End it now", "default", ""]]
        assert [one["hints"]["urgency"] for one in server.shown] == [1, 1]
        say(lambda: server.action_invoked(1, "snooze"))
        desktop_popups.expect(("limit", Button.SNOOZE))
        wait_until(lambda: server.closed == [1], "the popup to be put away")
        say(lambda: server.action_invoked(2, "kill"))
        desktop_popups.expect(("limit", Button.SNOOZE), ("ending:1:2", Button.KILL))
        assert desktop_popups.threads == {"popup-clicks"}


def test_a_click_on_the_body_shows_and_never_ends_a_process(address, desktop_popups):
    """The two things that people do to a popup without reading it."""
    server = ButtonServer()
    with daemon(address, desktop_popups, server) as say:
        desktop_popups.show(HUNG, LIMIT)
        say(lambda: server.action_invoked(1, "default"))
        say(lambda: server.action_invoked(2, "default"))
        desktop_popups.expect(("limit", Button.SHOW))
        wait_until(lambda: server.closed == [1, 2], "both to be put away")


def test_a_click_told_by_a_relay_as_well_counts_once(address, desktop_popups):
    """GNOME's shell says each click a second time, under another name: to all, and here to us directly."""
    server = ButtonServer()
    echo = ButtonServer()
    with daemon(address, desktop_popups, server) as say, BusClient(address) as relay:
        relay.serve(PATH, echo)
        desktop_popups.show(LIMIT, HUNG)
        relay.do(lambda: echo.action_invoked(1, "acknowledge"))
        directly = Message(
            destination=desktop_popups.bus.name,
            message_type=MessageType.SIGNAL,
            path=PATH,
            interface=rig.NOTIFICATIONS,
            member="ActionInvoked",
            signature="us",
            body=[1, "acknowledge"],
        )
        relay.do(lambda: relay.bus.send(directly))
        relay.owner(rig.NOTIFICATIONS)  # once this is answered, the bus has passed on what came before
        say(lambda: server.action_invoked(1, "show"))
        say(lambda: server.action_invoked(1, "show"))
        say(lambda: server.notification_closed(1, 2))
        say(lambda: server.notification_closed(1, 2))
        say(lambda: server.action_invoked(2, "kill"))
        desktop_popups.expect(("limit", Button.SHOW), ("ending:1:2", Button.KILL))


def test_a_click_that_comes_after_the_closing_is_not_lost(address, desktop_popups):
    """As awesome tells it; and what was only closed has not been clicked."""
    server = ButtonServer()
    with daemon(address, desktop_popups, server) as say:
        desktop_popups.show(LIMIT, HUNG)
        say(lambda: server.notification_closed(2, 2))
        say(lambda: server.notification_closed(1, 2))
        say(lambda: server.action_invoked(1, "acknowledge"))
        desktop_popups.expect(("limit", Button.ACKNOWLEDGE))
        desktop_popups.show(LIMIT)
        assert server.shown[-1]["replaces"] == 0


def test_the_popups_of_a_lab_are_withdrawn_together(address, desktop_popups):
    """By how their keys begin; a click that was on its way then is still told, and those of others stay."""
    server = ButtonServer()
    with daemon(address, desktop_popups, server) as say:
        lab = [replace(LIMIT, key=f"lab:{number}", body=str(number)) for number in range(2)]
        desktop_popups.show(*lab, LIMIT)
        desktop_popups.popups.close_all("lab:")
        assert sorted(server.closed) == [1, 2]
        say(lambda: server.action_invoked(2, "acknowledge"))
        say(lambda: server.action_invoked(3, "acknowledge"))
        desktop_popups.expect(("lab:1", Button.ACKNOWLEDGE), ("limit", Button.ACKNOWLEDGE))


def test_other_peoples_clicks_are_none_of_ours(address, desktop_popups):
    """Nor those for actions that the popup did not offer."""
    server = ButtonServer()
    with daemon(address, desktop_popups, server) as say:
        desktop_popups.show(LIMIT, HUNG)
        say(lambda: server.action_invoked(3, "kill"))
        say(lambda: server.action_invoked(1, "kill"))
        say(lambda: server.action_invoked(2, "kill"))
        desktop_popups.expect(("ending:1:2", Button.KILL))


@pytest.mark.parametrize("name", ["Xfce Notify Daemon", "lxqt-notificationd"])
def test_a_daemon_that_would_draw_the_bodys_action_is_not_offered_it(address, desktop_popups, name):
    """The name is the one that the real ones give."""
    server = ButtonServer(name=name)
    with daemon(address, desktop_popups, server):
        desktop_popups.show(LIMIT)
    assert server.shown[0]["actions"] == OFFERED[:6]


def test_a_daemon_without_a_name_has_buttons_all_the_same(address, desktop_popups):
    """What GetServerInformation is for is a nicety."""
    server = FakeServer(["actions"])
    with daemon(address, desktop_popups, server):
        desktop_popups.show(LIMIT)
    assert server.shown[0]["actions"] == OFFERED


def test_no_buttons_without_the_ability_or_without_anyone_to_answer(address, desktop_popups):
    """The popup itself is shown."""
    server = ButtonServer(["body"])
    with daemon(address, desktop_popups, server):
        desktop_popups.show(LIMIT, replace(LIMIT, body="more"))
    able = ButtonServer()
    with daemon(address, desktop_popups, able):
        assert DesktopPopups(desktop_popups.bus).show(LIMIT)
    assert [one["actions"] for one in server.shown + able.shown] == [[], [], []]
    assert [one["replaces"] for one in server.shown] == [0, 1]


def test_a_click_on_a_popup_of_the_daemon_before_does_nothing(address, desktop_popups):
    """Number 1 is another one's now; and what the new daemon can is asked anew."""
    first, second = ButtonServer(["body", "actions"]), ButtonServer(["body", "actions"], "Xfce Notify Daemon")
    with daemon(address, desktop_popups, first):
        desktop_popups.show(LIMIT)
    with daemon(address, desktop_popups, second) as say:
        say(lambda: second.action_invoked(1, "acknowledge"))
        desktop_popups.show(HUNG)
        say(lambda: second.action_invoked(1, "kill"))
        desktop_popups.expect(("ending:1:2", Button.KILL))
    assert [one["actions"] for one in second.shown] == [["kill", "End it now"]]


def test_a_popup_whose_buttons_change_is_shown_anew(address, desktop_popups):
    """A daemon may keep the first buttons of a popup that is replaced; with the same ones it is replaced."""
    server = ButtonServer()
    with daemon(address, desktop_popups, server) as say:
        same, fewer = replace(LIMIT, body="4 GPUs"), replace(LIMIT, buttons=BUTTONS[2:])
        desktop_popups.show(LIMIT, same, fewer)
        assert [(one["id"], one["replaces"]) for one in server.shown] == [(1, 0), (1, 1), (2, 0)]
        assert server.shown[2]["actions"] == OFFERED[4:]
        assert server.closed == [1]
        say(lambda: server.action_invoked(1, "acknowledge"))
        say(lambda: server.action_invoked(2, "show"))
        desktop_popups.expect(("limit", Button.SHOW))


def test_an_answer_that_fails_leaves_the_popups_working(address, desktop_popups, caplog):
    """It is logged, and the next click is answered."""
    server = ButtonServer()
    desktop_popups.error = RuntimeError("the store is locked")
    with daemon(address, desktop_popups, server) as say:
        desktop_popups.show(LIMIT)
        say(lambda: server.action_invoked(1, "acknowledge"))
        desktop_popups.expect(("limit", Button.ACKNOWLEDGE))
        desktop_popups.show(LIMIT)
        say(lambda: server.action_invoked(2, "show"))
        desktop_popups.expect(("limit", Button.ACKNOWLEDGE), ("limit", Button.SHOW))
    assert "what acknowledge asked for could not be done" in caplog.text


# --- real daemons ---------------------------------------------------------------------------------------


@contextmanager
def real(desk, start):
    """Run a real daemon on the desktop instead of its dunst."""
    wait_until(lambda: panel_has_room(desk), "the panel's room, or popups come up under it")
    desk.stop_notifier()
    start()
    try:
        with answering(desk.address) as popups:
            wait_until(lambda: popups.sink._registry.owner, "the daemon to be known")
            yield popups
    finally:
        desk.stop_notifier()
        desk.start_notifier("dunst")


def panel_has_room(desk):
    """Whether the window manager keeps others out of the panel at the top."""
    command = ["xprop", "-root", "_NET_WORKAREA"]
    answer = subprocess.run(
        command, env=desk.environment, check=True, capture_output=True, text=True, timeout=60
    )
    return answer.stdout.split(",")[1].strip() != "0"


def window(desk, name):
    """Where the popup is on the screen, as (left, top, right, bottom); None while there is none."""
    found = desk._xdotool("search", "--onlyvisible", "--name", f"^{name}$", check=False).split()
    for number in found:
        answer = desk._xdotool("getwindowgeometry", "--shell", number, check=False)
        shape = dict(line.split("=") for line in answer.splitlines() if "=" in line)
        if int(shape.get("WIDTH", 0)) > 100:
            left, top, width, height = (int(shape[part]) for part in ("X", "Y", "WIDTH", "HEIGHT"))
            return left, top, left + width, top + height
    return None


def drawn_buttons(desk, picture):
    """Return the middles of the buttons of xfce4-notifyd's popup, from the left: grey boxes on white."""
    box = wait_until(lambda: window(desk, "xfce4-notifyd"), "the popup's window")
    with Image.open(desk.screenshot(picture)) as shot:
        popup = shot.convert("L").crop(box)
    row = popup.height - 38  # through the upper part of the buttons, above their letters
    inked = [column for column in range(2, popup.width - 2) if popup.getpixel((column, row)) < 252]
    starts = [column for column in inked if column - 1 not in inked]
    ends = [column for column in inked if column + 1 not in inked]
    wide = [(first, last) for first, last in zip(starts, ends, strict=True) if last - first > 30]
    return [(box[0] + (first + last) // 2, box[1] + row + 8) for first, last in wide]


def test_xfce4_notifyd_draws_the_buttons_and_a_real_click_is_answered(desk, tmp_path):
    """Three buttons and no fourth one for the body; the popup goes, and a click beside them is no answer."""
    shots = rig.shots(tmp_path)
    with real(desk, lambda: desk.start_notifier("xfce4-notifyd")) as popups:
        popups.show(LIMIT)
        picture = shots / "popup-buttons-xfce4-notifyd.png"
        wait_until(lambda: len(drawn_buttons(desk, picture)) == 3, "three buttons on the screen")
        places = drawn_buttons(desk, picture)
        desk.left_click(places[1])
        popups.expect(("limit", Button.SNOOZE))
        wait_until(lambda: window(desk, "xfce4-notifyd") is None, "the popup to go")
        popups.show(LIMIT, replace(LIMIT, body="4 GPUs", severity=Severity.CRITICAL, buttons=(Button.KILL,)))
        picture = shots / "popup-other-buttons-xfce4-notifyd.png"
        wait_until(lambda: len(drawn_buttons(desk, picture)) == 1, "the one button of the changed popup")
        left, top, _right, _bottom = window(desk, "xfce4-notifyd")
        desk.left_click((left + 20, top + 20))
        wait_until(lambda: window(desk, "xfce4-notifyd") is None, "the popup to go")
        popups.show(HUNG)
        wait_until(lambda: len(drawn_buttons(desk, picture)) == 1, "the button")
        desk.left_click(drawn_buttons(desk, picture)[0])
        popups.expect(("limit", Button.SNOOZE), ("ending:1:2", Button.KILL))


def test_dunst_shows_by_a_middle_click_and_the_popup_goes(desk, tmp_path):
    """Also where dunst is told to leave it on the screen; a lone button is not what the click means."""
    settings = tmp_path / "dunstrc"
    settings.write_text(rig.DUNST + "mouse_middle_click = do_action\n")
    command = ["dunst", "-config", str(settings)]
    with real(desk, lambda: desk._start("notifier", command, rig.NOTIFICATIONS)) as popups:
        for popup, expected in ((HUNG, []), (LIMIT, [("limit", Button.SHOW)])):
            popups.show(popup)
            left, top, _right, _bottom = wait_until(lambda: window(desk, "Dunst"), "the popup's window")
            rig.settle(0.3)
            desk.screenshot(rig.shots(tmp_path) / f"popup-dunst-{len(popup.buttons)}-buttons.png")
            desk.move((left + 60, top + 20))
            desk._xdotool("click", "2")
            wait_until(lambda: window(desk, "Dunst") is None, "the popup to go")
            wait_until(lambda clicks=expected: popups.clicks == clicks, "the click to be answered")
