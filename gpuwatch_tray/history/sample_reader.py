"""The reader of the samples, for any process, while another may be writing them."""

from __future__ import annotations

import logging
import math
import sqlite3
from contextlib import closing
from enum import Enum
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.history import sample_store
from gpuwatch_tray.history.aggregate import LONGEST_STRETCH, merge_stretches, split_stretch
from gpuwatch_tray.history.codec import UseSums
from gpuwatch_tray.history.names import NameDictionary, read_gpus, read_runs
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import MINUTE_SAMPLES_KEPT, TEN_MINUTES, GpuSample, History, ProcessRun, Stretch, Use
from gpuwatch_tray.model.units import MINUTE
from gpuwatch_tray.store.errors import describe_error
from gpuwatch_tray.store.tables import StoreError, UnreadableRowError, in_transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


log = logging.getLogger(__name__)


class UseDetail(Enum):
    """Which uses of processes to read: none, one a process over all of the time, or each."""

    NONE = "none"
    SUMMED = "summed"
    EACH = "each"


def read_samples(
    folder: Path,
    host: str,
    start: float,
    end: float,
    now: float,
    *,
    finest: int = MINUTE,
    processes: UseDetail = UseDetail.EACH,
) -> History:
    """Read the samples from `start` to `end` (wall times), without alert marks. Raises StoreError."""
    # The last 48 h come by the minute, unless `finest` is TEN_MINUTES. `processes` says which uses of
    # processes are read; their runs always are. Without a file the history is empty, and a row that cannot be
    # decoded is a gap.
    path = sample_store.samples_path(folder, host)
    try:
        database = sample_store.open_for_reading(path)
        if database is None:
            return History(start, end)
        with closing(database):
            reader = _SampleReader(database, start, end, processes)
            return in_transaction(database, lambda _database: reader.history(now, finest), "BEGIN")
    except (sqlite3.Error, OSError) as error:
        text = _("{path}: the samples cannot be read: {error}")
        raise StoreError(text.format(path=path, error=describe_error(error))) from error


class _SampleReader:
    """Reads one span of time over one connection."""

    def __init__(self, database: sqlite3.Connection, start: float, end: float, processes: UseDetail) -> None:
        self._database = database
        self._start = start
        self._end = end
        self._processes = processes
        self._columns = "body, processes" if processes is UseDetail.EACH else "body, NULL"
        self._names = NameDictionary(database)

    def history(self, now: float, finest: int) -> History:
        fine = int(now - MINUTE_SAMPLES_KEPT) // TEN_MINUTES * TEN_MINUTES + TEN_MINUTES
        if finest != MINUTE:
            fine = int(self._end) + TEN_MINUTES
        stretches = [*self._tens(fine), *self._minutes(fine)]
        samples: dict[str, list[GpuSample]] = {}
        users: list[Use] = []
        processes: list[Use] = []
        for stretch in sorted(stretches, key=lambda stretch: stretch.at):
            for sample in stretch.gpus:
                samples.setdefault(sample.uuid, []).append(sample)
            users += stretch.users
            processes += stretch.processes
        if self._processes is UseDetail.SUMMED:
            processes += self._summed(fine)
        return History(
            self._start,
            self._end,
            read_gpus(self._database),
            {uuid: tuple(of_gpu) for uuid, of_gpu in samples.items()},
            tuple(self._runs()),
            tuple(users),
            tuple(processes),
        )

    def _tens(self, until: int) -> Iterator[Stretch]:
        """Read the ten-minute values before `until`, also those of minutes that are yet to be folded."""
        end = min(self._end, until)
        rows = self._database.execute(
            f"SELECT at, {TEN_MINUTES}, {self._columns} FROM tens WHERE at > ? AND at < ?",
            (self._start - TEN_MINUTES, end),
        )
        parts = list(sample_store.decode_rows(rows, self._names))
        parts += [
            piece
            for stretch in self._of_minutes(end, "AND NOT folded")
            for piece in split_stretch(stretch, TEN_MINUTES)
        ]
        return _align((part for part in parts if part.at < end), TEN_MINUTES, self._start)

    def _minutes(self, since: int) -> Iterator[Stretch]:
        """Read the minutes from `since` on."""
        parts = (
            piece
            for stretch in self._of_minutes(self._end, "", since)
            for piece in split_stretch(stretch, MINUTE)
            if since <= piece.at < self._end
        )
        return _align(parts, MINUTE, self._start)

    def _of_minutes(self, end: float, which: str, since: float = 0.0) -> Iterator[Stretch]:
        rows = self._database.execute(
            f"SELECT at, seconds, {self._columns} FROM minutes WHERE at > ? AND at < ? {which}",
            (max(self._start, since) - LONGEST_STRETCH - TEN_MINUTES, end),
        )
        return sample_store.decode_rows(rows, self._names)

    def _summed(self, fine: int) -> Iterator[Use]:
        """Return the uses of each process in one, from the same rows."""
        sums, tens = UseSums(self._names), "SELECT at, ?, processes FROM tens WHERE at < ? AND at + ? > ?"
        minutes = "SELECT at, seconds, processes FROM minutes WHERE at < ? AND at + seconds > ?"
        start, end = _round_down(self._start, TEN_MINUTES), -_round_down(-min(self._end, fine), TEN_MINUTES)
        rows = self._database.execute(tens, (TEN_MINUTES, end, TEN_MINUTES, start))
        self._add(sums, rows, start, end)
        rows = self._database.execute(f"{minutes} AND NOT folded", (end, start))
        self._add(sums, rows, start, end)
        start, end = max(_round_down(self._start, MINUTE), fine), -_round_down(-self._end, MINUTE)
        if start < end:
            self._add(sums, self._database.execute(minutes, (end, start)), start, end)
        return sums.uses(int(self._start), math.ceil(self._end - self._start))

    def _add(self, sums: UseSums, rows: Iterable[tuple[int, int, bytes]], start: int, end: int) -> None:
        for at, seconds, processes in rows:
            try:
                sums.add(processes, (min(at + seconds, end) - max(at, start)) / seconds)
            except UnreadableRowError as error:
                log.warning("%s", error)

    def _runs(self) -> Iterator[ProcessRun]:
        """Read the runs of that time, seen at least until the newest minute with them."""
        seen: dict[str | None, int] = {}
        rows = self._database.execute("SELECT at, seconds, body, processes FROM minutes WHERE NOT folded")
        for stretch in sample_store.decode_rows(rows, self._names):
            seen.update({use.who: stretch.end for use in stretch.processes})
        late = self._start - LONGEST_STRETCH - TEN_MINUTES
        for run in read_runs(self._database, late, self._end):
            last = max(run.last, seen.get(run.key, run.last))
            if last >= self._start:
                yield run if last == run.last else replace(run, last=float(last))


def _round_down(at: float, length: int) -> int:
    """Return the multiple of `length` at or before `at`."""
    return int(at // length) * length


def _align(parts: Iterable[Stretch], length: int, start: float) -> Iterator[Stretch]:
    """Merge the parts into one stretch of each length."""
    windows: dict[int, list[Stretch]] = {}
    for part in parts:
        at = part.at - part.at % length
        if at + length > start:
            windows.setdefault(at, []).append(part)
    for at, window in windows.items():
        first = window[0]
        whole = len(window) == 1 and (first.at, first.seconds) == (at, length)
        yield first if whole else merge_stretches(window, at, length)
