"""A bench with every room real but the clock, the person and the screen."""

from __future__ import annotations

import pytest

from gpuwatch_tray.model import Presence
from tests.engine.bench import Bench, core_only


@pytest.fixture(autouse=True)
def _core_only(monkeypatch):
    """Whatever other rules there are, these tests are about how alerts are told."""
    core_only(monkeypatch)


@pytest.fixture
def bench(folder):
    made = Bench(folder)
    yield made
    made.close()


@pytest.fixture
def away(bench):
    """A bench that nobody sits at the desk of."""
    bench.presence = Presence.AWAY
    return bench
