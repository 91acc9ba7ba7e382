"""The stores that these tests share, in both journal modes: where WAL is refused, SQLite keeps a journal."""

from __future__ import annotations

import pytest

from gpuwatch_tray.store import Store


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
