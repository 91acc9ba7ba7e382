"""The present state, as a level and a word: from the program that watches, else not known."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import redact
from gpuwatch_tray.language import _
from gpuwatch_tray.model import LEVELS, Level, Severity
from gpuwatch_tray.units import TO_THE_MINUTE, gib, local_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpuwatch_tray.model import AlertMark, GpuFacts, GpuSample

FRESH_SECONDS = 180.0  # seconds: a sample is written once a minute, and a busy machine may be late


def overall_state(live: Mapping[str, Any] | None, newest: float | None) -> dict[str, str]:
    """Return the state of the whole; `newest` is when anything was last known."""
    if live is not None:
        level = Level[str(live.get("state", "no_data")).upper()]
        return _state(level, redact.text(str(live.get("headline", ""))))
    if newest is None:
        return _state(Level.NO_DATA, _("nothing watches here: `gpuwatch-tray` starts the tray"))
    at = local_time(newest, TO_THE_MINUTE)
    return _state(Level.NO_DATA, _("nothing watches here now; the last value is of {at}").format(at=at))


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
    audible = {number for number in active if not live_alerts.get(number, {}).get("snoozed_until")}
    worst = max((active[number] for number in audible or active), key=itemgetter(0), default=None)
    level = Level.OK if worst is None else LEVELS[worst[0]]
    if not audible and level is not Level.OK:
        level = Level.SNOOZED
    gap = now.get("problem") or (_gap(now, live) if level in {Level.OK, Level.SNOOZED} else "")
    if gap:  # what is not known is never calm
        return _state(Level.NO_DATA, redact.text(str(gap)), "reason")
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
    memory = f"{_gib(used)} / {_gib(total)} GiB"
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
    names = {
        Level.OK: _("ok"),
        Level.SNOOZED: _("snoozed"),
        Level.WARNING: _("warning"),
        Level.CRITICAL: _("critical"),
        Level.NO_DATA: _("no data"),
    }
    return {"level": level.name.lower(), "word": names[level], name: text}


def _gib(value: float | None) -> str:
    return "?" if value is None else gib(value)
