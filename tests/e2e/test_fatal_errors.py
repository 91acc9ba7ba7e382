"""A tray that cannot go on says so on the desktop: at login nobody reads standard error."""

from __future__ import annotations

import subprocess
import sys

import pytest
from filelock import FileLock

from gpuwatch_tray.common import host
from gpuwatch_tray.ipc.lock import StoreLock
from gpuwatch_tray.tray.backends import statusnotifier
from tests.support.installed import Installed
from tests.support.timing import wait_until

pytestmark = [pytest.mark.desktop, pytest.mark.driver]

# The tray, with a fault that nobody foresaw on its main thread.
PROGRAM = """
import sys
from gpuwatch_tray.cli import main
from gpuwatch_tray.app import tray_app

def fail():
    raise ValueError("boom --token hf_canary0123456789abcdefghijkl")

tray_app.LINGER = 0.0
if sys.argv.pop(1) == "fault":
    tray_app._settle_memory = fail
sys.exit(main())
"""


@pytest.fixture
def run_to_the_end(tmp_path, desk):
    """Run the tray to its end; what it wrote to standard error."""
    installed = Installed(tmp_path)
    environment = desk.environment | installed.environment

    def begin(kind):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, kind],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        return done.stderr

    begin.installed = installed
    return begin


def test_a_fault_of_the_main_thread_is_logged_and_pops_up_once(run_to_the_end, desk):
    """With its kind, without the secret in it; the icon is gone by then."""
    before = len(desk.notifications())
    run_to_the_end("fault")
    (popup,) = wait_until(lambda: desk.notifications()[before:], "the popup")
    assert popup.title == "The GPUs are no longer watched"
    assert popup.body.startswith("ValueError: boom --token ***")
    (log,) = run_to_the_end.installed.state.glob("log/*.log")
    assert "Traceback" in log.read_text()
    assert "hf_canary" not in log.read_text() + popup.body


def test_a_state_that_cannot_be_kept_there_ends_nothing(run_to_the_end, desk):
    """The tray watches all the same, with its state elsewhere, and says so in a popup and in `status`."""
    installed = run_to_the_end.installed
    installed.state.write_text("a file where a folder is needed")
    before = len(desk.notifications())
    with subprocess.Popen(
        [installed.script], env=desk.environment | installed.environment, stdin=subprocess.DEVNULL
    ) as running:
        try:
            popups = wait_until(lambda: desk.notifications()[before:], "the popup")
            assert str(installed.state) in popups[0].body
            assert str(installed.state) in installed.run("status", **desk.environment).stdout
        finally:
            running.terminate()
            running.wait(60)


def test_a_lock_that_nobody_answers_for_pops_up_with_its_mend(run_to_the_end, desk):
    """Somebody keeps the tray from watching: at login that is told on the desktop; no icon is left."""
    state = run_to_the_end.installed.state
    state.mkdir()
    lock = StoreLock(state, host.host()).path
    before = len(desk.notifications())
    with FileLock(lock, timeout=0):
        reason = f"{lock} is locked, but no process answers for it: end the process that `fuser` shows"
        assert reason in run_to_the_end("lock")
        (popup,) = wait_until(lambda: desk.notifications()[before:], "the popup")
    assert popup.title == "The GPUs are no longer watched"
    assert popup.body.startswith(reason)
    assert "doctor" in popup.body
    assert not list(state.glob("state-*.sqlite3"))
    assert not desk.client.owner(statusnotifier.BUS_NAME)
