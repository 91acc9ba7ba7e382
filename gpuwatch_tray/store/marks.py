"""Single values by key, and the processes that the command source has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.store.values import checked_rows, instant_from_json, instant_to_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from gpuwatch_tray.model import Instant

LAST_EVALUATION = "last evaluation"
GREETED = "greeted"  # the welcome was shown
LAST_LOOP_EVALUATION = "last evaluation of a loop"  # only polls in a loop count towards a hold time


def read_instant(database: sqlite3.Connection, name: str = LAST_EVALUATION) -> Instant | None:
    """Read when the last evaluation was that had something to write."""
    row = database.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
    with checked_rows():
        return instant_from_json(row[0]) if row else None


def write_instant(database: sqlite3.Connection, at: Instant, name: str = LAST_EVALUATION) -> None:
    """Store an instant. Inside the caller's transaction, as all below."""
    database.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (name, instant_to_json(at)))


def has_key(database: sqlite3.Connection, name: str) -> bool:
    """Return whether this key was set."""
    return database.execute("SELECT 1 FROM marks WHERE name = ?", (name,)).fetchone() is not None


def set_key(database: sqlite3.Connection, name: str) -> None:
    """Set a key without a value of its own."""
    database.execute("INSERT OR REPLACE INTO marks VALUES (?, '1')", (name,))


def write_probe(database: sqlite3.Connection) -> None:
    """Write something, whatever it is."""
    database.execute("INSERT INTO marks VALUES ('touched', '1') ON CONFLICT DO UPDATE SET value = value + 1")


def read_sightings(database: sqlite3.Connection) -> dict[tuple[int, str], float]:
    """Read the processes that the command source has seen: (pid, digest of the command) to start time."""
    rows = database.execute("SELECT pid, command, started FROM sightings")
    return {(pid, command): started for pid, command, started in rows.fetchall()}


def write_sightings(database: sqlite3.Connection, seen: Mapping[tuple[int, str], float]) -> None:
    """Replace the processes that the command source has seen."""
    database.execute("DELETE FROM sightings")
    database.executemany("INSERT INTO sightings VALUES (?, ?, ?)", [(*key, at) for key, at in seen.items()])
