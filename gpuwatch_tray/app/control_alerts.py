"""The running program's answers to `alerts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuwatch_tray import alerts
from gpuwatch_tray.common import host, redact
from gpuwatch_tray.engine.operations import AlertOperations, NoSuchAlertError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gpuwatch_tray.app.monitor import Monitor
    from gpuwatch_tray.ipc import Handler
    from gpuwatch_tray.model import Alert, Instant
    from gpuwatch_tray.store import Store, Transition


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


def alert_handlers(store: Store, monitor: Monitor) -> dict[str, Handler]:
    """Return the request handlers about alerts; each change is evaluated at once."""
    from gpuwatch_tray.ipc import RequestRefusedError

    operations = AlertOperations(store, host.now)

    def handler(operation: Callable[[AlertOperations, Mapping[str, Any]], str]) -> Handler:
        def handle(request: dict[str, Any]) -> dict[str, Any]:
            try:
                said = operation(operations, request)
            except NoSuchAlertError as error:
                raise RequestRefusedError(str(error)) from error
            monitor.check_now()
            return {"said": said}

        return handle

    return {
        "alerts": lambda _request: alerts_json(store, host.now()),
        "explain": lambda _request: {"lines": list(monitor.explain())},
        **{do: handler(operation) for do, operation in ALERT_OPERATIONS.items()},
    }


ALERT_OPERATIONS: dict[str, Callable[[AlertOperations, Mapping[str, Any]], str]] = {
    "acknowledge": lambda operations, request: operations.acknowledge(*map(str, request.get("names", ()))),
    "snooze": lambda operations, request: operations.snooze(
        float(request["seconds"]), *map(str, request.get("names", ()))
    ),
    "resume": lambda operations, _request: operations.resume(),
}
