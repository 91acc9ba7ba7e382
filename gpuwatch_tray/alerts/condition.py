"""From verdicts to alerts: what begins to fire, goes on, and is over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from gpuwatch_tray.model import Alert, Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class ChangeKind(Enum):
    """What happened to an alert in a step."""

    FIRED = "fired"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Change:
    """One alert that began or ended in a step."""

    kind: ChangeKind
    alert: Alert


def fingerprint(host: str, rule: str, subject: str) -> str:
    """
    The identity of an alert, stable over polls and restarts.

    It is made of names only. The Bash tool hashed the reasons and the list with its elapsed times, so
    that each run looked new and its cooldown hardly ever held.
    """
    return "/".join(part for part in (host, rule, subject) if part)


def step(
    active: Mapping[str, Alert], verdicts: Iterable[Verdict], now: float, host: str
) -> tuple[dict[str, Alert], tuple[Change, ...]]:
    """
    The alerts after these verdicts, and what began and ended.

    A finding fires at once or updates its alert in place. An alert without a finding is resolved, unless
    its rule cannot tell, or gave no verdict: unknown data neither fires nor resolves anything.
    """
    judged = {verdict.rule: verdict for verdict in verdicts}
    after: dict[str, Alert] = {}
    changes: list[Change] = []
    for verdict in judged.values():
        for finding in verdict.findings:
            key = fingerprint(host, finding.rule, finding.subject)
            before = active.get(key)
            after[key] = _fire(key, finding, now) if before is None else _update(before, finding)
            if before is None:
                changes.append(Change(ChangeKind.FIRED, after[key]))
    for key, alert in active.items():
        if key in after:
            continue
        its_verdict = judged.get(alert.rule)
        if its_verdict is None or its_verdict.cannot_tell(alert.subject):
            after[key] = alert
        else:
            changes.append(Change(ChangeKind.RESOLVED, alert))
    return after, tuple(changes)


def _fire(key: str, finding: Finding, now: float) -> Alert:
    return Alert(
        key, finding.rule, finding.subject, finding.severity, finding.reason, since=now, value=finding.value
    )


def _update(alert: Alert, finding: Finding) -> Alert:
    return replace(alert, severity=finding.severity, reason=finding.reason, value=finding.value)
