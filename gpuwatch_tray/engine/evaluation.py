"""From a reading to the commit: what it means, what is to be written, and the state after that; pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Generic

from msgspec import Struct
from msgspec.structs import replace

from gpuwatch_tray import alerts
from gpuwatch_tray.alerts import ChangeKind, Channel, DeliveryState, Tick
from gpuwatch_tray.alerts.state_machine import FLAP_WINDOW
from gpuwatch_tray.engine.audit import (
    LastDecisions,
    audit_entries,
    last_decisions,
    logged_decisions,
    popups_not_shown,
)
from gpuwatch_tray.engine.mail_builder import ends_to_send, threaded
from gpuwatch_tray.engine.types import Evaluation, H, Policy, R, ReadingPace
from gpuwatch_tray.model import Alert, Instant, Phase, Presence, Reason, Severity
from gpuwatch_tray.model.thresholds import longest_pause
from gpuwatch_tray.store import Commit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gpuwatch_tray.engine.reminder_evaluator import ReminderResult
    from gpuwatch_tray.engine.rule_book import RuleBook
    from gpuwatch_tray.engine.types import Reading
    from gpuwatch_tray.model import Terms
    from gpuwatch_tray.store import EvaluationInputs, Mail, SavedState, Transition


class EvaluationState(Struct, Generic[H], frozen=True):
    """
    What the engine goes on from: the outcome of all evaluations before.

    `alerts` are active, by fingerprint; the mail about the end of `ended` ones is owed; nobody judges
    `orphans` any more; the file may hold `resting` ones, which only a loop can judge. `raised` tells when
    which fingerprint began to fire, `severities` how bad it was; `highest` is the highest id. `decisions` are
    the last, for the audit log. `unrecorded` popups were shown while nothing could be written; no popup about
    `no_popup` alerts could be shown.
    """

    alerts: Mapping[str, Alert]
    ended: Mapping[str, Alert]
    orphans: tuple[Alert, ...]
    resting: bool
    rule_history: H
    raised: tuple[tuple[str, Instant], ...]
    severities: Mapping[str, Severity]
    last: Instant | None
    pace: ReadingPace
    highest: int
    decisions: LastDecisions
    unrecorded: Mapping[str, Instant]
    no_popup: frozenset[str]

    @classmethod
    def load(
        cls,
        book: RuleBook[Any, H],
        saved: SavedState,
        log: Sequence[Transition],
        policy: Policy,
    ) -> EvaluationState[H]:
        """Go on from what the store has: the saved state and the audit log."""
        # An alert that only a loop can judge rests on file until one does: here it would fire, and mute
        # others, for ever.
        judged = book.judged(policy)
        active = {alert.fingerprint: alert for alert in saved.alerts if alert.rule in judged}
        not_shown = popups_not_shown(log)
        return cls(
            alerts=active,
            ended={alert.fingerprint: alert for alert in saved.ended},
            orphans=_orphans(saved.alerts, book.switched_on(policy)),
            resting=len(active) < len(saved.alerts),
            rule_history=book.recalled(active.values()),
            raised=saved.raised,
            severities=dict(saved.severities),
            # What single runs write says nothing of how long a loop has watched.
            last=saved.last_in_loop if policy.in_loop else saved.last,
            pace=ReadingPace(),
            highest=saved.highest,
            decisions=logged_decisions(log, {alert.id: name for name, alert in active.items()}),
            unrecorded={},
            no_popup=frozenset(name for name, alert in active.items() if alert.id in not_shown),
        )

    def reconfigured(self, switched_on: frozenset[str]) -> EvaluationState[H]:
        """Return the state with other rules on: only the alerts that no rule judges any more go."""
        orphans = _orphans(self.alerts.values(), switched_on)
        gone = {alert.fingerprint for alert in orphans}
        active = {name: alert for name, alert in self.alerts.items() if name not in gone}
        return replace(self, alerts=active, orphans=self.orphans + orphans)

    def after(self, evaluation: Evaluation[Any, H], commit: Commit) -> EvaluationState[H]:
        """Return the state once `commit` is written, or needed no writing."""
        at, active = commit.at, {alert.fingerprint: alert for alert in commit.alerts}
        fired = [change.alert for change in evaluation.changes if change.kind is ChangeKind.FIRED]
        judged = [*active.values(), *(change.alert for change in evaluation.changes)]
        worst = {alert.fingerprint: alert.severity for alert in judged if alert.fired is not None}
        return replace(
            self,
            alerts=active,
            ended={alert.fingerprint: alert for alert in commit.ended},
            orphans=(),
            raised=(
                *(row for row in self.raised if abs(at.since(row[1])) < FLAP_WINDOW),
                *((alert.fingerprint, at) for alert in fired),
            ),
            severities={**self.severities, **worst},
            last=at,
            pace=evaluation.pace,
            highest=max([self.highest, *(alert.id for alert in commit.alerts)]),
            decisions=last_decisions(evaluation.decisions),
            no_popup=self.no_popup & set(active),
        )

    def delivered(self, inputs: EvaluationInputs, channel: Channel) -> dict[str, Instant]:
        """Return when each fingerprint was last delivered on `channel`."""
        delivered = inputs.delivered.get(channel.value, {})
        return {**delivered, **self.unrecorded} if channel == Channel.DESKTOP else delivered

    def differs(self, commit: Commit, terms: Callable[[], Mapping[str, Terms]]) -> bool:
        """Return whether the alerts differ from those on file in more than numbers, or count time there."""
        if {name: _essence(alert) for name, alert in self.alerts.items()} != {
            alert.fingerprint: _essence(alert) for alert in commit.alerts
        }:
            return True
        if any(alert.phase is not Phase.FIRING for alert in commit.alerts):
            return True
        rising = [alert.rule for alert in commit.alerts if alert.severity < Severity.CRITICAL]
        if not rising:  # as at most polls, which need not know any terms
            return False
        known = terms()
        return any(known[rule].critical_after is not None for rule in rising)


def evaluate_snapshot(
    book: RuleBook[R, H],
    state: EvaluationState[H],
    inputs: EvaluationInputs,
    policy: Policy,
    host: str,
    reading: R,
    now: Instant,
    presence: Presence,
) -> Evaluation[R, H]:
    """Judge `reading`, step the alerts, and decide what is sent on which channel."""
    attention = inputs.attention
    seen = tuple(
        (alert.rule, alert.subject) for alert in state.alerts.values() if alert.id in attention.acknowledged
    )
    tick, pace = _tick(state, policy, reading, now)
    gap = reading_gap(state.pace, policy)
    found = book.assess(reading, state.rule_history, inputs.gpus, policy, now, gap=gap, acknowledged=seen)
    stepped, changes = alerts.step(
        state.alerts,
        found.verdicts,
        tick,
        host,
        book.terms(policy),
        _recent_raises(state.raised, now),
        state.severities,
    )
    numbered = _numbered(stepped, state.highest)
    changes = tuple(
        replace(change, alert=replace(change.alert, id=numbered[change.alert.fingerprint].id))
        if change.alert.fingerprint in numbered
        else change
        for change in changes
    )
    voided = {change.alert.id for change in changes if change.kind is ChangeKind.ROSE}
    # This very reading tells of the event: what was acknowledged is the one before.
    voided |= {alert.id for alert in numbered.values() if (alert.rule, alert.subject) in found.events}
    active = alerts.apply_silences(numbered, attention.silences, attention.acknowledged - voided, now)
    decisions = tuple(
        alerts.decide(
            alert, channel, _delivery_state(state, inputs, alert, channel), policy.routing, presence, now
        )
        for alert in active.values()
        for channel in policy.routing.channels
    )
    return Evaluation(
        found.reading,
        found.verdicts,
        found.gaps,
        found.processes,
        active,
        changes,
        decisions,
        alerts.snoozed_until(attention.silences, now),
        found.history,
        pace,
        tuple(voided & attention.acknowledged),
    )


class EndedAlerts(Struct, frozen=True):
    """
    The alerts that have ended: whose end is told now, is owed later, and of which nothing more is sent.

    `due` are by channel; `owed` ones name the channels in `owed_to`.
    """

    due: Mapping[Channel, tuple[Alert, ...]]
    owed: tuple[Alert, ...]
    settled: tuple[Alert, ...]


def ended_alerts(
    book: RuleBook[R, H],
    state: EvaluationState[H],
    inputs: EvaluationInputs,
    policy: Policy,
    evaluation: Evaluation[R, H],
    now: Instant,
) -> EndedAlerts:
    """Sort the alerts that have ended by what is to be told about their end: an event has no end."""
    told = [channel.value for channel in policy.routing.written if policy.tells_end(channel)]
    resolved = [change.alert for change in evaluation.changes if change.kind is ChangeKind.RESOLVED]
    ended = {
        **state.ended,
        **{alert.fingerprint: replace(alert, owed_to=tuple(told)) for alert in resolved},
    }
    wanted = {
        name: alert
        for name, alert in ended.items()
        if alert.rule not in book.event_rules
        and not is_silenced(inputs, alert, now)
        and not _is_forgotten(inputs, alert)
    }
    due: dict[Channel, tuple[Alert, ...]] = {}
    waiting: dict[str, list[str]] = {}
    for channel in map(Channel, told):
        owed = {name: alert for name, alert in wanted.items() if channel.value in alert.owed_to}
        queued = inputs.queued.get(channel.value, {})
        delivered = state.delivered(inputs, channel)
        due[channel], settled = ends_to_send(owed, evaluation.alerts, delivered, queued, now)
        done = {alert.id for alert in (*due[channel], *settled)}
        for name, alert in owed.items():
            if alert.id not in done:
                waiting.setdefault(name, []).append(channel.value)
    return EndedAlerts(
        due,
        tuple(replace(ended[name], owed_to=tuple(channels)) for name, channels in waiting.items()),
        tuple(replace(alert, owed_to=()) for name, alert in ended.items() if name not in waiting),
    )


def build_commit(
    book: RuleBook[R, H],
    state: EvaluationState[H],
    inputs: EvaluationInputs,
    policy: Policy,
    evaluation: Evaluation[R, H],
    ended: EndedAlerts,
    reminders: ReminderResult,
    mails: tuple[Mail, ...],
    digested_rows: tuple[int, ...],
    now: Instant,
) -> Commit:
    """Build what an evaluation writes in one transaction, with the mails about it."""
    changes = evaluation.changes
    return Commit(
        at=now,
        in_loop=policy.in_loop,
        alerts=tuple(threaded(evaluation.alerts, mails).values()),
        ended=ended.owed,
        ended_without_mail=(*ended.settled, *state.orphans),
        dropped=tuple(change.alert.id for change in changes if change.kind is ChangeKind.DROPPED),
        voided=evaluation.voided,
        # What a single run cannot judge may still have to tell of the end of its snooze.
        expired_silences=()
        if state.resting and not policy.in_loop
        else tuple(silence for silence in inputs.attention.silences if not silence.left(now)),
        transitions=audit_entries(evaluation, state.decisions, now),
        mails=mails,
        digested_rows=digested_rows,
        gpus=book.newcomers(evaluation.reading, inputs.gpus),
        reminders=reminders.changed,
        closed_reminders=reminders.notifications.closed,
    )


def is_silenced(inputs: EvaluationInputs, alert: Alert, now: Instant) -> bool:
    """Return whether a snooze covers this alert now, ended or not."""
    return any(silence.covers(alert) and silence.left(now) for silence in inputs.attention.silences)


def _is_forgotten(inputs: EvaluationInputs, alert: Alert) -> bool:
    """Return whether it is about a GPU, or a host, that the person has said to be gone for good."""
    subject = f"{alert.subject}/"
    return any(subject.startswith(f"{row.uuid.rstrip('/')}/") for row in inputs.gpus if row.forgotten)


def reading_gap(pace: ReadingPace, policy: Policy) -> float:
    """Return the longest pause (s) between readings that counts as watched; it grows with slow readings."""
    return longest_pause(policy.gap, pace.interval)


def _tick(
    state: EvaluationState[Any], policy: Policy, reading: Reading, now: Instant
) -> tuple[Tick, ReadingPace]:
    """Return the step in time to this reading, and the pace of the readings after it."""
    was_read = reading.problem is None
    elapsed = 0.0 if state.last is None else now.since(state.last)
    # Between two runs of cron there is always a gap, which then says nothing.
    gap = policy.in_loop and not 0 <= elapsed <= reading_gap(state.pace, policy)
    elapsed = max(0.0, elapsed)
    if gap or state.last is None or not policy.in_loop or state.pace.at is None:
        return Tick(now, elapsed, gap), ReadingPace(now if was_read else None)
    if not was_read:
        return Tick(now, elapsed), state.pace
    # What was evaluated while a slow reading was awaited takes nothing from the time between two readings.
    interval = max(0.0, now.since(state.pace.at))
    elapsed = max(elapsed, min(interval, reading_gap(state.pace, policy)))
    return Tick(now, elapsed), ReadingPace(now, interval)


def _recent_raises(raised: Iterable[tuple[str, Instant]], now: Instant) -> dict[str, int]:
    """Count how often each fingerprint began to fire within the flapping window."""
    return Counter(fingerprint for fingerprint, at in raised if 0 <= now.since(at) < FLAP_WINDOW)


def _numbered(active: Mapping[str, Alert], highest: int) -> dict[str, Alert]:
    """Give the new alerts the ids after `highest`."""
    numbered = {}
    for fingerprint, alert in active.items():
        if not alert.id:
            highest += 1
        numbered[fingerprint] = alert if alert.id else replace(alert, id=highest)
    return numbered


def _delivery_state(
    state: EvaluationState[Any], inputs: EvaluationInputs, alert: Alert, channel: Channel
) -> DeliveryState:
    fingerprint = alert.fingerprint
    queued_at = inputs.queued.get(channel.value, {}).get(fingerprint)
    refused = inputs.given_up.get(channel.value, {}).get(fingerprint)
    risen = alert.news[1].wall if alert.news is not None and alert.news[0] is Reason.SEVERITY_RISE else None
    return DeliveryState(
        state.delivered(inputs, channel).get(fingerprint),
        queued=queued_at is not None,
        outdated=queued_at is not None and risen is not None and risen > queued_at,
        no_popup=fingerprint in state.no_popup,
        given_up=None if refused is None else Instant(refused),
    )


def _orphans(active: Iterable[Alert], on: frozenset[str]) -> tuple[Alert, ...]:
    """Return the alerts that no rule judges any more, as resolved: it is off, or of an older version."""
    return tuple(replace(alert, phase=Phase.RESOLVED) for alert in active if alert.rule not in on)


def _essence(alert: Alert) -> tuple[object, ...]:
    """Return what of an alert has to be on file."""
    return alert.id, alert.phase, alert.severity, alert.fired, alert.news, alert.covered
