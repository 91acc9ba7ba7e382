"""
The database behind the store: the file, or memory while the file cannot be written.

Work comes as functions of a connection, to be repeated on a file that replaced a damaged one, or in memory.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.store import state_file
from gpuwatch_tray.store.errors import FULL, describe_error, is_damaged, is_unwritable, reason_and_remedy
from gpuwatch_tray.store.state_file import copy_state, write_back
from gpuwatch_tray.store.tables import StoreError, in_transaction, memory_database

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


T = TypeVar("T")
log = logging.getLogger(__name__)

RETRY_SECONDS = 15.0  # seconds between attempts to get back to the file
CANNOT_BE_OPENED = N_("{path}: the state cannot be opened: {error}")
CANNOT_BE_READ = N_("{path}: the state cannot be read: {error}")
CANNOT_BE_WRITTEN = N_("{path}: the state cannot be written: {error}")
ATTEMPTS = 3  # the file, the one made in its place, memory


class Database:
    """
    One state file, followed when another process puts a new one in its place.

    A `keeper` goes on in memory while the file cannot be written, and says so in `trouble`; it must be the
    only one: two such memories would send the same mails. `renewed` counts how often something may have been
    lost, so that what is known has to be written again.
    """

    def __init__(self, path: Path, *, keeper: bool, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.trouble: str | None = None
        self.renewed = 0
        self._path = path
        self._keeper = keeper
        self._monotonic = monotonic
        self._claim = state_file.MemoryClaim(path)
        self._lock = threading.Lock()
        self._closed = False
        self._retried_at = 0.0
        self._memory_is_whole = False
        self._identity: state_file.Identity | None = None
        self._open: sqlite3.Connection | None = None
        self._run(lambda _database: None, CANNOT_BE_OPENED)

    def close(self) -> None:
        """Close the connection; write what is in memory only to the file, if possible."""
        with self._lock:
            if self.trouble is not None:
                self._return_to_file()
            self._disconnect()
            self._claim.release()
            self._closed = True

    @property
    def mails_elsewhere(self) -> bool:
        """Whether the mails are in the memory of another process."""
        return self._claim.held_by_other()

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` reads, all of it as of one moment. Raises StoreError."""
        with self._lock:
            return self._run(lambda database: in_transaction(database, work, "BEGIN"), CANNOT_BE_READ)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work`, all of it or nothing. Raises StoreError."""
        with self._lock:
            return self._run(lambda database: in_transaction(database, work), CANNOT_BE_WRITTEN)

    def _run(self, work: Callable[[sqlite3.Connection], T], failure: str) -> T:
        if self._closed:
            raise StoreError(_("{path}: the state is closed").format(path=self._path))
        if self.trouble is not None and self._monotonic() - self._retried_at >= RETRY_SECONDS:
            self._return_to_file()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return work(self._current())
            except (sqlite3.Error, OSError) as error:
                if attempt == ATTEMPTS or not self._recover(error):
                    raise StoreError(
                        _(failure).format(path=self._path, error=describe_error(error))
                    ) from error
        raise AssertionError  # the last attempt has returned or raised

    def _current(self) -> sqlite3.Connection:
        """Return the connection to memory, or to the file that has the name now."""
        if self._open is not None and self.trouble is None:
            there = state_file.file_identity(self._path)
            if there is None:
                self._recreate(self._open)
            if there != self._identity:
                self._disconnect()
                self.renewed += 1
        if self._open is None:
            self._make_folder()
            if state_file.file_identity(self._path) is None:
                state_file.create_file(self._path)
            self._identity = state_file.file_identity(self._path)
            self._open = state_file.connect(self._path, to_read=not self._keeper)
        return self._open

    def _make_folder(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            if error.errno in FULL:
                raise
            raise StoreError(_(CANNOT_BE_OPENED).format(path=self._path, error=error)) from error

    def _recover(self, error: sqlite3.Error | OSError) -> bool:
        """Return whether another attempt is worth it: on a new file, or in memory."""
        if self.trouble is not None:  # memory itself fails
            return False
        if is_damaged(error):
            return self._replace_damaged(error)
        if self._keeper and is_unwritable(error):
            self._switch_to_memory(error)
            return True
        return False

    def _replace_damaged(self, error: Exception) -> bool:
        """Set the damaged file aside, unless another process has done so already."""
        try:
            with state_file.replacement_lock(self._path):
                if state_file.file_identity(self._path) != self._identity:
                    self._disconnect()
                    return True
                self._disconnect()
                self.renewed += 1
                memory = memory_database()
                try:
                    state_file.set_aside(self._path, error, memory)
                except (sqlite3.Error, OSError) as failed:
                    if not (self._keeper and is_unwritable(failed)):
                        memory.close()
                        raise
                    self._claim.acquire()
                    self._use_memory(memory, failed, whole=True)
                else:
                    memory.close()
        except (sqlite3.Error, OSError):
            log.exception("%s: the damaged state cannot be set aside", self._path)
            return False
        return True

    def _recreate(self, held: sqlite3.Connection) -> None:
        """Create the deleted file again from what the open connection still holds."""
        self._make_folder()
        with state_file.replacement_lock(self._path):
            if state_file.file_identity(self._path) is None:
                with closing(memory_database()) as memory:
                    copy_state(held, memory)
                    state_file.build_replacement(self._path, memory)
                log.warning("the state file %s was deleted: written again", self._path)

    def _switch_to_memory(self, error: Exception) -> None:
        """Go on in memory, with all of the file that can be read."""
        self._claim.acquire()  # first: whoever has leased a mail from the file by now is seen in the copy
        memory = memory_database()
        whole = False
        try:
            if self._open is None:
                self._open = state_file.connect_read_only(self._path)
            whole = copy_state(self._open, memory)
        except (sqlite3.Error, OSError):
            log.debug("%s cannot be read", self._path, exc_info=True)
        self._disconnect()
        self._use_memory(memory, error, whole=whole)

    def _use_memory(self, memory: sqlite3.Connection, error: Exception, *, whole: bool) -> None:
        what, mend = reason_and_remedy(error)
        self.trouble = _(
            "{path}: {what}: alerts and mails are kept in memory only, until they can be written ({mend})"
        ).format(path=self._path, what=what, mend=mend)
        log.error("%s", self.trouble)
        if not whole:
            self.renewed += 1
            # Mails and reminders of the file must not share a number with those of the memory.
            for table in ("outbox", "watches"):
                memory.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
                memory.execute(
                    "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, int(time.time()))
                )
        self._open, self._memory_is_whole = memory, whole
        self._retried_at = self._monotonic()

    def _return_to_file(self) -> None:
        """Write what memory holds to the file, if that is possible now."""
        memory, whole = self._open, self._memory_is_whole
        if memory is None:  # never: with `trouble` the state is in memory
            return
        self._retried_at = self._monotonic()
        trouble, self.trouble, self._open = self.trouble, None, None
        keeper, self._keeper = self._keeper, False
        try:
            self._run(
                lambda database: in_transaction(
                    database, lambda _database: write_back(memory, database, whole=whole)
                ),
                CANNOT_BE_WRITTEN,
            )
        except StoreError:
            self._disconnect()
            self.trouble, self._open = trouble, memory
        else:
            memory.close()
            self._claim.release()
            log.warning("%s: can be written again, and holds what was in memory", self._path)
        finally:
            self._keeper = keeper

    def _disconnect(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = None
