"""
The samples of one host: minutes as they end, folded into ten-minute values, deleted when they are old.

They are in a file beside the state. The state is small, must be written at once and must survive; alerts wait
for it. The samples are a thousand times as large, are written in the background, and may be lost. In one file
a write of samples would delay an alert, and a damaged page of samples would be a damaged state.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.model import TEN_MINUTES
from gpuwatch_tray.sampling import StretchCompactor
from gpuwatch_tray.store import file, samplefile
from gpuwatch_tray.store.causes import describe_error, is_damaged
from gpuwatch_tray.store.samplecode import encode_stretch
from gpuwatch_tray.store.samplefold import (
    MOST_RUNS,
    fold_minutes,
    limit_processes,
    prune_samples,
    unfolded_minutes,
)
from gpuwatch_tray.store.samplenames import NameDictionary
from gpuwatch_tray.store.schema import StoreError, in_transaction
from gpuwatch_tray.units import MINUTE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gpuwatch_tray.model import GpuFacts, Minute, ProcessRun, Stretch

MOST_WAITING = 10  # stretches that are kept while the disk does not accept them


class SampleStore:
    """
    The writer of the samples of one host in `folder`; for one thread, and one process at a time.

    It opens nothing before there is something to write. Every method raises StoreError where the disk does
    not accept it; the last minutes are then kept to be written with the next.
    """

    def __init__(self, folder: Path, host: str) -> None:
        self.path = samplefile.samples_path(folder, host)
        self._compactor = StretchCompactor()
        self._waiting: deque[Stretch] = deque(maxlen=MOST_WAITING)
        self._facts: dict[str, GpuFacts] = {}
        self._runs: dict[str, ProcessRun] = {}
        self._database: sqlite3.Connection | None = None
        self._identity: file.Identity | None = None
        self._names: NameDictionary | None = None

    def add(self, minute: Minute) -> None:
        """Add a minute; write it now, or later with those that are like it."""
        self._facts.update((gpu.uuid, gpu) for gpu in minute.facts)
        if len(self._runs) > MOST_RUNS:  # while the disk accepts nothing
            self._runs.clear()
        self._runs.update((run.key, run) for run in minute.runs)
        self._write_out(self._compactor.add(minute.stretch))

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
            samplefile.set_samples_aside(self.path, error)
            self._write()
        except (sqlite3.Error, OSError) as failed:
            self._close_file()
            text = _("{path}: the samples cannot be begun anew: {error}")
            raise StoreError(text.format(path=self.path, error=describe_error(failed))) from failed

    def _write(self) -> None:
        if self._database is not None and file.file_identity(self.path) != self._identity:
            self._close_file()  # somebody has deleted or replaced it
        if self._database is None:
            self._database = samplefile.open_for_writing(self.path)
            self._identity = file.file_identity(self.path)
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
