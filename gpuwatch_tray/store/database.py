"""
The database behind the store: the file, or what stands in for it while the file cannot be written.

That is a file in the session's folder, and where there is no room for one either, memory. Work comes as
functions of a connection, to be repeated on a file that replaced a damaged one, or on what stands in.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct

from gpuwatch_tray.common.private import make_private_folder
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.store import standby, state_file
from gpuwatch_tray.store.errors import describe_error, is_damaged, is_unwritable, reason_and_remedy
from gpuwatch_tray.store.state_file import copy_state, write_back
from gpuwatch_tray.store.tables import StoreError, in_transaction, memory_database

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


T = TypeVar("T")
log = logging.getLogger(__name__)

RETRY_SECONDS = 15.0  # seconds between attempts to get back to the file
CANNOT_BE_OPENED = N_("{path}: the state cannot be opened: {error}")
CANNOT_BE_READ = N_("{path}: the state cannot be read: {error}")
CANNOT_BE_WRITTEN = N_("{path}: the state cannot be written: {error}")
ATTEMPTS = 4  # the file, the one made in its place, the one that stands in, memory


class _ReplacedError(sqlite3.OperationalError):
    """Another process has put another file in place of the open one."""


class DatedReading(Struct, Generic[T], frozen=True):
    """What was read, and of which `version` of the file: see `Database.read_again`."""

    content: T
    version: tuple[sqlite3.Connection, int, int]


class Database:
    """
    One state file, followed when another process puts a new one in its place.

    While the file cannot be written, a `keeper` goes on in the first of the `places` (see standby.py) that
    can be, else in memory, and says so in `trouble`; it must be the only one: two would send the same mails.
    Others use the file that stands in, where there is one. `renewed` counts how often something may have been
    lost, so that what is known has to be written again.
    """

    def __init__(
        self,
        path: Path,
        *,
        keeper: bool,
        places: Sequence[Path] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.trouble: str | None = None
        self.renewed = 0
        self._path = path
        self._keeper = keeper
        self._places = places
        self._finds_standby = not keeper
        self._monotonic = monotonic
        self._claim = standby.MemoryClaim(path, places)
        self._lock = threading.Lock()
        self._closed = False
        self._retried_at = 0.0
        self._memory_is_whole = False
        self._identity: state_file.Identity | None = None
        self._open: sqlite3.Connection | None = None
        self._looking: sqlite3.Cursor | None = None  # asks whether others have written
        self._writes = 0  # by this process; SQLite counts those of others
        self._standby: Path | None = None  # the file that stands in; with `trouble` and None it is memory
        if keeper:
            self._take_over_standby()
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
    def is_forgotten(self) -> bool:
        """Whether all that is done now ends with this process."""
        return self.trouble is not None and self._standby is None

    @property
    def mails_elsewhere(self) -> bool:
        """Whether the mails are in the hands of another process."""
        return self._claim.held_by_other()

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` reads, all of it as of one moment. Raises StoreError."""
        with self._lock:
            return self._run(lambda database: in_transaction(database, work, "BEGIN"), CANNOT_BE_READ)

    def read_again(
        self, work: Callable[[sqlite3.Connection], T], last: DatedReading[T] | None
    ) -> DatedReading[T]:
        """Return what `work` reads, which is `last` where nobody has written since. Raises StoreError."""

        def look(database: sqlite3.Connection) -> DatedReading[T]:
            # First the version: what is written between it and the reading is read once more next time.
            version = (database, self._writes, self._count_writes_of_others(database))
            if last is not None and last.version == version:
                return last
            return DatedReading(in_transaction(database, work, "BEGIN"), version)

        with self._lock:
            return self._run(look, CANNOT_BE_READ)

    def _count_writes_of_others(self, database: sqlite3.Connection) -> int:
        # A cursor for all polls: sqlite3 keeps a note of each that it ever made, and throws them away by the
        # hundred.
        if self._looking is None or self._looking.connection is not database:
            self._looking = database.cursor()
        ((version,),) = self._looking.execute("PRAGMA data_version").fetchall()
        return int(version)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work`, all of it or nothing. Raises StoreError."""
        with self._lock:
            self._writes += 1
            return self._run(lambda database: self._in_writing(database, work), CANNOT_BE_WRITTEN)

    def _in_writing(self, database: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in a transaction, on the file that has the name when the transaction has begun."""

        def checked(database: sqlite3.Connection) -> T:
            # Whoever had the lock may have put another file in place: what is written to this one is lost.
            if self.trouble is None and state_file.file_identity(self._file()) != self._identity:
                raise _ReplacedError("the file was replaced")
            return work(database)

        return in_transaction(database, checked)

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
        """Return the connection to what stands in, or to the file that has the name now."""
        if self.trouble is not None and self._open is not None:
            return self._open
        file = self._file()
        if self._open is not None:
            there = state_file.file_identity(file)
            if there is None:
                self._recreate(self._open)
            if there != self._identity:
                self._disconnect()
                self.renewed += 1
        if self._open is None:
            if file == self._path:
                make_private_folder(self._path.parent)
                if state_file.file_identity(self._path) is None:
                    state_file.create_file(self._path)
            self._identity = state_file.file_identity(file)
            self._open = state_file.connect(file, to_read=not self._keeper)
        return self._open

    def _file(self) -> Path:
        """Return the state file, or what stands in for it; the keeper knows that of itself."""
        stands_in = standby.find_standby(self._places) if self._finds_standby else None
        return stands_in or self._path

    def _recover(self, error: sqlite3.Error | OSError) -> bool:
        """Return whether another attempt is worth it: on a new file, or in memory."""
        if isinstance(error, _ReplacedError):
            return True
        if self.trouble is not None:
            return self._leave_standby(error)
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
        except (sqlite3.Error, OSError) as failed:
            if self._keeper and is_unwritable(failed):
                self._switch_to_memory(failed)
                return True
            log.exception("%s: the damaged state cannot be set aside", self._path)
            return False
        return True

    def _recreate(self, held: sqlite3.Connection) -> None:
        """Create the deleted file again from what the open connection still holds."""
        make_private_folder(self._path.parent)
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
        if not whole:
            self.renewed += 1
            # Mails and reminders of the file must not share a number with those of the memory.
            for table in ("outbox", "watches"):
                memory.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
                memory.execute(
                    "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, int(time.time()))
                )
        self._open, self._memory_is_whole = memory, whole
        if (made := standby.create_standby(self._places, memory, whole=whole)) is not None:
            memory.close()
            self._open, self._standby = made
        self.trouble = self._explain(error)
        log.error("%s", self.trouble, extra={"in_file_only": True})
        self._retried_at = self._monotonic()

    def _explain(self, error: Exception | None) -> str:
        """Say why the file is not used, and what is."""
        if error is None or not is_unwritable(error):
            what, mend = _("it could not be written"), _("it will be retried")
        else:
            what, mend = reason_and_remedy(error)
        if self._standby is None:
            text = _(
                "{path}: {what}: alerts and mails are kept in memory only, until they can be written ({mend})"
            )
        else:
            text = _("{path}: {what}: alerts and mails are kept in {file} until they can be written ({mend})")
        return text.format(path=self._path, what=what, mend=mend, file=self._standby)

    def _take_over_standby(self) -> None:
        """Go on from the file of a keeper that has ended, and put it back if that is possible."""
        file = standby.find_standby(self._places)
        opened = None if file is None else standby.open_standby(file)
        if opened is None:
            return
        self._claim.acquire()
        self._open, self._memory_is_whole = opened
        self._standby = file
        self.trouble = self._explain(None)
        self._return_to_file()
        if self.trouble is not None:
            log.error("%s", self.trouble, extra={"in_file_only": True})

    def _leave_standby(self, error: sqlite3.Error | OSError) -> bool:
        """Go on in memory where the file that stands in fails too; False where that is memory."""
        held, file = self._open, self._standby
        if held is None or file is None or not (is_unwritable(error) or is_damaged(error)):
            return False
        memory = memory_database()
        self._memory_is_whole = copy_state(held, memory) and self._memory_is_whole
        held.close()
        standby.remove_standby(file)
        self._open, self._standby = memory, None
        self.trouble = self._explain(error)
        log.error("%s", self.trouble, extra={"in_file_only": True})
        return True

    def _return_to_file(self) -> None:
        """Write what memory holds to the file, if that is possible now."""
        memory, whole = self._open, self._memory_is_whole
        if memory is None:  # never: with `trouble` the state is in memory
            return
        self._retried_at = self._monotonic()
        trouble, self.trouble, self._open = self.trouble, None, None
        keeper, self._keeper = self._keeper, False

        def put_back(database: sqlite3.Connection) -> None:
            # Until it is gone, nobody records anything in it: that would not be in the copy.
            if not memory.in_transaction:
                memory.execute("BEGIN IMMEDIATE")
            write_back(memory, database, whole=whole)

        try:
            self._run(lambda database: self._in_writing(database, put_back), CANNOT_BE_WRITTEN)
        except StoreError as error:
            if memory.in_transaction:
                memory.execute("ROLLBACK")
            self._disconnect()
            self.trouble, self._open = trouble, memory
            cause = error.__cause__
            if isinstance(cause, sqlite3.Error | OSError) and is_unwritable(cause):
                self.trouble = self._explain(cause)
        else:
            if os.name != "posix":  # where only a closed file can be removed
                memory.close()
            if self._standby is not None:
                standby.remove_standby(self._standby)
                self._standby = None
            memory.close()
            self._claim.release()
            log.warning("%s: can be written again, and holds what was in memory", self._path)
        finally:
            self._keeper = keeper

    def _disconnect(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = None
