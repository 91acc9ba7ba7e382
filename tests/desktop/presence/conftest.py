"""The buses that presence listens to, private ones, and the product's connection with its loop turning."""

from __future__ import annotations

import threading

import pytest

from gpuwatch_tray.desktop.dbus import SessionBus
from tests.e2e import rig
from tests.e2e.client import BusClient


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    """Start a private session bus; yield its address."""
    rig.require()
    with rig.session_bus(tmp_path_factory.mktemp("bus")) as where:
        yield where


@pytest.fixture
def client(address):
    """Connect a client to that bus, to serve fakes on."""
    with BusClient(address) as connected:
        yield connected


@pytest.fixture
def bus(address):
    """Run the product's session bus."""
    connected = SessionBus.connect(address)
    turning = threading.Thread(target=connected.run)
    turning.start()
    yield connected
    connected.stop()
    turning.join(5)
    assert not turning.is_alive()
    connected.close()


@pytest.fixture(scope="session")
def display(tmp_path_factory):
    """Start an X server whose pointer only these tests move; yield its DISPLAY."""
    rig.require()
    with rig.display(tmp_path_factory.mktemp("x")) as name:
        yield name
