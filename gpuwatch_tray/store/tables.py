"""The tables of the state, their migration from older versions, and how values stand in them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from gpuwatch_tray.model import Instant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


T = TypeVar("T")
VERSION = 7
TABLES = (
    "incidents",
    "transitions",
    "acknowledgements",
    "silences",
    "deliveries",
    "outbox",
    "sightings",
    "inventory",
    "watches",
    "marks",
)

# An instant (model.Instant) is three columns where SQL compares it, else a JSON list of its three values.
SCHEMA = f"""
DROP TABLE IF EXISTS alerts;
CREATE TABLE IF NOT EXISTS incidents (
    id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL, rule TEXT NOT NULL, subject TEXT NOT NULL,
    severity INTEGER NOT NULL, reason TEXT NOT NULL, text TEXT NOT NULL, value REAL NOT NULL,
    phase TEXT NOT NULL, since REAL NOT NULL, held REAL NOT NULL, samples INTEGER NOT NULL, fired TEXT,
    raises INTEGER NOT NULL, news TEXT, covered INTEGER NOT NULL, resolved TEXT,
    owed INTEGER NOT NULL DEFAULT 0, thread TEXT, owed_to TEXT NOT NULL DEFAULT '["email"]'
);
CREATE INDEX IF NOT EXISTS incidents_open ON incidents (id) WHERE phase <> 'resolved' OR owed;
CREATE TABLE IF NOT EXISTS transitions (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, incident INTEGER NOT NULL, what TEXT NOT NULL, why TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS transitions_of ON transitions (incident);
CREATE TABLE IF NOT EXISTS acknowledgements (incident INTEGER PRIMARY KEY, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS silences (
    scope TEXT NOT NULL, name TEXT NOT NULL, at REAL NOT NULL, uptime REAL NOT NULL, boot TEXT NOT NULL,
    seconds REAL NOT NULL, PRIMARY KEY (scope, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (
    fingerprint TEXT NOT NULL, channel TEXT NOT NULL, at REAL NOT NULL, uptime REAL NOT NULL DEFAULT 0,
    boot TEXT NOT NULL DEFAULT '', PRIMARY KEY (fingerprint, channel)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, created REAL NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
    text TEXT NOT NULL, message_id TEXT NOT NULL UNIQUE, fingerprints TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued', attempts INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL,
    lease_until REAL NOT NULL DEFAULT 0, set_at REAL NOT NULL, error TEXT NOT NULL DEFAULT '', sent_at REAL,
    failure TEXT NOT NULL DEFAULT '', details TEXT NOT NULL DEFAULT '{{}}', digest TEXT NOT NULL DEFAULT '',
    channel TEXT NOT NULL DEFAULT 'email'
);
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (next_at) WHERE state <> 'sent';
CREATE TABLE IF NOT EXISTS sightings (
    pid INTEGER NOT NULL, command TEXT NOT NULL, started REAL NOT NULL, PRIMARY KEY (pid, command)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inventory (
    uuid TEXT PRIMARY KEY, gpu INTEGER NOT NULL, name TEXT NOT NULL, seen REAL NOT NULL,
    forgotten INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS watches (
    id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL, due INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
"""
# What the tables of older versions lack.
ADDED = (
    ("incidents", "thread", "TEXT"),
    ("deliveries", "uptime", "REAL NOT NULL DEFAULT 0"),
    ("deliveries", "boot", "TEXT NOT NULL DEFAULT ''"),
    ("outbox", "failure", "TEXT NOT NULL DEFAULT ''"),
    ("outbox", "details", "TEXT NOT NULL DEFAULT '{}'"),
    ("outbox", "digest", "TEXT NOT NULL DEFAULT ''"),
    # Before there were chats, all was mailed.
    ("outbox", "channel", "TEXT NOT NULL DEFAULT 'email'"),
    ("incidents", "owed_to", "TEXT NOT NULL DEFAULT '[\"email\"]'"),
)


class StoreError(Exception):
    """The state cannot be read or written; the text names the file."""


def memory_database() -> sqlite3.Connection:
    """Open an empty state in memory only."""
    database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate(database)
    return database


def migrate(database: sqlite3.Connection) -> None:
    """Create the tables, or change those of an older version."""
    if schema_version(database) < VERSION:
        # In a transaction that nobody else has: executescript would commit in between.
        in_transaction(database, _migrate)


def _migrate(database: sqlite3.Connection) -> None:
    if schema_version(database) >= VERSION:  # by another process meanwhile
        return
    # By its columns, not by the number: version 1 wrote that last, and could be killed before.
    for table, column, kind in ADDED:
        there = [name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")]
        if there and column not in there:
            database.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
    for statement in SCHEMA.split(";\n"):
        database.execute(statement)


def schema_version(database: sqlite3.Connection) -> int:
    """Return the version of the tables; 0 where there are none."""
    (number,) = database.execute("PRAGMA user_version").fetchone()
    return int(number)


def in_transaction(
    database: sqlite3.Connection, work: Callable[[sqlite3.Connection], T], begin: str = "BEGIN IMMEDIATE"
) -> T:
    """Do `work` in one transaction."""
    database.execute(begin)
    try:
        done = work(database)
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # a full disk has rolled it back already
            database.execute("ROLLBACK")
        raise
    return done


class UnreadableRowError(sqlite3.DatabaseError):
    """A row that this program cannot have written: the file is damaged, although SQLite does not notice."""


@contextmanager
def checked_rows() -> Iterator[None]:
    """Raise UnreadableRowError where a value that was read cannot be parsed."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnreadableRowError(f"a row makes no sense: {error}") from error


def instant_to_json(instant: Instant | None) -> str | None:
    """Return an instant as one text."""
    return None if instant is None else json.dumps([instant.wall, instant.uptime, instant.boot])


def instant_from_json(text: str | None) -> Instant | None:
    """Parse the instant of such a text."""
    return None if text is None else Instant(*json.loads(text))
