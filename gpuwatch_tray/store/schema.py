"""The tables of the state file, and how the file is opened."""

from __future__ import annotations

import logging
import os
import sqlite3  # noqa: TID251  # the store is the one importer
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

VERSION = 1
BUSY = 5.0  # seconds to wait for another process's transaction

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS alerts (
    fingerprint TEXT PRIMARY KEY, rule TEXT NOT NULL, subject TEXT NOT NULL, severity INTEGER NOT NULL,
    reason TEXT NOT NULL, since REAL NOT NULL, value REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (
    fingerprint TEXT NOT NULL, channel TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (fingerprint, channel)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, created REAL NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
    text TEXT NOT NULL, message_id TEXT NOT NULL UNIQUE, fingerprints TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued', attempts INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL,
    lease_until REAL NOT NULL DEFAULT 0, set_at REAL NOT NULL, error TEXT NOT NULL DEFAULT '', sent_at REAL
);
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (next_at) WHERE state <> 'sent';
CREATE TABLE IF NOT EXISTS sightings (
    pid INTEGER NOT NULL, command TEXT NOT NULL, started REAL NOT NULL, PRIMARY KEY (pid, command)
) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
"""


class StoreError(Exception):
    """The state cannot be read or written; the text names the file."""


def connect(path: Path) -> sqlite3.Connection:
    """
    The opened state file, made where there is none.

    A file that is not a database is set aside beside the new one, under a name with the time, and logged:
    watching goes on. Raises StoreError where no file can be opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            return _open(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
            path.rename(aside)
            for rest in ("-wal", "-shm"):
                path.with_name(path.name + rest).unlink(missing_ok=True)
            log.warning("the state file %s is damaged (%s): set aside as %s", path, error, aside.name)
            return _open(path)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path}: the state cannot be opened: {error}") from error


def _open(path: Path) -> sqlite3.Connection:
    # It holds the text of mails: private from the first byte on, and with it the files that SQLite adds.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    # Transactions are opened by hand (isolation_level=None): one BEGIN IMMEDIATE a change.
    database = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    try:
        # Where WAL is refused (a network file system) SQLite answers with the mode that stays: a journal.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")  # a mail marked as sent must survive a power cut
        if _version(database) < VERSION:
            database.executescript(SCHEMA)
        _refuse_newer(database, path)
    except BaseException:
        database.close()
        raise
    return database


def _refuse_newer(database: sqlite3.Connection, path: Path) -> None:
    if _version(database) > VERSION:
        raise StoreError(f"{path}: written by a newer gpuwatch-tray; update, or move the file away")


def _version(database: sqlite3.Connection) -> int:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return int(version)
