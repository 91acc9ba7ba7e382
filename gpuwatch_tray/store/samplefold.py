"""Minutes folded into ten-minute values, and old samples deleted."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray.model import MINUTES_FOR, TEN_MINUTES, TENS_FOR, Stretch
from gpuwatch_tray.sampling import merge_stretches, split_stretch
from gpuwatch_tray.store.samplecode import decode_stretch, encode_stretch
from gpuwatch_tray.store.values import UnreadableRowError

if TYPE_CHECKING:
    import sqlite3

    from gpuwatch_tray.store.samplenames import NameDictionary

log = logging.getLogger(__name__)

MOST_PROCESSES = 1000  # of one stretch, those held longest; sums of users and GPUs include all
MOST_RUNS = 50_000  # processes on file; a machine of short jobs would fill the disk with their names
ROWS_FOR_AGE = 60  # rows, an hour to a day, at least one of them from a clock that was right


def unfolded_minutes(database: sqlite3.Connection, present: int) -> list[tuple[int, int, int, bytes, bytes]]:
    """
    Read the minutes that are not in their ten-minute values yet: id, at, seconds, body, processes.

    Those of the ten minutes that begin at `present` are left out, as more will come.
    """
    return database.execute(
        "SELECT id, at, seconds, body, processes FROM minutes WHERE NOT folded"
        " AND (at + seconds <= ? OR at >= ?) ORDER BY id",
        (present, present + TEN_MINUTES),
    ).fetchall()


def fold_minutes(database: sqlite3.Connection, book: NameDictionary, present: int) -> None:
    """
    Add the unfolded minutes to their ten-minute values. Inside the caller's transaction.

    Each is folded once, whenever it was written: also where the clock was set back, and after a crash. One
    that cannot be decoded is a gap.
    """
    windows: dict[int, list[Stretch]] = {}
    for number, at, seconds, body, processes in unfolded_minutes(database, present):
        database.execute("UPDATE minutes SET folded = 1 WHERE id = ?", (number,))
        for stretch in _decoded(at, seconds, body, processes, book):
            book.extend_runs([use.who for use in stretch.processes], stretch.at, stretch.end)
            for piece in split_stretch(stretch, TEN_MINUTES):
                windows.setdefault(piece.at - piece.at % TEN_MINUTES, []).append(piece)
    for window, parts in windows.items():
        there = database.execute("SELECT body, processes FROM tens WHERE at = ?", (window,)).fetchall()
        for body, processes in there:
            parts.extend(_decoded(window, TEN_MINUTES, body, processes, book))
        whole = limit_processes(merge_stretches(parts, window, TEN_MINUTES))
        database.execute(
            "INSERT OR REPLACE INTO tens VALUES (?, ?, ?)", (window, *encode_stretch(whole, book))
        )


def _decoded(at: int, seconds: int, body: bytes, processes: bytes, book: NameDictionary) -> list[Stretch]:
    try:
        return [decode_stretch(at, seconds, body, processes, book)]
    except UnreadableRowError as error:
        log.warning("%s", error)
        return []


def prune_samples(database: sqlite3.Connection) -> None:
    """
    Delete what is old. Inside the caller's transaction.

    The present is the earliest of the last rows: a clock that is wrong for a while must not cost the whole
    past.
    """
    last = "SELECT at + seconds AS late FROM minutes ORDER BY id DESC LIMIT ?"
    late, count = database.execute(f"SELECT min(late), count(*) FROM ({last})", (ROWS_FOR_AGE,)).fetchone()
    if count < ROWS_FOR_AGE:
        return
    database.execute("DELETE FROM minutes WHERE folded AND at + seconds <= ?", (late - MINUTES_FOR,))
    database.execute("DELETE FROM tens WHERE at + ? <= ?", (TEN_MINUTES, late - TENS_FOR))
    database.execute(
        "DELETE FROM runs WHERE last < ? OR id <= (SELECT id FROM runs ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (late - TENS_FOR, MOST_RUNS),
    )


def limit_processes(stretch: Stretch) -> Stretch:
    """Return the stretch with no more processes than are kept."""
    if len(stretch.processes) <= MOST_PROCESSES:
        return stretch
    longest = sorted(stretch.processes, key=lambda use: -use.held)[:MOST_PROCESSES]
    return replace(stretch, processes=tuple(longest))
