"""A lab of real servers and made-up hosts, one for all tests of a module."""

from __future__ import annotations

import pytest

from tests.lab.rig import Rig


@pytest.fixture(scope="module")
def rig():
    with Rig() as made:
        yield made
