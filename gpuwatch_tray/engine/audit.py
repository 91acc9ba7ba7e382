"""The audit log of the alerts: every change of an alert, and each new decision about sending it; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from gpuwatch_tray.alerts import ChangeKind, Channel
from gpuwatch_tray.model import Reason
from gpuwatch_tray.store import Transition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gpuwatch_tray.alerts import Decision
    from gpuwatch_tray.engine.types import Evaluation
    from gpuwatch_tray.model import Instant


WORDS = {Channel.EMAIL: "email", Channel.DESKTOP: "popup"}
QUEUED, WAITS = "queued", "waits"  # end an entry of the log about a decision
OBVIOUS = {Reason.PENDING, Reason.RECOVERING}  # the change of phase says it
QUIET = {Reason.QUEUED, Reason.COOLDOWN}
REASONS = frozenset(reason.value for reason in Reason)
SHOWN, NOT_SHOWN = "popup shown", "popup could not be shown"
# The last decision about each fingerprint and channel: whether it was sent, and why (not).
LastDecisions: TypeAlias = "Mapping[tuple[str, Channel], tuple[bool, Reason]]"


def entry_about(channel: Channel, end: str) -> str:
    """Return the log's entry about a decision on a channel, such as `email waits` or `chat phone queued`."""
    return f"{WORDS.get(channel) or f'chat {channel.chat}'} {end}"


def meaning_of_entry(what: str) -> tuple[Channel, bool] | None:
    """Return the channel that an entry is about, and whether it says that it was told; None for another."""
    if what == SHOWN:
        return Channel.DESKTOP, True
    way, _blank, end = what.rpartition(" ")
    named = {word: channel for channel, word in WORDS.items()}
    chat = way.removeprefix("chat ")
    channel = named.get(way) or (Channel.of_chat(chat) if chat != way else None)
    return (channel, end == QUEUED) if channel is not None and end in {QUEUED, WAITS} else None


def popups_not_shown(history: Iterable[Transition]) -> frozenset[int]:
    """Return the incidents (by id) whose last popup could not be shown."""
    last = {row.incident: row.what for row in history if row.what in {SHOWN, NOT_SHOWN}}
    return frozenset(incident for incident, what in last.items() if what == NOT_SHOWN)


def logged_decisions(history: Iterable[Transition], fingerprints: Mapping[int, str]) -> LastDecisions:
    """Return the last decisions in the log about these alerts (fingerprints by id), as cron starts anew."""
    last = {}
    for row in history:
        meaning = meaning_of_entry(row.what) if row.incident in fingerprints else None
        if meaning is not None:
            channel, sent = meaning
            reason = Reason(row.why) if not sent and row.why in REASONS else Reason.FIRST
            last[fingerprints[row.incident], channel] = (sent, reason)
    return last


def last_decisions(decisions: Iterable[Decision]) -> LastDecisions:
    """Return these decisions in the form of `logged_decisions`."""
    return {
        (decision.alert.fingerprint, decision.channel): (decision.send, decision.reason)
        for decision in decisions
    }


def audit_entries(
    evaluation: Evaluation[Any, Any], before: LastDecisions, now: Instant
) -> tuple[Transition, ...]:
    """Return what an evaluation adds to the log. A popup is logged once it was shown: see `popup_entry`."""
    entries = [
        Transition(now.wall, change.alert.id, change.kind.value, change.alert.message)
        for change in evaluation.changes
        if change.kind is not ChangeKind.DROPPED
    ]
    for decision in evaluation.decisions:
        if decision.send and decision.channel != Channel.DESKTOP:
            why = f"{decision.reason.value}, {decision.step.value}" if decision.step else ""
            what = entry_about(decision.channel, QUEUED)
            entries.append(Transition(now.wall, decision.alert.id, what, why))
        elif not decision.send and _is_news(decision, before):
            what = entry_about(decision.channel, WAITS)
            entries.append(Transition(now.wall, decision.alert.id, what, decision.reason.value))
    return tuple(entries)


def popup_entry(
    alert_id: int, fingerprint: str, before: LastDecisions, now: Instant, *, shown: bool
) -> Transition:
    """Make the entry about a popup that the desktop has shown, or could not show."""
    _, reason = before.get((fingerprint, Channel.DESKTOP), (True, Reason.FIRST))
    return Transition(now.wall, alert_id, SHOWN if shown else NOT_SHOWN, reason.value)


def _is_news(decision: Decision, before: LastDecisions) -> bool:
    if decision.reason in OBVIOUS or (
        decision.reason is Reason.NO_CHANNEL and decision.channel == Channel.DESKTOP
    ):
        return False
    if decision.reason is Reason.FILTERED:
        return False
    last = before.get((decision.alert.fingerprint, decision.channel))
    # After a mail was queued it is on its way, and then in its cooldown: nothing that anybody asked.
    if last is not None and decision.reason in QUIET and (last[0] or last[1] in QUIET):
        return False
    return last != (False, decision.reason)
