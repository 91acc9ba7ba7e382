"""The main job, end to end: the installed program on a driver, a panel, a popup daemon and a mail server."""

from __future__ import annotations

import sys
import time

import pytest
from filelock import FileLock, Timeout

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level
from gpuwatch_tray.tray.backends import statusnotifier
from tests.driver.scenario import DRIVER_NOT_LOADED, FakeGpu, FakeProcess, Scenario
from tests.e2e import rig
from tests.e2e.app import wait_for_polls
from tests.support.installed import MIB, busy, closed_port
from tests.support.mailserver import MailServer
from tests.support.timing import slowness, wait_until
from tests.support.workers import workers

pytestmark = [
    pytest.mark.desktop,
    pytest.mark.driver,
    # nobody moves the mouse here
    pytest.mark.configured(POLL_SEC=0.3, notify="EMAIL_WHEN=always\n", greeted=True),
]

OK, WARNING, NO_DATA = (drawing.COLOURS[level] for level in (Level.OK, Level.WARNING, Level.NO_DATA))


def test_the_main_job(installed, desk, start, tmp_path):  # noqa: PLR0915  # one story, told once
    """Icon, menu, warning, popup, one mail a cooldown, the panel's restart, the end of the alert, Quit."""
    calls = tmp_path / "calls"
    shots = rig.shots(tmp_path / "shots")
    popups_before = len(desk.notifications())
    with workers(tmp_path, ["train.py"], ["eval.py"]) as (one, two), MailServer() as server:
        installed.mail_through(server)
        calm = Scenario(gpus=[FakeGpu.numbered(0, FakeProcess(one.pid, 2828 * MIB)), FakeGpu.numbered(1)])
        installed.play(Scenario(gpus=calm.gpus, calls=calls))
        began = time.monotonic()
        app = start()
        desk.item()
        print(f"registered after {time.monotonic() - began:.2f} s")
        desk.icon_position(OK)

        installed.play(Scenario(gpus=busy(one.pid, two.pid).gpus, calls=calls))
        position = desk.icon_position(WARNING)
        popup = wait_until(lambda: desk.notifications()[popups_before:], "the popup")[0]
        assert "More GPUs in use than the limit" in popup.title
        assert "2 GPUs in use; the limit is 1" in popup.body
        (mail,) = wait_until(lambda: server.messages, "the mail", timeout=60)
        assert "- GPU_COUNT(2) > GPU_LIMIT(1)" in mail.text
        assert mail.message["Subject"].startswith("[GPU Watchdog] ada@")
        assert (mail.tls, mail.user) == (True, server.user)  # STARTTLS, and a login

        labels = desk.labels()
        assert any("train.py · " in label and label.endswith(f" · PID {one.pid}") for label in labels)
        assert any("eval.py · " in label and label.endswith(f" · PID {two.pid}") for label in labels)
        assert "2 GPUs in use; the limit is 1" in labels[0]
        closed = desk.windows()
        desk.right_click(position)
        wait_until(lambda: desk.windows() - closed, "the menu's window")
        desk.key("Down", "Down", "Down", "Right")
        rig.settle()
        desk.screenshot(shots / "main-job-menu.png")
        desk.close_menu()

        # the second poll, and the third, send and show nothing
        wait_for_polls(calls, 12)
        assert (len(server.messages), len(desk.notifications()) - popups_before) == (1, 1)

        # an hour later it is told once more, under the same popup
        installed.age_deliveries(3660)
        wait_until(lambda: len(server.messages) == 2, "the mail after the cooldown", timeout=60)
        again = wait_until(lambda: desk.notifications()[popups_before + 1 :], "the popup again")[0]
        assert again.replaces == popup.id
        wait_for_polls(calls, 12)
        assert (len(server.messages), len(desk.notifications()) - popups_before) == (2, 2)

        # the panel goes and comes back, and so does the icon
        desk.stop_panel()
        desk.start_panel()
        desk.icon_position(WARNING)

        # the alert is over: green, and its popup is taken from the screen
        installed.play(Scenario(gpus=calm.gpus, calls=calls))
        desk.icon_position(OK)
        wait_until(lambda: again.id in desk.closed_notifications(), "the popup to close")

        began = time.monotonic()
        desk.click("Quit")
        assert app.quit() == 0
        assert time.monotonic() - began < 2 * slowness()
        desk.icon_gone(OK)
    assert "Traceback" not in app.log.read_text()


def test_missing_data_is_never_green(installed, desk, start):
    """A driver that goes away turns the icon to "no data" with the reason, and back when it is back."""
    healthy = Scenario(gpus=[FakeGpu.numbered(0)])
    installed.play(healthy)
    start()
    desk.icon_position(OK)
    installed.play(Scenario(gpus=healthy.gpus, init_error=DRIVER_NOT_LOADED, stale=DRIVER_NOT_LOADED))
    desk.icon_position(NO_DATA)
    assert desk.labels()[0].startswith("No data: ")
    installed.play(healthy)
    desk.icon_position(OK, timeout=60)


def test_a_hang_is_shown_and_quit_still_works(installed, desk, start):
    """While a driver call never returns the icon says since when, and Quit ends the process within 2 s."""
    healthy = Scenario(gpus=[FakeGpu.numbered(0)])
    installed.play(healthy)
    app = start()
    desk.icon_position(OK)
    installed.play(Scenario(gpus=healthy.gpus, hang={"compute": 120}))
    wait_until(lambda: desk.labels()[0].startswith("No data since "), "the reason", timeout=60)
    desk.icon_position(NO_DATA)
    began = time.monotonic()
    desk.click("Quit")
    assert app.quit() == 0
    assert time.monotonic() - began < 2 * slowness()


KEPT = """
import os, sys, time
from gpuwatch_tray.cli import main
os._exit = lambda code: time.sleep(60)
sys.exit(main())
"""


def test_nothing_stays_behind_where_the_kernel_keeps_the_process(installed, desk, start):
    """A call that no signal ends keeps the process; icon, bus name, lock and socket are gone within 2 s."""
    healthy = Scenario(gpus=[FakeGpu.numbered(0)])
    installed.play(healthy)
    installed.script = installed.write("kept", f"#!{sys.executable}{KEPT}")
    installed.script.chmod(0o700)
    app = start()
    desk.icon_position(OK)
    names = [statusnotifier.BUS_NAME, desk.item()[0]]
    assert all(map(desk.client.owner, names))
    (lock,) = installed.state.glob("watching-*.lock")
    installed.play(Scenario(gpus=healthy.gpus, hang={"compute": 120}))
    wait_until(lambda: desk.labels()[0].startswith("No data since "), "the reason", timeout=60)
    desk.click("Quit")

    def gone():
        sockets = [*installed.folder.rglob("*.sock"), *(desk.folder / "runtime").rglob("*.sock")]
        return not sockets and not any(map(desk.client.owner, names)) and free(lock)

    try:
        wait_until(gone, "their going")
        assert app.process.poll() is None
    finally:
        app.process.kill()
        app.process.wait(60)


def free(lock):
    try:
        with FileLock(lock, timeout=0):
            return True
    except Timeout:
        return False


def test_a_second_start_leaves_the_first_alone(installed, desk, start):
    """A second tray prints who watches, with its status, and ends with 0."""
    first = start()
    desk.icon_position(OK)
    second = start()
    assert second.quit() == 0
    said = second.log.read_text()
    assert f"tray, PID {first.process.pid} is already watching" in said
    assert "All within limits" in said
    assert first.process.poll() is None


def test_a_broken_configuration_warns_and_goes_on(installed, desk, start):
    """With a wrong key the tray starts, shows its warning state, and names file and line."""
    before = len(desk.notifications())
    installed.write("gpu-watch.env", "POLL_SEC=0.3\nGPU_LIMIT=two\n")
    start()
    desk.icon_position(WARNING)
    labels = desk.labels()
    assert "gpu-watch.env:2:GPU_LIMIT" in "".join(labels).replace(" ", "")  # on several lines
    assert any("Email is off" in label for label in labels)
    popup = wait_until(lambda: desk.notifications()[before:], "the popup")[0]
    assert "gpu-watch.env:2: GPU_LIMIT" in popup.body


def test_send_a_test_alert_from_the_menu(installed, desk, start):
    """The menu's "Send test alert" pops up, sends a mail, and the popup says by which way."""
    before = len(desk.notifications())
    with MailServer() as server:
        installed.mail_through(server)
        start()
        desk.icon_position(OK)
        desk.click("Send test alert")
        wait_until(lambda: server.messages, "the test mail", timeout=60)
        popup = wait_until(lambda: desk.notifications()[before + 1 :], "the popup", timeout=60)[0]
        assert desk.notifications()[before].title == "Test alert"
        assert popup.title == "Test mail sent"
        assert "ada@example.org" in popup.body


def test_a_mail_the_server_refuses_waits_and_the_menu_says_why(installed, desk, start, tmp_path):
    """A server that is down leaves the mail in the outbox, named in the menu with the error."""
    port = closed_port()
    with workers(tmp_path, ["a.py"], ["b.py"]) as (one, two), MailServer() as server:
        installed.mail_through(server, port)
        installed.play(busy(one.pid, two.pid))
        start()

        def row():
            return [text for text in desk.labels() if "1 mail waits" in text and str(port) in text]

        wait_until(row, "the row", timeout=60)


def test_the_demo_tells_its_story_and_is_labelled(installed, desk, start):
    """--demo raises each rule within a minute, says in each place that it is simulated, and mails nowhere."""
    before, kept = len(desk.notifications()), sorted(installed.state.rglob("*"))
    start("--demo")
    desk.icon_position(WARNING)
    assert desk.labels()[0].startswith("SIMULATED")

    def popups():
        return [popup.body for popup in desk.notifications()[before:]]

    wait_until(lambda: len(popups()) == 2, "both rules")
    assert all("\nSIMULATED GPUs on " in body for body in popups())
    assert sorted(installed.state.rglob("*")) == kept
