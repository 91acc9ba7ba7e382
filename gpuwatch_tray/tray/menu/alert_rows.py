"""The rows of alerts, of this computer and of the lab: what each says, its state, and what can be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.common import redact
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.model import Phase, Severity
from gpuwatch_tray.model.units import end_time, local_time
from gpuwatch_tray.tray.menu import labels
from gpuwatch_tray.tray.menu.row import ActionKind, MenuRow, action_row, offered_rows, text_row, text_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from gpuwatch_tray.model import Alert


SEVERITIES = {
    Severity.INFO: N_("Note"),
    Severity.WARNING: N_("Warning"),
    Severity.CRITICAL: N_("Critical"),
}


def local_alert_row(alert: Alert, now: float, offered: Collection[ActionKind]) -> MenuRow:
    """Return an alert of this computer, with its state and actions below."""
    key = f"alert:{alert.fingerprint}"
    actions = [
        acknowledge_row(key, alert, ActionKind.ACKNOWLEDGE),
        action_row(f"snooze {key}", _("Snooze 1 h"), ActionKind.SNOOZE, alert.fingerprint),
    ]
    return alert_row(key, alert, now, offered_rows(offered, *actions))


def acknowledge_row(key: str, alert: Alert, kind: ActionKind) -> MenuRow:
    """Return the row that acknowledges an alert, or says that it is."""
    done = alert.acknowledged
    label = _("Acknowledged") if done else _("Acknowledge")
    return action_row(f"acknowledge {key}", label, kind, alert.fingerprint, enabled=not done)


def alert_row(
    key: str, alert: Alert, now: float, actions: Sequence[MenuRow], marks: Sequence[str] = ()
) -> MenuRow:
    """Return the row of a firing or recovering alert; `actions` stand below what is known of it."""
    message = redact.text(alert.message) or "?"
    marks = [*_alert_marks(alert, now), *marks]
    label = labels.fit(f"{_(SEVERITIES[alert.severity])}: {message}", labels.DOT + marks[-1] if marks else "")
    below = (*_alert_details(key, alert, marks), *actions)
    return MenuRow(key, label, children=below, subject=key, gone=_("Over"))


def _alert_details(key: str, alert: Alert, marks: Sequence[str]) -> Iterable[MenuRow]:
    # the kind comes first: behind a fingerprint it could be part of another one
    yield from text_rows(f"text of {key}", redact.text(alert.message))
    yield text_row(f"since of {key}", _("Since: {time}").format(time=local_time(alert.since)))
    phase = _("recovering") if alert.phase is Phase.RECOVERING else _("firing")
    state = _(", ").join([phase, *marks])
    yield text_row(f"state of {key}", _("State: {state}").format(state=state))


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
