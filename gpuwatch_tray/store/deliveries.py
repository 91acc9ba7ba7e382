"""When each alert, by fingerprint, was last notified on each channel: its cooldown counts from then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.model import Instant

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable


def record_deliveries(
    database: sqlite3.Connection, fingerprints: Iterable[str], channel: str, now: Instant
) -> None:
    """Start the cooldown of `fingerprints` on `channel`. Inside the caller's transaction."""
    database.executemany(
        "INSERT OR REPLACE INTO deliveries (fingerprint, channel, at, uptime, boot) VALUES (?, ?, ?, ?, ?)",
        [(name, channel, now.wall, now.uptime, now.boot) for name in fingerprints],
    )


def read_deliveries(database: sqlite3.Connection) -> list[dict[str, Instant]]:
    """Read when each fingerprint was last notified, channel by channel."""
    return [read_deliveries_on(database, channel.value) for channel in Channel]


def read_deliveries_on(database: sqlite3.Connection, channel: str) -> dict[str, Instant]:
    """Read when each fingerprint was last notified on `channel`."""
    rows = database.execute(
        "SELECT fingerprint, at, uptime, boot FROM deliveries WHERE channel = ?", (channel,)
    )
    return {name: Instant(*at) for name, *at in rows.fetchall()}


def prune_deliveries(database: sqlite3.Connection, before: float) -> None:
    """Delete the deliveries `before` this time of alerts that are over. Inside the caller's transaction."""
    database.execute(
        "DELETE FROM deliveries WHERE at < ? AND fingerprint NOT IN"
        " (SELECT fingerprint FROM incidents WHERE phase <> 'resolved')",
        (before,),
    )
