"""The whole menu, from the status line to Quit, and the tooltip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import __version__
from gpuwatch_tray.columns import display_width
from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import labelled
from gpuwatch_tray.tray import text
from gpuwatch_tray.tray.menu import gpus, process, snooze, tell, users
from gpuwatch_tray.tray.menu.row import LINE, Act, Deed, Extras, Row, clickable, plain
from gpuwatch_tray.units import end_time

if TYPE_CHECKING:
    from collections.abc import Collection

    from gpuwatch_tray.model import Status

EVERYTHING = frozenset(Act)
ABOUT = (f"gpuwatch-tray {__version__}", N_("Licence: MIT"))


def title(status: Status) -> str:
    """The tooltip and first row: the reason in one line, marked where it is simulated or snoozed."""
    simulated = status.snapshot is not None and status.snapshot.simulated
    until = status.snoozed_until
    mark = (
        "" if until is None else text.DOT + _("snoozed until {time}").format(time=end_time(until, status.at))
    )
    return text.clip(labelled(status.headline, simulated=simulated), LINE - display_width(mark)) + mark


def rows(
    status: Status, offered: Collection[Act] = EVERYTHING, extras: Extras | None = None
) -> tuple[Row, ...]:
    """The menu of a status; of what can be clicked, only that which is `offered`."""
    extras = extras or Extras()
    alerts = [
        *process.stubborn(extras.unresponsive, status.snapshot, offered),
        *snooze.alerts(status, offered),
    ]
    acts = [
        *tell.rows(status, offered),
        *snooze.all_of_them(status, offered),
        *clickable(
            offered,
            Row("details", _("Show details…"), Deed(Act.SHOW_DETAILS)),
            Row("check now", _("Check now"), Deed(Act.CHECK_NOW)),
            Row("test alert", _test_alert(status), Deed(Act.TEST_ALERT)),
            _autostart(extras),
            *([_settings(extras)] if extras.settings_file else []),
            *([Row("log", _("Open log"), Deed(Act.OPEN_LOG, extras.log_file))] if extras.log_file else []),
        ),
    ]
    return (
        plain("status", title(status), urgent=True),
        *(plain(f"note:{place}", note, urgent=True) for place, note in enumerate(status.notes)),
        Row("line:gpus"),
        *gpus.rows(status.snapshot, offered, frozenset(each.target for each in status.awaited)),
        *users.rows(status.snapshot),
        *([Row("line:alerts"), *alerts] if alerts else []),
        *([Row("line:acts"), *acts] if acts else []),
        Row("line:quit"),
        Row("about", _("About"), children=_about(extras)),
        *clickable(offered, Row("quit", _("Quit"), Deed(Act.QUIT))),
    )


def _test_alert(status: Status) -> str:
    return _("Send test alert") if status.mail_possible else _("Send test alert (popup only)")


def _autostart(extras: Extras) -> Row:
    """A click asks for what the person sees it ask for, whatever has been switched elsewhere meanwhile."""
    deed = Deed(Act.AUTOSTART, "off" if extras.autostart else "on")
    return Row("autostart", _("Start at login"), deed, ticked=extras.autostart)


def _settings(extras: Extras) -> Row:
    return Row("settings", _("Open settings"), Deed(Act.OPEN_SETTINGS, extras.settings_file))


def _about(extras: Extras) -> tuple[Row, ...]:
    return tuple(plain(f"about:{place}", line) for place, line in enumerate((*map(_, ABOUT), *extras.about)))
