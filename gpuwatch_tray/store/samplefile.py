"""The file of the samples: opened, created, set aside where it is damaged."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING

from gpuwatch_tray.store import file
from gpuwatch_tray.store.schema import schema_version

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

SAMPLES_VERSION = 1
SAMPLES_SCHEMA = f"""
CREATE TABLE gpus (
    id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, gpu INTEGER, name TEXT, memory_total INTEGER,
    slowdown_at INTEGER, physical TEXT NOT NULL DEFAULT ''
);
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, pid INTEGER NOT NULL, uuid TEXT NOT NULL,
    owner TEXT, mine INTEGER, name TEXT, started REAL, computes INTEGER NOT NULL, first REAL NOT NULL,
    last REAL NOT NULL
);
CREATE INDEX runs_last ON runs (last);
CREATE TABLE minutes (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, seconds INTEGER NOT NULL, folded INTEGER NOT NULL DEFAULT 0,
    body BLOB NOT NULL, processes BLOB NOT NULL
);
CREATE INDEX minutes_at ON minutes (at);
CREATE INDEX minutes_unfolded ON minutes (id) WHERE NOT folded;
CREATE TABLE tens (at INTEGER PRIMARY KEY, body BLOB NOT NULL, processes BLOB NOT NULL);
PRAGMA user_version = {SAMPLES_VERSION};
"""


def samples_path(folder: Path, host: str) -> Path:
    """Return the file of this host's samples in `folder`."""
    return folder / f"samples-{host}.sqlite3"


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open the file, created where there is none. Raises sqlite3.Error, OSError and StoreError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if file.file_identity(path) is None:
        file.create_empty(path)
    database = file.open_connection(path)
    try:
        database.execute(f"PRAGMA journal_mode = {file.JOURNAL}")
        database.execute("PRAGMA synchronous = NORMAL")  # a power cut may take the last minutes
        if schema_version(database) == 0:
            for statement in ("BEGIN IMMEDIATE", *SAMPLES_SCHEMA.strip().split(";\n"), "COMMIT"):
                database.execute(statement)
        file.refuse_newer(database, path, SAMPLES_VERSION)
    except BaseException:
        database.close()
        raise
    return database


def open_for_reading(path: Path) -> sqlite3.Connection | None:
    """Open the file read-only; return None where there is none. Raises sqlite3.Error and StoreError."""
    if file.file_identity(path) is None:
        return None
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=file.BUSY, isolation_level=None
    )
    try:
        found = schema_version(database)
        file.refuse_newer(database, path, SAMPLES_VERSION)
    except BaseException:
        database.close()
        raise
    if found == 0:  # being made at this moment
        database.close()
        return None
    return database


def set_samples_aside(path: Path, error: Exception) -> None:
    """Rename the damaged file, in place of one that was damaged before. Raises OSError."""
    aside = path.with_name(f"{path.name}.damaged")
    for end in file.SQLITE_SUFFIXES:
        path.with_name(path.name + end).unlink(missing_ok=True)
    path.replace(aside)
    log.warning("the samples %s are damaged (%s): set aside as %s, and begun anew", path, error, aside.name)
