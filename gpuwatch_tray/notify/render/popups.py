"""The title and the body of a popup, pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.common import redact
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import FLAPPING, Alert, Button, Popup, ReminderNotice, Severity, labelled
from gpuwatch_tray.rules import rule_title

if TYPE_CHECKING:
    from collections.abc import Sequence


BUTTONS = (Button.ACKNOWLEDGE, Button.SNOOZE, Button.SHOW)
MOST_LINES = 5  # alerts that a popup lists
LAST_LINES = 3  # of a command's output


def notice_popup(key: str, notice: ReminderNotice, host: str, *, simulated: bool) -> Popup:
    """Return the popup of a notice, with the last lines of a command's output."""
    headline = labelled(_("{what} on {host}").format(what=notice.title, host=host), simulated=simulated)
    lines = (notice.text, *notice.details, *notice.output[-LAST_LINES:])
    return Popup(key, headline, "\n".join(lines), notice.severity)


def popup(key: str, alerts: Sequence[Alert], host: str, *, simulated: bool) -> Popup:
    """Return the popup about the `alerts` of one rule in one poll: the worst in full, the others counted."""
    worst = max(alerts, key=lambda alert: (alert.severity, alert.value))
    lines = [redact.text(worst.message)]
    if len(alerts) > 1:
        lines.append(_("and {count} more").format(count=len(alerts) - 1))
    if any(alert.raises >= FLAPPING for alert in alerts):
        lines.append(_("It comes and goes: further notices wait until it stays away for a while"))
    headline = _("{what} on {host}").format(what=rule_title(worst.rule), host=host)
    return Popup(key, labelled(headline, simulated=simulated), "\n".join(lines), worst.severity, BUTTONS)


def resolved_popup(alerts: Sequence[Alert], host: str, *, simulated: bool) -> Popup:
    """Return the popup that says that these alerts are over."""
    headline = labelled(_("Resolved on {host}").format(host=host), simulated=simulated)
    return Popup("resolved", headline, _list_alerts(alerts), Severity.INFO)


def away_popup(alerts: Sequence[Alert], firing: int, *, simulated: bool) -> Popup:
    """Return the popup for a person who comes back: what fired meanwhile, and how much of it still does."""
    meanwhile = ngettext(
        "An alert while you were away: {still}", "{count} alerts while you were away: {still}", len(alerts)
    )
    still = _("all over by now") if firing == 0 else _("{count} still firing").format(count=firing)
    headline = labelled(meanwhile.format(count=len(alerts), still=still), simulated=simulated)
    worst = max(alert.severity for alert in alerts)
    return Popup("away", headline, _list_alerts(alerts), worst, (Button.SHOW,))


def _list_alerts(alerts: Sequence[Alert]) -> str:
    """Return a line for each alert, MOST_LINES at most."""
    lines = [redact.text(alert.message) for alert in alerts[:MOST_LINES]]
    rest = len(alerts) - len(lines)
    return "\n".join([*lines, _("and {count} more").format(count=rest)] if rest else lines)
