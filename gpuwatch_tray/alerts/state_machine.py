"""
The state machine of the alerts: PENDING -> FIRING -> RECOVERING -> RESOLVED; there is none before and after.

Time in a phase is counted poll by poll (`Tick.elapsed`), never read off a clock that can be set.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from gpuwatch_tray.model import FLAPPING, Alert, Finding, Instant, Phase, Reason, Severity, Terms, Verdict
from gpuwatch_tray.model.units import HOUR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


FLAP_WINDOW = HOUR  # seconds
FLAP_CLEAR = 60.0  # seconds that a rule without a clear time of its own begins with
FLAP_MOST = HOUR


class ChangeKind(Enum):
    """A change of an alert in a step."""

    PENDING = "pending"
    DROPPED = "dropped"  # pending no more, and nobody was told
    FIRED = "fired"
    ROSE = "severity rose"
    FELL = "severity fell"
    RECOVERING = "recovering"
    BACK = "firing again"  # the same incident
    RESOLVED = "resolved"


class AlertChange(Struct, frozen=True):
    """An alert that entered another phase or severity in a step."""

    kind: ChangeKind
    alert: Alert


class Tick(Struct, frozen=True):
    """
    When a step is taken: `elapsed` is the seconds since the one before, suspends included.

    `gap`: nobody looked for longer than the polls explain, so that nothing is known of the time between.
    """

    now: Instant
    elapsed: float = 0.0
    gap: bool = False


def fingerprint(host: str, rule: str, subject: str) -> str:
    """Return the identity of an alert, stable over polls and restarts: it is made of names only."""
    # The Bash tool hashed the reasons with their elapsed times: each run looked new, and its cooldown hardly
    # ever held.
    return "/".join(part for part in (host, rule, subject) if part)


def flapping(alert: Alert) -> bool:
    """Return whether the alert has begun to fire too often within the hour."""
    return alert.raises >= FLAPPING


def clear_time(terms: Terms, raises: int) -> float:
    """Return for how long (s) the condition must be over: doubled with each raise of a flapping alert."""
    if raises < FLAPPING:
        return terms.clear
    return min(FLAP_MOST, max(terms.clear, FLAP_CLEAR) * 2.0 ** min(raises - FLAPPING + 1, 10))


def step(
    active: Mapping[str, Alert],
    verdicts: Iterable[Verdict],
    tick: Tick,
    host: str,
    terms: Mapping[str, Terms] | None = None,
    raised: Mapping[str, int] | None = None,
    known: Mapping[str, Severity] | None = None,
) -> tuple[dict[str, Alert], tuple[AlertChange, ...]]:
    """Step the alerts by these verdicts; the alerts after it, and what changed."""
    # Unknown data freezes: an alert whose rule cannot tell, or gave no verdict, stays as it is. `raised`
    # counts the raises of each fingerprint within `FLAP_WINDOW`; `known` is how bad its last incident was: a
    # worse one is news, though the cooldown of that one still runs. A change of kind ROSE voids the
    # acknowledgement.
    judged = {verdict.rule: verdict for verdict in verdicts}
    after: dict[str, Alert] = {}
    changes: list[AlertChange] = []
    for verdict in judged.values():
        its_terms = (terms or {}).get(verdict.rule, Terms())
        for finding in verdict.findings:
            key = fingerprint(host, finding.rule, finding.subject)
            before = active.get(key)
            now = _new(key, finding, tick) if before is None else _seen(before, finding, tick)
            now = _promoted(now, its_terms, tick, (raised or {}).get(key, 0))
            now = _severe(before, now, its_terms, tick)
            if now.fired is tick.now and now.severity > (known or {}).get(key, Severity.CRITICAL):
                now = replace(now, news=(Reason.SEVERITY_RISE, tick.now))
            after[key] = now
            changes += _differences(before, now)
    for key, alert in active.items():
        if key in after:
            continue
        its_verdict = judged.get(alert.rule)
        if its_verdict is None or its_verdict.cannot_tell(alert.subject):
            after[key] = _frozen(alert, tick)
            continue
        its_terms = (terms or {}).get(alert.rule, Terms())
        now = _unseen(alert, its_terms, tick, banded=alert.subject in its_verdict.band)
        if now.phase in {Phase.FIRING, Phase.RECOVERING}:
            after[key] = now
        changes += _differences(alert, now)
    return after, tuple(changes)


def _frozen(alert: Alert, tick: Tick) -> Alert:
    """Return it as it is; after a gap its timer starts again, with the next poll that tells."""
    if tick.gap and alert.phase in {Phase.PENDING, Phase.RECOVERING}:
        return replace(alert, phase_seconds=0.0, samples=0)
    return alert


def _new(key: str, finding: Finding, tick: Tick) -> Alert:
    return Alert(
        fingerprint=key,
        rule=finding.rule,
        subject=finding.subject,
        severity=finding.severity,
        reason=finding.reason,
        since=tick.now.wall,
        value=finding.value,
        text=finding.text,
        phase=Phase.PENDING,
    )


def _seen(alert: Alert, finding: Finding, tick: Tick) -> Alert:
    """Update an alert whose condition holds (still, or again)."""
    phase, phase_seconds, samples = (
        alert.phase,
        alert.phase_seconds + (0.0 if tick.gap else tick.elapsed),
        alert.samples + 1,
    )
    if phase is Phase.RECOVERING:
        phase, phase_seconds, samples = Phase.FIRING, 0.0, 1
    elif phase is Phase.PENDING and (tick.gap or not alert.samples):
        phase_seconds, samples = 0.0, 1  # nobody knows whether it held in between
    updated = replace(alert, severity=finding.severity, reason=finding.reason, value=finding.value)
    return replace(updated, text=finding.text, phase=phase, phase_seconds=phase_seconds, samples=samples)


def _promoted(alert: Alert, terms: Terms, tick: Tick, raised: int) -> Alert:
    """Let it fire, where it was pending for long enough."""
    if (
        alert.phase is not Phase.PENDING
        or alert.phase_seconds < terms.hold
        or alert.samples < terms.hold_samples
    ):
        return alert
    raises = raised + 1
    news = (Reason.FLAPPING, tick.now) if raises == FLAPPING else None
    return replace(
        alert, phase=Phase.FIRING, phase_seconds=0.0, samples=1, fired=tick.now, raises=raises, news=news
    )


def _severe(before: Alert | None, alert: Alert, terms: Terms, tick: Tick) -> Alert:
    """Set the severity of an alert that has fired for long, and the news where it has risen."""
    if alert.phase is not Phase.FIRING:
        return alert
    if terms.critical_after is not None:
        was = before is not None and before.severity is Severity.CRITICAL  # the same incident stays as bad
        if was or alert.phase_seconds >= terms.critical_after:
            alert = replace(alert, severity=Severity.CRITICAL)
    known = before is not None and before.phase is not Phase.PENDING
    if known and before is not None and alert.severity > before.severity:
        return replace(alert, news=(Reason.SEVERITY_RISE, tick.now))
    return alert


def _unseen(alert: Alert, terms: Terms, tick: Tick, *, banded: bool) -> Alert:
    """Update an alert whose condition is over; `banded` until the value passes the clear threshold."""
    if alert.phase is Phase.PENDING:
        return replace(alert, phase=Phase.RESOLVED, resolved=tick.now)
    recovering = alert.phase is Phase.RECOVERING
    if banded:
        return replace(alert, phase=Phase.FIRING, phase_seconds=0.0, samples=1) if recovering else alert
    if not recovering:
        alert = replace(alert, phase=Phase.RECOVERING, phase_seconds=0.0, samples=1)
    elif tick.gap or not alert.samples:
        alert = replace(alert, phase_seconds=0.0, samples=1)
    else:
        alert = replace(alert, phase_seconds=alert.phase_seconds + tick.elapsed, samples=alert.samples + 1)
    if alert.phase_seconds >= clear_time(terms, alert.raises) and alert.samples >= terms.clear_samples:
        return replace(alert, phase=Phase.RESOLVED, resolved=tick.now)
    return alert


def _differences(before: Alert | None, now: Alert) -> list[AlertChange]:
    phase = None if before is None else before.phase
    kinds: list[ChangeKind] = []
    if phase is not now.phase:
        if now.phase is Phase.PENDING:
            kinds.append(ChangeKind.PENDING)
        elif now.phase is Phase.RECOVERING:
            kinds.append(ChangeKind.RECOVERING)
        elif now.phase is Phase.RESOLVED:
            kinds.append(ChangeKind.DROPPED if phase is Phase.PENDING else ChangeKind.RESOLVED)
        else:
            kinds.append(ChangeKind.BACK if phase is Phase.RECOVERING else ChangeKind.FIRED)
    if before is not None and phase is not Phase.PENDING and before.severity is not now.severity:
        kinds.append(ChangeKind.ROSE if now.severity > before.severity else ChangeKind.FELL)
    return [AlertChange(kind, now) for kind in kinds]
