"""A real notification daemon that stands still for 20 s, as on a busy machine, or dies; a whole tray."""

from __future__ import annotations

import json
import os
import signal
from contextlib import contextmanager, suppress

import pytest

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level
from tests.driver.scenario import FakeGpu, Scenario
from tests.e2e import rig
from tests.e2e.client import CallError
from tests.e2e.test_popup_buttons import drawn_buttons, panel_has_room, window
from tests.support.installed import busy
from tests.support.timing import wait_until

pytestmark = [pytest.mark.desktop, pytest.mark.driver]

OK, SNOOZED, WARNING = (drawing.COLOURS[level] for level in (Level.OK, Level.SNOOZED, Level.WARNING))
CALM = Scenario(gpus=[FakeGpu.numbered(0), FakeGpu.numbered(1)])
BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
STANDSTILL = 20.0  # seconds


def owner(desk):
    """The PID of the daemon that the bus knows."""
    (pid,) = desk.client.call(BUS, "GetConnectionUnixProcessID", "s", rig.NOTIFICATIONS)
    return pid


@pytest.fixture
def daemon(desk):
    """Yield the PID of a running xfce4-notifyd, which may be stopped."""
    wait_until(lambda: panel_has_room(desk), "the panel's room, or popups come up under it")
    desk.stop_notifier()
    desk.start_notifier("xfce4-notifyd")
    pid = owner(desk)
    yield pid
    with suppress(CallError, ProcessLookupError):
        if (other := owner(desk)) != pid:  # the bus has started one itself
            os.kill(other, signal.SIGTERM)
    desk.stop_notifier()
    desk.start_notifier("dunst")


def asked(desk, words):
    """How often a popup with these words in its text was sent to the daemon."""
    return sum(
        words in f"{one.body[3]} {one.body[4]}" for one in list(desk.monitor.heard) if one.member == "Notify"
    )


@contextmanager
def standing_still(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def met(desk, words="gpuwatch-tray is watching"):
    """The greeting was shown, so that the daemon need not be asked what it can; it is closed."""
    shown = wait_until(lambda: [one for one in desk.notifications() if words in one.title], "the greeting")
    peer = (rig.NOTIFICATIONS, "/org/freedesktop/Notifications", rig.NOTIFICATIONS)
    desk.client.call(peer, "CloseNotification", "u", shown[-1].id)
    wait_until(lambda: window(desk, "xfce4-notifyd") is None, "it to go")


@pytest.mark.configured(POLL_SEC=0.3, notify="EMAIL_WHEN=never\n")
def test_a_daemon_that_stands_still_shows_one_popup_whose_buttons_work(
    installed, desk, start, two, daemon, tmp_path
):
    """However many polls go by: it is asked once, the history says "shown", and a click on it acts."""
    installed.play(CALM)
    start()
    desk.icon_position(OK)
    met(desk)
    words = "2 GPUs in use; the limit is 1"
    before, shown_before = asked(desk, words), len(desk.notifications())
    with standing_still(daemon):
        installed.play(busy(*two))
        wait_until(lambda: asked(desk, words) > before, "the popup to be sent")
        rig.settle(STANDSTILL)
        assert asked(desk, words) - before == 1
    wait_until(lambda: len(desk.notifications()) > shown_before, "the late answer")
    picture = rig.shots(tmp_path) / "popup-slow-xfce4-notifyd.png"
    wait_until(lambda: len(drawn_buttons(desk, picture)) == 3, "three buttons on the screen")
    rig.settle(2.0)  # some polls more
    assert asked(desk, words) - before == 1
    told = json.loads(installed.run("alerts", "--json").stdout)["active"][0]["history"]
    said = [entry["what"] for entry in told]
    assert said.count("popup shown") == 1
    assert "popup could not be shown" not in said
    desk.left_click(drawn_buttons(desk, picture)[1])
    desk.icon_position(SNOOZED)
    wait_until(lambda: window(desk, "xfce4-notifyd") is None, "the popup to go")


@pytest.mark.configured(POLL_SEC=0.3, TO_EMAIL="")
def test_a_reminder_whose_daemon_dies_is_told_by_the_next_one(installed, desk, start, daemon):
    """It is on file until a popup about it was shown."""
    installed.play(CALM)
    start()
    desk.icon_position(OK)
    met(desk)
    words = "2 GPUs free"
    before, shown_before = asked(desk, words), len(desk.notifications())
    with standing_still(daemon):
        answer = installed.run("when", "free", "2", "--for", "1s")
        assert answer.returncode == 0, answer.stderr
        wait_until(lambda: asked(desk, words) > before, "the popup to be sent", timeout=90)
        rig.settle(3.0)  # longer than anybody waits for an answer
        assert len(desk.notifications()) == shown_before
        os.kill(daemon, signal.SIGKILL)
    wait_until(lambda: len(desk.notifications()) > shown_before, "the popup by the next daemon")
    assert words in desk.notifications()[-1].title + desk.notifications()[-1].body
    wait_until(lambda: "free" not in installed.run("when", "list").stdout, "the reminder to be over")
