"""The whole menu, from the status line to Quit, and the tooltip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import __version__
from gpuwatch_tray.alerts.silences import MORNING
from gpuwatch_tray.common.loading import LateModule
from gpuwatch_tray.i18n import N_, _, ngettext
from gpuwatch_tray.model import Level, labelled
from gpuwatch_tray.model.units import end_time
from gpuwatch_tray.tray.menu import labels
from gpuwatch_tray.tray.menu.alert_rows import local_alert_row
from gpuwatch_tray.tray.menu.process_rows import (
    ShownProcesses,
    free_gpu_rows,
    gpu_rows,
    kill_rows,
    pending_rows,
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
from gpuwatch_tray.tray.menu.shown_hosts import ShownHosts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from gpuwatch_tray.model import Snapshot, Status
    from gpuwatch_tray.tray.menu import lab_rows
else:
    lab_rows = LateModule("gpuwatch_tray.tray.menu.lab_rows")


def snooze_all_rows(status: Status, offered: Collection[ActionKind]) -> list[MenuRow]:
    """Return the submenu that snoozes everything."""
    ends = [status.snoozed_until, *(alert.snoozed_until for alert in status.alerts)]
    if status.lab is not None:
        ends += [status.lab.snoozed_until, *(alert.snoozed_until for alert in status.lab.alerts)]
    snoozed = any(end is not None for end in ends)
    morning = _("Until tomorrow, {time}").format(time=f"{MORNING:02}:00")
    rows = [
        action_row("snooze all 1 h", _("1 h"), ActionKind.SNOOZE_ALL),
        action_row("snooze all tomorrow", morning, ActionKind.SNOOZE_TOMORROW),
        *([action_row("resume", _("Resume"), ActionKind.RESUME)] if snoozed else []),
    ]
    return submenu("snooze all", _("Snooze all"), offered_rows(offered, *rows))


def _attention_row(rows: Sequence[MenuRow], others: Sequence[MenuRow], unknown: str) -> MenuRow:
    """
    Return the row for all that asks for attention, which is always there, so that no other one moves.

    `others` are no news, and stand last; `unknown` says why no alert does not mean that all is well.
    """
    if not rows:
        none = text_row("no alerts", unknown or _("Nothing is wrong now"))
        label = _("No alert is known") if unknown else _("No alerts")
        return MenuRow("alerts", label, children=(none, *others))
    label, children = rows[0].label, rows[0].children
    if rows[1:] or others:
        children = (*rows, *others)
    if rows[1:]:
        label = labels.fit(label, f"{labels.DOT}+{len(rows) - 1}")
    return MenuRow("alerts", label, children=children)


def _alert_rows(status: Status, offered: Collection[ActionKind], extras: MenuExtras) -> list[MenuRow]:
    """Return the alerts of this computer and of the lab, the worst first."""
    found = [(alert.severity, local_alert_row(alert, status.at, offered)) for alert in status.alerts]
    if status.lab is not None:
        found += [
            (alert.severity, lab_rows.lab_alert_row(alert, status.lab, offered, extras.lab))
            for alert in status.lab.alerts
        ]
    return unique_rows(row for _severity, row in sorted(found, key=lambda pair: -pair[0]))


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
    headline = status.headline
    if status.lab is not None and status.level is status.lab.level is Level.OK:
        headline = lab_rows.lab_line(status.lab)  # of two that are well, the one that is not on the desk
    return labels.fit(labelled(headline, simulated=simulated), labels.DOT + mark if mark else "", columns)


def tooltip(status: Status) -> tuple[str, ...]:
    """Return the status line, the lab's, and a line for each GPU or, of more than four, one for all."""
    snapshot = status.snapshot
    first = status_line(status)
    line = "" if status.lab is None else labels.fit(lab_rows.lab_line(status.lab), columns=TOOLTIP_COLUMNS)
    lab = (line,) if line and line != first else ()
    if snapshot is None or snapshot.problem is not None:
        return (first, *lab)
    gpus = sorted(snapshot.gpus, key=lambda gpu: gpu.index)
    named = not labels.are_alike(gpus)
    if len(gpus) > GPUS_IN_TOOLTIP:
        return (first, *lab, _sum_of_gpus(gpus, snapshot))
    return (first, *lab, *(labels.gpu_label(gpu, named=named) for gpu in gpus))


def menu_outline(status: Status, extras: MenuExtras) -> object:
    """Return a value that changes with whatever `build_menu` shows but for numbers of GPUs and processes."""
    snapshot = status.snapshot
    seen = None if snapshot is None else (snapshot.problem, tuple(gpu.uuid for gpu in snapshot.gpus))
    told = status.alerts, status.notes, status.awaited, status.snoozed_until, status.mail_possible
    return status.level, status.headline, told, status.lab, seen, extras


def build_menu(
    status: Status,
    offered: Collection[ActionKind] = ALL_ACTIONS,
    extras: MenuExtras | None = None,
    shown: ShownProcesses | None = None,
    shown_hosts: ShownHosts | None = None,
) -> tuple[MenuRow, ...]:
    """Return the menu of a status; of the actions, only those `offered`; what was `shown` stays so."""
    extras = extras or MenuExtras()
    lab = status.lab
    reminded = frozenset(reminder.target for reminder in status.awaited)
    gpus = gpu_rows(status.snapshot, offered, reminded, shown or ShownProcesses())
    others: list[MenuRow] = []
    if lab is not None:
        gpus = _rows_beside_lab(status, gpus, offered)
        gpus = [*lab_rows.lab_rows(lab, offered, extras.lab, shown_hosts or ShownHosts()), *gpus]
        others = lab_rows.remote_rows(lab, offered, extras.lab)
    elif len(gpus) > GPUS_AT_TOP:
        gpus = [_gpus_row(gpus, status.snapshot, offered)]
    attention = [
        *kill_rows(extras.unresponsive, status.snapshot, offered),
        *_alert_rows(status, offered, extras),
    ]
    unknown = lab.headline if lab is not None and lab.level is Level.NO_DATA else ""
    details = action_row("details", _("Show details…"), ActionKind.SHOW_DETAILS)
    return (
        text_row("status", status_line(status, labels.MAX_COLUMNS)),
        *_note_rows((*status.notes, *(() if lab is None else lab_rows.lab_troubles(lab))), offered, extras),
        _attention_row(attention, others, unknown),
        MenuRow("line:gpus"),
        *gpus,
        MenuRow("line:acts"),
        *snooze_all_rows(status, offered),
        *_when_rows(status, offered, extras),
        *offered_rows(offered, details),
        MenuRow("more", _("More"), children=tuple(_rows_under_more(status, offered, extras))),
        *offered_rows(offered, action_row("quit", _("Quit"), ActionKind.QUIT)),
    )


def _rows_beside_lab(
    status: Status, gpus: Sequence[MenuRow], offered: Collection[ActionKind]
) -> list[MenuRow]:
    """Return the row of this computer beside a lab; a desk without GPUs of its own has none."""
    snapshot = status.snapshot
    if snapshot is not None and snapshot.problem is not None and snapshot.problem.no_driver:
        return []
    if snapshot is None or snapshot.problem is not None:
        return list(gpus)
    parts = (_("This computer"), _count_of_gpus(gpus), _sum_of_memory(snapshot))
    label = labels.DOT.join(part for part in parts if part)
    below = [*gpus[:GPUS_LISTED], *rest_row("gpus", len(gpus) - GPUS_LISTED, offered)]
    return [MenuRow("gpus", label, children=tuple(below), gone=_("No data"))]


def _when_rows(status: Status, offered: Collection[ActionKind], extras: MenuExtras) -> list[MenuRow]:
    """Return the submenu of what one can be told of, here and in the lab."""
    if status.lab is None:
        return reminder_rows(status, offered)
    rows = (
        *pending_rows(status, offered),
        *lab_rows.lab_pending_rows(status.lab, offered),
        *submenu("when here", _("On this computer"), free_gpu_rows(status, offered)),
        *lab_rows.lab_free_rows(status.lab, offered, looks=extras.lab.looks_free),
    )
    return [MenuRow("when free", _("Notify me when…"), children=rows)] if rows else []


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
    parts = [_count_of_gpus(gpus)]
    if snapshot is not None:
        count = len({process.pid for process in snapshot.processes})
        processes = ngettext("{count} process", "{count} processes", count).format(count=count)
        parts += [_sum_of_memory(snapshot), processes]
    return labels.DOT.join(part for part in parts if part)


def _count_of_gpus(gpus: Sequence[object]) -> str:
    return ngettext("{count} GPU", "{count} GPUs", len(gpus)).format(count=len(gpus))


def _sum_of_memory(snapshot: Snapshot) -> str:
    return labels.gpu_memory(
        labels.total(gpu.memory_used for gpu in snapshot.gpus),
        labels.total(gpu.memory_total for gpu in snapshot.gpus),
    )


def _rows_under_more(
    status: Status, offered: Collection[ActionKind], extras: MenuExtras
) -> Iterable[MenuRow]:
    test_alert = _("Send test alert") if status.mail_possible else _("Send test alert (popup only)")
    switch = "off" if extras.autostart else "on"
    settings = action_row("settings", _("Open settings"), ActionKind.OPEN_SETTINGS, extras.settings_file)
    log_file = action_row("log", _("Open log"), ActionKind.OPEN_LOG, extras.log_file)
    yield from user_rows(status.snapshot)
    if extras.lab.links:
        yield from lab_rows.link_rows(offered, extras.lab)
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
