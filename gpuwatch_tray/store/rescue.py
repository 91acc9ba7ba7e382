"""The state copied from one database to another: out of a damaged file, into memory, back to the file."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.store import attention, deliveries, incidents, inventory, marks, queued, watches
from gpuwatch_tray.store.schema import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable

# The function that reads a table; a table that it cannot parse is left out.
READERS: dict[str, Callable[[sqlite3.Connection], object]] = {
    "incidents": incidents.read_incidents,
    "transitions": incidents.read_transitions,
    "acknowledgements": attention.read_attention,
    "silences": attention.read_attention,
    "deliveries": deliveries.read_deliveries,
    "outbox": queued.read_all_mails,
    "sightings": marks.read_sightings,
    "inventory": inventory.read_inventory,
    "watches": watches.read_reminders,
    "marks": marks.read_instant,
}


def copy_state(source: sqlite3.Connection, target: sqlite3.Connection) -> bool:
    """
    Copy every row that can be read into the tables of `target`; return True if that was all.

    The source may be damaged, or an older version's. Inside the caller's transaction, where there is one.
    """
    begun = not source.in_transaction
    if begun:
        with suppress(sqlite3.Error):  # one snapshot: a sent mail and its cooldown belong together
            source.execute("BEGIN")
    try:
        return _copy_tables(source, target)
    finally:
        if begun and source.in_transaction:
            source.execute("ROLLBACK")


def _copy_tables(source: sqlite3.Connection, target: sqlite3.Connection) -> bool:
    whole = True
    for table in TABLES:
        columns, rows, readable = _rows(source, table, _columns(target, table))
        taken = _insert(target, "INSERT OR IGNORE", table, columns, rows)
        whole = whole and readable and taken == len(rows)
        try:
            READERS[table](target)
        except sqlite3.DatabaseError:
            target.execute(f"DELETE FROM {table}")
            whole = False
    return whole


def write_back(memory: sqlite3.Connection, file: sqlite3.Connection, *, whole: bool) -> None:
    """
    Bring the file up to `memory`, which took its place. Inside the caller's transaction.

    `whole`: memory began with all that the file holds, so that rows missing from memory are to be deleted. A
    mail that was recorded as sent in the file meanwhile stays sent.
    """
    for table in TABLES:
        if table in {"outbox", "deliveries"}:
            continue
        if whole or table in {"incidents", "transitions", "acknowledgements"}:  # numbered from the start
            file.execute(f"DELETE FROM {table}")
        _insert(file, "INSERT OR REPLACE", *_content(memory, table))
    if whole:
        file.execute("DELETE FROM outbox WHERE state <> 'sent'")
    _insert(file, "INSERT OR IGNORE", *_content(memory, "outbox"))
    for name, channel, *at in memory.execute("SELECT fingerprint, channel, at, uptime, boot FROM deliveries"):
        file.execute(
            "INSERT INTO deliveries (fingerprint, channel, at, uptime, boot) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET at = excluded.at, uptime = excluded.uptime, boot = excluded.boot"
            " WHERE excluded.at > deliveries.at",
            (name, channel, *at),
        )


def _content(database: sqlite3.Connection, table: str) -> tuple[str, list[str], list[Any]]:
    columns, rows, _ = _rows(database, table, _columns(database, table))
    return table, columns, rows


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    return [name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")]


def _rows(source: sqlite3.Connection, table: str, wanted: list[str]) -> tuple[list[str], list[Any], bool]:
    """Read the wanted columns that exist: their names, the readable rows, and whether those are all."""
    columns: list[str] = []
    rows: list[Any] = []
    try:
        columns = [name for name in _columns(source, table) if name in wanted]
        if not columns:  # an older version does not have the table
            return [], [], bool(source.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        for row in source.execute(f"SELECT {', '.join(columns)} FROM {table}"):
            rows.append(row)  # noqa: PERF402  # those before an error count
    except sqlite3.DatabaseError:
        return columns, rows, False
    return columns, rows, True


def _insert(target: sqlite3.Connection, how: str, table: str, columns: list[str], rows: list[Any]) -> int:
    """Insert the rows that fit; return how many."""
    marks_text = ", ".join("?" * len(columns))
    statement = f"{how} INTO {table} ({', '.join(columns)}) VALUES ({marks_text})"
    taken = 0
    for row in rows:
        try:
            taken += target.execute(statement, row).rowcount
        except sqlite3.IntegrityError:
            continue  # such a row was never written
    return taken
