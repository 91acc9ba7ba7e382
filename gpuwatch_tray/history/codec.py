"""
A stretch of samples in the tables: columns of floats, deflated, numbers in place of names.

One row a stretch, not one a sample: a month of 800 processes is 7,200 rows then and not six millions. Of each
32-bit float the lowest byte is left out (an error of 0.003 %). What is unknown is a NaN.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from contextlib import contextmanager
from math import inf, isnan, nan
from typing import TYPE_CHECKING, Any, TypeAlias

from gpuwatch_tray.history.aggregate import GPU_SPANS
from gpuwatch_tray.model import GpuSample, Severity, Span, Stretch, Use
from gpuwatch_tray.store.tables import UnreadableRowError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuwatch_tray.history.names import NameDictionary

FloatRow: TypeAlias = tuple[float, ...]

LEVEL = 1  # of zlib's nine: higher ones take ten times as long and save a twentieth
_SPAN = 4  # columns
_GPU = 8 + 6 * _SPAN
_USE = 3 + 2 * _SPAN
_KEPT = (1, 2, 3)  # of the four bytes of a float, lowest first


def encode_stretch(stretch: Stretch, numbers: NameDictionary) -> tuple[bytes, bytes]:
    """Return the GPUs and users of a stretch, and its processes."""
    gpus = [(numbers.gpu(gpu.uuid), 0, _gpu_values(gpu)) for gpu in stretch.gpus]
    users = [(numbers.user(use.who), numbers.gpu(use.uuid), _use_values(use)) for use in stretch.users]
    processes = [
        (number, numbers.gpu(use.uuid), _use_values(use))
        for use in stretch.processes
        if (number := numbers.run(use.who or "")) is not None
    ]
    return _deflated((gpus, _GPU), (users, _USE)), _deflated((processes, _USE))


def decode_stretch(
    at: int, seconds: int, body: bytes, processes: bytes | None, names: NameDictionary
) -> Stretch:
    """Return the stretch, without processes where `processes` is None. Raises UnreadableRowError."""
    with _readable():
        gpus, users = _inflated(body, _GPU, _USE)
        (runs,) = ([],) if processes is None else _inflated(processes, _USE)
        return Stretch(
            at,
            seconds,
            tuple(_gpu_from_row(names.gpu_of(number), at, seconds, row) for number, _, row in gpus),
            tuple(
                use_from_row(names.user_of(who), names.gpu_of(gpu), at, seconds, row)
                for who, gpu, row in users
            ),
            tuple(
                use_from_row(key, names.gpu_of(gpu), at, seconds, row)
                for who, gpu, row in runs
                if (key := names.run_of(who)) is not None
            ),
        )


@contextmanager
def _readable() -> Iterator[None]:
    """Raise UnreadableRowError where a row cannot be decoded."""
    try:
        yield
    except (zlib.error, ValueError, KeyError, IndexError, EOFError) as error:
        raise UnreadableRowError(f"a stretch of the samples makes no sense: {error}") from error


def use_from_row(who: str | None, uuid: str, at: int, seconds: int, row: FloatRow) -> Use:
    """Return the use in a row's columns."""
    energy = _value(row[2])
    return Use(who, uuid, at, seconds, row[0], _span_at(row, 3), _span_at(row, 7), row[1], energy)


def _deflated(*tables: tuple[list[tuple[int, int, FloatRow]], int]) -> bytes:
    raw = bytearray()
    for rows, width in tables:
        numbers = array("I", [len(rows)])
        numbers.extend([number for number, _, _ in rows])
        numbers.extend([gpu for _, gpu, _ in rows])
        columns = zip(*[row for _, _, row in rows], strict=True)
        values = array("f", [value for column in columns for value in column])
        if len(values) != len(rows) * width:
            raise ValueError("a row has as many values as there are columns")
        raw += _bytes(numbers)
        floats = _bytes(values)
        for byte in _KEPT:
            raw += floats[byte::4]
    return zlib.compress(raw, LEVEL)


def _inflated(body: bytes, *widths: int) -> Iterator[list[tuple[int, int, FloatRow]]]:
    raw = memoryview(zlib.decompress(body))
    place = 0

    def cut(size: int) -> memoryview:
        nonlocal place
        place += size
        return raw[place - size : place]

    for width in widths:
        (count,) = _array("I", cut(4))
        numbers, gpus = _array("I", cut(4 * count)), _array("I", cut(4 * count))
        floats = bytearray(4 * count * width)
        for byte in _KEPT:
            floats[byte::4] = cut(count * width)
        values = _array("f", floats)
        columns = [values[n * count : (n + 1) * count] for n in range(width)]
        yield list(zip(numbers, gpus, zip(*columns, strict=True), strict=True))


def _array(kind: str, raw: memoryview | bytearray) -> array[Any]:
    values = array(kind)
    values.frombytes(raw)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _bytes(values: array[Any]) -> bytes:
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def _span_values(span: Span | None) -> FloatRow:
    return (nan, nan, nan, nan) if span is None else (span.low, span.mean, span.high, span.seconds)


def _gpu_values(sample: GpuSample) -> FloatRow:
    return (
        sample.covered,
        sample.readings,
        0.0 if sample.level is None else sample.level,
        nan if sample.energy is None else sample.energy,
        sample.asleep,
        sample.listed,
        sample.seconds_in_use,
        sample.idle,
        *(value for name in GPU_SPANS for value in _span_values(getattr(sample, name))),
    )


def _use_values(use: Use) -> FloatRow:
    energy = nan if use.energy is None else use.energy
    return (use.seconds_in_use, use.idle, energy, *_span_values(use.memory), *_span_values(use.utilisation))


def _value(value: float) -> float | None:
    return None if isnan(value) else value


def _span_at(row: FloatRow, at: int) -> Span | None:
    low = row[at]
    return None if isnan(low) else Span(low, row[at + 1], row[at + 2], row[at + 3])


def _gpu_from_row(uuid: str, at: int, seconds: int, row: FloatRow) -> GpuSample:
    covered, readings, level, energy, asleep, listed, seconds_in_use, idle = row[:8]
    spans: dict[str, Any] = {name: _span_at(row, 8 + _SPAN * n) for n, name in enumerate(GPU_SPANS)}
    return GpuSample(
        uuid,
        at,
        seconds,
        covered,
        int(readings),
        level=Severity(int(level)) if level else None,
        energy=_value(energy),
        asleep=asleep,
        listed=listed,
        seconds_in_use=seconds_in_use,
        idle=idle,
        **spans,
    )


NOTHING = (0.0, 0.0, nan, *2 * (inf, 0.0, -inf, 0.0))  # a row's columns, means times seconds


class UseSums:
    """Sums of encoded process uses; `uses` returns one a process and GPU, as `merge_stretches` would."""

    def __init__(self, names: NameDictionary) -> None:
        self._names = names
        self._sums: dict[tuple[int, int], list[float]] = {}

    def add(self, processes: bytes, share: float) -> None:
        """Add this share, up to 1, of a stretch whose parts are alike. Raises UnreadableRowError."""
        with _readable():
            (rows,) = _inflated(processes, _USE)
            for who, gpu in {row[:2] for row in rows} - self._sums.keys():
                self._names.gpu_of(gpu)
                self._sums[who, gpu] = list(NOTHING)
        for who, gpu, row in rows:
            sums = self._sums[who, gpu]
            seconds_in_use, idle, energy, *spans = row
            sums[0] += seconds_in_use * share
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
        for (who, gpu), (seconds_in_use, idle, energy, *spans) in self._sums.items():
            key = self._names.run_of(who)
            if key is not None:
                row = (seconds_in_use, idle, energy, *_span_from_sums(spans[:4]), *_span_from_sums(spans[4:]))
                yield use_from_row(key, self._names.gpu_of(gpu), at, seconds, row)


def _span_from_sums(sums: list[float]) -> tuple[float, ...]:
    low, weighed, high, seconds = sums
    if not seconds:
        return (nan,) * 4
    return low, min(max(weighed / seconds, low), high), high, seconds
