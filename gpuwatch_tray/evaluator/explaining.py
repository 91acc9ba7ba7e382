"""`alerts explain`: each rule, what it measured, and what will be told of its alerts when and why; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import listing
from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.model import Alert, Phase, Reason, Sighting, Terms
from gpuwatch_tray.rules import RULES, terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpuwatch_tray.alerts import Decision
    from gpuwatch_tray.evaluator.policy import Assessment, Policy
    from gpuwatch_tray.model import Instant, Verdict

WORDS = {Channel.EMAIL: "email", Channel.DESKTOP: "popup"}
MEANING = {
    Reason.PENDING: "it has not held for long enough",
    Reason.RECOVERING: "the condition is over for the moment",
    Reason.SNOOZED: "snoozed",
    Reason.INHIBITED: "another alert mutes it",
    Reason.ACKNOWLEDGED: "acknowledged: again when it gets worse",
    Reason.COOLDOWN: "told within the cooldown",
    Reason.QUEUED: "a mail about it is on its way",
    Reason.AT_THE_DESK: "the popup comes first",
    Reason.NEVER: "EMAIL_WHEN=never",
    Reason.INFO_ONLY: "it only informs; EMAIL_WHEN=always mails it too",
}
NO_CHANNEL = {Channel.EMAIL: "nobody to mail: TO_EMAIL is not set", Channel.DESKTOP: "no desktop here"}


def explain(found: Assessment, policy: Policy, sighting: Sighting, now: Instant) -> tuple[str, ...]:
    """The lines; times are told as from now."""
    return tuple(_lines(found, policy, sighting, now))


def _lines(found: Assessment, policy: Policy, sighting: Sighting, now: Instant) -> Iterator[str]:
    idle = "" if sighting.idle is None else f", no input for {listing.duration(sighting.idle)}"
    yield f"person: {sighting.presence.value} ({sighting.source}{idle})"
    yield f"email: EMAIL_WHEN={policy.email_when.value}, cooldown {listing.duration(policy.cooldown)}"
    verdicts = {verdict.rule: verdict for verdict in found.verdicts}
    every_terms = terms(policy.limits)
    for name, rule in RULES.items():
        yield ""
        verdict = verdicts.get(name)
        if not rule.on(policy.limits):
            yield f"{name}: off ({rule.key})"
        elif verdict is None:
            yield f"{name}: not judged here: it needs several looks in a row (the tray and `watch` take them)"
        elif verdict.cannot and not verdict.value:
            yield f"{name}: cannot fire here: {'; '.join(verdict.cannot)}"
        else:
            yield f"{name}: {_measured(verdict)}{_terms(every_terms[name])}"
            yield from (f"  cannot fire: {line}" for line in verdict.cannot)
        for alert in found.alerts.values():
            if alert.rule == name:
                decisions = [each for each in found.decisions if each.alert is alert]
                yield from _alert(alert, decisions, now)


def _measured(verdict: Verdict) -> str:
    if verdict.unknown is not None and not verdict.findings:
        return f"cannot be judged: {verdict.unknown}"
    return f"{verdict.value} (fires when {verdict.threshold})"


def _terms(terms: Terms) -> str:
    parts = []
    if terms.hold:
        parts.append(f"for {listing.duration(terms.hold)}")
    if terms.clear:
        parts.append(f"over after {listing.duration(terms.clear)}")
    if terms.critical_after is not None:
        parts.append(f"critical after {listing.duration(terms.critical_after)}")
    return "".join(f", {part}" for part in parts)


def _alert(alert: Alert, decisions: Sequence[Decision], now: Instant) -> Iterator[str]:
    states = [f"{alert.phase.value} for {listing.duration(max(0.0, now.wall - alert.since))}"]
    if alert.phase is Phase.RECOVERING:
        states = ["recovering"]
    if alert.acknowledged:
        states.append("acknowledged")
    if alert.snoozed_until is not None:
        states.append(f"snoozed for {listing.duration(alert.snoozed_until - now.wall)} more")
    if alert.inhibited_by:
        states.append(f"muted by {alert.inhibited_by}")
    yield f"  {alert.id}: {alert.severity.name.lower()}, {', '.join(states)}: {alert.said}"
    for decision in decisions:
        yield f"     {WORDS[decision.channel]}: {_decision(decision)}"


def _decision(decision: Decision) -> str:
    named = decision.reason.value + (f", {decision.step.value}" if decision.step else "")
    if decision.send:
        return f"now ({named})"
    meaning = MEANING.get(decision.reason) or NO_CHANNEL[decision.channel]
    wait = "" if decision.wait is None else f"; in {listing.duration(decision.wait)} if it still fires"
    return f"not now ({named}): {meaning}{wait}"
