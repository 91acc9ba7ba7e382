"""`report samples`: the samples themselves, as JSON or CSV."""

from __future__ import annotations

import itertools
import json
import sys
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.cli.spreadsheet import write_csv
from gpuwatch_tray.common import host
from gpuwatch_tray.model.units import HOUR

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from gpuwatch_tray.app.context import RunContext
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
    from gpuwatch_tray.app.history_query import parse_since, read_history

    now = host.now().wall
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
    """Yield the samples of GPUs, users and processes (`kind`), oldest first; docs/json.md has the units."""
    index = {gpu.uuid: gpu.index for gpu in history.gpus}
    runs = {run.key: run for run in history.runs}
    for samples in history.samples.values():
        for sample in samples:
            level = None if sample.level is None else sample.level.name.lower()
            parts = {name: _rounded(getattr(sample, name)) for name in ("covered", "asleep", "listed")}
            yield _record("gpu", sample, index, level=level, readings=sample.readings, **parts)
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
        "held": _rounded(of.seconds_in_use),
        "idle": _rounded(of.idle),
        "energy": _rounded(of.energy),
    }
    for name in MEASURED:
        span: Span | None = getattr(of, name, None)
        if span is not None:
            record |= {f"{name}_{part}": _rounded(getattr(span, part)) for part in ("low", "mean", "high")}
    return record | more


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
