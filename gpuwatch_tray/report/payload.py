"""
The data of the details page, from the history and the present state.

Memory is in MiB, power in W, times in whole seconds since the epoch; None is a gap. Every text is one line
without secrets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import __version__, language, redact
from gpuwatch_tray.language import _
from gpuwatch_tray.messages import TITLES
from gpuwatch_tray.model import Auto, Severity
from gpuwatch_tray.report import palette, series, standing
from gpuwatch_tray.report.words import page_texts
from gpuwatch_tray.rules.temperature import warning_at
from gpuwatch_tray.units import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from gpuwatch_tray.model import AlertMark, GpuFacts, GpuSample, History, ProcessRun
    from gpuwatch_tray.report.series import TimeGrid

LEAST_SPAN = 900.0  # seconds that a page shows, however little is on file
MOST_RUNS = 4000  # that the page lists: the longest
LONGEST_TEXT = 300  # characters of a name, a command or a reason
USAGE = ("gpu_hours", "gib_hours", "utilisation_percent", "idle_held_hours", "energy_kwh")
METRICS = ("memory", "utilisation", "temperature", "power")


@dataclass(frozen=True, slots=True)
class PageContext:
    """
    What a page is about, beside the history.

    `live` is the answer to `status` of the program that watches, None where none does; `present` are the PIDs
    that it sees on GPUs, `commands` the redacted command lines of one's own among them. `warn_at` is
    TEMP_LIMIT_C, None where the rule is off. `usage` is who used what, as `report usage --json` has it.
    """

    host: str
    made: float
    simulated: bool = False
    live: Mapping[str, Any] | None = None
    present: Collection[int] = ()
    commands: Mapping[int, str] = field(default_factory=dict)
    warn_at: int | Auto | None = Auto.AUTO
    usage: Mapping[str, Any] | None = None


def build_payload(history: History, context: PageContext) -> dict[str, Any]:
    """Return the page's data."""
    gpus = sorted(history.gpus, key=lambda gpu: (gpu.index, gpu.physical != "", gpu.uuid))
    samples = {gpu.uuid: history.samples.get(gpu.uuid, ()) for gpu in gpus}
    grid = series.make_grid(_start(history), history.end)
    places = {gpu.uuid: place for place, gpu in enumerate(gpus)}
    runs, owners, left_out = _runs_data(history, places, context)
    limits = [] if context.warn_at is None else [warning_at(gpu.slowdown_at, context.warn_at) for gpu in gpus]
    now = standing.overall_state(context.live, _newest(samples.values()))
    return {
        "lang": {language.CHINESE: "zh-CN"}.get(language.current_language(), language.current_language()),
        "words": page_texts(watched=context.live is not None),
        "version": __version__,
        "host": redact.one_line(context.host),
        "made": int(context.made),
        "simulated": context.simulated,
        "state": now,
        "start": grid.start,
        "end": grid.end,
        "step": grid.step,
        "count": grid.count if any(samples.values()) else 0,
        "thinned": _thinned(samples.values(), grid),
        "palette": len(palette.LINES),
        "owner_palette": len(palette.OWNERS),
        "gpus": [_gpu_data(gpu, samples[gpu.uuid], history.marks, context) for gpu in gpus],
        "metrics": [_metric_data(key, gpus, sorted(set(limits))) for key in METRICS],
        "series": {key: [_series_data(key, samples[gpu.uuid], grid) for gpu in gpus] for key in METRICS},
        "runs": runs,
        "runs_left_out": left_out,
        "owners": owners,
        "alerts": [_alert_data(mark) for mark in sorted(history.marks, key=lambda mark: mark.began)],
        "usage": None if context.usage is None else _usage_data(context.usage),
    }


def _start(history: History) -> float:
    """Return where the page begins: at the history's start, or at the first sample."""
    first = min((samples[0].at for samples in history.samples.values() if samples), default=history.end)
    return max(history.start, min(first, history.end - LEAST_SPAN))


def _newest(samples: Iterable[Sequence[GpuSample]]) -> float | None:
    """Return the end of the last stretch with a sample."""
    return max((row[-1].at + row[-1].seconds for row in samples if row), default=None)


def _thinned(samples: Iterable[Sequence[GpuSample]], grid: TimeGrid) -> bool:
    return any(sample.seconds < grid.step for row in samples for sample in row)


def _gpu_data(
    gpu: GpuFacts, samples: Sequence[GpuSample], marks: Iterable[AlertMark], context: PageContext
) -> dict[str, Any]:
    alerts = [mark for mark in marks if gpu.uuid in mark.uuids and mark.ended is None]
    name = redact.one_line(gpu.name or "")
    return {
        "label": label(gpu),
        "name": _clip(name or gpu.uuid),
        "state": standing.gpu_state(gpu, alerts, samples, context.live),
        "facts": standing.gpu_facts(gpu, context.live),
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
    found: dict[str, Any] = {"key": key, "title": title, "short": short, "unit": unit}
    totals = [gpu.memory_total for gpu in gpus if gpu.memory_total]
    if key == "memory":
        found |= {"scale": MIB // KIB, "top": max(totals) // MIB if totals else None}
    elif key == "utilisation":
        found["top"] = 100
    elif key == "temperature":
        found["limits"] = [{"value": limit, "text": _limit(limit, len(limits))} for limit in limits]
    return found


def _limit(value: int, count: int) -> str:
    return _("limit {value} °C").format(value=value) if count == 1 else f"{value} °C"


def _series_data(key: str, samples: Sequence[GpuSample], grid: TimeGrid) -> dict[str, list[int | None]]:
    divisor = MIB if key == "memory" else 1
    found = series.metric_line(samples, key, grid)
    return {
        "low": _rounded(found.low, divisor),
        "mean": _rounded(found.mean, divisor),
        "high": _rounded(found.high, divisor),
    }


def _rounded(found: Iterable[float | None], divisor: int) -> list[int | None]:
    return [None if number is None else round(number / divisor) for number in found]


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
    names = {
        name: _clip(redact.process_name(name or "")) or _("unknown") for name in {run.name for run in kept}
    }
    newest = _newest(history.samples.values())
    found = []
    for run in sorted(kept, key=lambda run: (run.first, run.pid)):
        # also by the time: a PID is used again
        running = (
            run.pid in context.present and newest is not None and run.last >= newest - standing.FRESH_SECONDS
        )
        memory = most.get((run.key, run.uuid))
        found.append(
            {
                "gpu": places.get(run.uuid),
                "pid": run.pid,
                "owner": owners.setdefault(_owner(run), len(owners)),
                "name": names[run.name],
                "command": _clip(redact.one_line(context.commands.get(run.pid, ""))) if running else "",
                "start": int(run.first),
                "end": None if running else int(run.last),
                "memory": None if memory is None else round(memory / MIB),
            }
        )
    return found, list(owners), len(history.runs) - len(kept)


def _owner(run: ProcessRun) -> str:
    return _("unknown owner") if run.user is None else _clip(redact.one_line(run.user))


def _alert_data(mark: AlertMark) -> dict[str, Any]:
    words_ = {
        Severity.INFO: _("info"),
        Severity.WARNING: _("warning"),
        Severity.CRITICAL: _("critical"),
    }
    return {
        "level": mark.severity.name.lower(),
        "word": words_[mark.severity],
        "rank": int(mark.severity),
        "title": _(TITLES.get(mark.rule, mark.rule)),
        "text": _clip(redact.text(mark.text)),
        "at": int(mark.began),
        "end": None if mark.ended is None else int(mark.ended),
    }


def _usage_data(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return each user's measures; unknown owners, and nobody, are rows of their own."""
    measures = [*USAGE, *(["cost"] if found["energy_price"] is not None else [])]
    others = {"unknown": _("unknown owner"), "nobody": _("nobody")}
    rows = [
        [
            others.get(row["kind"]) or _clip(redact.one_line(str(row["user"]))),
            *(row[measure] for measure in measures),
        ]
        for row in found["rows"]
    ]
    return {"measures": measures, "rows": rows, "total": [found["total"][measure] for measure in measures]}


def _clip(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
