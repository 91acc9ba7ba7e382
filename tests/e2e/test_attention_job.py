"""Popup, acknowledgement, presence and mail, end to end: the installed tray, a desktop, a mail server."""

from __future__ import annotations

import json
import re
import subprocess
import time

import pytest

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level
from gpuwatch_tray.sources.processes import sees_host_pids
from gpuwatch_tray.sources.terminate import TerminationResult
from tests.desktop.presence.services import FakeLocker
from tests.driver.scenario import FakeGpu, FakeProcess, Scenario
from tests.e2e import rig
from tests.e2e.app import wait_for_polls
from tests.e2e.client import BusClient
from tests.support.installed import MIB, busy
from tests.support.timing import wait_until
from tests.support.workers import workers

pytestmark = [pytest.mark.desktop, pytest.mark.driver, pytest.mark.configured(POLL_SEC=0.3, greeted=True)]

OK, SNOOZED, WARNING = (drawing.COLOURS[level] for level in (Level.OK, Level.SNOOZED, Level.WARNING))
LOCKER = "org.gnome.ScreenSaver"
ANSWER = r"end process: PID {} \(python\): (.+)"


@pytest.fixture
def lock(desk):
    """Yield the session's screen lock: call it with True to lock, with False to unlock."""
    with BusClient(desk.address) as client:
        locker = FakeLocker(LOCKER)
        client.serve("/org/gnome/ScreenSaver", locker, LOCKER)

        def change(locked):
            locker.active = locked
            client.do(lambda: locker.active_changed(locked))

        yield change


def somebody_is_there(desk):
    """Move the mouse, as a person at the desk does."""
    desk.move((500, 300))
    desk.move((520, 310))


def history(installed):
    found = json.loads(installed.run("alerts", "--json").stdout)
    return [(each["what"], each["why"]) for alert in found["active"] for each in alert["history"]]


def test_at_the_desk_the_popup_comes_alone_and_away_the_mail_follows(
    installed, desk, start, server, two, lock, tmp_path
):
    """Somebody who is there gets a popup and no mail; a locked screen sends the mail, for that reason."""
    calls = tmp_path / "calls"
    before = len(desk.notifications())
    installed.play(Scenario(gpus=busy(*two).gpus, calls=calls))
    somebody_is_there(desk)
    start()
    desk.icon_position(WARNING)
    popup = wait_until(lambda: desk.notifications()[before:], "the popup")[0]
    assert "2 GPUs in use; the limit is 1" in popup.body
    wait_for_polls(calls, 8)
    assert server.messages == ()
    assert ("email waits", "at-the-desk") in history(installed)
    lock(True)
    wait_until(lambda: server.messages, "the mail", timeout=60)
    assert ("email queued", "first, away") in history(installed)
    lock(False)
    somebody_is_there(desk)
    wait_for_polls(calls, 4)
    assert len(server.messages) == 1


def test_who_comes_back_is_told_what_fired_meanwhile(installed, desk, start, server, two, lock, tmp_path):
    """What fires behind a locked screen is summed up in one popup when it is unlocked, also what is over."""
    calls = tmp_path / "calls"
    calm = Scenario(gpus=[FakeGpu.numbered(0), FakeGpu.numbered(1)], calls=calls)
    installed.play(calm)
    lock(True)
    somebody_is_there(desk)
    start()
    desk.icon_position(OK)
    installed.play(Scenario(gpus=busy(*two).gpus, calls=calls))
    desk.icon_position(WARNING)
    wait_until(lambda: server.messages, "the mail", timeout=60)
    installed.play(calm)
    desk.icon_position(OK)
    before = len(desk.notifications())
    somebody_is_there(desk)
    lock(False)
    popup = wait_until(lambda: desk.notifications()[before:], "the summary", timeout=60)[0]
    assert popup.title == "An alert while you were away"
    assert "2 GPUs in use; the limit is 1" in popup.body


def test_an_acknowledged_alert_leaves_the_screen_and_is_not_repeated(
    installed, desk, start, server, two, tmp_path
):
    """Acknowledge in the menu closes the popup, marks the row, and past the cooldown nobody is told again."""
    calls = tmp_path / "calls"
    before = len(desk.notifications())
    installed.write("notify.env", "EMAIL_WHEN=always\n")
    installed.play(Scenario(gpus=busy(*two).gpus, calls=calls))
    start()
    desk.icon_position(WARNING)
    popup = wait_until(lambda: desk.notifications()[before:], "the popup")[0]
    wait_until(lambda: server.messages, "the mail", timeout=60)
    desk.click("Acknowledge")
    wait_until(lambda: popup.id in desk.closed_notifications(), "the popup to close")
    wait_until(lambda: "(acknowledged)" in desk.labels()[0], "the headline")
    installed.age_deliveries(3700)
    wait_for_polls(calls, 8)
    assert (len(server.messages), len(desk.notifications()) - before) == (1, 1)
    assert ("acknowledged", "") in history(installed)


def test_a_snooze_shows_and_silences_and_its_end_tells(installed, desk, start, server, two, tmp_path):
    """Snoozing all from the menu: its own icon, no popup, no mail; "Resume" brings what fires."""
    calls = tmp_path / "calls"
    before = len(desk.notifications())
    shots = rig.shots(tmp_path / "shots")
    installed.write("notify.env", "EMAIL_WHEN=always\n")
    installed.play(Scenario(gpus=[FakeGpu.numbered(0), FakeGpu.numbered(1)], calls=calls))
    start()
    desk.icon_position(OK)
    desk.click("1 h")
    desk.icon_position(SNOOZED)
    installed.play(Scenario(gpus=busy(*two).gpus, calls=calls))
    wait_until(lambda: desk.labels()[0].startswith("Snoozed: 2 GPUs in use"), "the headline")
    wait_for_polls(calls, 6)
    desk.screenshot(shots / "snoozed.png")
    assert (server.messages, len(desk.notifications()) - before) == ((), 0)
    desk.click("Resume")
    desk.icon_position(WARNING)
    wait_until(lambda: server.messages, "the mail", timeout=60)
    assert len(desk.notifications()) - before == 1


def test_a_click_on_the_popup_shows_the_page_and_without_a_browser_the_details(
    installed, desk, start, server, two, tmp_path
):
    """A click on the popup is Show, and so is the menu's row: the page, else a popup."""
    tools = tmp_path / "tools"
    tools.mkdir()
    opener, opened = tools / "xdg-open", tools / "opened.html"
    opener.write_text("#!/bin/sh\nexit 3\n")
    opener.chmod(0o755)
    installed.environment["PATH"] = f"{tools}:{installed.environment['PATH']}"
    desk.clear_popups()
    before = len(desk.notifications())
    installed.play(busy(*two))
    somebody_is_there(desk)
    start()
    desk.icon_position(WARNING)
    wait_until(lambda: desk.notifications()[before:], "the popup")

    def clicked():  # dunst answers before the popup is on the screen
        subprocess.run(["dunstctl", "action", "0"], env=desk.environment, check=True, timeout=60)
        return desk.notifications()[before + 1 :]

    details = wait_until(clicked, "the details", pause=0.3, timeout=60)[0]
    assert details.title == "Alerts and GPU processes"
    assert all(f" · PID {pid}\n" in details.body for pid in two)

    opener.write_text(f'#!/bin/sh\ncp "$1" "{opened}.part" && mv "{opened}.part" "{opened}"\n')

    def asked():  # a click within a second of the last is that one's
        desk.click("Show details…")
        return opened.is_file()

    wait_until(asked, "the page", timeout=60, pause=0.5)
    assert "2 GPUs in use; the limit is 1" in opened.read_text()
    assert len(desk.notifications()) == before + 2


def test_end_process_reaches_the_process_that_was_shown(installed, desk, start, tmp_path):
    """The confirming row ends one's own process, in a container if it is on a GPU; its neighbour lives on."""
    with workers(tmp_path, ["train.py"], ["eval.py"]) as (doomed, other):
        mine = [FakeProcess(child.pid, 2828 * MIB) for child in (doomed, other)]
        installed.play(Scenario(gpus=[FakeGpu.numbered(0, *mine)]))
        start()
        desk.icon_position(OK)
        rows = [row for top in desk.menu() for row in top.walk()]
        (confirm,) = [row.label for row in rows if row.label.startswith(f"End PID {doomed.pid} ")]
        desk.click(confirm)
        (log,) = installed.state.glob("log/gpuwatch-tray-*.log")
        answer = wait_until(lambda: re.search(ANSWER.format(doomed.pid), log.read_text()), "the answer")[1]
        if sees_host_pids():
            assert answer == TerminationResult.SIGNALLED.value
            assert doomed.wait(60) != 0
        else:  # in a container the driver's numbers may be others', and neither has a GPU open
            assert answer == TerminationResult.OUTSIDE.value
            assert doomed.poll() is None
        time.sleep(0.3)
        assert other.poll() is None
        assert "train.py" not in next(line for line in log.read_text().splitlines() if "end process" in line)
        assert log.stat().st_mode & 0o777 == 0o600


def test_popups_leave_the_screen_with_the_tray(installed, desk, start, two):
    """A popup whose buttons nobody would hear any more is taken off at the end."""
    before = len(desk.notifications())
    installed.play(busy(*two))
    app = start()
    popup = wait_until(lambda: desk.notifications()[before:], "the popup", timeout=60)[0]
    installed.run("quit")
    assert app.quit() == 0
    wait_until(lambda: popup.id in desk.closed_notifications(), "the popup to close")
