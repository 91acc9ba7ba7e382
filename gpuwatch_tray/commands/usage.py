"""`report usage`: who used what, for people and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import machine, redact
from gpuwatch_tray.columns import align_columns
from gpuwatch_tray.commands import spreadsheet
from gpuwatch_tray.commands.past import past, since
from gpuwatch_tray.language import _
from gpuwatch_tray.model import LABEL, MINUTES_FOR, TEN_MINUTES
from gpuwatch_tray.store.samplereader import UseDetail
from gpuwatch_tray.units import HOUR, MINUTE, TO_THE_MINUTE, local_time
from gpuwatch_tray.usage import GroupBy, UsageSums, usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuwatch_tray.context import Setup
    from gpuwatch_tray.model import GpuFacts, History, ProcessRun
    from gpuwatch_tray.usage import Usage

NOBODY, UNKNOWN = "nobody", "unknown"
WHO = {
    GroupBy.USER: ("user",),
    GroupBy.PROCESS: ("pid", "user", "name", "gpu", "uuid", "first", "last"),
    GroupBy.GPU: ("gpu", "uuid", "name"),
}
MEASURES = ("gpu_hours", "gib_hours", "utilisation_percent", "idle_held_hours", "energy_kwh", "cost")


def run(setup: Setup, by: GroupBy, length: str, *, as_json: bool, as_csv: bool) -> int:
    """Print it. Raises UsageError, StoreError, and WorkError for a demo that does not run."""
    now = machine.now().wall
    start = since(length, now)
    finest = MINUTE if now - start <= MINUTES_FOR else TEN_MINUTES
    processes = UseDetail.SUMMED if by is GroupBy.PROCESS else UseDetail.NONE
    history = past(setup, start, now, finest=finest, processes=processes)
    found = usage(history, by)
    answer = record(found, history, setup.settings.energy_price)
    if as_json:
        print(json.dumps({"simulated": setup.simulated, **answer}, indent=2))
    elif as_csv:
        spreadsheet.write(["kind", *WHO[by], *MEASURES], answer["rows"])
    else:
        label = [_(LABEL)] if setup.simulated else []
        print("\n".join([*label, *lines(answer, by)]))
    return 0


def record(found: Usage, history: History, price: float | None) -> dict[str, Any]:
    """
    The usage as JSON has it; times in seconds since the epoch.

    Each of `rows` has a `kind`: what was asked for, `unknown` for the owners that could not be told, `nobody`
    for what was drawn while nothing computed. `seen_hours` says of how many hours of each GPU this is.
    """
    gpus, runs = {gpu.uuid: gpu for gpu in history.gpus}, {run.key: run for run in history.runs}
    rows = [{**_who(row.who, found.by, gpus, runs), **_measures(row.sums, price)} for row in found.rows]
    if found.nobodys is not None and found.by is not GroupBy.GPU:
        nobody = UsageSums(0.0, None, None, 0.0, found.nobodys)
        rows.append({"kind": NOBODY, **dict.fromkeys(WHO[found.by]), **_measures(nobody, price)})
    return {
        "start": found.start,
        "end": found.end,
        "by": found.by.value,
        "energy_price": price,
        "seen_hours": found.seen,
        "rows": rows,
        "total": _measures(found.whole, price),
    }


def _who(
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


def lines(answer: dict[str, Any], by: GroupBy) -> list[str]:
    """The usage as a table for people."""
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
    whole = [_("total"), *[""] * (named - 1), *_cells(answer["total"], priced=priced)]
    rows = [[*_named(row, by), *_cells(row, priced=priced)] for row in answer["rows"]]
    seen = sum(answer["seen_hours"].values())
    asked = (answer["end"] - answer["start"]) / HOUR * len(answer["seen_hours"])
    share = _("since {time}; {seen:.1f} of {all:.1f} GPU-hours were recorded").format(
        time=local_time(answer["start"], TO_THE_MINUTE), seen=seen, all=asked
    )
    return [*align_columns([head, *rows, whole], named), share]


def _named(row: dict[str, Any], by: GroupBy) -> list[str]:
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


def _cells(row: dict[str, Any], *, priced: bool) -> list[str]:
    found = [
        f"{row['gpu_hours']:.2f}",
        _number(row["gib_hours"], ".2f"),
        _number(row["utilisation_percent"], ".0f", " %"),
        f"{row['idle_held_hours']:.2f}",
        _number(row["energy_kwh"], ".2f"),
    ]
    return [*found, _number(row["cost"], ".2f")] if priced else found


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{unit}"
