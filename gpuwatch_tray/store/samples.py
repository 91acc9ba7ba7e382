"""The samples' one writer: minutes as they end, folded into ten-minute values, dropped when they are old."""

from __future__ import annotations

import sqlite3  # noqa: TID251  # the store is the one importer
from collections import deque
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.model import TEN_MINUTES
from gpuwatch_tray.sampling import Steady
from gpuwatch_tray.store import file, samplefile
from gpuwatch_tray.store.causes import damaged, said
from gpuwatch_tray.store.database import as_one
from gpuwatch_tray.store.samplecode import packed
from gpuwatch_tray.store.samplefold import MOST_RUNS, bounded, fold, prune, unfolded
from gpuwatch_tray.store.samplenames import Book
from gpuwatch_tray.store.schema import StoreError
from gpuwatch_tray.units import MINUTE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gpuwatch_tray.model import GpuFacts, Minute, ProcessRun, Stretch

MOST_WAITING = 10  # stretches that are kept for a disk that does not take them


class SampleStore:
    """
    The samples of one host in the folder `folder`; for one thread, and one process at a time.

    Nothing is opened before there is something to write. Every method raises StoreError where the disk does
    not take it; the last minutes are then kept to be written with the next.
    """

    def __init__(self, folder: Path, host: str) -> None:
        self.path = samplefile.path_in(folder, host)
        self._steady = Steady()
        self._waiting: deque[Stretch] = deque(maxlen=MOST_WAITING)
        self._facts: dict[str, GpuFacts] = {}
        self._runs: dict[str, ProcessRun] = {}
        self._database: sqlite3.Connection | None = None
        self._identity: file.Identity | None = None
        self._book: Book | None = None

    def add(self, minute: Minute) -> None:
        """Take a minute; it is written now, or with those that are like it."""
        self._facts.update((gpu.uuid, gpu) for gpu in minute.facts)
        if len(self._runs) > MOST_RUNS:  # of a disk that takes nothing
            self._runs.clear()
        self._runs.update((run.key, run) for run in minute.runs)
        self._tell(self._steady.take(minute.stretch))

    def flush(self) -> None:
        """Write all that was taken."""
        self._tell(self._steady.flush())

    def close(self) -> None:
        """Write all that was taken, and close the file."""
        try:
            self.flush()
        finally:
            self._drop()

    def _tell(self, told: Sequence[Stretch]) -> None:
        self._waiting.extend(map(bounded, told))
        if not self._waiting:
            return
        try:
            self._write()
        except (sqlite3.Error, OSError) as error:
            self._drop()
            if not damaged(error):
                text = _("{path}: the samples cannot be written: {error}")
                raise StoreError(text.format(path=self.path, error=said(error))) from error
            self._begin_anew(error)

    def _begin_anew(self, error: Exception) -> None:
        try:
            samplefile.set_aside(self.path, error)
            self._write()
        except (sqlite3.Error, OSError) as failed:
            self._drop()
            text = _("{path}: the samples cannot be begun anew: {error}")
            raise StoreError(text.format(path=self.path, error=said(failed))) from failed

    def _write(self) -> None:
        if self._database is not None and file.identity(self.path) != self._identity:
            self._drop()  # somebody has deleted it, or put another in its place
        if self._database is None:
            self._database = samplefile.to_write(self.path)
            self._identity = file.identity(self.path)
            self._book = None
        database = self._database
        book = self._book = self._book or Book(database)
        try:
            full = as_one(database, lambda _: self._written(database, book))
        except BaseException:
            self._book = None  # what it gave out is not on file
            raise
        self._waiting.clear()
        self._facts.clear()
        if full:
            self._runs.clear()
            self._book = None  # nor does it grow with all the processes that have ever been

    def _written(self, database: sqlite3.Connection, book: Book) -> bool:
        """Insert what waits, and tidy up once in ten minutes; whether that was done."""
        book.note_gpus(self._facts.values())
        book.note_runs(run for run in self._runs.values() if not book.noted(run))
        for stretch in self._waiting:
            database.execute(
                "INSERT INTO minutes (at, seconds, body, processes) VALUES (?, ?, ?, ?)",
                (stretch.at, stretch.seconds, *packed(stretch, book)),
            )
        last = self._waiting[-1].end - MINUTE
        present = last - last % TEN_MINUTES
        if not unfolded(database, present):
            return False
        book.note_runs(self._runs.values())
        fold(database, book, present)
        prune(database)
        return True

    def _drop(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database = self._book = None
