"""The desktop's fixtures: a private bus for protocol tests, the whole desktop for those that look."""

from __future__ import annotations

import pytest

from tests.e2e import rig
from tests.e2e.client import BusClient


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    """Start a private session bus without a panel; yield its address."""
    rig.require()
    with rig.session_bus(tmp_path_factory.mktemp("bus")) as where:
        yield where


@pytest.fixture
def client(address):
    """Connect a client to that bus."""
    with BusClient(address) as connected:
        yield connected


@pytest.fixture(scope="session")
def desk(tmp_path_factory):
    """Start the desktop with panel and dunst once for all tests that use it."""
    rig.require()
    with rig.desktop(tmp_path_factory.mktemp("desktop")) as running:
        yield running
