"""
Who used what: sums over the samples; what is not known is None, and in no sum.

A GPU-hour is an hour in which something of the person's computed on a GPU, however much. The energy that a
GPU draws meanwhile is divided equally among the processes that compute; the rest is nobody's.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from gpuwatch_tray.history.aggregate import sum_known
from gpuwatch_tray.model.units import GIB, HOUR

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpuwatch_tray.model import GpuSample, History, Span, Use


KWH = 3.6e6  # J


class GroupBy(Enum):
    """What the sums are of."""

    USER = "user"
    PROCESS = "process"
    GPU = "gpu"


class UsageSums(Struct, frozen=True):
    """
    GPU-hours, GiB-hours of memory, mean utilisation (%), hours held without doing anything, and kWh.

    `utilisation` is the GPU's while it was held; in a GPU's own row, all the time that it was seen.
    """

    hours: float
    memory: float | None
    utilisation: float | None
    idle: float
    energy: float | None


class UsageRow(Struct, frozen=True):
    """The sums of `who`: a user's name (None for unknown owners), a run's key, or a GPU's UUID."""

    who: str | None
    sums: UsageSums


class Usage(Struct, frozen=True):
    """
    Who used what between two wall times, the most first.

    `unattributed` is the energy (kWh) of which nobody is known; `observed_hours` are by GPU (UUID); in
    `unmetered_hours` of them the board's energy is not known.
    """

    start: float
    end: float
    by: GroupBy
    rows: tuple[UsageRow, ...]
    whole: UsageSums
    unattributed: float | None
    observed_hours: dict[str, float]
    unmetered_hours: float


def usage(history: History, by: GroupBy) -> Usage:
    """Add up `history`, which must have its `processes` for sums by process."""
    samples = [sample for row in history.samples.values() for sample in row]
    uses = history.users
    if by is GroupBy.PROCESS:
        computed = {run.key for run in history.runs if run.computes}
        uses = tuple(use for use in history.processes if use.who in computed)
    if by is GroupBy.GPU:
        rows = [UsageRow(uuid, _add_up(samples_of)) for uuid, samples_of in history.samples.items()]
    else:
        grouped: dict[str | None, list[Use]] = {}
        for use in uses:
            grouped.setdefault(use.who, []).append(use)
        rows = [UsageRow(who, _add_up(samples_of)) for who, samples_of in grouped.items()]
        rows.sort(key=lambda row: (row.who is None, -row.sums.hours, row.who or ""))
    # While a GPU is divided (MIG) its parts are counted, but energy only for the board.
    board = {gpu.uuid: gpu.physical for gpu in history.gpus if gpu.physical}
    divided = {(board[sample.uuid], sample.at) for sample in samples if sample.uuid in board}
    counted = [sample for sample in samples if (sample.uuid, sample.at) not in divided]
    whole = _add_up(counted)
    nowhere = sum(use.seconds_in_use for use in history.users if not use.uuid)
    drawn = _kwh(sample.energy for sample in samples)
    shared = _kwh(use.energy for use in history.users)
    return Usage(
        history.start,
        history.end,
        by,
        tuple(rows),
        replace(
            whole,
            hours=whole.hours + nowhere / HOUR,
            memory=whole.memory if by is GroupBy.GPU else sum_known(row.sums.memory for row in rows),
            energy=drawn,
        ),
        None if drawn is None else max(0.0, drawn - (shared or 0.0)),
        {uuid: sum(sample.covered for sample in of_gpu) / HOUR for uuid, of_gpu in history.samples.items()},
        sum(each.covered for each in samples if each.energy is None and each.uuid not in board) / HOUR,
    )


def _add_up(stretches: Sequence[Use] | Sequence[GpuSample]) -> UsageSums:
    """Add up the stretches of one user, one process or one GPU."""
    return UsageSums(
        sum(sample.seconds_in_use for sample in stretches) / HOUR,
        _gib_hours(sample.memory for sample in stretches),
        _mean_of_spans(sample.utilisation for sample in stretches),
        sum(sample.idle for sample in stretches) / HOUR,
        _kwh(sample.energy for sample in stretches),
    )


def _gib_hours(spans: Iterable[Span | None]) -> float | None:
    return sum_known(None if span is None else span.mean * span.seconds / GIB / HOUR for span in spans)


def _mean_of_spans(spans: Iterable[Span | None]) -> float | None:
    weighed = seconds = 0.0
    for span in spans:
        if span is not None:
            weighed += span.mean * span.seconds
            seconds += span.seconds
    return weighed / seconds if seconds else None


def _kwh(energies: Iterable[float | None]) -> float | None:
    whole = sum_known(energies)
    return None if whole is None else whole / KWH
