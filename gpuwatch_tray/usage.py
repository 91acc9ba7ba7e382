"""
Who used what: sums over the samples; pure.

A GPU-hour is an hour in which something of the person's computed on a GPU (or MIG device), however much there
was of it. What a GPU draws while something computes is shared out equally among what does, the rest is
nobody's. What is not known is None, and in no sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from gpuwatch_tray.sampling import summed
from gpuwatch_tray.units import GIB, HOUR

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpuwatch_tray.model import GpuSample, History, Span, Use

KWH = 3.6e6  # J


class By(Enum):
    """What the sums are of."""

    USER = "user"
    PROCESS = "process"
    GPU = "gpu"


@dataclass(frozen=True, slots=True)
class Sums:
    """
    GPU-hours, GiB-hours of memory, mean utilisation (%), hours held without doing anything, and kWh.

    `utilisation` is the GPU's, while it was held; of a GPU, all the time that it was seen.
    """

    hours: float
    memory: float | None
    utilisation: float | None
    idle: float
    energy: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """The sums of `who`: a user's name (None for unknown owners), a run's key, or a GPU's UUID."""

    who: str | None
    sums: Sums


@dataclass(frozen=True, slots=True)
class Usage:
    """
    Who used what between two wall times, the most first.

    `nobodys` is the energy (kWh) that was drawn while nothing computed, or nobody could tell what did.
    `seen` is for how many hours each GPU was looked at, by UUID.
    """

    start: float
    end: float
    by: By
    rows: tuple[Row, ...]
    whole: Sums
    nobodys: float | None
    seen: dict[str, float]


def usage(history: History, by: By) -> Usage:
    """The sums of what is in `history`, which has its `processes` where they are asked for."""
    samples = [sample for each in history.samples.values() for sample in each]
    uses = history.users
    if by is By.PROCESS:
        computed = {run.key for run in history.runs if run.computes}
        uses = tuple(use for use in history.processes if use.who in computed)
    if by is By.GPU:
        rows = [Row(uuid, _sums(found)) for uuid, found in history.samples.items()]
    else:
        grouped: dict[str | None, list[Use]] = {}
        for use in uses:
            grouped.setdefault(use.who, []).append(use)
        rows = [Row(who, _sums(found)) for who, found in grouped.items()]
        rows.sort(key=lambda row: (row.who is None, -row.sums.hours, row.who or ""))
    # A GPU is counted by its parts while it is divided, save for what only the board draws.
    board = {gpu.uuid: gpu.physical for gpu in history.gpus if gpu.physical}
    divided = {(board[sample.uuid], sample.at) for sample in samples if sample.uuid in board}
    counted = [sample for sample in samples if (sample.uuid, sample.at) not in divided]
    nowhere = sum(use.held for use in history.users if not use.uuid)
    drawn = _kwh(sample.energy for sample in samples)
    shared = _kwh(use.energy for use in history.users)
    return Usage(
        history.start,
        history.end,
        by,
        tuple(rows),
        Sums(
            sum(sample.held for sample in counted) / HOUR + nowhere / HOUR,
            _memory(each.memory for each in counted)
            if by is By.GPU
            else summed(row.sums.memory for row in rows),
            _mean(sample.utilisation for sample in counted),
            sum(sample.idle for sample in counted) / HOUR,
            drawn,
        ),
        None if drawn is None else max(0.0, drawn - (shared or 0.0)),
        {uuid: sum(each.covered for each in found) / HOUR for uuid, found in history.samples.items()},
    )


def _sums(stretches: Sequence[Use] | Sequence[GpuSample]) -> Sums:
    """What these stretches come to: those of a use, or those of a whole GPU."""
    return Sums(
        sum(each.held for each in stretches) / HOUR,
        _memory(each.memory for each in stretches),
        _mean(each.utilisation for each in stretches),
        sum(each.idle for each in stretches) / HOUR,
        _kwh(each.energy for each in stretches),
    )


def _memory(spans: Iterable[Span | None]) -> float | None:
    return summed(None if span is None else span.mean * span.seconds / GIB / HOUR for span in spans)


def _mean(spans: Iterable[Span | None]) -> float | None:
    weighed = seconds = 0.0
    for span in spans:
        if span is not None:
            weighed += span.mean * span.seconds
            seconds += span.seconds
    return weighed / seconds if seconds else None


def _kwh(energies: Iterable[float | None]) -> float | None:
    whole = summed(energies)
    return None if whole is None else whole / KWH
