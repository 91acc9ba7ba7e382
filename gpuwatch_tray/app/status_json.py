"""
The answer to `status` as JSON and as lines; pure.

The keys are the contract of `status --json`. Times are in seconds since the epoch, memory in bytes,
temperature in degrees C, power in W, utilisation in %; null is unknown.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from gpuwatch_tray import __version__, i18n
from gpuwatch_tray.common import redact
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import LABEL, known
from gpuwatch_tray.model.units import MIB, recent_time, rough_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gpuwatch_tray.model import Alert, Gpu, Status


class ResponderInfo(Struct, frozen=True):
    """The process that answers, and its source."""

    face: str  # tray, watch
    host: str
    source: str
    simulated: bool = False
    mails_waiting: int = 0
    chats_waiting: Mapping[str, int] = field(default_factory=dict)  # by the chat's name, where some wait
    pid: int = field(default_factory=os.getpid)


def build_status(status: Status, responder: ResponderInfo) -> dict[str, Any]:
    """Build the answer to `status`."""
    return {
        "state": status.level.name.lower(),
        "headline": status.headline,
        "at": status.at,
        "pid": responder.pid,
        "face": responder.face,
        "host": responder.host,
        "version": __version__,
        "source": responder.source,
        "simulated": responder.simulated,
        "in_use": status.in_use,
        "gpus": [_gpu(gpu) for gpu in (status.snapshot.gpus if status.snapshot is not None else ())],
        "alerts": [alert_json(alert) for alert in status.alerts],
        "snoozed_until": status.snoozed_until,
        "mails_waiting": responder.mails_waiting,
        "chats_waiting": dict(responder.chats_waiting),
        "notes": list(status.notes),
        "lab": None
        if status.lab is None
        else {"state": status.lab.level.name.lower(), "headline": status.lab.headline, "at": status.lab.at},
    }


def _gpu(gpu: Gpu) -> dict[str, Any]:
    values = ("name", "utilisation", "memory_used", "memory_total", "temperature", "power")
    return {
        "index": gpu.index,
        "uuid": gpu.uuid or None,
        **{name: known(getattr(gpu, name)) for name in values},
        "problem": gpu.problem,
    }


def alert_json(alert: Alert) -> dict[str, Any]:
    """Return an alert as `status --json` has it."""
    return {
        "id": alert.id,
        "rule": alert.rule,
        "severity": alert.severity.name.lower(),
        "text": alert.message,
        "reason": alert.reason,
        "phase": alert.phase.value,
        "since": alert.since,
        "acknowledged": alert.acknowledged,
        "snoozed_until": alert.snoozed_until,
        "inhibited_by": alert.inhibited_by or None,
    }


def status_lines(answer: Mapping[str, Any], now: float) -> list[str]:
    """Format the answer for a terminal; another version's answer may lack a key."""
    return [indent + redact.one_line(line) for indent, line in _lines(answer, now)]


def _lines(answer: Mapping[str, Any], now: float) -> Iterator[tuple[str, str]]:
    if answer.get("simulated"):
        yield "", _(LABEL)
    yield "", f"{i18n.translate_key(answer.get('state', '?'))}: {answer.get('headline', '')}"
    if (at := answer.get("at")) is not None:
        data = _("data of {time}, {age} old")
        yield "", data.format(time=recent_time(at, now), age=rough_duration(now - at))
    if (until := answer.get("snoozed_until")) is not None:
        yield "", _("everything is snoozed until {time}").format(time=recent_time(until, now))
    yield from (("  ", _gpu_line(gpu)) for gpu in answer.get("gpus", ()))
    yield from (("  ", _alert_line(alert, now)) for alert in answer.get("alerts", ()))
    if (lab := answer.get("lab")) is not None:
        state = i18n.translate_key(lab.get("state", "?"))
        yield "", _("lab: {state}: {headline}").format(state=state, headline=lab.get("headline", ""))
    yield from (("", _("note: {note}").format(note=note)) for note in answer.get("notes", ()))
    if waiting := answer.get("mails_waiting"):
        mails = ngettext("{count} mail waits to be sent", "{count} mails wait to be sent", waiting)
        yield "", mails.format(count=waiting)
    for name, count in (answer.get("chats_waiting") or {}).items():
        text = ngettext(
            "{count} message to chat {name} waits to be sent",
            "{count} messages to chat {name} wait to be sent",
            count,
        )
        yield "", text.format(count=count, name=name)
    face, rest = i18n.translate_key(answer.get("face", "?")), ("pid", "host", "version", "source")
    who = _("{face}, PID {pid} on {host}, gpuwatch-tray {version}, source {source}")
    yield "", who.format(face=face, **{key: answer.get(key, "?") for key in rest})


def _gpu_line(gpu: Mapping[str, Any]) -> str:
    parts = [f"GPU {gpu.get('index', '?')}  {gpu.get('name') or ''}".rstrip()]
    if gpu.get("problem"):
        return ", ".join([*parts, str(gpu["problem"])])
    units = (("utilisation", "{:.0f} %"), ("temperature", "{:.0f} °C"), ("power", "{:.0f} W"))
    written = [form.format(gpu[key]) for key, form in units if gpu.get(key) is not None]
    memory = [gpu.get("memory_used"), gpu.get("memory_total")]
    if memory != [None, None]:
        halves = ["?" if half is None else f"{half // MIB}" for half in memory]
        written.insert(0, f"{' / '.join(halves)} MiB")
    return ", ".join([*parts, *written])


def silence_texts(alert: Mapping[str, Any], time_text: Callable[[float], str]) -> list[str]:
    """Say that an alert is acknowledged, snoozed or muted."""
    texts = [_("acknowledged")] if alert.get("acknowledged") else []
    if (until := alert.get("snoozed_until")) is not None:
        texts.append(_("snoozed until {time}").format(time=time_text(until)))
    if alert.get("inhibited_by"):
        texts.append(_("muted by {rule}").format(rule=alert["inhibited_by"]))
    return texts


def _alert_line(alert: Mapping[str, Any], now: float) -> str:
    state = [i18n.translate_key(alert.get("phase", "firing"))]
    if alert.get("since") is not None:
        since = recent_time(alert["since"], now)
        state = [_("{phase} since {time}").format(phase=state[0], time=since)]
    state += silence_texts(alert, lambda at: recent_time(at, now))
    text = alert.get("text") or alert.get("reason", "")
    line = _("{text} ({state})").format(text=text, state=_(", ").join(state))
    return f"{i18n.translate_key(alert.get('severity', '?'))} {alert.get('id', '?')}: {line}"
