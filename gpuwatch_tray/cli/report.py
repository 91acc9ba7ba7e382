"""`report`: the page of what happened, who used what, and the samples themselves."""

from __future__ import annotations

import gc
import itertools
import json
import logging
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.app.context import SourceKind, UsageError, WorkError
from gpuwatch_tray.cli.base import positive_int
from gpuwatch_tray.common import host, redact
from gpuwatch_tray.common.text import align_columns
from gpuwatch_tray.history.sample_reader import UseDetail
from gpuwatch_tray.history.usage import GroupBy, UsageSums, usage
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import LABEL, MINUTE_SAMPLES_KEPT, TEN_MINUTES
from gpuwatch_tray.model.units import HOUR, MINUTE, TO_THE_MINUTE, local_time

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.cli.base import CommandGroup
    from gpuwatch_tray.history.usage import Usage
    from gpuwatch_tray.model import GpuFacts, GpuSample, History, ProcessRun, Span, Use


log = logging.getLogger(__name__)

MOST_HOURS = 30 * 24  # samples are kept so long
UNMETERED_SHARE = 0.01  # of the hours seen: more without known energy is said


def make_page(context: RunContext, args: argparse.Namespace) -> int:
    """Make the page of the last hours, print its file's name, and open it with --open."""
    from gpuwatch_tray.app.history_query import read_history
    from gpuwatch_tray.app.report_page import page_file, write_page
    from gpuwatch_tray.common.private import make_private, make_private_folder
    from gpuwatch_tray.desktop import launcher
    from gpuwatch_tray.report import document

    if args.hours > MOST_HOURS:
        text = _("--hours: expected at most {most}, the 30 days that are kept, got {hours}")
        raise UsageError(text.format(most=MOST_HOURS, hours=args.hours))
    if not args.out and args.out is not None:
        raise UsageError(_("--out: expected a file's name, or - for standard output"))
    if args.out == "-" and args.open:
        raise UsageError(_("--out - and --open cannot be used together"))
    # A month is half a million small objects without cycles: the collector would take half of the time, and
    # this process ends right after.
    gc.disable()
    details = _request(context, {"do": "details"})
    folder = Path(details["state"]) if details else context.settings.state
    file = Path(args.out) if args.out is not None else page_file(folder, context.state_name, os.environ)
    try:
        if args.out is None:
            make_private_folder(file.parent)
            make_private(file.parent)
    except OSError as error:
        raise WorkError(f"{file}: {error.strerror or error}") from error
    # A page to keep follows nothing.
    follows = bool(details) and args.open and args.out is None
    feed = _request(context, {"do": "follow", "folder": str(file.parent.absolute())}) if follows else {}
    now = host.now().wall
    start = now - args.hours * HOUR
    finest = MINUTE if document.step(start, now) < TEN_MINUTES else TEN_MINUTES
    history = read_history(context, start, now, finest=finest, processes=UseDetail.SUMMED)
    page = document.PageContext(
        context.host,
        now,
        simulated=context.simulated,
        live=details.get("status"),
        present=frozenset(details.get("present", ())),
        commands=dict(details.get("commands", ())),
        warn_at=context.settings.limits.heat.warn_at,
        usage=usage_json(usage(history, GroupBy.USER), history, context.settings.energy_price),
        lab=_request(context, {"do": "lab"}).get("lab") if details else None,
        links=context.settings.lab.links,
        feed=document.Feed(feed["file"], secrets.token_urlsafe(16)) if feed else None,
        called=host.called_as(),
        options=_options(context),
    )
    if args.out == "-":
        sys.stdout.write(document.html(history, page))
        return 0
    try:
        write_page(file, document.html(history, page))
    except OSError as error:
        raise WorkError(f"{file}: {error.strerror or error}") from error
    print(file)
    if args.open:
        try:
            launcher.open_page(file)
        except launcher.OpeningError as error:
            raise WorkError(str(error)) from error
    return 0


def _options(context: RunContext) -> str:
    """Return the options by which a command in a terminal asks the same program as this one."""
    if context.simulated:
        return " --demo"
    usual = SourceKind.COMMAND if context.settings.mygpu else SourceKind.NVML
    return "" if context.source is usual else f" --source {context.source.value}"


def _request(context: RunContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the running program's answer; empty where nothing runs, or an older version does."""
    from gpuwatch_tray.app.tray_client import try_request

    try:
        return try_request(context, request) or {}
    except WorkError as error:
        log.warning("%s", error)
        return {}


FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # Source: OWASP, "CSV Injection"


def write_csv(fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print `rows` as CSV with a header; None is an empty field."""
    import csv

    writer = csv.DictWriter(sys.stdout, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows({field: _without_formula(row[field]) for field in fields} for row in rows)


def _without_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


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


NOBODY, UNKNOWN = "nobody", "unknown"
KEY_COLUMNS = {
    GroupBy.USER: ("user",),
    GroupBy.PROCESS: ("pid", "user", "name", "gpu", "uuid", "first", "last"),
    GroupBy.GPU: ("gpu", "uuid", "name"),
}
MEASURES = ("gpu_hours", "gib_hours", "utilisation_percent", "idle_held_hours", "energy_kwh", "cost")


def _add_since(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--since",
        metavar="DURATION",
        default=default,
        help=_("how far back to look, 30d at most (default: {default})").format(default=default),
    )


def _add_formats(parser: argparse.ArgumentParser, *, required: bool) -> None:
    formats = parser.add_mutually_exclusive_group(required=required)
    formats.add_argument("--json", action="store_true", help=_("as JSON"))
    formats.add_argument("--csv", action="store_true", help=_("as CSV"))


def print_usage(context: RunContext, args: argparse.Namespace) -> int:
    """Print who used what. Raises UsageError, StoreError, and WorkError for a demo that does not run."""
    from gpuwatch_tray.app.history_query import parse_since, read_history

    by = GroupBy(args.by)
    now = host.now().wall
    start = parse_since(args.since, now)
    finest = MINUTE if now - start <= MINUTE_SAMPLES_KEPT else TEN_MINUTES
    processes = UseDetail.SUMMED if by is GroupBy.PROCESS else UseDetail.NONE
    history = read_history(context, start, now, finest=finest, processes=processes)
    answer = usage_json(usage(history, by), history, context.settings.energy_price)
    if args.json:
        print(json.dumps({"simulated": context.simulated, **answer}, indent=2))
    elif args.csv:
        write_csv(["kind", *KEY_COLUMNS[by], *MEASURES], answer["rows"])
    else:
        label = [_(LABEL)] if context.simulated else []
        print("\n".join([*label, *usage_lines(answer, by)]))
    return 0


def usage_json(summary: Usage, history: History, price: float | None) -> dict[str, Any]:
    """Return the usage as --json prints it, without owner as kind `unknown` or `nobody`; times in seconds."""
    gpus, runs = {gpu.uuid: gpu for gpu in history.gpus}, {run.key: run for run in history.runs}
    rows = [
        {**_row_key(row.who, summary.by, gpus, runs), **_measures(row.sums, price)} for row in summary.rows
    ]
    if summary.unattributed is not None and summary.by is not GroupBy.GPU:
        nobody = UsageSums(0.0, None, None, 0.0, summary.unattributed)
        rows.append({"kind": NOBODY, **dict.fromkeys(KEY_COLUMNS[summary.by]), **_measures(nobody, price)})
    return {
        "start": summary.start,
        "end": summary.end,
        "by": summary.by.value,
        "energy_price": price,
        "seen_hours": summary.observed_hours,
        "energy_unknown_hours": round(summary.unmetered_hours, 4),
        "rows": rows,
        "total": _measures(summary.whole, price),
    }


def _row_key(
    who: str | None, by: GroupBy, gpus: Mapping[str, GpuFacts], runs: Mapping[str, ProcessRun]
) -> dict[str, Any]:
    if by is GroupBy.USER:
        return {"kind": UNKNOWN if who is None else by.value, "user": who}
    if by is GroupBy.GPU:
        gpu = gpus.get(who or "")
        known = (None, None) if gpu is None else (gpu.index, gpu.name)
        return {"kind": by.value, "gpu": known[0], "uuid": who, "name": known[1]}
    run = runs[who or ""]
    return {
        "kind": by.value,
        "pid": run.pid,
        "user": run.user,
        "name": run.name,
        "gpu": gpus[run.uuid].index if run.uuid in gpus else None,
        "uuid": run.uuid or None,
        "first": run.first,
        "last": run.last,
    }


def _measures(sums: UsageSums, price: float | None) -> dict[str, float | None]:
    cost = None if price is None or sums.energy is None else sums.energy * price
    values = (sums.hours, sums.memory, sums.utilisation, sums.idle, sums.energy, cost)
    return {
        name: None if value is None else round(value, 4) for name, value in zip(MEASURES, values, strict=True)
    }


def usage_lines(answer: dict[str, Any], by: GroupBy) -> list[str]:
    """Format the usage as a table for a terminal."""
    if not answer["rows"]:
        return [
            _("nothing was recorded since {time}").format(time=local_time(answer["start"], TO_THE_MINUTE))
        ]
    priced = answer["energy_price"] is not None
    head = [
        *{
            GroupBy.USER: [_("USER")],
            GroupBy.PROCESS: [_("PROCESS"), _("USER"), _("GPU")],
            GroupBy.GPU: [_("GPU")],
        }[by],
        *[_("GPU-HOURS"), _("GIB-HOURS"), _("BUSY"), _("IDLE-HELD"), _("KWH")],
        *([_("COST")] if priced else []),
    ]
    named = len(head) - len(MEASURES) + (not priced)
    whole = [_("total"), *[""] * (named - 1), *_measure_cells(answer["total"], priced=priced)]
    rows = [[*_key_cells(row, by), *_measure_cells(row, priced=priced)] for row in answer["rows"]]
    seen = sum(answer["seen_hours"].values())
    wanted = (answer["end"] - answer["start"]) / HOUR * len(answer["seen_hours"])
    share = _("since {time}; {seen:.1f} of {all:.1f} GPU-hours were recorded").format(
        time=local_time(answer["start"], TO_THE_MINUTE), seen=seen, all=wanted
    )
    lines = [*align_columns([head, *rows, whole], named), share]
    unknown = answer["energy_unknown_hours"]
    if answer["total"]["energy_kwh"] is None:
        lines.append(_("no energy is known: the driver reported no power, or only impossible readings"))
    elif unknown > UNMETERED_SHARE * seen:
        text = _(
            "energy is missing for {hours:.1f} of them: the driver reported no power, or impossible readings"
        )
        lines.append(text.format(hours=unknown))
    return lines


def _key_cells(row: dict[str, Any], by: GroupBy) -> list[str]:
    if row["kind"] == NOBODY:
        return [_("nobody"), *[""] * (2 if by is GroupBy.PROCESS else 0)]
    user = "" if by is GroupBy.GPU else _("unknown") if row["user"] is None else redact.visible(row["user"])
    if by is GroupBy.USER:
        return [user]
    if by is GroupBy.GPU:
        name = redact.visible(row["name"] or "")
        return [f"{'?' if row['gpu'] is None else row['gpu']} {name}".rstrip()]
    name = redact.visible(row["name"] or "?")
    gpu = "?" if row["gpu"] is None else str(row["gpu"])
    return [f"{row['pid']} {name}", user, gpu]


def _measure_cells(row: dict[str, Any], *, priced: bool) -> list[str]:
    cells = [
        f"{row['gpu_hours']:.2f}",
        _number(row["gib_hours"], ".2f"),
        _number(row["utilisation_percent"], ".0f", " %"),
        f"{row['idle_held_hours']:.2f}",
        _number(row["energy_kwh"], ".2f"),
    ]
    return [*cells, _number(row["cost"], ".2f")] if priced else cells


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "?" if value is None else f"{value:{form}}{unit}"


def add_commands(commands: CommandGroup) -> None:
    """Add `report` and its tasks."""
    page, tasks = commands.group(
        "report",
        _("make the page of the last hours; show who used the GPUs"),
        "report --open",
        "report --hours 168 --out week.html",
        "report usage --since 30d",
        body=make_page,
    )
    page.add_argument("--out", metavar="FILE", help=_("write the page to this file, - is standard output"))
    page.add_argument("--open", action="store_true", help=_("open the page in the browser"))
    page.add_argument(
        "--hours",
        type=positive_int,
        default=24,
        metavar="N",
        help=_("how many hours to show (default 24)"),
    )
    parser = tasks.command(
        "usage",
        print_usage,
        _("who used the GPUs: hours, memory, energy and its cost"),
        "report usage --since 30d",
        "report usage --by gpu --json",
    )
    parser.add_argument(
        "--by",
        choices=[by.value for by in GroupBy],
        default=GroupBy.USER.value,
        help=_("one row for each of these (default: user)"),
    )
    _add_since(parser, "7d")
    _add_formats(parser, required=False)
    parser = tasks.command(
        "samples",
        print_samples,
        _("export the recorded samples"),
        "report samples --csv",
        "report samples --json",
    )
    _add_since(parser, "2d")
    _add_formats(parser, required=True)
