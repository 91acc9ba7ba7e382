"""
The present as the page shows it: states, cards, alerts and processes; also for the running tray's data file.

Light, for the tray loads it. Every text is one line without secrets.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from gpuwatch_tray.common import redact
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import LEVELS, Level, Severity, known
from gpuwatch_tray.model.units import MIB, TO_THE_MINUTE, gib, local_time
from gpuwatch_tray.rules.every_rule import rule_title

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpuwatch_tray.model import AlertMark, GpuFacts, GpuProcess, GpuSample


LONGEST_TEXT = 300  # characters of a name, a command or a reason
METRICS = ("memory", "utilisation", "temperature", "power")


def overall_state(live: Mapping[str, Any] | None, newest: float | None) -> dict[str, str]:
    """Return the state of the whole; `newest` is when anything was last known."""
    if live is not None:
        level = Level[str(live.get("state", "no_data")).upper()]
        return _state(level, redact.text(str(live.get("headline", ""))))
    if newest is None:
        return _state(Level.NO_DATA, _("nothing is watching: `gpuwatch-tray` starts the tray"))
    at = local_time(newest, TO_THE_MINUTE)
    return _state(Level.NO_DATA, _("nothing is watching now; the last value is from {at}").format(at=at))


_ALARMED = {level.name.lower() for level in (Level.WARNING, Level.CRITICAL)}


def gpu_state(
    gpu: GpuFacts,
    alerts: Sequence[AlertMark],
    samples: Sequence[GpuSample],
    live: Mapping[str, Any] | None,
) -> dict[str, str]:
    """Return the state of one GPU, from its stored and live alerts; no data where nobody sees it."""
    now = _live_gpu(gpu, live)
    if now is None:
        if not samples:
            return _state(Level.NO_DATA, _("never seen in this time"), "reason")
        at = local_time(samples[-1].at + samples[-1].seconds, TO_THE_MINUTE)
        return _state(Level.NO_DATA, _("not seen since {at}").format(at=at), "reason")
    live_alerts = {alert.get("id"): alert for alert in (live or {}).get("alerts", ())}
    active = {mark.id: (mark.severity, mark.text) for mark in alerts}
    for number in now.get("alerts", ()):  # also of a watcher that cannot write them down
        if number in live_alerts:
            active[number] = Severity[live_alerts[number]["severity"].upper()], live_alerts[number]["text"]
    unsnoozed = {number for number in active if not live_alerts.get(number, {}).get("snoozed_until")}
    worst = max((active[number] for number in unsnoozed or active), key=itemgetter(0), default=None)
    level = Level.OK if worst is None else LEVELS[worst[0]]
    if not unsnoozed and level is not Level.OK:
        level = Level.SNOOZED
    gap = now.get("problem") or (_gap(now, live) if level in {Level.OK, Level.SNOOZED} else "")
    if gap:  # what is not known is never calm
        return _state(Level.NO_DATA, redact.text(str(gap)), "reason")
    if worst is None and live is not None and live.get("state") in _ALARMED:
        return _state(Level.OK, _("no alert of its own"), "reason")
    return _state(level, "" if worst is None else redact.text(worst[1]), "reason")


def _gap(now: Mapping[str, Any], live: Mapping[str, Any] | None) -> str:
    """Return why a GPU without alerts is not known to be well; empty where it is."""
    if now.get("gap") or live is None or live.get("state") != Level.NO_DATA.name.lower():
        return str(now.get("gap") or "")
    blamed = any(row.get("gap") or row.get("problem") for row in live.get("gpus", ()))
    return "" if blamed else str(live.get("headline", ""))


def gpu_facts(gpu: GpuFacts, live: Mapping[str, Any] | None) -> list[tuple[str, str, float | None]]:
    """Return the lines of a GPU's card: name, text, and a share from 0 to 1 where there is a whole."""
    now = _live_gpu(gpu, live)
    if now is None:
        return []
    used, total = now.get("memory_used"), now.get("memory_total") or gpu.memory_total
    busy, heat, power = now.get("utilisation"), now.get("temperature"), now.get("power")
    memory = " / ".join("?" if size is None else gib(size) for size in (used, total)) + " GiB"
    return [
        (_("Memory"), memory, None if used is None or not total else min(used / total, 1.0)),
        (_("Utilisation"), "?" if busy is None else f"{busy:.0f} %", None if busy is None else busy / 100),
        (_("Temperature"), "?" if heat is None else f"{heat:.0f} °C", None),
        (_("Power"), "?" if power is None else f"{power:.0f} W", None),
    ]


def _live_gpu(gpu: GpuFacts, live: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    rows: Sequence[Mapping[str, Any]] = () if live is None else live.get("gpus", ())
    return next((row for row in rows if (row.get("uuid") or str(row.get("index"))) == gpu.uuid), None)


def _state(level: Level, text: str, name: str = "headline") -> dict[str, str]:
    key = level.name.lower()
    return {"level": key, "word": level_words()[key], name: text}


def level_words() -> dict[str, str]:
    """Return the states of a GPU and of an alert in words, by their keys."""
    return {
        "ok": _("ok"),
        "info": _("info"),
        "warning": _("warning"),
        "critical": _("critical"),
        "snoozed": _("snoozed"),
        "no_data": _("no data"),
    }


def alert_data(mark: AlertMark, note: str = "") -> dict[str, Any]:
    """Return a row of the alerts; `note` is what the person has said to it, such as that it is snoozed."""
    level = mark.severity.name.lower()
    return {
        "id": mark.id,
        "level": level,
        "word": level_words()[level],
        "rank": int(mark.severity),
        "title": rule_title(mark.rule),
        "text": clip(redact.text(mark.text)),
        "note": note,
        "at": int(mark.began),
        "end": None if mark.ended is None else int(mark.ended),
    }


def clip(text: str) -> str:
    """Cut a text that is too long for the page."""
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


ProcessWords: TypeAlias = (
    "tuple[str, str]"  # a process's name and its command; empty where it is not one's own
)


def process_words(process: GpuProcess) -> ProcessWords:
    """Return what may be shown of a process; to be kept, for it takes far longer than all the rest."""
    name = clip(redact.process_name(known(process.name) or "")) or _("unknown")
    return name, clip(redact.command(process)) if process.mine else ""


def process_data(process: GpuProcess, uuid: str, words: ProcessWords, now: float) -> dict[str, Any]:
    """Return the row of a process that is on the GPU with this UUID now."""
    name, command = words
    return {
        "gpu": uuid,
        "pid": process.pid,
        "owner": owner(known(process.user)),
        "name": name,
        "command": command,
        "start": int(started(process, now)),
        "memory": mib(known(process.memory)),
    }


def started(process: GpuProcess, now: float) -> float:
    """Return since when a process has run (wall time); `now` where that is not known."""
    return now - (known(process.elapsed) or 0.0)


def owner(user: str | None) -> str:
    """Return the owner's name as the page shows it."""
    return _("unknown owner") if user is None else clip(redact.one_line(user))


def mib(size: float | None) -> int | None:
    """Return bytes in MiB."""
    return None if size is None else round(size / MIB)


def gpu_values(gpu: Mapping[str, Any]) -> list[int | None]:
    """Return the values of METRICS, of a GPU as `status` has it: MiB, %, degrees C, W."""
    numbers = [gpu.get(key) for key in ("utilisation", "temperature", "power")]
    return [mib(gpu.get("memory_used")), *(None if number is None else round(number) for number in numbers)]


def sample_values(sample: GpuSample) -> list[list[int] | None]:
    """Return lowest, mean and highest of METRICS in a sample, in the same units."""
    rows: list[list[int] | None] = []
    for metric in METRICS:
        span = getattr(sample, metric)
        unit = MIB if metric == "memory" else 1
        rows.append(
            None if span is None else [round(each / unit) for each in (span.low, span.mean, span.high)]
        )
    return rows
