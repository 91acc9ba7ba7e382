"""The display that presence listens to."""

from __future__ import annotations

import pytest

from tests.e2e import rig


@pytest.fixture(scope="session")
def display(tmp_path_factory):
    """Start an X server whose pointer only these tests move; yield its DISPLAY."""
    rig.require()
    with rig.display(tmp_path_factory.mktemp("x")) as name:
        yield name
