"""The lab of real servers, as each test finds it."""

from __future__ import annotations

import pytest


@pytest.fixture
def rig(lab_rig):
    """The lab once all of its hosts are known and its alert is told."""
    lab_rig.settled()
    return lab_rig
