"""
The alerts on file as `alerts --json` has them, and as lines; pure.

The keys stay. Times are seconds since the epoch; `history` is every transition with its named reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuwatch_tray import alerts, redact, terms
from gpuwatch_tray.alerts import SilenceScope
from gpuwatch_tray.columns import pad_to_width
from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import Alert, Instant, Phase
from gpuwatch_tray.units import local_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gpuwatch_tray.store import Store, Transition

NOTHING = N_("no alert is active, and none is on file")


def record(store: Store, now: Instant) -> dict[str, Any]:
    """What the store holds: `active` (not over), `past` (the last 100, newest first), `snoozes`."""
    past, transitions = store.history()
    attention = store.attention()
    current = alerts.apply_silences(
        {alert.fingerprint: alert for alert in store.saved_state().alerts},
        attention.silences,
        attention.acknowledged,
        now,
    )
    told: dict[int, list[Transition]] = {}
    for each in transitions:
        told.setdefault(each.incident, []).append(each)
    return {
        "active": [_alert(alert, told.get(alert.id, ())) for alert in current.values()],
        "past": [_alert(alert, told.get(alert.id, ())) for alert in past],
        "snoozes": [
            {"scope": each.scope.value, "name": each.name, "until": now.wall + left}
            for each in attention.silences
            if (left := each.left(now))
        ],
    }


def _alert(alert: Alert, told: Iterable[Transition]) -> dict[str, Any]:
    return {
        "id": alert.id,
        "rule": alert.rule,
        "subject": alert.subject,
        "severity": alert.severity.name.lower(),
        "text": redact.text(alert.said),
        "reason": redact.text(alert.reason),
        "phase": alert.phase.value,
        "since": alert.since,
        "fired": alert.fired.wall if alert.fired else None,
        "resolved": alert.resolved.wall if alert.resolved else None,
        "acknowledged": alert.acknowledged,
        "snoozed_until": alert.snoozed_until,
        "inhibited_by": alert.inhibited_by or None,
        "flapping": alerts.flapping(alert),
        "history": [{"at": each.at, "what": each.what, "why": redact.text(each.why)} for each in told],
    }


def lines(answer: Mapping[str, Any]) -> list[str]:
    """The record for a person."""
    found = [*_section(_("Active:"), answer["active"]), *_snoozes(answer["snoozes"])]
    past = list(_section(_("Over:"), answer["past"]))
    if not answer["active"] and past:
        found.insert(0, _("No alert is active."))
    return [redact.visible(line) for line in [*found, *past]] or [_(NOTHING)]


def _section(title: str, alerts_: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if alerts_:
        yield title
    for alert in alerts_:
        severity = pad_to_width(terms.said(alert["severity"]), 8)
        yield f"{alert['id']:>5}  {severity}  {alert['rule']}: {alert['text']}"
        yield f"       {_state(alert)}"
        last = ""
        for each in alert["history"]:
            why = f" ({each['why']})" if each["why"] and each["why"] not in {alert["text"], last} else ""
            yield f"         {local_time(each['at'])}  {terms.said(each['what'])}{why}"


def _state(alert: Mapping[str, Any]) -> str:
    if alert["phase"] == Phase.RESOLVED.value:
        if not alert["resolved"]:
            return _("began {time}").format(time=local_time(alert["since"]))
        began, over = local_time(alert["since"]), local_time(alert["resolved"])
        return _("began {began}, over since {over}").format(began=began, over=over)
    states = [
        _("{phase} since {time}").format(phase=terms.said(alert["phase"]), time=local_time(alert["since"]))
    ]
    if alert["phase"] == Phase.RECOVERING.value:
        states = [_("began {time}, over for the moment").format(time=local_time(alert["since"]))]
    if alert["flapping"]:
        states.append(_("comes and goes"))
    if alert["acknowledged"]:
        states.append(_("acknowledged"))
    if alert["snoozed_until"] is not None:
        states.append(_("snoozed until {time}").format(time=local_time(alert["snoozed_until"])))
    if alert["inhibited_by"]:
        states.append(_("muted by {rule}").format(rule=alert["inhibited_by"]))
    return _(", ").join(states)


def _snoozes(snoozes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for each in snoozes:
        what = (
            _("everything")
            if each["scope"] == SilenceScope.ALL.value
            else f"{terms.said(each['scope'])} {each['name']}"
        )
        yield _("Snoozed until {time}: {what}").format(time=local_time(each["until"]), what=what)
