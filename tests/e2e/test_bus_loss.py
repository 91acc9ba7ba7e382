"""The session bus goes away under the installed program: the drawing ends, the watching does not."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import pytest

from tests.driver.scenario import FakeGpu, Scenario
from tests.e2e import rig
from tests.e2e.app import App, wait_for_polls
from tests.e2e.client import DAEMON, BusClient
from tests.e2e.peers import FakeWatcher
from tests.support.installed import Installed, busy
from tests.support.mailserver import MailServer
from tests.support.timing import wait_until
from tests.support.workers import workers

pytestmark = [pytest.mark.desktop, pytest.mark.driver]


def test_the_watching_outlives_the_session_bus(tmp_path):
    """With the bus daemon killed the program goes on polling, mails an alert, and ends when told to."""
    rig.require()
    calls = tmp_path / "calls"
    installed = Installed(tmp_path)
    installed.configure(POLL_SEC=0.3)
    installed.met()
    installed.write("notify.env", "EMAIL_WHEN=always\n")
    with (
        workers(tmp_path, ["train.py"], ["eval.py"]) as (one, two),
        MailServer() as server,
        rig.session_bus(tmp_path) as address,
        BusClient(address) as panel,
    ):
        installed.mail_through(server)
        installed.play(Scenario(gpus=[FakeGpu.numbered(0), FakeGpu.numbered(1)], calls=calls))
        watcher = FakeWatcher()
        panel.serve("/StatusNotifierWatcher", watcher, rig.WATCHER)
        environment = {"DBUS_SESSION_BUS_ADDRESS": address, "XDG_RUNTIME_DIR": str(tmp_path)}
        app = App(installed, SimpleNamespace(environment=environment))
        try:
            wait_until(lambda: watcher.registered, "the icon's registration")
            wait_for_polls(calls, 2)
            (daemon,) = panel.call(DAEMON, "GetConnectionUnixProcessID", "s", "org.freedesktop.DBus")
            os.kill(daemon, signal.SIGKILL)
            wait_until(lambda: "the session bus is gone" in app.log.read_text(), "the loss to be noticed")
            wait_for_polls(calls, 3)
            installed.play(Scenario(gpus=busy(one.pid, two.pid).gpus, calls=calls))
            (mail,) = wait_until(lambda: server.messages, "the mail", timeout=60)
            assert "- GPU_COUNT(2) > GPU_LIMIT(1)" in mail.text
            wait_for_polls(calls, 2)
            assert app.process.poll() is None
            app.process.send_signal(signal.SIGTERM)
            assert app.quit() == 0
        finally:
            app.close()
    assert "Traceback" not in app.log.read_text()
