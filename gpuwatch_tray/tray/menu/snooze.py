"""The rows of alerts and of snoozing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.alerts.attention import MORNING
from gpuwatch_tray.columns import display_width
from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import Phase, Severity
from gpuwatch_tray.tray import text
from gpuwatch_tray.tray.menu.row import (
    MAX_COLUMNS,
    ActionKind,
    MenuAction,
    MenuRow,
    offered_rows,
    submenu,
    text_row,
    text_rows,
    unique_rows,
)
from gpuwatch_tray.units import end_time, local_time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from gpuwatch_tray.model import Alert, Status

SEVERITIES = {
    Severity.INFO: N_("Note"),
    Severity.WARNING: N_("Warning"),
    Severity.CRITICAL: N_("Critical"),
}


def alert_rows(status: Status, offered: Collection[ActionKind]) -> list[MenuRow]:
    """Return the firing and recovering alerts, worst first, each with its state and actions."""
    return unique_rows(_alert_row(alert, status.at, offered) for alert in status.alerts)


def snooze_all_rows(status: Status, offered: Collection[ActionKind]) -> list[MenuRow]:
    """Return the submenu that snoozes everything."""
    snoozed = status.snoozed_until is not None or any(
        alert.snoozed_until is not None for alert in status.alerts
    )
    resume = MenuRow("resume", _("Resume"), MenuAction(ActionKind.RESUME))
    rows = offered_rows(
        offered,
        MenuRow("snooze all 1 h", _("1 h"), MenuAction(ActionKind.SNOOZE_ALL)),
        MenuRow(
            "snooze all tomorrow",
            _("Until tomorrow, {time}").format(time=f"{MORNING:02}:00"),
            MenuAction(ActionKind.SNOOZE_TOMORROW),
        ),
        *([resume] if snoozed else []),
    )
    return submenu("snooze all", _("Snooze all"), rows)


def _alert_row(alert: Alert, now: float, offered: Collection[ActionKind]) -> MenuRow:
    key = f"alert:{alert.fingerprint}"
    message = redact.text(alert.said) or "?"
    marks = _alert_marks(alert, now)
    suffix = text.DOT + marks[-1] if marks else ""
    label = (
        text.clip(f"{_(SEVERITIES[alert.severity])}: {message}", MAX_COLUMNS - display_width(suffix)) + suffix
    )
    return MenuRow(
        key, label, children=tuple(_alert_details(key, alert, now, offered)), gone=_("Over"), urgent=True
    )


def _alert_details(key: str, alert: Alert, now: float, offered: Collection[ActionKind]) -> Iterable[MenuRow]:
    # the kind comes first: behind a fingerprint it could be part of another one
    yield from text_rows(f"text of {key}", text.clip(redact.text(alert.said) or "?", 1000))
    yield text_row(f"since of {key}", _("Since: {time}").format(time=local_time(alert.since)))
    phase = _("recovering") if alert.phase is Phase.RECOVERING else _("firing")
    yield text_row(
        f"state of {key}", _("State: {state}").format(state=_(", ").join([phase, *_alert_marks(alert, now)]))
    )
    acknowledged = alert.acknowledged
    yield from offered_rows(
        offered,
        MenuRow(
            f"acknowledge {key}",
            _("Acknowledged") if acknowledged else _("Acknowledge"),
            MenuAction(ActionKind.ACKNOWLEDGE, alert.fingerprint),
            enabled=not acknowledged,
        ),
        MenuRow(f"snooze {key}", _("Snooze 1 h"), MenuAction(ActionKind.SNOOZE, alert.fingerprint)),
    )


def _alert_marks(alert: Alert, now: float) -> list[str]:
    """Return whether the alert is acknowledged, snoozed or muted, the strongest last."""
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
