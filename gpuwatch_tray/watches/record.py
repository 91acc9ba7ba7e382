"""A watch as JSON text has it: for the state on disk and the socket."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any, TypeAlias

from gpuwatch_tray.model import Instant, Notice, Severity
from gpuwatch_tray.watches.wishes import CommandEnds, GpusFree, ProcessEnds, Reminder, ReminderCondition

Body: TypeAlias = dict[str, Any]
KINDS: dict[str, type[GpusFree | ProcessEnds | CommandEnds]] = {
    "free": GpusFree,
    "ends": ProcessEnds,
    "run": CommandEnds,
}
INSTANTS = ("seen", "gone")


def packed(watch: Reminder) -> Body:
    """The watch in values that JSON has, without its number."""
    body: Body = {"asked": _instant(watch.asked), "wish": _wish(watch.wish), "notice": None}
    if watch.notice is not None:
        body["notice"] = asdict(watch.notice)
    return body


def unpacked(number: int, body: Body) -> Reminder:
    """The watch again. Raises ValueError, TypeError, KeyError or AttributeError for what is none."""
    notice = body["notice"]
    if notice is not None:
        details, output = (tuple(map(str, notice[name])) for name in ("details", "output"))
        severity = Severity(int(notice.get("severity", Severity.INFO)))  # older states have none
        notice = Notice(
            str(notice["title"]), str(notice["text"]), float(notice["at"]), details, output, severity
        )
    return Reminder(number, Instant(*body["asked"]), _wished(dict(body["wish"])), notice)


def _wish(wish: ReminderCondition) -> Body:
    kind = next(name for name, made in KINDS.items() if isinstance(wish, made))
    body: Body = {"kind": kind}
    for each in fields(wish):
        value = getattr(wish, each.name)
        if isinstance(value, Instant):
            value = _instant(value)
        elif each.name == "since":
            value = [[name, _instant(at)] for name, at in value]
        body[each.name] = value
    return body


def _wished(body: Body) -> ReminderCondition:
    made = KINDS[body.pop("kind")]
    for name in INSTANTS:
        if body.get(name) is not None:
            body[name] = Instant(*body[name])
    if "since" in body:
        body["since"] = tuple((str(name), Instant(*at)) for name, at in body["since"])
    if "gpus" in body:
        body["gpus"] = tuple(map(int, body["gpus"]))
    return made(**body)


def _instant(at: Instant) -> list[float | str]:
    return [at.wall, at.uptime, at.boot]
