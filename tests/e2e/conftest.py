"""The desktop on which most of these tests look, and the installed tray on it."""

from __future__ import annotations

import pytest

from tests.e2e import rig
from tests.e2e.app import App


@pytest.fixture(scope="session")
def desk(tmp_path_factory):
    """Start the desktop with panel and dunst once for all tests that use it."""
    rig.require()
    with rig.desktop(tmp_path_factory.mktemp("desktop")) as running:
        yield running


@pytest.fixture
def start(installed, desk):
    """Start the tray, which ends with the test."""
    running = []

    def begin(*words):
        running.append(App(installed, desk, *words))
        return running[-1]

    yield begin
    for app in running:
        app.close()
