"""Thirty days in seconds: nothing is lost, nothing is told twice, and nothing is told that is not so."""

from __future__ import annotations

import pytest

from tests.engine.bench import with_heat
from tests.engine.month import Month


@pytest.mark.parametrize("seed", [4])
def test_thirty_days(folder, monkeypatch, seed):
    """Through suspends, reboots, set clocks and failing networks each alert is told, once in a cooldown."""
    with_heat(monkeypatch)
    month = Month(folder, seed).run()
    print(f"\n{month.table()}")
    books, counts = month.books, month.counts
    assert (books.lost, books.doubled, books.false, books.open) == ([], [], [], {})
    # The story is worth its name: every kind of fault has happened, and the oracle had much to check.
    for name in ("reboot", "restart", "jump", "suspend", "network", "driver", "second", "screen", "snooze"):
        assert counts[f"event {name}"] >= 5, name
    assert books.checked >= 100
    assert counts["mails delivered alert"] >= 100
    assert counts["mails delivered resolved"] >= 50
    assert counts["deliveries failed"] >= 20
