"""The uses of each process over a long time, added up while they are read: a month of them is millions."""

from __future__ import annotations

from math import inf, isnan, nan
from typing import TYPE_CHECKING

from gpuwatch_tray.store.samplecode import process_rows, use_from_row
from gpuwatch_tray.store.values import UnreadableRowError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuwatch_tray.model import Use
    from gpuwatch_tray.store.samplecode import Names

NOTHING = (0.0, 0.0, nan, *2 * (inf, 0.0, -inf, 0.0))  # a row's columns, means times seconds


class UseSums:
    """Sums of encoded process uses; `uses` returns one a process and GPU, as `merge_stretches` would."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._sums: dict[tuple[int, int], list[float]] = {}

    def add(self, processes: bytes, share: float) -> None:
        """Add this share, up to 1, of a stretch whose parts are alike. Raises UnreadableRowError."""
        for who, gpu, row in process_rows(processes):
            sums = self._sums.get((who, gpu))
            if sums is None:
                sums = self._begun(who, gpu)
            held, idle, energy, *spans = row
            sums[0] += held * share
            sums[1] += idle * share
            if not isnan(energy):  # a NaN is what is not known
                sums[2] = energy * share + (0.0 if isnan(sums[2]) else sums[2])
            for at in (3, 7):
                low, mean, high, seconds = spans[at - 3 : at + 1]
                if not isnan(low):
                    sums[at] = min(sums[at], low)
                    sums[at + 1] += mean * seconds * share
                    sums[at + 2] = max(sums[at + 2], high)
                    sums[at + 3] += seconds * share

    def uses(self, at: int, seconds: int) -> Iterator[Use]:
        """Return the use of each, as of one stretch from `at`."""
        for (who, gpu), (held, idle, energy, *spans) in self._sums.items():
            key = self._names.run_of(who)
            if key is not None:
                row = (held, idle, energy, *_span_from_sums(spans[:4]), *_span_from_sums(spans[4:]))
                yield use_from_row(key, self._names.gpu_of(gpu), at, seconds, row)

    def _begun(self, who: int, gpu: int) -> list[float]:
        try:
            self._names.gpu_of(gpu)
        except KeyError as error:
            raise UnreadableRowError(f"a stretch of the samples makes no sense: {error}") from error
        sums = self._sums[who, gpu] = list(NOTHING)
        return sums


def _span_from_sums(sums: list[float]) -> tuple[float, ...]:
    low, weighed, high, seconds = sums
    if not seconds:
        return (nan,) * 4
    return low, min(max(weighed / seconds, low), high), high, seconds
