"""The session-bus connection: what it does when nobody answers, and when there is no bus."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from pathlib import Path

import pytest

from gpuwatch_tray.desktop.dbus import (
    DAEMON,
    BusUnavailableError,
    Connection,
    DBusCallError,
    Peer,
    SessionBus,
    connection,
    session_address,
    system_address,
)
from tests.e2e import rig
from tests.e2e.client import BusClient
from tests.e2e.peers import FakeServer
from tests.e2e.rig import NOTIFICATIONS
from tests.support.timing import slowness, wait_until

pytestmark = pytest.mark.desktop

SERVER = Peer(NOTIFICATIONS, "/org/freedesktop/Notifications", NOTIFICATIONS)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("unix:path=/nowhere/bus", "No such file"),
        ("nonsense", "did not contain a transport"),
        ("carrier:pigeon=1", "unknown address transport"),
    ],
)
def test_no_bus_is_one_clear_error(address, why):
    """Whatever is wrong with the address, it is BusUnavailable with the address in it."""
    with pytest.raises(BusUnavailableError, match=why) as raised:
        SessionBus.connect(address)
    assert address in str(raised.value)


def test_a_bus_that_does_not_answer_is_given_up(tmp_path):
    """A socket that accepts and stays silent costs the time-out and no more."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "bus"))
        listening.listen()
        with pytest.raises(BusUnavailableError, match=r"did not answer within 0\.1 s"):
            SessionBus.connect(f"unix:path={tmp_path}/bus", timeout=0.1)


def test_the_address_is_the_variable_or_systemds_socket(tmp_path):
    """And without either there is none: nothing is guessed."""
    assert session_address({"DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"}) == "unix:path=/x"
    with pytest.raises(BusUnavailableError, match="DBUS_SESSION_BUS_ADDRESS is not set"):
        session_address({"XDG_RUNTIME_DIR": str(tmp_path)})
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "bus"))
        assert session_address({"XDG_RUNTIME_DIR": str(tmp_path)}) == f"unix:path={tmp_path}/bus"


def test_the_system_bus_is_the_variables_or_where_every_system_has_it(tmp_path, monkeypatch):
    """And without either there is none."""
    assert system_address({"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/x"}) == "unix:path=/x"
    monkeypatch.setattr(connection, "SYSTEM_SOCKETS", (tmp_path / "first", tmp_path / "second"))
    with pytest.raises(BusUnavailableError, match=r"no system bus: .*/first is not there"):
        system_address({})
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "second"))
        assert system_address({}) == f"unix:path={tmp_path}/second"


def test_a_call_brings_its_answer(bus):
    """From another thread than the loop's."""
    assert bus.call(DAEMON, "GetNameOwner", "s", [bus.name]) == [bus.name]


def test_an_error_reply_carries_its_name(bus):
    """The caller can tell one refusal from another."""
    with pytest.raises(DBusCallError, match="GetNameOwner") as raised:
        bus.call(DAEMON, "GetNameOwner", "s", ["no.such.name"])
    assert raised.value.name == "org.freedesktop.DBus.Error.NameHasNoOwner"


def test_a_silent_peer_costs_the_timeout(bus, client):
    """A worker thread is never held for longer."""
    client.serve(SERVER.path, FakeServer([], silent=True), SERVER.name)
    began = time.monotonic()
    with pytest.raises(DBusCallError, match=r"did not answer Notify within 0\.2 s"):
        bus.call(SERVER, "Notify", "susssasa{sv}i", ["a", 0, "", "t", "b", [], {}, -1], timeout=0.2)
    assert time.monotonic() - began < slowness()


def test_a_call_on_the_loops_own_thread_is_refused(bus):
    """It would wait for itself."""
    raised = []

    def job():
        try:
            bus.call(DAEMON, "GetId")
        except RuntimeError as error:
            raised.append(str(error))

    bus.post(job)
    assert "cannot be used on its thread" in wait_until(lambda: raised, "the refusal")[0]


def test_owners_are_told_from_the_first_on(bus, address):
    """The present owner, each change, and none."""
    owners = []
    bus.follow_owner(NOTIFICATIONS, owners.append)
    wait_until(lambda: owners == [""], "the first answer")
    with BusClient(address) as one:
        one.serve(SERVER.path, FakeServer([]), SERVER.name)
        wait_until(lambda: owners == ["", one.name], "the owner")
        name = one.name
    wait_until(lambda: owners == ["", name, ""], "its end")


def test_a_change_of_owner_is_newer_than_the_answer_that_is_read_with_it(bus, client, monkeypatch):
    """Else the panel that starts just as we ask would be forgotten as soon as it is there."""
    owners, answered, go_on = [], threading.Event(), asyncio.Event()
    ask = bus.call_async

    async def slow(peer, member, *values, **more):
        try:
            return await ask(peer, member, *values, **more)
        finally:
            if member == "GetNameOwner":
                answered.set()
                await go_on.wait()

    monkeypatch.setattr(bus, "call_async", slow)
    bus.follow_owner(NOTIFICATIONS, owners.append)
    assert answered.wait(60)
    client.serve(SERVER.path, FakeServer([]), SERVER.name)
    wait_until(lambda: owners == [client.name], "the change")
    bus.post(go_on.set)
    done = threading.Event()
    bus.post(lambda: bus.loop.call_later(0.1, done.set))
    assert done.wait(60)
    assert owners == [client.name]


def test_another_bus_is_joined_on_the_same_loop(bus, tmp_path):
    """It is asked and heard there; when it goes, it is told, calls fail, and the first one goes on."""
    heard, told = [], []

    def run(work):
        return asyncio.run_coroutine_threadsafe(work, bus.loop).result(5)

    with rig.session_bus(tmp_path) as where:
        other = run(Connection.open(where, "system bus"))
        other.on_lost(lambda: told.append("lost"))
        with BusClient(where) as client:
            server = FakeServer([])
            client.serve(SERVER.path, server, SERVER.name)
            assert run(other.call_async(SERVER, "GetCapabilities")) == [[]]
            run(other.subscribe_now(SERVER, "NotificationClosed", heard.append))
            client.do(lambda: server.notification_closed(7, 1))
            wait_until(lambda: heard, "the signal")
    wait_until(lambda: told, "the loss")
    with pytest.raises(DBusCallError, match="the system bus is gone"):
        run(other.call_async(DAEMON, "GetId"))
    run(other.disconnect())
    assert told == ["lost"]
    assert bus.call(DAEMON, "GetNameOwner", "s", [bus.name]) == [bus.name]


def test_another_bus_is_left_alone(bus, address):
    """Leaving it is no loss, and the loop goes on; closing the first one ends what is still on it."""
    told = []

    async def visit():
        async with asyncio.timeout(2):
            other = await Connection.open(address, "system bus")
            other.on_lost(lambda: told.append("lost"))
            task = other.spawn(asyncio.sleep(60))
            await other.disconnect()
            await asyncio.wait([task])
            return task.cancelled()

    assert asyncio.run_coroutine_threadsafe(visit(), bus.loop).result(5)
    assert not told
    assert bus.connected


def test_no_other_bus_is_one_clear_error(bus):
    """With the name by which it was called."""
    opening = asyncio.run_coroutine_threadsafe(Connection.open("unix:path=/nowhere", "system bus"), bus.loop)
    with pytest.raises(BusUnavailableError, match=r"no system bus at unix:path=/nowhere: .*No such"):
        opening.result(5)


def test_a_closed_bus_fails_at_once(address):
    """No call waits for a loop that will never turn, and closing twice is harmless."""
    connected = SessionBus.connect(address)
    connected.close()
    connected.close()
    connected.stop()
    with pytest.raises(DBusCallError, match="gone"):
        connected.call(DAEMON, "GetId")
    assert not connected.post(lambda: None)


def test_a_waiting_call_ends_when_the_bus_is_closed(address, client):
    """Quit does not wait for a popup that nobody answers."""
    client.serve(SERVER.path, FakeServer([], silent=True), SERVER.name)
    connected = SessionBus.connect(address)
    turning = threading.Thread(target=connected.run)
    turning.start()
    failed = []

    def ask():
        try:
            connected.call(SERVER, "Notify", "susssasa{sv}i", ["a", 0, "", "t", "b", [], {}, -1], timeout=20)
        except DBusCallError as error:
            failed.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: client.of("Notify"), "the call to arrive")
    connected.stop()
    turning.join(60)
    connected.close()
    asking.join(2)
    assert len(failed) == 1


def test_a_connection_leaves_no_descriptor_open(address):
    """Connecting and closing many times leaks nothing."""
    SessionBus.connect(address).close()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        SessionBus.connect(address).close()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
