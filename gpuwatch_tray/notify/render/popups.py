"""
The title and the body of a popup, pure.

The title says in a few words what happened, the body's first line the whole of it: a desktop shows one line
of each at least, and xfce4-notifyd cuts a title at about TITLE_COLUMNS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.common import redact
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import FLAPPING, Alert, Button, Popup, ReminderNotice, Severity
from gpuwatch_tray.rules.every_rule import rule_title

if TYPE_CHECKING:
    from collections.abc import Sequence


TITLE_COLUMNS = 36
BUTTONS = (Button.ACKNOWLEDGE, Button.SNOOZE, Button.SHOW)
MOST_LINES = 5  # alerts that a popup lists
MOST_DETAILS = 4  # of a notice: the mail and `runs show` have the rest
LAST_LINES = 3  # of a command's output


def notice_popup(key: str, notice: ReminderNotice, host: str, *, simulated: bool) -> Popup:
    """Return the popup of a notice; where no run has it all, with the last lines of the output."""
    details, output = notice.details[:MOST_DETAILS], notice.output[-LAST_LINES:]
    if notice.run:
        rest = _("all of it: gpuwatch-tray runs show {number}").format(number=notice.run)
        details, output = (*details[: MOST_DETAILS - 1], rest), ()
    lines = (notice.text, *details, origin(host, simulated=simulated), *output)
    return Popup(key, notice.title, "\n".join(lines), notice.severity)


def popup(key: str, alerts: Sequence[Alert], host: str, *, simulated: bool) -> Popup:
    """Return the popup about the `alerts` of one rule in one poll: the worst in full, the others counted."""
    worst = max(alerts, key=lambda alert: (alert.severity, alert.value))
    lines = [redact.text(worst.message)]
    if len(alerts) > 1:
        lines.append(_("and {count} more").format(count=len(alerts) - 1))
    if any(alert.raises >= FLAPPING for alert in alerts):
        lines.append(_("It comes and goes: no more notifications until it stays away for a while"))
    lines.append(origin(host, simulated=simulated))
    return Popup(key, rule_title(worst.rule), "\n".join(lines), worst.severity, BUTTONS)


def resolved_popup(alerts: Sequence[Alert], host: str, *, simulated: bool) -> Popup:
    """Return the popup that says that these alerts are over."""
    title = ngettext("An alert is over", "{count} alerts are over", len(alerts)).format(count=len(alerts))
    lines = (*_list_alerts(alerts), origin(host, simulated=simulated))
    return Popup("resolved", title, "\n".join(lines), Severity.INFO)


def away_popup(alerts: Sequence[Alert], firing: int, host: str, *, simulated: bool) -> Popup:
    """Return the popup for a person who comes back: what fired meanwhile, and how much of it still does."""
    title = ngettext("An alert while you were away", "{count} alerts while you were away", len(alerts))
    still = _("All over now") if firing == 0 else _("{count} still firing").format(count=firing)
    lines = (still, *_list_alerts(alerts), origin(host, simulated=simulated))
    worst = max(alert.severity for alert in alerts)
    return Popup("away", title.format(count=len(alerts)), "\n".join(lines), worst, (Button.SHOW,))


def origin(host: str, *, simulated: bool) -> str:
    """
    Return the line that says where it happened, and that it did not where the GPUs are simulated.

    An empty `host` is the lab, whose alerts name their hosts themselves.
    """
    if not host:
        return _("in the lab")
    return (_("SIMULATED GPUs on {host}") if simulated else _("on {host}")).format(host=host)


def _list_alerts(alerts: Sequence[Alert]) -> list[str]:
    """Return a line for each alert, MOST_LINES at most."""
    lines = [redact.text(alert.message) for alert in alerts[:MOST_LINES]]
    rest = len(alerts) - len(lines)
    return [*lines, _("and {count} more").format(count=rest)] if rest else lines
