"""One tray a session, and the word about a missing panel, on a real bus."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import pytest

from gpuwatch_tray.desktop.dbus import SessionBus
from gpuwatch_tray.tray.backends import statusnotifier
from gpuwatch_tray.tray.backends.statusnotifier import WATCHER, MissingHostDetector
from tests.e2e import rig
from tests.e2e.client import BusClient
from tests.support.timing import wait_until

pytestmark = pytest.mark.desktop

HOLD = """
import sys, time
from gpuwatch_tray.desktop.dbus import SessionBus
from gpuwatch_tray.tray.backends import statusnotifier
print(statusnotifier.claim_name(SessionBus.connect(sys.argv[1]), statusnotifier.BUS_NAME), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def connect(address):
    buses = []

    def join():
        buses.append(SessionBus.connect(address))
        return buses[-1]

    yield join
    for bus in buses:
        bus.close()


def test_the_second_tray_of_a_session_learns_the_pid_of_the_first(address, client, connect):
    """Across processes; a name of something else is free, and the death of the first frees its name."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout.readline() == "None\n"  # it was free
        bus = connect()
        assert statusnotifier.claim_name(bus, statusnotifier.BUS_NAME) == first.pid
        assert statusnotifier.claim_name(bus, statusnotifier.bus_name_for("demo")) is None
        first.kill()
        first.wait(60)
    wait_until(lambda: not client.owner(statusnotifier.BUS_NAME), "the name to be free")
    assert statusnotifier.claim_name(bus, statusnotifier.BUS_NAME) is None
    assert statusnotifier.claim_name(bus, statusnotifier.BUS_NAME) is None  # ours already
    assert statusnotifier.claim_name(connect(), statusnotifier.BUS_NAME) == os.getpid()


def test_a_bus_that_is_gone_costs_the_name_only(connect, caplog):
    """Then there is no other tray to speak of."""
    bus = connect()
    bus._connection.disconnect()
    assert statusnotifier.claim_name(bus, statusnotifier.BUS_NAME) is None
    assert "could not be taken" in caplog.text


def test_a_session_without_a_panel_is_told_over_the_bus_itself(bus):
    """`notify` may call over the bus, for it is on a thread of its own."""
    told, heard = [], threading.Event()

    def notify(text):
        told.append((text, bus.call(statusnotifier.DAEMON, "NameHasOwner", "s", [WATCHER])))
        heard.set()

    MissingHostDetector(bus, notify, {"XDG_CURRENT_DESKTOP": "sway"}, timeout=0.2).start()
    assert heard.wait(60)
    assert told == [(told[0][0], [False])]
    assert "waybar" in told[0][0]


def test_a_panel_that_comes_in_time_is_no_news(address, bus):
    """The countdown ends with the first host, and its going begins another."""
    told = threading.Event()
    detector = MissingHostDetector(bus, lambda _: told.set(), {}, timeout=30.0)
    detector.start()
    wait_until(lambda: detector._countdown is not None, "the countdown")
    with BusClient(address) as panel:
        panel.call(("org.freedesktop.DBus", "/", "org.freedesktop.DBus"), "RequestName", "su", WATCHER, 4)
        wait_until(lambda: detector._countdown is None, "the countdown to end")
    wait_until(lambda: detector._countdown is not None, "another countdown")
    assert not told.is_set()


# --- the whole program --------------------------------------------------------------------------------


@pytest.fixture
def start_in(installed):
    """Start the installed program with these words, in an environment of this desktop or of none."""
    running = []

    def begin(environment, *words):
        log = installed.folder / f"{len(running)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [installed.script, *words],
                env=environment | installed.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=installed.folder,
            )
        running.append(process)
        return process, log

    yield begin
    for process in running:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def ask(installed, environment, *words):
    return subprocess.run(
        [installed.script, *words],
        env=environment | installed.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def reachable(installed, environment):
    wait_until(lambda: ask(installed, environment, "status").returncode == 0, "an answer to status")


def the_story(installed, environment, first, face):
    """Check a second start, `status`, `quit`, and that all is gone afterwards."""
    bare = {"PATH": environment["PATH"]}  # cron's: no session at all
    reachable(installed, bare)
    told = json.loads(ask(installed, bare, "status", "--json").stdout)
    assert (told["pid"], told["face"], len(told["gpus"])) == (first.pid, face, 2)

    second = ask(installed, environment)
    assert (second.returncode, second.stderr) == (0, "")
    assert f"{face}, PID {first.pid} is already watching" in second.stdout
    assert f"{told['state']}: {told['headline']}" in second.stdout

    ended = ask(installed, bare, "quit")
    assert (ended.returncode, ended.stdout) == (0, f"ended: {face}, PID {first.pid}\n")
    assert first.wait(60) == 0
    for words in (["status"], ["quit"]):
        done = ask(installed, bare, *words)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)


@pytest.mark.driver
def test_a_second_start_status_and_quit_reach_the_tray(installed, desk, start_in):
    """From the session and from cron; afterwards the icon, the name and the socket are gone."""
    first, _ = start_in(desk.environment)
    desk.item()
    wait_until(lambda: desk.client.owner(statusnotifier.BUS_NAME), "the bus name")
    the_story(installed, desk.environment, first, "tray")
    assert not desk.client.owner(statusnotifier.BUS_NAME)
    assert not list(installed.folder.rglob("*.sock"))
    assert not list((desk.folder / "runtime").rglob("*.sock"))


@pytest.mark.driver
def test_a_second_demo_is_no_second_icon(installed, desk, start_in):
    """It prints the first one's status and leaves with 0; a real one beside it is another matter."""
    first, _ = start_in(desk.environment, "--demo")
    desk.item()
    wait_until(lambda: ask(installed, desk.environment, "status", "--demo").returncode == 0, "the demo")
    second = ask(installed, desk.environment, "--demo")
    assert (second.returncode, second.stderr) == (0, "")
    assert f"tray, PID {first.pid} is already watching" in second.stdout
    assert ask(installed, desk.environment, "status").returncode == 1
    ended = ask(installed, desk.environment, "quit", "--demo")
    assert (ended.returncode, ended.stdout) == (0, f"ended: tray, PID {first.pid}\n")
    assert first.wait(60) == 0


@pytest.mark.driver
def test_without_any_desktop_it_is_headless_and_reached_all_the_same(installed, start_in):
    """No bus and no display: it says so, goes on, and `status` and `quit` work."""
    rig.require()
    bare = {"PATH": os.environ["PATH"]}
    first, log = start_in(bare)
    the_story(installed, bare, first, "watch")
    assert log.read_text().startswith("No desktop here (")


@pytest.mark.driver
def test_an_unknown_backend_is_wrong_use(installed, desk):
    """One line that names the variable, exit code 2."""
    done = ask(installed, desk.environment | {"PYSTRAY_BACKEND": "qt"})
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "PYSTRAY_BACKEND: expected appindicator, gtk, xorg, dummy or unset, got 'qt'" in done.stderr
