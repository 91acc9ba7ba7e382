"""Readings that follow each other."""

from __future__ import annotations

import pytest

from tests.rules.readings import Readings


@pytest.fixture
def readings():
    """Provide readings with every rule on."""
    return Readings()
