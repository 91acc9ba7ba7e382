"""The whole menu, from the status line to Quit, and the tooltip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import __version__
from gpuwatch_tray.columns import display_width
from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import labelled
from gpuwatch_tray.tray import text
from gpuwatch_tray.tray.menu.gpus import gpu_rows
from gpuwatch_tray.tray.menu.process import kill_rows
from gpuwatch_tray.tray.menu.row import (
    MAX_COLUMNS,
    ActionKind,
    MenuExtras,
    MenuRow,
    action_row,
    offered_rows,
    text_row,
)
from gpuwatch_tray.tray.menu.snooze import alert_rows, snooze_all_rows
from gpuwatch_tray.tray.menu.tell import reminder_rows
from gpuwatch_tray.tray.menu.users import user_rows
from gpuwatch_tray.units import end_time

if TYPE_CHECKING:
    from collections.abc import Collection

    from gpuwatch_tray.model import Status

ALL_ACTIONS = frozenset(ActionKind)
ABOUT_LINES = (f"gpuwatch-tray {__version__}", N_("Licence: MIT"))


def tooltip(status: Status) -> str:
    """Return the tooltip and first row: the headline, marked where it is simulated or snoozed."""
    simulated = status.snapshot is not None and status.snapshot.simulated
    until = status.snoozed_until
    suffix = (
        "" if until is None else text.DOT + _("snoozed until {time}").format(time=end_time(until, status.at))
    )
    return (
        text.clip(labelled(status.headline, simulated=simulated), MAX_COLUMNS - display_width(suffix))
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
        text_row("status", tooltip(status), urgent=True),
        *(text_row(f"note:{place}", note, urgent=True) for place, note in enumerate(status.notes)),
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
