"""The whole menu, from the status line to Quit, and the tooltip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import __version__
from gpuwatch_tray.alerts.silences import MORNING
from gpuwatch_tray.common import redact
from gpuwatch_tray.i18n import N_, _, ngettext
from gpuwatch_tray.model import Phase, Severity, labelled
from gpuwatch_tray.model.units import end_time, local_time
from gpuwatch_tray.tray.menu import labels
from gpuwatch_tray.tray.menu.process_rows import (
    ShownProcesses,
    gpu_rows,
    kill_rows,
    reminder_rows,
    rest_row,
    user_rows,
)
from gpuwatch_tray.tray.menu.row import (
    TOOLTIP_COLUMNS,
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

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from gpuwatch_tray.model import Alert, Snapshot, Status


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
    label = labels.fit(f"{_(SEVERITIES[alert.severity])}: {message}", labels.DOT + marks[-1] if marks else "")
    return MenuRow(
        key, label, children=tuple(_alert_details(key, alert, now, offered)), subject=key, gone=_("Over")
    )


def _attention_row(rows: Sequence[MenuRow]) -> MenuRow:
    """Return the row for all that asks for attention, which is always there, so that no other one moves."""
    if not rows:
        return MenuRow("alerts", _("No alerts"), children=(text_row("no alerts", _("Nothing is wrong now")),))
    label, children = rows[0].label, rows[0].children
    if rows[1:]:
        label = labels.fit(label, f"{labels.DOT}+{len(rows) - 1}")
        children = tuple(rows)
    return MenuRow("alerts", label, children=children)


def _alert_details(key: str, alert: Alert, now: float, offered: Collection[ActionKind]) -> Iterable[MenuRow]:
    # the kind comes first: behind a fingerprint it could be part of another one
    yield from text_rows(f"text of {key}", redact.text(alert.message))
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
GPUS_AT_TOP = 2  # more have a submenu of their own: no more than ten rows stand at the top
GPUS_LISTED = 40
GPUS_IN_TOOLTIP = 4


def status_line(status: Status, columns: int = TOOLTIP_COLUMNS) -> str:
    """Return the headline, marked where it is simulated or snoozed."""
    simulated = status.snapshot is not None and status.snapshot.simulated
    until = status.snoozed_until
    mark = "" if until is None else _("snoozed until {time}").format(time=end_time(until, status.at))
    return labels.fit(
        labelled(status.headline, simulated=simulated), labels.DOT + mark if mark else "", columns
    )


def tooltip(status: Status) -> tuple[str, ...]:
    """Return the status line, and a line for each GPU or, of more than four, one for all."""
    snapshot = status.snapshot
    if snapshot is None or snapshot.problem is not None:
        return (status_line(status),)
    gpus = sorted(snapshot.gpus, key=lambda gpu: gpu.index)
    named = not labels.are_alike(gpus)
    if len(gpus) > GPUS_IN_TOOLTIP:
        return (status_line(status), _sum_of_gpus(gpus, snapshot))
    return (status_line(status), *(labels.gpu_label(gpu, named=named) for gpu in gpus))


def build_menu(
    status: Status,
    offered: Collection[ActionKind] = ALL_ACTIONS,
    extras: MenuExtras | None = None,
    shown: ShownProcesses | None = None,
) -> tuple[MenuRow, ...]:
    """Return the menu of a status; of the actions, only those `offered`; `shown` keeps its choices."""
    extras = extras or MenuExtras()
    reminded = frozenset(reminder.target for reminder in status.awaited)
    gpus = gpu_rows(status.snapshot, offered, reminded, shown or ShownProcesses())
    if len(gpus) > GPUS_AT_TOP:
        gpus = [_gpus_row(gpus, status.snapshot, offered)]
    attention = [*kill_rows(extras.unresponsive, status.snapshot, offered), *alert_rows(status, offered)]
    details = action_row("details", _("Show details…"), ActionKind.SHOW_DETAILS)
    return (
        text_row("status", status_line(status, labels.MAX_COLUMNS)),
        *_note_rows(status.notes, offered, extras),
        _attention_row(attention),
        MenuRow("line:gpus"),
        *gpus,
        MenuRow("line:acts"),
        *snooze_all_rows(status, offered),
        *reminder_rows(status, offered),
        *offered_rows(offered, details),
        MenuRow("more", _("More"), children=tuple(_rows_under_more(status, offered, extras))),
        *offered_rows(offered, action_row("quit", _("Quit"), ActionKind.QUIT)),
    )


def _note_rows(
    notes: Sequence[str], offered: Collection[ActionKind], extras: MenuExtras
) -> Iterable[MenuRow]:
    """Yield one row for all notes, which stand below it in full, with the way to the settings."""
    if not notes:
        return
    more = labels.DOT + _("and {count} more").format(count=len(notes) - 1) if notes[1:] else ""
    below = [row for place, note in enumerate(notes) for row in text_rows(f"note:{place}", note)]
    if extras.without_mail:
        below += offered_rows(offered, _mail_row("mail of notes"))
    if extras.settings_file:
        settings = action_row(
            "settings of notes", _("Open settings"), ActionKind.OPEN_SETTINGS, extras.settings_file
        )
        below += offered_rows(offered, settings)
    yield MenuRow("notes", labels.fit(notes[0], more), children=tuple(below))


def _mail_row(key: str) -> MenuRow:
    return action_row(key, _("Set up email…"), ActionKind.SET_UP_MAIL)


def _gpus_row(gpus: Sequence[MenuRow], snapshot: Snapshot | None, offered: Collection[ActionKind]) -> MenuRow:
    """Return the row of many GPUs."""
    label = _sum_of_gpus(gpus, snapshot)
    below = [*gpus[:GPUS_LISTED], *rest_row("gpus", len(gpus) - GPUS_LISTED, offered)]
    return MenuRow("gpus", label, children=tuple(below), gone=_("No data"))


def _sum_of_gpus(gpus: Sequence[object], snapshot: Snapshot | None) -> str:
    """Return the number of GPUs, with the sums of their memory and their processes."""
    parts = [ngettext("{count} GPU", "{count} GPUs", len(gpus)).format(count=len(gpus))]
    if snapshot is not None:
        count = len({process.pid for process in snapshot.processes})
        parts += [
            labels.gpu_memory(
                labels.total(gpu.memory_used for gpu in snapshot.gpus),
                labels.total(gpu.memory_total for gpu in snapshot.gpus),
            ),
            ngettext("{count} process", "{count} processes", count).format(count=count),
        ]
    return labels.DOT.join(part for part in parts if part)


def _rows_under_more(
    status: Status, offered: Collection[ActionKind], extras: MenuExtras
) -> Iterable[MenuRow]:
    test_alert = _("Send test alert") if status.mail_possible else _("Send test alert (popup only)")
    switch = "off" if extras.autostart else "on"
    settings = action_row("settings", _("Open settings"), ActionKind.OPEN_SETTINGS, extras.settings_file)
    log_file = action_row("log", _("Open log"), ActionKind.OPEN_LOG, extras.log_file)
    yield from user_rows(status.snapshot)
    yield from offered_rows(
        offered,
        action_row("check now", _("Check now"), ActionKind.CHECK_NOW),
        action_row("test alert", test_alert, ActionKind.TEST_ALERT),
        # the click asks for what the row shows, whatever has been switched elsewhere meanwhile
        action_row("autostart", _("Start at login"), ActionKind.AUTOSTART, switch, ticked=extras.autostart),
        *([_mail_row("mail")] if extras.without_mail else []),
        *([settings] if extras.settings_file else []),
        *([log_file] if extras.log_file else []),
    )
    yield MenuRow("about", _("About"), children=_about_rows(extras))


def _about_rows(extras: MenuExtras) -> tuple[MenuRow, ...]:
    lines = (*map(_, ABOUT_LINES), *extras.about)
    return tuple(row for place, line in enumerate(lines) for row in text_rows(f"about:{place}", line))
