"""`report samples`: the samples as they are on file, a record for each."""

from __future__ import annotations

import itertools
import json
import sys
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import machine
from gpuwatch_tray.commands import spreadsheet
from gpuwatch_tray.commands.past import past, since
from gpuwatch_tray.units import HOUR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gpuwatch_tray.context import Setup
    from gpuwatch_tray.model import GpuSample, History, Span, Use

WINDOW = 6 * HOUR  # seconds that are in memory at once, a multiple of ten minutes: no sample lies in two
MEASURED = ("memory", "utilisation", "temperature", "power", "fan", "throttled")
FIELDS = (
    *("kind", "at", "seconds", "gpu", "uuid", "pid", "user", "name", "level"),
    *("covered", "readings", "asleep", "listed", "held", "idle", "energy"),
    *(f"{name}_{part}" for name in MEASURED for part in ("low", "mean", "high")),
)


def run(setup: Setup, length: str, *, as_json: bool) -> int:
    """Print them. Raises UsageError, StoreError, and WorkError for a demo that does not run."""
    now = machine.now().wall
    later = (
        record
        for start, end in windows(since(length, now), now)
        for record in records(past(setup, start, end))
    )
    found = itertools.chain(list(itertools.islice(later, 1)), later)  # what cannot be read prints nothing
    if as_json:
        _as_json(found)
    else:
        spreadsheet.write(FIELDS, found)
    return 0


def windows(start: float, end: float) -> Iterator[tuple[float, float]]:
    """The time from `start` to `end`, piece by piece."""
    while start < end:
        following = min(start - start % WINDOW + WINDOW, end)
        yield start, following
        start = following


def records(history: History) -> Iterator[dict[str, Any]]:
    """
    The samples, each with all `FIELDS`: of GPUs, then of users, then of processes (`kind`), oldest first.

    Times are in seconds, memory in bytes, temperatures in degrees C, power in W, energy in J, utilisation and
    fan in %. What is unknown, or is not of this kind, is None. A time of which there is no record is a gap.
    """
    index = {gpu.uuid: gpu.index for gpu in history.gpus}
    runs = {run.key: run for run in history.runs}
    for samples in history.samples.values():
        for sample in samples:
            yield _record("gpu", sample, index, **_of_gpu(sample))
    for use in history.users:
        yield _record("user", use, index, user=use.who)
    for use in history.processes:
        run = runs.get(use.who or "")
        if run is not None:
            yield _record("process", use, index, pid=run.pid, user=run.user, name=run.name)


def _as_json(found: Iterable[dict[str, Any]]) -> None:
    """A list, a record a line: a month of it need not be in memory."""
    before = "[\n"
    for each in found:
        sys.stdout.write(f"{before}{json.dumps(each)}")
        before = ",\n"
    sys.stdout.write("[]\n" if before == "[\n" else "\n]\n")


def _record(kind: str, of: GpuSample | Use, index: dict[str, int], **more: Any) -> dict[str, Any]:
    found = dict.fromkeys(FIELDS) | {
        "kind": kind,
        "at": of.at,
        "seconds": of.seconds,
        "gpu": index.get(of.uuid),
        "uuid": of.uuid or None,
        "held": _rounded(of.held),
        "idle": _rounded(of.idle),
        "energy": _rounded(of.energy),
    }
    for name in MEASURED:
        span: Span | None = getattr(of, name, None)
        if span is not None:
            found |= {f"{name}_{part}": _rounded(getattr(span, part)) for part in ("low", "mean", "high")}
    return found | more


def _of_gpu(sample: GpuSample) -> dict[str, Any]:
    return {
        "level": None if sample.level is None else sample.level.name.lower(),
        "covered": _rounded(sample.covered),
        "readings": sample.readings,
        "asleep": _rounded(sample.asleep),
        "listed": _rounded(sample.listed),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
