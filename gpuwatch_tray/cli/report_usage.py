"""`report usage`: who used what, as a table, JSON or CSV."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.cli.spreadsheet import write_csv
from gpuwatch_tray.common import host, redact
from gpuwatch_tray.common.text import align_columns
from gpuwatch_tray.history.sample_reader import UseDetail
from gpuwatch_tray.history.usage import GroupBy, UsageSums, usage
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import LABEL, MINUTE_SAMPLES_KEPT, TEN_MINUTES
from gpuwatch_tray.model.units import HOUR, MINUTE, TO_THE_MINUTE, local_time

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.history.usage import Usage
    from gpuwatch_tray.model import GpuFacts, History, ProcessRun


UNMETERED_SHARE = 0.01  # of the hours seen: more without known energy is said
NOBODY, UNKNOWN = "nobody", "unknown"
KEY_COLUMNS = {
    GroupBy.USER: ("user",),
    GroupBy.PROCESS: ("pid", "user", "name", "gpu", "uuid", "first", "last"),
    GroupBy.GPU: ("gpu", "uuid", "name"),
}
MEASURES = ("gpu_hours", "gib_hours", "utilisation_percent", "idle_held_hours", "energy_kwh", "cost")


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
