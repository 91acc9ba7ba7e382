"""Lockers and idle monitors: services of the session bus that come, go, hang and tell."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from dbus_fast import Message, MessageType  # the tests speak the protocol too

from gpuwatch_tray.desktop.dbus import DBusCallError, Peer, SessionBus
from gpuwatch_tray.desktop.presence.dbus_sources import MONITORS, SCREEN_LOCKS, IdleMonitor, ScreenLock
from gpuwatch_tray.desktop.presence.detector import DesktopPresence
from gpuwatch_tray.desktop.presence.types import SuspendLog
from gpuwatch_tray.model import Presence, PresenceResult
from tests.desktop.presence.services import FakeLocker, FakeMonitor
from tests.e2e import rig
from tests.e2e.client import BusClient
from tests.support.timing import slowness, wait_until

pytestmark = pytest.mark.desktop

MUTTER = "org.gnome.Mutter.IdleMonitor"
GNOME = "org.gnome.ScreenSaver"
KDE = "org.freedesktop.ScreenSaver"
AWAY = 2.0


@pytest.fixture
def watch_bus():
    """Make a watcher on a bus with every locker and monitor, asked in quick succession; closed at the end."""
    made = []

    def make(bus, poll_interval=60.0):
        suspends = SuspendLog()
        lockers = [ScreenLock(bus, name, paths, poll_interval) for name, paths in SCREEN_LOCKS.items()]
        monitors = [IdleMonitor(bus, name, path, suspends, 0.05) for name, path in MONITORS.items()]
        made.append(DesktopPresence([*lockers, *monitors], AWAY, suspends))
        return made[-1]

    yield make
    for watcher in made:
        watcher.close()


@pytest.fixture
def watcher(bus, watch_bus):
    return watch_bus(bus)


def become(watcher, presence, source=None):
    """Wait until the watcher says so."""
    wait_until(
        lambda: (seen := watcher.check()).presence is presence and source in {None, seen.source},
        f"{presence} by {source}, not {watcher.check()}",
    )


def test_without_any_service_nothing_is_known(watcher):
    """And that is not called present."""
    become(watcher, Presence.UNKNOWN, "nothing here tells")
    wait_until(lambda: all("not running" in line for line in watcher.sources()[1:]), "the owners' absence")


@pytest.mark.parametrize("name", MONITORS)
def test_the_compositors_monitor_is_asked_in_milliseconds(watcher, client, name):
    """1,500 ms are 1.5 s, which is below the limit of 2 s; 2,500 ms are above it."""
    monitor = FakeMonitor(name, 1.5)
    client.serve(MONITORS[name], monitor, name)
    wait_until(lambda: watcher.check() == PresenceResult(Presence.PRESENT, name, 1.5), "present")
    monitor.idle = 2.5
    wait_until(lambda: watcher.check() == PresenceResult(Presence.AWAY, name, 2.5), "away")
    monitor.idle = 0.0
    become(watcher, Presence.PRESENT, name)


def test_a_monitor_that_goes_takes_its_word_with_it(watcher, client, address):
    """And it is believed again when it comes back under another owner."""
    with BusClient(address) as first:
        first.serve(MONITORS[MUTTER], FakeMonitor(MUTTER, 0.5), MUTTER)
        become(watcher, Presence.PRESENT, MUTTER)
    become(watcher, Presence.UNKNOWN)
    client.serve(MONITORS[MUTTER], FakeMonitor(MUTTER, 9.0), MUTTER)
    become(watcher, Presence.AWAY, MUTTER)


@pytest.mark.parametrize(
    ("name", "path"), [(name, path) for name in SCREEN_LOCKS for path in SCREEN_LOCKS[name]]
)
def test_a_locked_screen_is_away_at_once(watcher, client, name, path):
    """By the signal alone, on every path, whatever the idle monitor says; and unlocking ends it."""
    locker = FakeLocker(name)
    client.serve(MONITORS[MUTTER], FakeMonitor(MUTTER, 0.0), MUTTER)
    client.serve(path, locker, name)
    wait_until(lambda: f"{name}: not locked" in watcher.sources(), "the locker's first answer")
    become(watcher, Presence.PRESENT, MUTTER)
    began = time.monotonic()
    client.do(lambda: locker.active_changed(active=True))
    become(watcher, Presence.AWAY, f"{name} (locked)")
    assert time.monotonic() - began < 5 * slowness()
    client.do(lambda: locker.active_changed(active=False))
    become(watcher, Presence.PRESENT, MUTTER)


def test_a_screen_locked_before_we_came_is_known(client, bus, watch_bus):
    """It is asked for, as no signal will come."""
    client.serve(SCREEN_LOCKS[GNOME][0], FakeLocker(GNOME, active=True), GNOME)
    become(watch_bus(bus), Presence.AWAY, f"{GNOME} (locked)")


def test_a_signal_is_newer_than_the_answer_that_is_read_with_it(client, bus, watch_bus, monkeypatch):
    """Who locks the screen just as it is asked about is away."""
    answered, go_on = threading.Event(), asyncio.Event()
    ask = bus.call_async

    async def slow(peer, member, *values, **more):
        answer = await ask(peer, member, *values, **more)
        if member == "GetActive":
            answered.set()
            await go_on.wait()
        return answer

    monkeypatch.setattr(bus, "call_async", slow)
    locker = FakeLocker(GNOME)
    client.serve(SCREEN_LOCKS[GNOME][0], locker, GNOME)
    watcher = watch_bus(bus)
    assert answered.wait(60)
    client.do(lambda: locker.active_changed(active=True))
    become(watcher, Presence.AWAY)
    bus.post(go_on.set)
    done = threading.Event()
    bus.post(lambda: bus.loop.call_later(0.1, done.set))
    assert done.wait(60)
    assert watcher.check().presence is Presence.AWAY


def test_a_signal_that_never_came_is_made_good(client, bus, watch_bus):
    """It is asked again from time to time."""
    locker = FakeLocker(GNOME, active=True)
    client.serve(SCREEN_LOCKS[GNOME][0], locker, GNOME)
    watcher = watch_bus(bus, poll_interval=0.1)
    become(watcher, Presence.AWAY)
    locker.active = False
    become(watcher, Presence.UNKNOWN)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("", Presence.AWAY), ("org.freedesktop.DBus.Error.UnknownMethod", Presence.UNKNOWN)],
)
def test_no_answer_in_time_does_not_unlock_the_screen(client, bus, watch_bus, monkeypatch, name, expected):
    """A busy locker still has it locked; one that refuses says nothing of it."""
    client.serve(SCREEN_LOCKS[GNOME][0], FakeLocker(GNOME, active=True), GNOME)
    watcher = watch_bus(bus, poll_interval=0.05)
    become(watcher, Presence.AWAY)
    asked = []

    async def failing(*_values, **_more):
        asked.append(1)
        raise DBusCallError("it did not go well", name)

    monkeypatch.setattr(bus, "call_async", failing)
    wait_until(lambda: len(asked) > 2, "further questions")
    assert watcher.check().presence is expected


def test_a_locker_that_crashed_locks_nothing(watcher, address):
    """Its last word goes with it."""
    with BusClient(address) as one:
        one.serve(SCREEN_LOCKS[GNOME][0], FakeLocker(GNOME, active=True), GNOME)
        become(watcher, Presence.AWAY)
    become(watcher, Presence.UNKNOWN)


def test_only_the_owner_can_say_that_the_screen_is_locked(watcher, client, address, bus):
    """A signal of the same shape that another program sends to us alone changes nothing."""
    client.serve(SCREEN_LOCKS[GNOME][0], FakeLocker(GNOME), GNOME)
    wait_until(lambda: f"{GNOME}: not locked" in watcher.sources(), "the locker's first answer")
    heard = []
    bus.subscribe(Peer(GNOME, SCREEN_LOCKS[GNOME][0], GNOME), "ActiveChanged", heard.append)
    lie = Message(
        destination=bus.name,
        path=SCREEN_LOCKS[GNOME][0],
        interface=GNOME,
        member="ActiveChanged",
        message_type=MessageType.SIGNAL,
        signature="b",
        body=[True],
    )
    with BusClient(address) as other:
        # again until the subscription stands, which is made on the loop's own thread
        wait_until(lambda: heard or other.do(lambda: other.bus.send(lie)), "the lie to arrive")
    assert watcher.check().presence is Presence.UNKNOWN


def test_a_service_that_never_answers_holds_up_nobody(watcher, client, address):
    """The others are heard, a look takes no time, and the end does not wait."""
    client.serve(SCREEN_LOCKS[KDE][0], FakeLocker(KDE, hangs=True), KDE)
    with BusClient(address) as other:
        other.serve(MONITORS[MUTTER], FakeMonitor(MUTTER, 0.5), MUTTER)
        become(watcher, Presence.PRESENT, MUTTER)
    with BusClient(address) as other:
        monitor = FakeMonitor(MUTTER, hangs=True)
        other.serve(MONITORS[MUTTER], monitor, MUTTER)
        wait_until(lambda: monitor.asked, "the question")
        began = time.monotonic()
        assert watcher.check().presence is Presence.UNKNOWN
        watcher.close()
        assert time.monotonic() - began < 0.5 * slowness()


def test_the_bus_goes_away_and_the_last_word_with_it(tmp_path, watch_bus):
    """A screen that was locked then is not locked for ever."""
    with rig.session_bus(tmp_path) as address:
        bus = SessionBus.connect(address)
        with BusClient(address) as client:
            client.serve(SCREEN_LOCKS[GNOME][0], FakeLocker(GNOME, active=True), GNOME)
            watcher = watch_bus(bus)
            for _ in range(200):
                bus.loop.run_until_complete(asyncio.sleep(0.01))
                if watcher.check().presence is Presence.AWAY:
                    break
            assert watcher.check().presence is Presence.AWAY
    while bus.connected:
        bus.loop.run_until_complete(asyncio.sleep(0.01))
    assert watcher.check().presence is Presence.UNKNOWN
    bus.close()


def test_a_watch_that_was_closed_asks_no_more(watcher, client):
    """Nothing goes on in the background."""
    monitor = FakeMonitor(MUTTER, 0.5)
    client.serve(MONITORS[MUTTER], monitor, MUTTER)
    become(watcher, Presence.PRESENT)
    watcher.close()
    client.call((client.name, MONITORS[MUTTER], MUTTER), "GetIdletime")  # the bus's queue is worked off
    asked = monitor.asked
    client.call((client.name, MONITORS[MUTTER], MUTTER), "GetIdletime")
    time.sleep(0.2)
    assert monitor.asked == asked + 1
