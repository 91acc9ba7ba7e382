"""`report samples`."""

from __future__ import annotations

import itertools
import json
import sys
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import machine
from gpuwatch_tray.commands.spreadsheet import write_csv
from gpuwatch_tray.units import HOUR

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from gpuwatch_tray.context import RunContext
    from gpuwatch_tray.model import GpuSample, History, Span, Use

WINDOW = 6 * HOUR  # seconds in memory at once; a multiple of ten minutes, so that no sample lies in two
MEASURED = ("memory", "utilisation", "temperature", "power", "fan", "throttled")
SAMPLE_FIELDS = (
    *("kind", "at", "seconds", "gpu", "uuid", "pid", "user", "name", "level"),
    *("covered", "readings", "asleep", "listed", "held", "idle", "energy"),
    *(f"{name}_{part}" for name in MEASURED for part in ("low", "mean", "high")),
)


def print_samples(context: RunContext, args: argparse.Namespace) -> int:
    """Print the samples. Raises UsageError, StoreError, and WorkError for a demo that does not run."""
    from gpuwatch_tray.commands.past import parse_since, read_history

    now = machine.now().wall
    samples = (
        record
        for start, end in windows(parse_since(args.since, now), now)
        for record in sample_records(read_history(context, start, end))
    )
    # Reading the first one now raises its error before anything is printed.
    records = itertools.chain(list(itertools.islice(samples, 1)), samples)
    if args.json:
        _print_json(records)
    else:
        write_csv(SAMPLE_FIELDS, records)
    return 0


def windows(start: float, end: float) -> Iterator[tuple[float, float]]:
    """Yield the time from `start` to `end` in pieces of WINDOW seconds."""
    while start < end:
        following = min(start - start % WINDOW + WINDOW, end)
        yield start, following
        start = following


def sample_records(history: History) -> Iterator[dict[str, Any]]:
    """
    Yield the samples of GPUs, then of users, then of processes (`kind`), oldest first, with all fields.

    Times are in seconds, memory in bytes, temperatures in degrees C, power in W, energy in J, utilisation and
    fan in %; None is unknown, or no field of this kind. A time without a record is a gap.
    """
    index = {gpu.uuid: gpu.index for gpu in history.gpus}
    runs = {run.key: run for run in history.runs}
    for samples in history.samples.values():
        for sample in samples:
            yield _record("gpu", sample, index, **_gpu_fields(sample))
    for use in history.users:
        yield _record("user", use, index, user=use.who)
    for use in history.processes:
        run = runs.get(use.who or "")
        if run is not None:
            yield _record("process", use, index, pid=run.pid, user=run.user, name=run.name)


def _print_json(records: Iterable[dict[str, Any]]) -> None:
    """Print a list with a line for each record, without holding all of them in memory."""
    before = "[\n"
    for record in records:
        sys.stdout.write(f"{before}{json.dumps(record)}")
        before = ",\n"
    sys.stdout.write("[]\n" if before == "[\n" else "\n]\n")


def _record(kind: str, of: GpuSample | Use, index: dict[str, int], **more: Any) -> dict[str, Any]:
    record = dict.fromkeys(SAMPLE_FIELDS) | {
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
            record |= {f"{name}_{part}": _rounded(getattr(span, part)) for part in ("low", "mean", "high")}
    return record | more


def _gpu_fields(sample: GpuSample) -> dict[str, Any]:
    return {
        "level": None if sample.level is None else sample.level.name.lower(),
        "covered": _rounded(sample.covered),
        "readings": sample.readings,
        "asleep": _rounded(sample.asleep),
        "listed": _rounded(sample.listed),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
