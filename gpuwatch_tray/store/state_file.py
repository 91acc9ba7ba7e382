"""The state file: opened, created, replaced where it is damaged, and copied to memory and back."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from filelock import FileLock, Timeout

from gpuwatch_tray.i18n import _
from gpuwatch_tray.store import incidents, outbox, reminders_and_gpus
from gpuwatch_tray.store.errors import is_unwritable
from gpuwatch_tray.store.tables import TABLES, VERSION, StoreError, migrate, schema_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


# The function that reads a table; a table that it cannot parse is left out.
READERS: dict[str, Callable[[sqlite3.Connection], object]] = {
    "incidents": incidents.read_incidents,
    "transitions": incidents.read_transitions,
    "acknowledgements": incidents.read_attention,
    "silences": incidents.read_attention,
    "deliveries": incidents.read_deliveries,
    "outbox": outbox.read_all_mails,
    "sightings": reminders_and_gpus.read_sightings,
    "inventory": reminders_and_gpus.read_inventory,
    "watches": reminders_and_gpus.read_reminders,
    "marks": reminders_and_gpus.read_instant,
}


def copy_state(source: sqlite3.Connection, target: sqlite3.Connection) -> bool:
    """Copy every row that can be read into the tables of `target`; return True if that was all."""
    # The source may be damaged, or an older version's. Inside the caller's transaction, where there is one.
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
        inserted = _insert(target, "INSERT OR IGNORE", table, columns, rows)
        whole = whole and readable and inserted == len(rows)
        try:
            READERS[table](target)
        except sqlite3.DatabaseError:
            target.execute(f"DELETE FROM {table}")
            whole = False
    return whole


def write_back(memory: sqlite3.Connection, file: sqlite3.Connection, *, whole: bool) -> None:
    """Bring the file up to `memory`, which took its place. Inside the caller's transaction."""
    # `whole`: memory began with all that the file holds, so that rows missing from memory are to be deleted.
    # A mail that was recorded as sent in the file meanwhile stays sent; of any other that both hold, memory
    # knows what became of it.
    for table in TABLES:
        if table in {"outbox", "deliveries"}:
            continue
        if whole or table in {"incidents", "transitions", "acknowledgements"}:  # numbered from the start
            file.execute(f"DELETE FROM {table}")
        _insert(file, "INSERT OR REPLACE", *_content(memory, table))
    if whole:
        file.execute("DELETE FROM outbox WHERE state <> 'sent'")
    file.executemany(
        "DELETE FROM outbox WHERE message_id = ? AND state <> 'sent'",
        memory.execute("SELECT message_id FROM outbox").fetchall(),
    )
    _insert(file, "INSERT OR IGNORE", *_content(memory, "outbox"))
    file.executemany(
        "INSERT INTO deliveries (fingerprint, channel, at, uptime, boot) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET at = excluded.at, uptime = excluded.uptime, boot = excluded.boot"
        " WHERE excluded.at > deliveries.at",
        memory.execute("SELECT fingerprint, channel, at, uptime, boot FROM deliveries").fetchall(),
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
    statement = f"{how} INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    inserted = 0
    for row in rows:
        with suppress(sqlite3.IntegrityError):  # such a row was never written
            inserted += target.execute(statement, row).rowcount
    return inserted


log = logging.getLogger(__name__)

BUSY = 5.0  # seconds to wait for another process's transaction
JOURNAL = "WAL"
CACHE = 128  # KiB of the file in memory: SQLite's own 2 MiB would fill up in weeks, for what is seldom read
SQLITE_SUFFIXES = ("-wal", "-shm", "-journal")  # of the files beside a database, which belong to it
Identity: TypeAlias = tuple[int, int]  # device and inode


def file_identity(path: Path) -> Identity | None:
    """Return which file the name stands for at this moment; None for none."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


@contextmanager
def replacement_lock(path: Path) -> Iterator[None]:
    """Hold the right to replace this file; raises StoreError after `BUSY` seconds."""
    # No process creates a file while another sets a damaged one aside, and no two set one aside at once: the
    # second would set aside the new one.
    lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=BUSY, mode=0o600)
    try:
        lock.acquire()
    except Timeout as error:
        raise StoreError(
            _("{path}: another process is rebuilding it and does not finish").format(path=path)
        ) from error
    try:
        yield
    finally:
        lock.release()


def create_file(path: Path) -> None:
    """Create an empty file where there is none."""
    with replacement_lock(path):
        if file_identity(path) is None:
            _put_in_place(path)


def connect(path: Path, *, to_read: bool = True) -> sqlite3.Connection:
    """Open the file and migrate it; raises sqlite3.Error, and StoreError for a newer version's."""
    # Where it cannot be written, open it for reading only, if `to_read` says that this is enough.
    database = open_connection(path)
    try:
        try:
            _set_up(database)
        except sqlite3.OperationalError:
            database.close()
            if not to_read:
                raise
            database = connect_read_only(path)
            if schema_version(database) < VERSION:
                raise
        refuse_newer(database, path, VERSION)
    except BaseException:
        database.close()
        raise
    return database


def refuse_newer(database: sqlite3.Connection, path: Path, version: int) -> None:
    """Raise StoreError where the tables are of a newer version than this program's."""
    if schema_version(database) > version:
        raise StoreError(
            _("{path}: written by a newer gpuwatch-tray; update, or move the file away").format(path=path)
        )


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open the file for a short while without writing anything, as on a full disk. Raises sqlite3.Error."""
    database = open_connection(path)
    try:
        # With exclusive locking SQLite needs no -shm file.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        schema_version(database)
    except sqlite3.OperationalError as error:
        database.close()
        if not is_unwritable(error):  # such as a lock: it may be written at this moment
            raise
        return connect_unwritable(path)
    except BaseException:
        database.close()
        raise
    return database


def connect_unwritable(path: Path) -> sqlite3.Connection:
    """Open a file in a folder that cannot be written. Raises sqlite3.Error."""
    # SQLite wants to make a -wal file, unless the last writer was killed and left one, or it is told that
    # nobody changes the file. It then reads no -wal file.
    wal = path.with_name(f"{path.name}-wal")
    mode = "mode=ro" if wal.exists() and wal.stat().st_size else "immutable=1"
    database = open_connection(path, mode)
    try:
        schema_version(database)
    except BaseException:
        database.close()
        raise
    return database


def set_aside(path: Path, error: Exception, memory: sqlite3.Connection) -> None:
    """Rename the damaged file, put a new one with what can be read in its place; with `replacement_lock`."""
    # Raises sqlite3.Error and OSError where there is no room for that; nothing is changed then.
    with closing(open_connection(path)) as source:
        with suppress(sqlite3.Error):
            source.execute("BEGIN IMMEDIATE")  # another process may be about to commit to it
        whole = copy_state(source, memory)
        build_replacement(path, memory)
        if os.name == "posix":  # other systems cannot rename an open file
            aside = _rename_damaged(path)
    if os.name != "posix":
        aside = _rename_damaged(path)
    _put_in_place(path)
    rest = "nothing in it is lost" if whole else "what could be read of it is kept"
    log.warning("the state file %s is damaged (%s): set aside as %s; %s", path, error, aside.name, rest)


def build_replacement(path: Path, memory: sqlite3.Connection) -> None:
    """Write the content of `memory` to a new file, which `create_file` will put in place."""
    part = path.with_name(f"{path.name}.part")
    for leftover in (part, _replacement_path(path)):
        leftover.unlink(missing_ok=True)  # of a process that was killed over it
    create_empty(part)
    try:
        with closing(open_connection(part)) as database:
            migrate(database)
            database.execute("BEGIN IMMEDIATE")
            copy_state(memory, database)
            database.execute("COMMIT")
        part.rename(_replacement_path(path))
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _replacement_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _rename_damaged(path: Path) -> Path:
    """Rename the damaged file to a name that no other has."""
    stem = f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    names = (stem, *(f"{stem}-{number}" for number in range(2, 1000)))
    aside = next(candidate for candidate in map(path.with_name, names) if not candidate.exists())
    # First the database: killed in between, no process opens it without its other files.
    for end in ("", *SQLITE_SUFFIXES):
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
    return aside


def _put_in_place(path: Path) -> None:
    """Put the replacement, else an empty file, where there is none."""
    for end in SQLITE_SUFFIXES:  # of a deleted database: SQLite would use them for the new one
        path.with_name(path.name + end).unlink(missing_ok=True)
    try:
        _replacement_path(path).rename(path)
    except FileNotFoundError:
        create_empty(path)


def create_empty(path: Path) -> None:
    """Create an empty file, which must not exist. Raises OSError."""
    # It holds the text of mails: private from the first byte on, and with it the files that SQLite adds.
    # Only ever a new one: to close another descriptor of an open database would drop SQLite's locks on it.
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def open_connection(path: Path, mode: str = "mode=rwc") -> sqlite3.Connection:
    """Open a connection to the file as it is; `mode` is SQLite's, of a URI. Raises sqlite3.Error."""
    # Transactions are opened by hand (isolation_level=None): one BEGIN IMMEDIATE a change.
    uri = f"{path.absolute().as_uri()}?{mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY, isolation_level=None, check_same_thread=False)


def _set_up(database: sqlite3.Connection) -> None:
    # Where WAL is refused (a network file system) SQLite answers with the mode that stays: a journal.
    database.execute(f"PRAGMA journal_mode = {JOURNAL}")
    database.execute(f"PRAGMA cache_size = -{CACHE}")
    database.execute("PRAGMA synchronous = FULL")  # a mail marked as sent must survive a power cut
    migrate(database)
