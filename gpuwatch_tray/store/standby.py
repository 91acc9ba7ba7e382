"""
What stands in for the state file while it cannot be written: a file elsewhere, and who has the mails.

The places are paths without an ending, in folders that end with the session (common/session_folder.py). A
file there outlives its process: cron's next run knows what was mailed.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from filelock import BaseFileLock, FileLock, Timeout

from gpuwatch_tray.common.session_folder import is_own_folder, make_own_folder
from gpuwatch_tray.store import state_file
from gpuwatch_tray.store.tables import VERSION, StoreError, migrate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


log = logging.getLogger(__name__)

# `whole`: it began with all that the state file holds (see `state_file.write_back`).
ORIGIN = "CREATE TABLE origin (whole INTEGER NOT NULL)"


def find_standby(places: Iterable[Path]) -> Path | None:
    """Return the file that stands in for the state file; None where none does."""
    files = map(_standby_file, places)
    return next((file for file in files if is_own_folder(file.parent) and file.exists()), None)


def create_standby(
    places: Iterable[Path], memory: sqlite3.Connection, *, whole: bool
) -> tuple[sqlite3.Connection, Path] | None:
    """Write the state in `memory` to the first place that can be written; None where none can."""
    for file in map(_standby_file, places):
        try:
            make_own_folder(file.parent)
            remove_standby(file)
            state_file.create_empty(file)
            database = state_file.open_connection(file)
        except (sqlite3.Error, OSError) as error:
            log.debug("%s: %s", file, error)
            continue
        try:
            memory.backup(database)
            database.execute(ORIGIN)
            database.execute("INSERT INTO origin VALUES (?)", (whole,))
            database.execute(f"PRAGMA journal_mode = {state_file.JOURNAL}")
        except (sqlite3.Error, OSError) as error:
            log.debug("%s: %s", file, error)
            database.close()
            remove_standby(file)
            continue
        return database, file
    return None


def open_standby(file: Path) -> tuple[sqlite3.Connection, bool] | None:
    """Open the file of a process that has ended, with its `whole`; None, and set aside, where it is none."""
    try:
        database = state_file.open_connection(file)
    except sqlite3.Error as error:
        log.warning("%s: %s", file, error)
        return None
    try:
        migrate(database)
        (whole,) = database.execute("SELECT whole FROM origin").fetchone()
        state_file.refuse_newer(database, file, VERSION)
    except (sqlite3.Error, StoreError, TypeError) as error:
        log.warning("%s is no state, and is set aside: %s", file, error)
        database.close()
        with suppress(OSError):
            file.replace(file.with_name(f"{file.name}.damaged"))
        remove_standby(file)
        return None
    return database, bool(whole)


def remove_standby(file: Path) -> None:
    """Remove the file, with those that SQLite keeps beside it; do nothing where that is not possible."""
    for end in ("", *state_file.SQLITE_SUFFIXES):
        with suppress(OSError):
            file.with_name(file.name + end).unlink(missing_ok=True)


def _standby_file(place: Path) -> Path:
    return place.with_name(f"{place.name}.sqlite3")


class MemoryClaim:
    """
    The sign that the mails of this state are with one process, which sends them: not in the state file.

    A lock on an empty file, beside the state and in every standby place: a full disk accepts it, a read-only
    one does not. The system releases it when the process dies.
    """

    def __init__(self, path: Path, places: Sequence[Path] = ()) -> None:
        self._files = [place.with_name(f"{place.name}.memory") for place in (path, *places)]
        self._locks = [FileLock(file, timeout=0, mode=0o600, thread_local=False) for file in self._files]
        self._folders = [place.parent for place in places]

    def acquire(self) -> None:
        """Acquire the lock, as far as the disks allow."""
        for file, lock in zip(self._files, self._locks, strict=True):
            with suppress(OSError):  # a Timeout is one
                if file.parent in self._folders:
                    make_own_folder(file.parent)
                lock.acquire()

    def release(self) -> None:
        """Release the lock."""
        for lock in self._locks:
            if lock.is_locked:
                with suppress(OSError):
                    lock.release()

    def held_by_other(self) -> bool:
        """Return whether another process holds the lock."""
        return not any(lock.is_locked for lock in self._locks) and any(
            _is_held(file, lock)
            for file, lock in zip(self._files, self._locks, strict=True)
            if file.parent not in self._folders or is_own_folder(file.parent)
        )


def _is_held(file: Path, lock: BaseFileLock) -> bool:
    try:
        if not file.exists():
            return False
        with lock:
            return False
    except Timeout:
        return True
    except OSError:
        return False
