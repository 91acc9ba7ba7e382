"""
The evaluator: one assessment, one transaction, and what is then to be shown and sent.

The state and the mails about it reach the disk together, before anything is shown or sent.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray import alerts, messages, rules
from gpuwatch_tray.alerts import ChangeKind, Channel, Tick
from gpuwatch_tray.evaluator.assessing import Assessor
from gpuwatch_tray.evaluator.chronicle import Chronicle
from gpuwatch_tray.evaluator.desk import PopupTracker
from gpuwatch_tray.evaluator.explaining import explain
from gpuwatch_tray.evaluator.noticing import ReminderEvaluator, ReminderResult, nobody_knows, nobodys_child
from gpuwatch_tray.evaluator.policy import Evaluation, EvaluationResult, Policy
from gpuwatch_tray.evaluator.post import Post, compose, ends_to_tell, threaded, was_told
from gpuwatch_tray.model import (
    Alert,
    EmailWhen,
    Instant,
    Message,
    MessageKind,
    Popup,
    Presence,
    Severity,
    Sighting,
    Snapshot,
)
from gpuwatch_tray.rules.scope import counted
from gpuwatch_tray.status import status_of
from gpuwatch_tray.store import Commit, Mail, Store, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.messages import Letterhead

log = logging.getLogger(__name__)


def nobody() -> Sighting:
    """Where there is no desktop, nobody sits at it."""
    return Sighting(Presence.AWAY, "no desktop")


class Engine:
    """
    Holds the alerts between evaluations; the store holds them between runs. Safe to use from several threads.

    `presence` says whether somebody is at the desk, `lives` whether a process (PID, identity) does, and
    `descends` whether one process (PID) runs under another; all answer at once.
    """

    def __init__(
        self,
        store: Store,
        policy: Policy,
        head: Letterhead,
        clock: Callable[[], Instant],
        presence: Callable[[], Sighting] = nobody,
        lives: Callable[[int, str], bool | None] = nobody_knows,
        descends: Callable[[int, int], bool] = nobodys_child,
    ) -> None:
        self._store = store
        self._policy = policy
        self._head = head
        self._clock = clock
        self._presence = presence
        self._turn = threading.Lock()
        self._assessor = Assessor(store, policy, head.host)
        self._chronicle = Chronicle(store.history(0)[1], self._assessor.names)
        self._desk = PopupTracker(head.host)
        self._post = Post(store, head)
        self._notices = ReminderEvaluator(store, policy, head, lives, descends)
        self._trouble: str | None = None
        self._renewed = store.renewed

    def adopt(self, policy: Policy, head: Letterhead) -> None:
        """
        Go by `policy` from the next evaluation on.

        What is known of each alert stays: one that waits to fire goes on waiting, one that was told is not
        told again. An alert of a rule that is off now is over, and nothing is told of its end.
        """
        with self._turn:
            self._policy, self._head = policy, head
            self._assessor.adopt(policy)
            self._post.adopt(head)
            self._notices.adopt(policy, head)

    def evaluate(self, snapshot: Snapshot) -> EvaluationResult:
        """Judge `snapshot` and commit what follows from it."""
        with self._turn:
            now, presence = self._clock(), self._presence().presence
            found = self._assessor.assess(snapshot, now, presence)
            self._assessor.noted(found)
            snoozed = found.snoozed_until is not None
            noticed = self._notices.look(found.snapshot, now, presence, snoozed=snoozed) or ReminderResult()
            mails, trouble = self._committed(found, noticed, now)
            status = status_of(found.snapshot, found.alerts, found.processes, found.gaps, found.snoozed_until)
            popups = self._popups(found, now, presence)
            return EvaluationResult(
                replace(status, awaited=self._notices.awaited),
                found.gaps,
                found.changes,
                mails,
                popups,
                self._desk.over(found.alerts),
                noticed.told.popups if trouble is None else (),
                trouble,
            )

    def notice_shown(self, number: int, *, really: bool = True) -> None:
        """The desktop has taken the popup about this watch; or it has not."""
        with self._turn:
            self._notices.shown(number, really=really)

    def tell_due(self) -> int:
        """Mail what has come about already, without a look at the GPUs; how many. Raises StoreError."""
        with self._turn:
            now, presence = self._clock(), self._presence().presence
            if alerts.snoozed_until(self._store.attention().silences, now) is not None:
                return 0
            told = self._notices.due(now, presence)
            for number, message in zip(told.closed, told.mails, strict=True):
                self._store.close_watch(number, Mail(message, (), held=self._post.full(now.wall)))
            return len(told.mails)

    def shown(self, fingerprints: Sequence[str], *, really: bool = True) -> None:
        """The desktop has taken a popup about these alerts, which starts their cooldown; or it has not."""
        with self._turn:
            now = self._clock()
            if really:
                for name in fingerprints:
                    self._assessor.shown(name, now)
            else:
                fingerprints = [name for name in fingerprints if self._assessor.not_shown(name)]
            numbers = {name: self._assessor.number(name) for name in fingerprints}
            lines = [
                self._chronicle.popup(name, number, now, really=really)
                for name, number in numbers.items()
                if number
            ]
            try:
                if really:
                    self._store.record_delivery(fingerprints, Channel.DESKTOP.value, now, lines)
                    for name in fingerprints:
                        self._assessor.recorded(name)
                elif lines:
                    self._store.note(lines)
            except StoreError as error:
                log.warning("%s", error)

    def explain(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Each rule on `snapshot`, and what would be told of its alerts; nothing is written or told."""
        with self._turn:
            now, sighting = self._clock(), self._presence()
            # What it told of has been taken note of already.
            found = self._assessor.assess(replace(snapshot, events=()), now, sighting.presence)
            return explain(found, self._policy, sighting, now)

    def members(self, key: str) -> tuple[str, ...]:
        """The alerts that the popup with this key tells of."""
        with self._turn:
            return self._desk.members(key)

    def _committed(
        self, found: Evaluation, noticed: ReminderResult, now: Instant
    ) -> tuple[tuple[Message, ...], str | None]:
        """The mails that were queued, and why nothing could be written, or to memory only."""
        mails: tuple[Message, ...] = ()
        trouble = self._assessor.trouble
        if trouble is None:
            try:
                mails = self._commit(found, noticed, now)
            except StoreError as error:
                # The step is not taken: the next poll takes it again, so that no mail is lost. The popup
                # need not wait for the disk.
                trouble = str(error)
        if trouble is not None and trouble != self._trouble:
            log.error("%s", trouble)
        self._trouble = trouble
        return mails, trouble or self._store.trouble

    def _commit(self, found: Evaluation, noticed: ReminderResult, now: Instant) -> tuple[Message, ...]:
        """Write the step, if there is anything to write, and take it."""
        assessor = self._assessor
        resolved = [change.alert for change in found.changes if change.kind is ChangeKind.RESOLVED]
        over = assessor.ended | {alert.fingerprint: alert for alert in resolved}
        ended = {name: alert for name, alert in over.items() if self._owes(alert, now)}
        told, settled = ends_to_tell(
            ended, found.alerts, assessor.delivered(Channel.EMAIL), assessor.queued, now
        )
        unowed = [alert for name, alert in over.items() if name not in ended]
        due = [each.alert for each in found.decisions if each.send and each.channel is Channel.EMAIL]
        mails, merged = self._post.write(found, due, told, now.wall, noticed.told.mails)
        found = replace(found, alerts=threaded(found.alerts, mails))
        done = {alert.id for alert in (*told, *settled)}
        step = Commit(
            at=now,
            loop=self._policy.holds,
            alerts=tuple(found.alerts.values()),
            ended=tuple(alert for alert in ended.values() if alert.id not in done),
            silent=(*unowed, *told, *settled, *assessor.orphans),
            dropped=tuple(each.alert.id for each in found.changes if each.kind is ChangeKind.DROPPED),
            voided=found.voided,
            lifted=assessor.run_out(now),
            transitions=self._chronicle.entries(found, now),
            mails=mails,
            merged=merged,
            gpus=assessor.new_gpus(found.snapshot),
            watches=noticed.moved,
            told=noticed.told.closed,
        )
        if step.worth_writing or assessor.changed(found) or self._store.renewed != self._renewed:
            self._store.commit(step)
            self._renewed = self._store.renewed
            for change in found.changes:
                log.info("%s: %s: %s", change.alert.rule, change.kind.value, change.alert.reason)
            for each in found.decisions:
                if each.send:
                    log.info("%s: %s", each.alert.rule, each)
        assessor.take(step, found)
        self._chronicle.take(found)
        self._post.taken(mails)
        self._notices.take(noticed)
        return tuple(mail.message for mail in mails if not mail.held)

    def _owes(self, alert: Alert, now: Instant) -> bool:
        """Whether its end is to be told by mail, should its beginning have been: an event has no end."""
        policy = self._policy
        wanted = policy.mails and policy.resolved_mail and alert.rule not in rules.EVENT_RULES
        return wanted and not self._assessor.silenced(alert, now) and not self._assessor.forgotten(alert)

    def _popups(
        self, found: Evaluation, now: Instant, presence: Presence
    ) -> tuple[tuple[Popup, tuple[str, ...]], ...]:
        if not self._policy.popups:
            return ()
        simulated = found.snapshot.simulated
        due = [each.alert for each in found.decisions if each.send and each.channel is Channel.DESKTOP]
        popups = list(self._desk.popups(due, simulated=simulated))
        fired = [each.alert for each in found.changes if each.kind is ChangeKind.FIRED]
        summary = self._desk.back(
            presence,
            fired,
            found.alerts,
            lambda alert: self._assessor.silenced(alert, now),
            simulated=simulated,
        )
        if summary is not None:
            popups.append((summary, ()))
        if self._policy.resolved_popup:
            told = self._assessor.delivered(Channel.DESKTOP)
            ended = [each.alert for each in found.changes if each.kind is ChangeKind.RESOLVED]
            over = [
                alert
                for alert in ended
                if was_told(alert, told.get(alert.fingerprint), now)
                and not self._assessor.silenced(alert, now)
                and alert.rule not in rules.EVENT_RULES
            ]
            if over and self._trouble is None:  # a step that could not be written is taken again
                popups.append((messages.resolved_popup(over, self._head.host, simulated=simulated), ()))
        return tuple(popups)


def mail_now(
    snapshot: Snapshot, policy: Policy, head: Letterhead, now: Instant, *, redacted: bool = True
) -> tuple[tuple[Alert, ...], tuple[str, ...], Message]:
    """What fires, what is open, and the mail about both, past every cooldown and without any state."""
    verdicts = rules.judge(snapshot, policy.limits, holds=False)
    firing, _ = alerts.step({}, verdicts, Tick(now), head.host)
    always = policy.email_when is EmailWhen.ALWAYS
    told = tuple(alert for alert in firing.values() if always or alert.severity > Severity.INFO)
    missing = rules.open_questions(snapshot, verdicts)
    processes = counted(snapshot, policy.limits)
    kind = MessageKind.TEST
    return told, missing, compose(head, told, processes, missing, now.wall, kind, redacted=redacted)
