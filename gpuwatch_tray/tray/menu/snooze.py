"""The rows of the alerts and of snoozing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.alerts.attention import MORNING
from gpuwatch_tray.columns import display_width
from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import Phase, Severity
from gpuwatch_tray.tray import text
from gpuwatch_tray.tray.menu.row import LINE, Act, Deed, Row, choice, clickable, plain, unique, wrapped
from gpuwatch_tray.units import end_time, local_time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from gpuwatch_tray.model import Alert, Status

SEVERITIES = {
    Severity.INFO: N_("Note"),
    Severity.WARNING: N_("Warning"),
    Severity.CRITICAL: N_("Critical"),
}


def alerts(status: Status, offered: Collection[Act]) -> list[Row]:
    """The alerts that fire or recover, worst first, each with its state and what one can do about it."""
    return unique(_alert(alert, status.at, offered) for alert in status.alerts)


def all_of_them(status: Status, offered: Collection[Act]) -> list[Row]:
    """The submenu that snoozes everything."""
    snoozed = status.snoozed_until is not None or any(
        alert.snoozed_until is not None for alert in status.alerts
    )
    resume = Row("resume", _("Resume"), Deed(Act.RESUME))
    rows = clickable(
        offered,
        Row("snooze all 1 h", _("1 h"), Deed(Act.SNOOZE_ALL)),
        Row(
            "snooze all tomorrow",
            _("Until tomorrow, {time}").format(time=f"{MORNING:02}:00"),
            Deed(Act.SNOOZE_TOMORROW),
        ),
        *([resume] if snoozed else []),
    )
    return choice("snooze all", _("Snooze all"), rows)


def _alert(alert: Alert, now: float, offered: Collection[Act]) -> Row:
    key = f"alert:{alert.fingerprint}"
    said = redact.text(alert.said) or "?"
    attention = _attention(alert, now)
    mark = text.DOT + attention[-1] if attention else ""
    label = text.clip(f"{_(SEVERITIES[alert.severity])}: {said}", LINE - display_width(mark)) + mark
    return Row(key, label, children=tuple(_below(key, alert, now, offered)), gone=_("Over"), urgent=True)


def _below(key: str, alert: Alert, now: float, offered: Collection[Act]) -> Iterable[Row]:
    # the kind stands in front: behind a fingerprint it could be part of another one
    yield from wrapped(f"text of {key}", text.clip(redact.text(alert.said) or "?", 1000))
    yield plain(f"since of {key}", _("Since: {time}").format(time=local_time(alert.since)))
    phase = _("recovering") if alert.phase is Phase.RECOVERING else _("firing")
    yield plain(
        f"state of {key}", _("State: {state}").format(state=_(", ").join([phase, *_attention(alert, now)]))
    )
    done = alert.acknowledged
    yield from clickable(
        offered,
        Row(
            f"acknowledge {key}",
            _("Acknowledged") if done else _("Acknowledge"),
            Deed(Act.ACKNOWLEDGE, alert.fingerprint),
            enabled=not done,
        ),
        Row(f"snooze {key}", _("Snooze 1 h"), Deed(Act.SNOOZE, alert.fingerprint)),
    )


def _attention(alert: Alert, now: float) -> list[str]:
    """What became of the alert for the person, the strongest last."""
    until = alert.snoozed_until
    return [
        *([_("acknowledged")] if alert.acknowledged else []),
        *([_("snoozed until {time}").format(time=end_time(until, now))] if until is not None else []),
        *(
            [_("muted by {rule}").format(rule=text.clip(alert.inhibited_by, 40))]
            if alert.inhibited_by
            else []
        ),
    ]
