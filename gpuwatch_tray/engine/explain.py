"""`alerts explain`: each rule, what it measured, and when and why its alerts are mailed or pop up; pure."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.common.text import NAMED
from gpuwatch_tray.engine.audit import NOT_SHOWN, REASONS, SHOWN, meaning_of_entry
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.i18n import translate_key as word
from gpuwatch_tray.model import Alert, EmailWhen, Phase, Presence, PresenceResult, Reason, Verdict
from gpuwatch_tray.model.units import duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpuwatch_tray.alerts import Decision, RoutingPolicy
    from gpuwatch_tray.engine.rule_book import RuleBook
    from gpuwatch_tray.engine.types import Evaluation, H, Policy, R
    from gpuwatch_tray.model import Finding, Instant


WORDS = {Channel.EMAIL: N_("email"), Channel.DESKTOP: N_("popup")}
WHERE = {
    Presence.PRESENT: N_("You are at the desk"),
    Presence.AWAY: N_("No one is at the desk"),
    Presence.UNKNOWN: N_("It is unknown whether you are at the desk"),
}
MEANING = {
    Reason.FIRST: N_("it is new"),
    Reason.SEVERITY_RISE: N_("it got worse"),
    Reason.COOLDOWN_OVER: N_("the cooldown is over and it still fires"),
    Reason.SNOOZE_OVER: N_("the snooze is over and it still fires"),
    Reason.FLAPPING: N_("it comes and goes"),
    Reason.AWAY: N_("no one is at the desk"),
    Reason.CRITICAL: N_("it is critical"),
    Reason.UNACKNOWLEDGED: N_("no one has reacted to the popup"),
    Reason.NO_POPUP: N_("no popup could be shown"),
    Reason.ALWAYS: N_("EMAIL_WHEN is always"),
    Reason.PENDING: N_("it has not lasted long enough yet"),
    Reason.RECOVERING: N_("the condition is over for now"),
    Reason.SNOOZED: N_("you have snoozed it"),
    Reason.INHIBITED: N_("another alert mutes it"),
    Reason.ACKNOWLEDGED: N_("you have seen it; you are notified again when it gets worse"),
    Reason.COOLDOWN: N_("the cooldown is not over"),
    Reason.QUEUED: N_("a mail about it is on its way"),
    Reason.GIVEN_UP: N_("its last mail was given up: see `gpuwatch-tray mail queue`"),
    Reason.AT_THE_DESK: N_("the popup comes first"),
    Reason.NEVER: N_("EMAIL_WHEN is never"),
    Reason.INFO_ONLY: N_("it is for information only; EMAIL_WHEN=always mails it too"),
    Reason.FILTERED: N_("this chat is for other alerts"),
}
CHAT_MEANING = {
    Reason.ALWAYS: N_("CHAT_WHEN is always"),
    Reason.QUEUED: N_("a message about it is on its way"),
    Reason.GIVEN_UP: N_("its last message was given up: see `gpuwatch-tray outbox`"),
    Reason.NEVER: N_("CHAT_WHEN is never"),
    Reason.INFO_ONLY: N_("it is for information only; CHAT_WHEN=always sends it too"),
    Reason.NO_CHANNEL: N_("this chat is not set up any more"),
}
NO_CHANNEL = {
    Channel.EMAIL: N_("no mail is sent: TO_EMAIL is not set, or the GPUs are simulated"),
    Channel.DESKTOP: N_("no desktop here"),
}


def explain(
    book: RuleBook[R, H], evaluation: Evaluation[R, H], policy: Policy, sighting: PresenceResult, now: Instant
) -> Iterator[str]:
    """Yield the lines; times are given as from now."""
    where = _("{where} (according to: {source}).")
    if sighting.idle is not None:
        where = _("{where} (according to: {source}, no input for {span}).")
    idle = duration(sighting.idle or 0.0)
    yield where.format(where=_(WHERE[sighting.presence]), source=_(sighting.source), span=idle)
    yield _mailing(policy.routing)
    yield from _chatting(policy.routing)
    verdicts = {verdict.rule: verdict for verdict in evaluation.verdicts}
    on = book.switched_on(policy)
    elsewhere = [name for name in book.names if name not in verdicts and name in on]
    for name in book.names:
        if name not in elsewhere:
            yield ""
            yield from _rule(book, name, verdicts.get(name), policy)
            yield from _alerts(book, name, evaluation, now)
    if elsewhere:
        yield ""
        yield _("These rules need several readings; only the tray and `watch` check them:")
    for name in elsewhere:
        yield ""
        yield name
        yield "  " + _terms(book, name, book.threshold(name, policy), policy)
        yield from _alerts(book, name, evaluation, now)


def _rule(book: RuleBook[R, H], name: str, verdict: Verdict | None, policy: Policy) -> Iterator[str]:
    if verdict is None:
        yield _("{rule}: switched off by {key}").format(rule=name, key=book.keys(name)[0])
    elif verdict.cannot and not verdict.value:
        yield _("{rule}: cannot fire here: {why}").format(rule=name, why="; ".join(verdict.cannot))
        yield "  " + _terms(book, name, verdict.threshold or book.threshold(name, policy), policy)
    else:
        yield f"{name}: {_measured(verdict)}"
        yield "  " + _terms(book, name, verdict.threshold or book.threshold(name, policy), policy)
        yield from (f"  {line}" for line in verdict.per_gpu)
        nowhere = _("It cannot fire on every GPU: {why}")
        yield from ("  " + nowhere.format(why=line) for line in verdict.cannot)


def _measured(verdict: Verdict) -> str:
    """Say what was measured, or what of it is not known."""
    value = verdict.value or _named(verdict.findings)
    if verdict.unknown is None:
        return value or _("nothing found")
    if value and "" not in verdict.unknown_subjects:
        return _("{value}; cannot be checked everywhere: {why}").format(value=value, why=verdict.unknown)
    return value if verdict.findings else _("cannot be checked now: {why}").format(why=verdict.unknown)


def _named(findings: Sequence[Finding]) -> str:
    """Name some of what was found, as of a lab of which hosts tell it."""
    texts = [finding.text or finding.reason for finding in findings]
    more = len(texts) - NAMED
    return "; ".join(texts[:NAMED]) + (_("; and {count} more").format(count=more) if more > 0 else "")


def _alerts(book: RuleBook[R, H], name: str, evaluation: Evaluation[R, H], now: Instant) -> Iterator[str]:
    for alert in evaluation.alerts.values():
        if alert.rule == name:
            decisions = [decision for decision in evaluation.decisions if decision.alert is alert]
            yield from _alert(f"{book.mark}{alert.id}", alert, decisions, now)


def _mailing(routing: RoutingPolicy) -> str:
    """Say in a sentence when a mail goes."""
    if not routing.mails:
        return _("No mail is sent: TO_EMAIL is not set, or the GPUs are simulated.")
    if routing.email_when is EmailWhen.NEVER:
        return _("No mail is sent (EMAIL_WHEN=never).")
    text = _(
        "A mail is sent when no one is at the desk, when {reaction} pass without an answer to the popup"
        " (ESCALATE_MIN), and at once when it is critical; the same alert again after {cooldown}"
        " (COOLDOWN_MIN)."
    )
    if routing.email_when is EmailWhen.ALWAYS:
        text = _(
            "A mail is sent at once (EMAIL_WHEN=always);"
            " the same alert again after {cooldown} (COOLDOWN_MIN)."
        )
    elif not routing.popups:
        text = _(
            "A mail is sent at once, as there is no desktop here; the same alert again after {cooldown}"
            " (COOLDOWN_MIN)."
        )
    reaction, cooldown = duration(routing.escalate), duration(routing.cooldown)
    return text.format(reaction=reaction, cooldown=cooldown)


def _chatting(routing: RoutingPolicy) -> Iterator[str]:
    """Say in a sentence when a message goes to the chats."""
    if not routing.chats:
        return
    names = ", ".join(chat.name for chat in routing.chats)
    if routing.chat_when is EmailWhen.NEVER:
        yield _("Nothing is sent to the chats {names} (CHAT_WHEN=never).").format(names=names)
    elif routing.chat_when is EmailWhen.ALWAYS:
        yield _("The chats {names} are told at once (CHAT_WHEN=always).").format(names=names)
    else:
        yield _("The chats {names} are told under the same conditions (CHAT_WHEN=away).").format(names=names)


def _terms(book: RuleBook[R, H], name: str, condition: str, policy: Policy) -> str:
    """Say when it fires, for how long it must hold, fire until it is critical, and be over."""
    terms = book.terms(policy)[name]
    fires = _("It fires when {threshold}.")
    if terms.hold:
        fires = _("It fires when {threshold}, for {span}.")
    elif terms.hold_samples > 1:
        fires = _("It fires when {threshold}, in {count} checks in a row.")
    span = duration(terms.hold)
    sentences = [fires.format(threshold=condition, span=span, count=terms.hold_samples)]
    if terms.critical_after is not None:
        critical = duration(terms.critical_after)
        sentences.append(_("It becomes critical {span} later.").format(span=critical))
    if terms.clear:
        sentences.append(_("It clears {span} after that ends.").format(span=duration(terms.clear)))
    sentences.extend(_("Set by {key}.").format(key=key) for key in book.keys(name)[:1])
    return reduce(lambda one, other: _("{one} {other}").format(one=one, other=other), sentences)


def _alert(number: str, alert: Alert, decisions: Sequence[Decision], now: Instant) -> Iterator[str]:
    age = duration(max(0.0, now.wall - alert.since))
    states = {
        Phase.PENDING: _("true for {span}, not long enough yet").format(span=age),
        Phase.FIRING: _("firing for {span}").format(span=age),
        Phase.RECOVERING: _("over for now"),
    }
    parts = [states.get(alert.phase, alert.phase.value)]
    if alert.acknowledged:
        parts.append(_("acknowledged"))
    if alert.snoozed_until is not None:
        left = duration(alert.snoozed_until - now.wall)
        parts.append(_("snoozed for {span} more").format(span=left))
    if alert.inhibited_by:
        parts.append(_("muted by {rule}").format(rule=alert.inhibited_by))
    severity = word(alert.severity.name.lower())
    line = _("Alert {id}, {severity}, {state}: {text}")
    yield "  " + line.format(id=number, severity=severity, state=_(", ").join(parts), text=alert.message)
    for decision in decisions:
        yield f"    {channel_name(decision.channel)}: {_decision(decision)}"


def channel_name(channel: Channel) -> str:
    """Return the name of a channel for people."""
    return _("chat {name}").format(name=channel.chat) if channel.chat else _(WORDS[channel])


def _decision(decision: Decision) -> str:
    """Say what is done and why."""
    reasons = [decision.reason, *([decision.step] if decision.step else [])]
    why = _(" and ").join(_meaning(reason, decision.channel) for reason in reasons)
    text = _("now: {why}") if decision.send else _("not now: {why}")
    if decision.wait is not None:
        text = _("not now: {why}; in {span} if it still fires")
    span = duration(decision.wait or 0.0)
    return text.format(why=why, span=span)


def _meaning(reason: Reason, channel: Channel) -> str:
    if channel.chat and reason in CHAT_MEANING:
        return _(CHAT_MEANING[reason])
    return _(MEANING.get(reason) or NO_CHANNEL[channel])


# An entry of the log about a notice: what people read for it, of which channel it is.
ENTRIES = {
    "email queued": (N_("mail queued"), Channel.EMAIL),
    "email waits": (N_("not mailed"), Channel.EMAIL),
    SHOWN: (N_("popup shown"), Channel.DESKTOP),
    NOT_SHOWN: (N_("popup could not be shown"), Channel.DESKTOP),
    "popup waits": (N_("no popup"), Channel.DESKTOP),
}


def describe_entry(what: str, why: str) -> tuple[str, str]:
    """Return what people read for an entry of an alert's log: what happened, and why (may be empty)."""
    told = meaning_of_entry(what)
    if what not in ENTRIES and told is None:
        return word(what), why
    if told is not None and told[0].chat:
        channel, queued = told
        text = _("message to {name} queued") if queued else _("nothing sent to {name}")
        text = text.format(name=channel.chat)
    else:
        text, channel = ENTRIES[what]
        text = _(text)
    names = why.split(", ") if why else []
    if not REASONS.issuperset(names):  # of another version
        return text, why
    return text, _(" and ").join(_meaning(Reason(name), channel) for name in names)
