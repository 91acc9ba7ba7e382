"""
The data of the details page. Every text is one line without secrets; None is a gap.

Memory is in MiB, power in W, times in whole seconds since the epoch.
"""

from __future__ import annotations

import math
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import asdict

from gpuwatch_tray import __version__, i18n
from gpuwatch_tray.common import redact
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Auto
from gpuwatch_tray.model.units import KIB, MIB, MINUTE
from gpuwatch_tray.report import page
from gpuwatch_tray.report.lab_page import lab_data
from gpuwatch_tray.report.present import (
    METRICS,
    alert_data,
    clip,
    gpu_facts,
    gpu_state,
    level_words,
    mib,
    overall_state,
    owner,
)
from gpuwatch_tray.rules.temperature import warning_at

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from gpuwatch_tray.model import AlertMark, GpuFacts, GpuSample, History, Span


MAX_STEPS = 2200  # steps: more than a wide screen has pixels for
STEPS = (60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)  # seconds


class TimeGrid(Struct, frozen=True):
    """`count` steps of `step` seconds from `start` (wall time) on."""

    start: int
    step: int
    count: int

    @property
    def end(self) -> int:
        """The wall time at which the last step ends."""
        return self.start + self.count * self.step


class MetricLine(Struct, frozen=True):
    """A metric on a grid, None for each step of which nothing is known."""

    low: list[float | None]
    mean: list[float | None]
    high: list[float | None]


def make_grid(start: float, end: float, most: int = MAX_STEPS) -> TimeGrid:
    """Return the finest grid over this span with at most about `most` steps; it begins at a whole step."""
    span = max(end - start, STEPS[0])
    step = next((step for step in STEPS if span / step <= most), STEPS[-1])
    first = int(start // step) * step
    return TimeGrid(first, step, max(math.ceil((end - first) / step), 1))


def metric_line(samples: Iterable[GpuSample], metric: str, on: TimeGrid) -> MetricLine:
    """Return the values of `metric`, a field of the samples, on the grid."""
    # A step's mean weights each sample by the time that it covers of the step. A sample longer than a step
    # stands in each step that it covers, and nowhere else.
    low: list[float | None] = [None] * on.count
    high: list[float | None] = [None] * on.count
    total = [0.0] * on.count
    weight = [0] * on.count
    value_of = attrgetter(metric)
    for sample in samples:
        value: Span | None = value_of(sample)
        if value is None:
            continue
        begin = sample.at - on.start
        end = begin + sample.seconds
        first, last = begin // on.step, (end - 1) // on.step
        for place in range(max(first, 0), min(last + 1, on.count)):
            share = sample.seconds
            if first != last:
                share = min(end, (place + 1) * on.step) - max(begin, place * on.step)
            total[place] += value.mean * share
            weight[place] += share
            lowest, highest = low[place], high[place]
            if lowest is None or value.low < lowest:
                low[place] = value.low
            if highest is None or value.high > highest:
                high[place] = value.high
    mean = [total[place] / weight[place] if weight[place] else None for place in range(on.count)]
    return MetricLine(low, mean, high)


FRESH_SECONDS = 180.0  # seconds: a sample is written once a minute, and a busy machine may be late
MOST_RUNS = 4000  # that the page lists: the longest
USAGE = ("gpu_hours", "gib_hours", "utilisation_percent", "idle_held_hours", "energy_kwh")


class PageContext(Struct, frozen=True):
    """
    What a page is about, beside the history; `live` is the answer to `status` of what watches.

    `present` are the PIDs that it sees on GPUs, `commands` the redacted command lines of one's own; `warn_at`
    is TEMP_LIMIT_C, None where the rule is off; `usage` is as `report usage --json` has it; `lab` is as
    `lab --json` has it, None where none is watched, and `links` are titles and configured addresses of its
    pages. `feed` is the data file that the page follows, None for a page to keep. `called` is how a terminal
    calls this program, and `options` follow each of its commands.
    """

    host: str
    made: float
    simulated: bool = False
    live: Mapping[str, Any] | None = None
    present: Collection[int] = ()
    commands: Mapping[int, str] = field(default_factory=dict)
    warn_at: int | Auto | None = Auto.AUTO
    usage: Mapping[str, Any] | None = None
    feed: page.Feed | None = None
    lab: Mapping[str, Any] | None = None
    links: Sequence[tuple[str, str]] = ()
    called: str = "gpuwatch-tray"
    options: str = ""


def build_payload(history: History, context: PageContext) -> dict[str, Any]:
    """Return the page's data."""
    gpus = sorted(history.gpus, key=lambda gpu: (gpu.index, gpu.physical != "", gpu.uuid))
    samples = {gpu.uuid: history.samples.get(gpu.uuid, ()) for gpu in gpus}
    grid = make_grid(_start(history), history.end)
    places = {gpu.uuid: place for place, gpu in enumerate(gpus)}
    runs, owners, left_out = _runs_data(history, places, context)
    notes = {
        alert.get("id"): str(alert.get("note") or "") for alert in (context.live or {}).get("alerts", ())
    }
    limits = [] if context.warn_at is None else [warning_at(gpu.slowdown_at, context.warn_at) for gpu in gpus]
    return {
        "lang": {i18n.CHINESE: "zh-CN"}.get(i18n.current_language(), i18n.current_language()),
        "words": page.page_texts(),
        "version": __version__,
        "host": redact.one_line(context.host),
        "made": int(context.made),
        "simulated": context.simulated,
        "levels": level_words(),
        "state": overall_state(context.live, _newest(samples.values())),
        "start": grid.start,
        "end": grid.end,
        "step": grid.step,
        "count": grid.count if any(samples.values()) else 0,
        "thinned": any(sample.seconds < grid.step for row in samples.values() for sample in row),
        "palette": len(page.LINES),
        "owner_palette": len(page.OWNERS),
        "gpus": [_gpu_data(gpu, samples[gpu.uuid], history.marks, context) for gpu in gpus],
        "metrics": [_metric_data(key, gpus, sorted(set(limits))) for key in METRICS],
        "series": {key: [_series_data(key, samples[gpu.uuid], grid) for gpu in gpus] for key in METRICS},
        "runs": runs,
        "runs_left_out": left_out,
        "owners": owners,
        "alerts": [
            alert_data(mark, notes.get(mark.id, ""))
            for mark in sorted(history.marks, key=lambda mark: mark.began)
        ],
        "watched": context.live is not None,
        "feed": None if context.feed is None else asdict(context.feed),
        "called": context.called,
        "options": context.options,
        "usage": None if context.usage is None else _usage_data(context.usage),
        "lab": None if context.lab is None else lab_data(context.lab),
        "lab_links": [[redact.one_line(title), address] for title, address in context.links],
    }


def _start(history: History) -> float:
    """Return where the page begins: at the history's start, or at the first sample."""
    first = min((samples[0].at for samples in history.samples.values() if samples), default=history.end)
    return max(history.start, min(first, history.end - MINUTE))


def _newest(samples: Iterable[Sequence[GpuSample]]) -> float | None:
    """Return the end of the last stretch with a sample."""
    return max((row[-1].at + row[-1].seconds for row in samples if row), default=None)


def _gpu_data(
    gpu: GpuFacts, samples: Sequence[GpuSample], marks: Iterable[AlertMark], context: PageContext
) -> dict[str, Any]:
    alerts = [mark for mark in marks if gpu.uuid in mark.uuids and mark.ended is None]
    name = redact.one_line(gpu.name or "")
    return {
        "id": gpu.uuid,
        "label": label(gpu),
        "name": clip(name or gpu.uuid),
        "state": gpu_state(gpu, alerts, samples, context.live),
        "facts": gpu_facts(gpu, context.live),
    }


def label(gpu: GpuFacts) -> str:
    """Return the GPU as a person counts them; a MIG device by the beginning of its UUID."""
    if not gpu.physical:
        return _("GPU {index}").format(index=gpu.index)
    return _("MIG {name} on GPU {index}").format(name=gpu.uuid.removeprefix("MIG-")[:8], index=gpu.index)


def _metric_data(key: str, gpus: Sequence[GpuFacts], limits: Sequence[int]) -> dict[str, Any]:
    titles = {
        "memory": (_("Memory"), _("Memory"), "GiB"),
        "utilisation": (_("Utilisation"), _("Use"), "%"),
        "temperature": (_("Temperature"), _("Temp."), "°C"),
        "power": (_("Power"), _("Power"), "W"),
    }
    title, short, unit = titles[key]
    metric: dict[str, Any] = {"key": key, "title": title, "short": short, "unit": unit}
    totals = [gpu.memory_total for gpu in gpus if gpu.memory_total]
    if key == "memory":
        metric |= {"scale": MIB // KIB, "top": max(totals) // MIB if totals else None}
    elif key == "utilisation":
        metric["top"] = 100
    elif key == "temperature":
        text = _("limit {value} °C") if len(limits) == 1 else "{value} °C"
        metric["limits"] = [{"value": limit, "text": text.format(value=limit)} for limit in limits]
    return metric


def _series_data(key: str, samples: Sequence[GpuSample], grid: TimeGrid) -> dict[str, list[int | None]]:
    divisor = MIB if key == "memory" else 1
    return {
        name: [None if number is None else round(number / divisor) for number in numbers]
        for name, numbers in asdict(metric_line(samples, key, grid)).items()
    }


def _runs_data(
    history: History, places: Mapping[str, int], context: PageContext
) -> tuple[list[dict[str, Any]], list[str], int]:
    """Return the process runs, oldest first, their owners by number, and how many runs are left out."""
    most: dict[tuple[str | None, str], float] = {}
    for use in history.processes:
        if use.memory is not None:
            key = (use.who, use.uuid)
            most[key] = max(most.get(key, 0.0), use.memory.high)
    kept = sorted(history.runs, key=lambda run: run.last - run.first, reverse=True)[:MOST_RUNS]
    owners: dict[str, int] = {}
    names = {name: clip(redact.process_name(name or "")) for name in {run.name for run in kept}}
    newest = _newest(history.samples.values())
    rows = []
    for run in sorted(kept, key=lambda run: (run.first, run.pid)):
        # also by the time: a PID is used again
        running = run.pid in context.present and newest is not None and run.last >= newest - FRESH_SECONDS
        memory = most.get((run.key, run.uuid))
        rows.append(
            {
                "gpu": places.get(run.uuid),
                "pid": run.pid,
                "owner": owners.setdefault(owner(run.user), len(owners)),
                "name": names[run.name] or _("unknown"),
                "command": clip(redact.one_line(context.commands.get(run.pid, ""))) if running else "",
                "start": int(run.first),
                "end": None if running else int(run.last),
                "memory": mib(memory),
            }
        )
    return rows, list(owners), len(history.runs) - len(kept)


def _usage_data(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return each user's measures; unknown owners, and nobody, are rows of their own."""
    measures = [*USAGE, *(["cost"] if usage["energy_price"] is not None else [])]
    others = {"unknown": _("unknown owner"), "nobody": _("nobody")}
    rows = [
        [
            others.get(row["kind"]) or clip(redact.one_line(str(row["user"]))),
            *(row[measure] for measure in measures),
        ]
        for row in usage["rows"]
    ]
    return {"measures": measures, "rows": rows, "total": [usage["total"][measure] for measure in measures]}
