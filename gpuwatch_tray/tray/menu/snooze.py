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
    MenuRow,
    action_row,
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
    ends = [status.snoozed_until, *(alert.snoozed_until for alert in status.alerts)]
    snoozed = any(end is not None for end in ends)
    morning = _("Until tomorrow, {time}").format(time=f"{MORNING:02}:00")
    rows = [
        action_row("snooze all 1 h", _("1 h"), ActionKind.SNOOZE_ALL),
        action_row("snooze all tomorrow", morning, ActionKind.SNOOZE_TOMORROW),
        *([action_row("resume", _("Resume"), ActionKind.RESUME)] if snoozed else []),
    ]
    return submenu("snooze all", _("Snooze all"), offered_rows(offered, *rows))


def _alert_row(alert: Alert, now: float, offered: Collection[ActionKind]) -> MenuRow:
    key = f"alert:{alert.fingerprint}"
    message = redact.text(alert.message) or "?"
    marks = _alert_marks(alert, now)
    suffix = text.DOT + marks[-1] if marks else ""
    label = f"{_(SEVERITIES[alert.severity])}: {message}"
    label = text.clip(label, MAX_COLUMNS - display_width(suffix)) + suffix
    below = tuple(_alert_details(key, alert, now, offered))
    return MenuRow(key, label, children=below, gone=_("Over"), urgent=True)


def _alert_details(key: str, alert: Alert, now: float, offered: Collection[ActionKind]) -> Iterable[MenuRow]:
    # the kind comes first: behind a fingerprint it could be part of another one
    yield from text_rows(f"text of {key}", text.clip(redact.text(alert.message) or "?", 1000))
    yield text_row(f"since of {key}", _("Since: {time}").format(time=local_time(alert.since)))
    phase = _("recovering") if alert.phase is Phase.RECOVERING else _("firing")
    state = _(", ").join([phase, *_alert_marks(alert, now)])
    yield text_row(f"state of {key}", _("State: {state}").format(state=state))
    done = alert.acknowledged
    acknowledge = _("Acknowledged") if done else _("Acknowledge")
    yield from offered_rows(
        offered,
        action_row(
            f"acknowledge {key}", acknowledge, ActionKind.ACKNOWLEDGE, alert.fingerprint, enabled=not done
        ),
        action_row(f"snooze {key}", _("Snooze 1 h"), ActionKind.SNOOZE, alert.fingerprint),
    )


def _alert_marks(alert: Alert, now: float) -> list[str]:
    """Return whether the alert is acknowledged, snoozed or muted, the strongest last."""
    marks = []
    if alert.acknowledged:
        marks.append(_("acknowledged"))
    if alert.snoozed_until is not None:
        marks.append(_("snoozed until {time}").format(time=end_time(alert.snoozed_until, now)))
    if alert.inhibited_by:
        marks.append(_("muted by {rule}").format(rule=text.clip(alert.inhibited_by, 40)))
    return marks
