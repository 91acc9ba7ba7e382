"""A reminder as JSON has it, for the state on disk and the socket."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any, TypeAlias

from gpuwatch_tray.model import Instant, ReminderNotice, Severity
from gpuwatch_tray.watches.wishes import CommandEnds, GpusFree, ProcessEnds, Reminder, ReminderCondition

ReminderJson: TypeAlias = dict[str, Any]
CONDITIONS: dict[str, type[ReminderCondition]] = {"free": GpusFree, "ends": ProcessEnds, "run": CommandEnds}
INSTANTS = ("seen", "gone")


def reminder_to_json(reminder: Reminder) -> ReminderJson:
    """Turn the reminder into values that JSON has, without its number."""
    body: ReminderJson = {
        "asked": _instant(reminder.asked),
        "wish": _condition_to_json(reminder.condition),
        "notice": None,
    }
    if reminder.notice is not None:
        body["notice"] = asdict(reminder.notice)
    return body


def reminder_from_json(number: int, body: ReminderJson) -> Reminder:
    """Read a reminder back. Raises ValueError, TypeError, KeyError or AttributeError for what is none."""
    notice = body["notice"]
    if notice is not None:
        details, output = (tuple(map(str, notice[name])) for name in ("details", "output"))
        severity = Severity(int(notice.get("severity", Severity.INFO)))  # older states have none
        notice = ReminderNotice(
            str(notice["title"]), str(notice["text"]), float(notice["at"]), details, output, severity
        )
    return Reminder(number, Instant(*body["asked"]), _condition_from_json(dict(body["wish"])), notice)


def _condition_to_json(condition: ReminderCondition) -> ReminderJson:
    kind = next(name for name, made in CONDITIONS.items() if isinstance(condition, made))
    body: ReminderJson = {"kind": kind}
    for field in fields(condition):
        value = getattr(condition, field.name)
        if isinstance(value, Instant):
            value = _instant(value)
        elif field.name == "since":
            value = [[uuid, _instant(at)] for uuid, at in value]
        body[field.name] = value
    return body


def _condition_from_json(body: ReminderJson) -> ReminderCondition:
    made = CONDITIONS[body.pop("kind")]
    for name in INSTANTS:
        if body.get(name) is not None:
            body[name] = Instant(*body[name])
    if "since" in body:
        body["since"] = tuple((str(uuid), Instant(*at)) for uuid, at in body["since"])
    if "gpus" in body:
        body["gpus"] = tuple(map(int, body["gpus"]))
    return made(**body)


def _instant(at: Instant) -> list[float | str]:
    return [at.wall, at.uptime, at.boot]
