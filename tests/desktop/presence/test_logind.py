"""logind: the session's lock and idle hint, over the system bus."""

from __future__ import annotations

import asyncio
import time

import pytest

from gpuwatch_tray.desktop.presence.dbus_sources import Logind
from gpuwatch_tray.desktop.presence.detector import DesktopPresence
from gpuwatch_tray.desktop.presence.types import SuspendLog, moment
from gpuwatch_tray.model import Presence
from tests.desktop.presence.services import LOGIND, SESSIONS, FakeManager, FakeSession
from tests.e2e import rig
from tests.e2e.client import BusClient
from tests.support.timing import slowness, wait_until

pytestmark = pytest.mark.desktop

AWAY = 60.0


@pytest.fixture
def system(tmp_path):
    """Start a private system bus; yield its address."""
    with rig.session_bus(tmp_path) as where:
        yield where


class Machine:
    """logind on the system bus."""

    def __init__(self, address, sessions=None, *, hangs=False):
        self.client = BusClient(address)
        self.session = FakeSession()
        self.manager = FakeManager({"auto": f"{SESSIONS}/_31"} if sessions is None else sessions, hangs=hangs)
        self.client.serve(f"{SESSIONS}/_31", self.session)
        self.client.serve("/org/freedesktop/login1", self.manager, LOGIND)

    def change(self, **what):
        self.client.do(lambda: self.session.change(**what))

    def close(self):
        self.client.close()


@pytest.fixture
def logind(system):
    running = Machine(system)
    yield running
    running.close()


@pytest.fixture
def watch_logind(bus, system):
    """Make a watcher with logind alone; closed at the end."""
    made = []

    def make(**environ):
        suspends = SuspendLog()
        environ = {"DBUS_SYSTEM_BUS_ADDRESS": system} | environ
        made.append(DesktopPresence([Logind(bus, environ, suspends, reconnect_after=0.1)], AWAY, suspends))
        return made[-1]

    yield make
    for one in made:
        one.close()


def known(watcher):
    """Wait until logind has answered."""
    wait_until(lambda: watcher.sources()[-1].endswith("not locked, and no idle hint"), "logind's answer")


def test_a_locked_session_is_away_at_once(watch_logind, logind):
    """By PropertiesChanged alone; a session that is not locked says nothing of the person."""
    watcher = watch_logind()
    known(watcher)
    assert watcher.check().presence is Presence.UNKNOWN
    began = time.monotonic()
    logind.change(locked=True)
    wait_until(lambda: watcher.check().presence is Presence.AWAY, "away")
    assert time.monotonic() - began < 5 * slowness()
    assert watcher.check().source == "logind (locked)"
    logind.change(locked=False)
    wait_until(lambda: watcher.check().presence is Presence.UNKNOWN, "unlocked")


def test_a_session_locked_before_we_came_is_known(watch_logind, logind):
    """It is asked for."""
    logind.session.locked = True
    watcher = watch_logind()
    wait_until(lambda: watcher.check().source == "logind (locked)", "the lock")


def test_an_idle_hint_counts_from_its_own_time(watch_logind, logind):
    """Set for longer than the limit it is away; for less it says nothing, and it is never present."""
    watcher = watch_logind()
    known(watcher)
    logind.change(idle=(True, moment().awake - AWAY + 30))
    wait_until(lambda: "at least this long without input" in watcher.sources()[-1], "the hint")
    assert watcher.check().presence is Presence.UNKNOWN
    logind.change(idle=(True, moment().awake - AWAY - 1))
    wait_until(lambda: watcher.check().presence is Presence.AWAY, "away")
    assert watcher.check().source == "logind (idle hint)"
    assert watcher.check().idle == pytest.approx(AWAY + 1, abs=5)
    logind.change(idle=(False, moment().awake))
    wait_until(lambda: watcher.check().presence is Presence.UNKNOWN, "no hint")


def test_the_session_of_the_environment_is_watched(watch_logind, logind):
    """XDG_SESSION_ID names it."""
    logind.manager.sessions = {"7": f"{SESSIONS}/_31"}
    known(watch_logind(XDG_SESSION_ID="7"))
    assert logind.manager.asked == ["7"]


def test_a_session_that_ended_long_ago_is_not(watch_logind, logind):
    """A terminal multiplexer keeps the id of its first login: then it is the session with the display."""
    known(watch_logind(XDG_SESSION_ID="gone"))
    assert logind.manager.asked == ["gone", "auto"]


def test_logind_restarts(watch_logind, system):
    """Its last word goes with it, and the next one is heard."""
    first = Machine(system)
    watcher = watch_logind()
    known(watcher)
    first.change(locked=True)
    wait_until(lambda: watcher.check().presence is Presence.AWAY, "away")
    first.close()
    wait_until(lambda: watcher.sources()[-1] == "logind: not running", "its end")
    assert watcher.check().presence is Presence.UNKNOWN
    second = Machine(system)
    known(watcher)
    second.change(locked=True)
    wait_until(lambda: watcher.check().presence is Presence.AWAY, "away again")
    second.close()


def test_a_user_without_a_session_is_told_so(watch_logind, system):
    """As in a container: the reason stands in the doctor's line."""
    logind = Machine(system, {})
    watcher = watch_logind()
    wait_until(lambda: "no session 'auto' known" in watcher.sources()[-1], "the reason")
    logind.close()


def test_no_system_bus_is_no_obstacle(watch_logind):
    """It is said, and tried again."""
    watcher = watch_logind(DBUS_SYSTEM_BUS_ADDRESS="unix:path=/nowhere")
    wait_until(lambda: "no system bus at unix:path=/nowhere" in watcher.sources()[-1], "the reason")
    assert watcher.check().presence is Presence.UNKNOWN


def test_the_system_bus_restarts(watch_logind, tmp_path, capfd):
    """The session's bus is not touched by it, nothing is printed, and logind is found again."""
    address = f"unix:path={tmp_path}/again/bus"
    (tmp_path / "again").mkdir()
    with rig.session_bus(tmp_path / "again"):
        logind = Machine(address)
        logind.session.locked = True
        watcher = watch_logind(DBUS_SYSTEM_BUS_ADDRESS=address)
        wait_until(lambda: watcher.check().presence is Presence.AWAY, "away")
    wait_until(lambda: watcher.check().presence is Presence.UNKNOWN, "its end")
    logind.close()
    (tmp_path / "again" / "bus").unlink(missing_ok=True)
    with rig.session_bus(tmp_path / "again"):
        logind = Machine(address)
        known(watcher)
        logind.close()
    assert capfd.readouterr().err == ""


def test_a_logind_that_never_answers_holds_up_nobody(watch_logind, system, bus):
    """The session bus goes on, and the end does not wait."""
    logind = Machine(system, hangs=True)
    watcher = watch_logind()
    wait_until(lambda: logind.manager.asked, "the question")
    began = time.monotonic()
    assert watcher.check().presence is Presence.UNKNOWN
    done = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), bus.loop)
    done.result(1)
    watcher.close()
    assert time.monotonic() - began < 0.5 * slowness()
    logind.close()
