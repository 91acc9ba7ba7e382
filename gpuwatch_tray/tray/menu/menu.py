"""The whole menu, from the status line to Quit, and the tooltip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import __version__
from gpuwatch_tray.alerts.silences import MORNING
from gpuwatch_tray.common import redact
from gpuwatch_tray.common.text import display_width
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.model import Phase, Severity, labelled
from gpuwatch_tray.tray.menu import labels
from gpuwatch_tray.tray.menu.process_rows import gpu_rows, kill_rows, reminder_rows, user_rows
from gpuwatch_tray.tray.menu.row import (
    MAX_COLUMNS,
    ActionKind,
    MenuExtras,
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
    suffix = labels.DOT + marks[-1] if marks else ""
    label = f"{_(SEVERITIES[alert.severity])}: {message}"
    label = labels.clip(label, MAX_COLUMNS - display_width(suffix)) + suffix
    below = tuple(_alert_details(key, alert, now, offered))
    return MenuRow(key, label, children=below, gone=_("Over"))


def _alert_details(key: str, alert: Alert, now: float, offered: Collection[ActionKind]) -> Iterable[MenuRow]:
    # the kind comes first: behind a fingerprint it could be part of another one
    yield from text_rows(f"text of {key}", labels.clip(redact.text(alert.message) or "?", 1000))
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
        marks.append(_("muted by {rule}").format(rule=labels.clip(alert.inhibited_by, 40)))
    return marks


ALL_ACTIONS = frozenset(ActionKind)
ABOUT_LINES = (f"gpuwatch-tray {__version__}", N_("Licence: MIT"))


def tooltip(status: Status) -> str:
    """Return the tooltip and first row: the headline, marked where it is simulated or snoozed."""
    simulated = status.snapshot is not None and status.snapshot.simulated
    until = status.snoozed_until
    suffix = (
        ""
        if until is None
        else labels.DOT + _("snoozed until {time}").format(time=end_time(until, status.at))
    )
    return (
        labels.clip(labelled(status.headline, simulated=simulated), MAX_COLUMNS - display_width(suffix))
        + suffix
    )


def build_menu(
    status: Status, offered: Collection[ActionKind] = ALL_ACTIONS, extras: MenuExtras | None = None
) -> tuple[MenuRow, ...]:
    """Return the menu of a status; of the actions, only those `offered`."""
    extras = extras or MenuExtras()
    test_alert = _("Send test alert") if status.mail_possible else _("Send test alert (popup only)")
    switch = "off" if extras.autostart else "on"
    settings = action_row("settings", _("Open settings"), ActionKind.OPEN_SETTINGS, extras.settings_file)
    log_file = action_row("log", _("Open log"), ActionKind.OPEN_LOG, extras.log_file)
    alerts = [
        *kill_rows(extras.unresponsive, status.snapshot, offered),
        *alert_rows(status, offered),
    ]
    actions = [
        *reminder_rows(status, offered),
        *snooze_all_rows(status, offered),
        *offered_rows(
            offered,
            action_row("details", _("Show details…"), ActionKind.SHOW_DETAILS),
            action_row("check now", _("Check now"), ActionKind.CHECK_NOW),
            action_row("test alert", test_alert, ActionKind.TEST_ALERT),
            # the click asks for what the row shows, whatever has been switched elsewhere meanwhile
            action_row(
                "autostart", _("Start at login"), ActionKind.AUTOSTART, switch, ticked=extras.autostart
            ),
            *([settings] if extras.settings_file else []),
            *([log_file] if extras.log_file else []),
        ),
    ]
    return (
        text_row("status", tooltip(status)),
        *(text_row(f"note:{place}", note) for place, note in enumerate(status.notes)),
        MenuRow("line:gpus"),
        *gpu_rows(status.snapshot, offered, frozenset(reminder.target for reminder in status.awaited)),
        *user_rows(status.snapshot),
        *([MenuRow("line:alerts"), *alerts] if alerts else []),
        *([MenuRow("line:acts"), *actions] if actions else []),
        MenuRow("line:quit"),
        MenuRow("about", _("About"), children=_about_rows(extras)),
        *offered_rows(offered, action_row("quit", _("Quit"), ActionKind.QUIT)),
    )


def _about_rows(extras: MenuExtras) -> tuple[MenuRow, ...]:
    return tuple(
        text_row(f"about:{place}", line) for place, line in enumerate((*map(_, ABOUT_LINES), *extras.about))
    )
