"""What the tests of the store share: stores in both journal modes (WAL is refused on some file systems)."""

from __future__ import annotations

import pytest

from gpuwatch_tray.store import Store
from gpuwatch_tray.store import store as state_room
from gpuwatch_tray.store.database import Database
from tests.support.fakes import Clock


@pytest.fixture
def store(journal, store):
    """The store in this journal mode."""
    return store


@pytest.fixture
def other(store, tmp_path):
    """Open a second process's view of the same state, as far as SQLite tells processes apart."""
    opened = Store(tmp_path / "state", "box")
    yield opened
    opened.close()


@pytest.fixture
def pace(monkeypatch):
    """Set the clock that paces the attempts to return to the file."""
    pace = Clock(0.0)
    monkeypatch.setattr(state_room, "Database", lambda path, **rest: Database(path, **rest, monotonic=pace))
    return pace
