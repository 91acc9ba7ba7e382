"""`alerts explain`: each rule, what it measured, and what will be told of its alerts when and why; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import listing
from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.model import Alert, EmailWhen, Phase, Presence, Reason, Sighting, Terms
from gpuwatch_tray.rules import RULES, terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpuwatch_tray.alerts import Decision
    from gpuwatch_tray.evaluator.policy import Assessment, Policy
    from gpuwatch_tray.model import Instant, Verdict

WORDS = {Channel.EMAIL: "email", Channel.DESKTOP: "popup"}
WHERE = {
    Presence.PRESENT: "You are at the desk",
    Presence.AWAY: "Nobody is at the desk",
    Presence.UNKNOWN: "Whether you are at the desk cannot be told",
}
MEANING = {
    Reason.FIRST: "it is new",
    Reason.SEVERITY_RISE: "it got worse",
    Reason.COOLDOWN_OVER: "the cooldown is over and it still fires",
    Reason.SNOOZE_OVER: "the snooze is over and it still fires",
    Reason.FLAPPING: "it comes and goes",
    Reason.AWAY: "nobody is at the desk",
    Reason.CRITICAL: "it is critical",
    Reason.UNACKNOWLEDGED: "nobody has reacted to the popup",
    Reason.NO_POPUP: "no popup could be shown",
    Reason.ALWAYS: "EMAIL_WHEN is always",
    Reason.PENDING: "it has not held for long enough",
    Reason.RECOVERING: "the condition is over for the moment",
    Reason.SNOOZED: "you have snoozed it",
    Reason.INHIBITED: "another alert mutes it",
    Reason.ACKNOWLEDGED: "you have seen it; it is told again when it gets worse",
    Reason.COOLDOWN: "it was told within the cooldown",
    Reason.QUEUED: "a mail about it is on its way",
    Reason.GIVEN_UP: "its last mail was given up: see `gpuwatch-tray mail queue`",
    Reason.AT_THE_DESK: "the popup comes first",
    Reason.NEVER: "EMAIL_WHEN is never",
    Reason.INFO_ONLY: "it only informs; with EMAIL_WHEN=always it is mailed too",
}
NO_CHANNEL = {Channel.EMAIL: "nobody is mailed: TO_EMAIL is not set", Channel.DESKTOP: "no desktop here"}


def explain(found: Assessment, policy: Policy, sighting: Sighting, now: Instant) -> tuple[str, ...]:
    """The lines; times are told as from now."""
    return tuple(_lines(found, policy, sighting, now))


def _lines(found: Assessment, policy: Policy, sighting: Sighting, now: Instant) -> Iterator[str]:
    idle = "" if sighting.idle is None else f", no input for {listing.duration(sighting.idle)}"
    yield f"{WHERE[sighting.presence]} (according to: {sighting.source}{idle})."
    yield _mailing(policy)
    verdicts = {verdict.rule: verdict for verdict in found.verdicts}
    every_terms = terms(policy.limits)
    for name, rule in RULES.items():
        yield ""
        verdict = verdicts.get(name)
        if not rule.on(policy.limits):
            yield f"{name}: switched off by {rule.key}"
        elif verdict is None:
            yield f"{name}: not judged here: it takes several looks in a row, as the tray and `watch` do"
        elif verdict.cannot and not verdict.value:
            yield f"{name}: cannot fire here: {'; '.join(verdict.cannot)}"
        else:
            yield f"{name}: {_measured(verdict)}"
            yield f"  It fires when {verdict.threshold}{_terms(every_terms[name])} Set by {rule.key}."
            yield from (f"  {line}" for line in verdict.each)
            yield from (f"  It cannot fire everywhere: {line}" for line in verdict.cannot)
        for alert in found.alerts.values():
            if alert.rule == name:
                decisions = [each for each in found.decisions if each.alert is alert]
                yield from _alert(alert, decisions, now)


def _mailing(policy: Policy) -> str:
    """When a mail goes, in a sentence."""
    if not policy.mails:
        return "No mail goes: TO_EMAIL is not set."
    if policy.email_when is EmailWhen.NEVER:
        return "No mail goes (EMAIL_WHEN=never)."
    again = f"the same alert again after {listing.duration(policy.cooldown)} (COOLDOWN_MIN)."
    if policy.email_when is EmailWhen.ALWAYS:
        return f"A mail goes at once (EMAIL_WHEN=always); {again}"
    if not policy.popups:
        return f"A mail goes at once, as there is no desktop here; {again}"
    reaction = f"when {listing.duration(policy.escalate)} pass without an answer to the popup (ESCALATE_MIN)"
    return f"A mail goes when nobody is at the desk, {reaction}, and at once when it is critical; {again}"


def _measured(verdict: Verdict) -> str:
    if verdict.unknown is not None and not verdict.findings:
        return f"cannot be judged at present: {verdict.unknown}"
    return verdict.value


def _terms(terms: Terms) -> str:
    """For how long it must hold, fire until it is critical, and be over."""
    hold = f", for {listing.duration(terms.hold)}" if terms.hold else ""
    if not hold and terms.hold_samples > 1:
        hold = f", in {terms.hold_samples} looks in a row"
    sentences = [f"{hold}."]
    if terms.critical_after is not None:
        sentences.append(f" It is critical {listing.duration(terms.critical_after)} later.")
    if terms.clear:
        sentences.append(f" It is over {listing.duration(terms.clear)} after that ends.")
    return "".join(sentences)


def _alert(alert: Alert, decisions: Sequence[Decision], now: Instant) -> Iterator[str]:
    age = listing.duration(max(0.0, now.wall - alert.since))
    states = {
        Phase.PENDING: f"holds for {age}, which is not long enough yet",
        Phase.FIRING: f"firing for {age}",
        Phase.RECOVERING: "over for the moment",
    }
    parts = [states.get(alert.phase, alert.phase.value)]
    if alert.acknowledged:
        parts.append("acknowledged")
    if alert.snoozed_until is not None:
        parts.append(f"snoozed for {listing.duration(alert.snoozed_until - now.wall)} more")
    if alert.inhibited_by:
        parts.append(f"muted by {alert.inhibited_by}")
    yield f"  Alert {alert.id}, {alert.severity.name.lower()}, {', '.join(parts)}: {alert.said}"
    for decision in decisions:
        yield f"    {WORDS[decision.channel]}: {_decision(decision)}"


def _decision(decision: Decision) -> str:
    """What is done and why, in words, with the reasons' names behind, as `alerts` and the log have them."""
    reasons = [decision.reason, *([decision.step] if decision.step else [])]
    said = " and ".join(MEANING.get(each) or NO_CHANNEL[decision.channel] for each in reasons)
    named = ", ".join(each.value for each in reasons)
    wait = "" if decision.wait is None else f"; in {listing.duration(decision.wait)} if it still fires"
    return f"{'now' if decision.send else 'not now'}: {said}{wait} ({named})"
