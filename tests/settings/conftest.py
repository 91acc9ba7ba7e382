"""What the tests of the settings share."""

from __future__ import annotations

import pytest

from tests.settings.checkout import House


@pytest.fixture
def house(tmp_path):
    """Provide a checkout and a user's folders without any file."""
    return House(tmp_path)


@pytest.fixture
def installed_house(tmp_path):
    """Provide a user's folders without any file, and no checkout."""
    return House(tmp_path, installed=True)
