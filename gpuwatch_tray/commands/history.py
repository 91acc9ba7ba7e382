"""The stored alerts, as `alerts --json` and as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuwatch_tray import alerts, redact, terms
from gpuwatch_tray.alerts import SilenceScope
from gpuwatch_tray.columns import pad_to_width
from gpuwatch_tray.commands.answer import silence_texts
from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import Alert, Instant, Phase
from gpuwatch_tray.units import local_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gpuwatch_tray.store import Store, Transition

NO_ALERTS = N_("no alert is active, and none is on file")


def alerts_json(store: Store, now: Instant) -> dict[str, Any]:
    """
    Return the stored alerts: `active` (not over), `past` (the last 100, newest first) and `snoozes`.

    The keys are the contract of `alerts --json`. Times are in seconds since the epoch; an alert's `history`
    is every transition with its named reason.
    """
    past, transitions = store.history()
    attention = store.attention()
    current = alerts.apply_silences(
        {alert.fingerprint: alert for alert in store.saved_state().alerts},
        attention.silences,
        attention.acknowledged,
        now,
    )
    by_incident: dict[int, list[Transition]] = {}
    for transition in transitions:
        by_incident.setdefault(transition.incident, []).append(transition)
    return {
        "active": [_alert_json(alert, by_incident.get(alert.id, ())) for alert in current.values()],
        "past": [_alert_json(alert, by_incident.get(alert.id, ())) for alert in past],
        "snoozes": [
            {"scope": silence.scope.value, "name": silence.name, "until": now.wall + left}
            for silence in attention.silences
            if (left := silence.left(now))
        ],
    }


def _alert_json(alert: Alert, transitions: Iterable[Transition]) -> dict[str, Any]:
    return {
        "id": alert.id,
        "rule": alert.rule,
        "subject": alert.subject,
        "severity": alert.severity.name.lower(),
        "text": redact.text(alert.message),
        "reason": redact.text(alert.reason),
        "phase": alert.phase.value,
        "since": alert.since,
        "fired": alert.fired.wall if alert.fired else None,
        "resolved": alert.resolved.wall if alert.resolved else None,
        "acknowledged": alert.acknowledged,
        "snoozed_until": alert.snoozed_until,
        "inhibited_by": alert.inhibited_by or None,
        "flapping": alerts.flapping(alert),
        "history": [
            {"at": change.at, "what": change.what, "why": redact.text(change.why)} for change in transitions
        ],
    }


def alert_lines(answer: Mapping[str, Any]) -> list[str]:
    """Format the answer of `alerts_json` for a terminal."""
    current = [*_section_lines(_("Active:"), answer["active"]), *_snooze_lines(answer["snoozes"])]
    past = list(_section_lines(_("Over:"), answer["past"]))
    if not answer["active"] and past:
        current.insert(0, _("No alert is active."))
    return [redact.visible(line) for line in [*current, *past]] or [_(NO_ALERTS)]


def _section_lines(title: str, alerts_: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if alerts_:
        yield title
    for alert in alerts_:
        severity = pad_to_width(terms.translate_key(alert["severity"]), 8)
        yield f"{alert['id']:>5}  {severity}  {alert['rule']}: {alert['text']}"
        yield f"       {_state_text(alert)}"
        for change in alert["history"]:
            why = f" ({change['why']})" if change["why"] and change["why"] != alert["text"] else ""
            yield f"         {local_time(change['at'])}  {terms.translate_key(change['what'])}{why}"


def _state_text(alert: Mapping[str, Any]) -> str:
    if alert["phase"] == Phase.RESOLVED.value:
        if not alert["resolved"]:
            return _("began {time}").format(time=local_time(alert["since"]))
        began, over = local_time(alert["since"]), local_time(alert["resolved"])
        return _("began {began}, over since {over}").format(began=began, over=over)
    states = [
        _("{phase} since {time}").format(
            phase=terms.translate_key(alert["phase"]), time=local_time(alert["since"])
        )
    ]
    if alert["phase"] == Phase.RECOVERING.value:
        states = [_("began {time}, over for the moment").format(time=local_time(alert["since"]))]
    if alert["flapping"]:
        states.append(_("comes and goes"))
    return _(", ").join([*states, *silence_texts(alert, local_time)])


def _snooze_lines(snoozes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for snooze in snoozes:
        what = (
            _("everything")
            if snooze["scope"] == SilenceScope.ALL.value
            else f"{terms.translate_key(snooze['scope'])} {snooze['name']}"
        )
        yield _("Snoozed until {time}: {what}").format(time=local_time(snooze["until"]), what=what)
