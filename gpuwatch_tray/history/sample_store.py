"""
The samples of one host: minutes as they end, folded into ten-minute values, deleted when they are old.

They are in a file beside the state, which is small and must survive. The samples are a thousand times as
large and may be lost: in one file they would delay an alert, and their damage would be the state's.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.history.aggregate import StretchCompactor, merge_stretches, split_stretch
from gpuwatch_tray.history.codec import decode_stretch, encode_stretch
from gpuwatch_tray.history.names import NameDictionary
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import (
    MINUTE_SAMPLES_KEPT,
    TEN_MINUTE_SAMPLES_KEPT,
    TEN_MINUTES,
    GpuFacts,
    ProcessRun,
    Stretch,
)
from gpuwatch_tray.model.units import MINUTE
from gpuwatch_tray.store import state_file
from gpuwatch_tray.store.errors import describe_error, is_damaged, is_unwritable
from gpuwatch_tray.store.tables import StoreError, UnreadableRowError, in_transaction, schema_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from gpuwatch_tray.model import Minute


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
    if state_file.file_identity(path) is None:
        state_file.create_empty(path)
    database = state_file.open_connection(path)
    try:
        database.execute(f"PRAGMA journal_mode = {state_file.JOURNAL}")
        database.execute(f"PRAGMA cache_size = -{state_file.CACHE}")
        database.execute("PRAGMA synchronous = NORMAL")  # a power cut may take the last minutes
        if schema_version(database) == 0:
            for statement in ("BEGIN IMMEDIATE", *SAMPLES_SCHEMA.strip().split(";\n"), "COMMIT"):
                database.execute(statement)
        state_file.refuse_newer(database, path, SAMPLES_VERSION)
    except BaseException:
        database.close()
        raise
    return database


def open_for_reading(path: Path) -> sqlite3.Connection | None:
    """Open the file read-only; return None where there is none. Raises sqlite3.Error and StoreError."""
    if state_file.file_identity(path) is None:
        return None
    database = state_file.open_connection(path, "mode=ro")
    try:
        version = schema_version(database)
    except sqlite3.OperationalError as error:
        database.close()
        if not is_unwritable(error):
            raise
        database = state_file.connect_unwritable(path)
        version = schema_version(database)
    except BaseException:
        database.close()
        raise
    try:
        state_file.refuse_newer(database, path, SAMPLES_VERSION)
    except BaseException:
        database.close()
        raise
    if version == 0:  # being made at this moment
        database.close()
        return None
    return database


def set_samples_aside(path: Path, error: Exception) -> None:
    """Rename the damaged file, in place of one that was damaged before. Raises OSError."""
    aside = path.with_name(f"{path.name}.damaged")
    for end in state_file.SQLITE_SUFFIXES:
        path.with_name(path.name + end).unlink(missing_ok=True)
    path.replace(aside)
    log.warning("the samples %s are damaged (%s): set aside as %s, and begun anew", path, error, aside.name)


MOST_PROCESSES = 1000  # of one stretch, those held longest; sums of users and GPUs include all
MOST_RUNS = 50_000  # processes on file; a machine of short jobs would fill the disk with their names
ROWS_FOR_AGE = 60  # rows, an hour to a day, at least one of them from a clock that was right


def unfolded_minutes(database: sqlite3.Connection, present: int) -> list[tuple[int, int, int, bytes, bytes]]:
    """Read the minutes that are to be folded: id, at, seconds, body, processes."""
    # Not those of the ten minutes that begin at `present`, as more will come.
    return database.execute(
        "SELECT id, at, seconds, body, processes FROM minutes WHERE NOT folded"
        " AND (at + seconds <= ? OR at >= ?) ORDER BY id",
        (present, present + TEN_MINUTES),
    ).fetchall()


def fold_minutes(database: sqlite3.Connection, names: NameDictionary, present: int) -> None:
    """Add the unfolded minutes to their ten-minute values. Inside the caller's transaction."""
    # Each is folded once, whenever it was written: also where the clock was set back, and after a crash. One
    # that cannot be decoded is a gap.
    windows: dict[int, list[Stretch]] = {}
    for number, at, seconds, body, processes in unfolded_minutes(database, present):
        database.execute("UPDATE minutes SET folded = 1 WHERE id = ?", (number,))
        for stretch in decode_rows([(at, seconds, body, processes)], names):
            names.extend_runs([use.who for use in stretch.processes], stretch.at, stretch.end)
            for piece in split_stretch(stretch, TEN_MINUTES):
                windows.setdefault(piece.at - piece.at % TEN_MINUTES, []).append(piece)
    for window, parts in windows.items():
        tens = f"SELECT at, {TEN_MINUTES}, body, processes FROM tens WHERE at = ?"
        parts.extend(decode_rows(database.execute(tens, (window,)).fetchall(), names))
        whole = limit_processes(merge_stretches(parts, window, TEN_MINUTES))
        database.execute(
            "INSERT OR REPLACE INTO tens VALUES (?, ?, ?)", (window, *encode_stretch(whole, names))
        )


def decode_rows(
    rows: Iterable[tuple[int, int, bytes, bytes | None]], names: NameDictionary
) -> Iterator[Stretch]:
    """Decode the rows (at, seconds, body, processes); one that cannot be decoded is a gap."""
    for row in rows:
        try:
            yield decode_stretch(*row, names)
        except UnreadableRowError as error:
            log.warning("%s", error)


def prune_samples(database: sqlite3.Connection) -> None:
    """Delete what is old. Inside the caller's transaction."""
    # The present is the earliest end of the newest 60 rows, so that one wrong clock deletes nothing.
    last = "SELECT at + seconds AS late FROM minutes ORDER BY id DESC LIMIT ?"
    late, count = database.execute(f"SELECT min(late), count(*) FROM ({last})", (ROWS_FOR_AGE,)).fetchone()
    if count < ROWS_FOR_AGE:
        return
    database.execute("DELETE FROM minutes WHERE folded AND at + seconds <= ?", (late - MINUTE_SAMPLES_KEPT,))
    database.execute("DELETE FROM tens WHERE at + ? <= ?", (TEN_MINUTES, late - TEN_MINUTE_SAMPLES_KEPT))
    database.execute(
        "DELETE FROM runs WHERE last < ? OR id <= (SELECT id FROM runs ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (late - TEN_MINUTE_SAMPLES_KEPT, MOST_RUNS),
    )


def limit_processes(stretch: Stretch) -> Stretch:
    """Return the stretch with no more processes than are kept."""
    if len(stretch.processes) <= MOST_PROCESSES:
        return stretch
    longest = sorted(stretch.processes, key=lambda use: -use.seconds_in_use)[:MOST_PROCESSES]
    return replace(stretch, processes=tuple(longest))


MOST_WAITING = 10  # stretches that are kept while the disk does not accept them


class SampleStore:
    """
    The writer of the samples of one host in `folder`; for one thread, and one process at a time.

    Every method raises StoreError where the disk does not accept it; the last minutes are kept for the next.
    """

    def __init__(self, folder: Path, host: str) -> None:
        self.path = samples_path(folder, host)
        self._compactor = StretchCompactor()
        self._waiting: deque[Stretch] = deque(maxlen=MOST_WAITING)
        self._facts: dict[str, GpuFacts] = {}
        self._runs: dict[str, ProcessRun] = {}
        self._database: sqlite3.Connection | None = None
        self._identity: state_file.Identity | None = None
        self._names: NameDictionary | None = None

    def add(self, minute: Minute) -> None:
        """Add a minute; write it now, or later with those that are like it."""
        self._facts.update((gpu.uuid, gpu) for gpu in minute.facts)
        if len(self._runs) > MOST_RUNS:  # while the disk accepts nothing
            self._runs.clear()
        self._runs.update((run.key, run) for run in minute.runs)
        self._write_out(self._compactor.add(minute.stretch))

    def add_past(self, minutes: Iterable[Minute]) -> None:
        """Add many minutes that are over, all of them at once."""
        stretches = []
        for minute in minutes:
            self._facts.update((gpu.uuid, gpu) for gpu in minute.facts)
            self._runs.update((run.key, run) for run in minute.runs)
            stretches.append(minute.stretch)
        self._waiting = deque()
        try:
            self._write_out(stretches)
        finally:
            self._waiting = deque(self._waiting, maxlen=MOST_WAITING)

    def flush(self) -> None:
        """Write all minutes that were added."""
        self._write_out(self._compactor.flush())

    def close(self) -> None:
        """Write all minutes that were added, and close the file."""
        try:
            self.flush()
        finally:
            self._close_file()

    def _write_out(self, stretches: Sequence[Stretch]) -> None:
        self._waiting.extend(map(limit_processes, stretches))
        if not self._waiting:
            return
        try:
            self._write()
        except (sqlite3.Error, OSError) as error:
            self._close_file()
            if not is_damaged(error):
                text = _("{path}: the samples cannot be written: {error}")
                raise StoreError(text.format(path=self.path, error=describe_error(error))) from error
            self._start_new_file(error)

    def _start_new_file(self, error: Exception) -> None:
        try:
            set_samples_aside(self.path, error)
            self._write()
        except (sqlite3.Error, OSError) as failed:
            self._close_file()
            text = _("{path}: the samples cannot be started anew: {error}")
            raise StoreError(text.format(path=self.path, error=describe_error(failed))) from failed

    def _write(self) -> None:
        if self._database is not None and state_file.file_identity(self.path) != self._identity:
            self._close_file()  # somebody has deleted or replaced it
        if self._database is None:
            self._database = open_for_writing(self.path)
            self._identity = state_file.file_identity(self.path)
            self._names = None
        database = self._database
        names = self._names = self._names or NameDictionary(database)
        try:
            full = in_transaction(database, lambda _: self._insert(database, names))
        except BaseException:
            self._names = None  # the numbers that it gave out were rolled back
            raise
        self._waiting.clear()
        self._facts.clear()
        if full:
            self._runs.clear()
            self._names = None  # so that it does not grow with every process ever seen

    def _insert(self, database: sqlite3.Connection, names: NameDictionary) -> bool:
        """Insert what waits, and fold and prune once in ten minutes; return whether that was done."""
        names.record_gpus(self._facts.values())
        names.record_runs(run for run in self._runs.values() if not names.is_recorded(run))
        for stretch in self._waiting:
            database.execute(
                "INSERT INTO minutes (at, seconds, body, processes) VALUES (?, ?, ?, ?)",
                (stretch.at, stretch.seconds, *encode_stretch(stretch, names)),
            )
        last = self._waiting[-1].end - MINUTE
        present = last - last % TEN_MINUTES
        if not unfolded_minutes(database, present):
            return False
        names.record_runs(self._runs.values())
        fold_minutes(database, names, present)
        prune_samples(database)
        return True

    def _close_file(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database = self._names = None
