"""
The engine: one reading in, one transaction, and what is then to be shown and sent.

Read the store's inputs, judge, build one `Commit`, write it, apply it, report the result. A commit that could
not be written is not applied: the next reading builds it again, so that no mail is lost.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Generic

from msgspec.structs import replace

from gpuwatch_tray import alerts, rules
from gpuwatch_tray.alerts import ChangeKind, Channel, Tick
from gpuwatch_tray.engine.audit import popup_entry
from gpuwatch_tray.engine.evaluation import (
    EvaluationState,
    build_commit,
    ended_alerts,
    evaluate_snapshot,
    is_silenced,
    reading_gap,
)
from gpuwatch_tray.engine.mail_builder import (
    PER_DAY,
    PER_HOUR,
    build_chats,
    build_mails,
    cap_mails,
    new_id,
    outbox_capacity,
    was_delivered,
)
from gpuwatch_tray.engine.popup_tracker import PopupTracker
from gpuwatch_tray.engine.reminder_evaluator import (
    ReminderEvaluator,
    ReminderResult,
    liveness_unknown,
    never_descends,
    no_kernel_lines,
)
from gpuwatch_tray.engine.types import Evaluation, EvaluationResult, H, Policy, R
from gpuwatch_tray.model import (
    Alert,
    EmailWhen,
    Instant,
    Message,
    MessageKind,
    Popup,
    Presence,
    PresenceResult,
    Severity,
    Snapshot,
    Status,
)
from gpuwatch_tray.notify import render
from gpuwatch_tray.rules.verdict import counted
from gpuwatch_tray.store import Commit, Mail, Store, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.alerts.reminder_types import Reminder
    from gpuwatch_tray.engine.rule_book import RuleBook
    from gpuwatch_tray.notify.render import MailIdentity
    from gpuwatch_tray.store import EvaluationInputs


log = logging.getLogger(__name__)


def no_desktop() -> PresenceResult:
    """Return the presence where there is no desktop: nobody sits at it."""
    return PresenceResult(Presence.AWAY, "no desktop")


class Engine(Generic[R, H]):
    """
    Evaluates the readings that a rule book is about, on one state. Safe to use from several threads.

    `presence`, `lives` (a PID and identity), `descends` (from one PID to another) and `kernel_lines` (about a
    PID, of the last so many seconds) all answer at once.
    """

    def __init__(
        self,
        book: RuleBook[R, H],
        store: Store,
        policy: Policy,
        identity: MailIdentity,
        clock: Callable[[], Instant],
        presence: Callable[[], PresenceResult] = no_desktop,
        lives: Callable[[int, str], bool | None] = liveness_unknown,
        descends: Callable[[int, int], bool] = never_descends,
        kernel_lines: Callable[[int, float], tuple[str, ...]] = no_kernel_lines,
    ) -> None:
        self._book = book
        self._store = store
        self._policy = policy
        self._identity = identity
        self._clock = clock
        self._presence = presence
        self._turn = threading.Lock()
        self._state = EvaluationState.load(book, store.saved_state(), store.history(0)[1], policy)
        self._inputs = store.evaluation_inputs()  # the last that could be read
        self._reminders = ReminderEvaluator(policy, identity, lives, descends, kernel_lines)
        self._popups = PopupTracker(identity.popup_host)
        self._trouble: str | None = None
        self._renewed = store.renewed

    @property
    def knows_devices(self) -> bool:
        """Whether a GPU was ever read here that is not forgotten."""
        return any(not row.forgotten for row in self._inputs.gpus)

    @property
    def reminders(self) -> tuple[Reminder, ...]:
        """What is waited for, as it was on file when that was last read."""
        return tuple(self._inputs.reminders)

    @property
    def popups(self) -> bool:
        """Whether there is a desktop to show popups on."""
        return self._policy.routing.popups

    def reconfigure(self, policy: Policy, identity: MailIdentity) -> None:
        """Go by `policy` from the next evaluation on; what is known of each alert stays."""
        # An alert of a rule that is off now has ended, and nothing is told of its end.
        with self._turn:
            self._policy, self._identity = policy, identity
            self._state = self._state.reconfigured(self._book.switched_on(policy))
            self._reminders.reconfigure(policy, identity)

    def evaluate(self, reading: R) -> EvaluationResult:
        """Judge `reading`, commit what follows from it, and say what is to be shown and sent."""
        with self._turn:
            now, presence = self._clock(), self._presence().presence
            trouble = self._read_inputs()
            evaluation = self._judge(reading, now, presence)
            # The rules have seen it, whether what follows can be written or not.
            self._state = replace(self._state, rule_history=evaluation.rule_history)
            reminders = ReminderResult()
            queued: tuple[Mail, ...] = ()
            if trouble is None:
                snapshot, lab = self._book.observed(evaluation.reading)
                reminders = self._reminders.evaluate(
                    self._inputs.reminders,
                    snapshot,
                    now,
                    presence,
                    gap=reading_gap(self._state.pace, self._policy),
                    snoozed=evaluation.snoozed_until is not None,
                    lab=lab,
                )
                try:
                    commit = self._build_commit(evaluation, reminders, now)
                    self._write(commit, evaluation)
                except StoreError as error:
                    trouble = str(error)  # no commit: the popup need not wait for the disk
                else:
                    self._state = self._state.after(evaluation, commit)
                    self._reminders.apply(reminders)
                    queued = tuple(mail for mail in commit.mails if not mail.held)
            if trouble is not None and trouble != self._trouble:
                log.error("%s", trouble)
            self._trouble = trouble
            return self._result(evaluation, reminders, queued, now, presence)

    def mail_due_reminders(self) -> int:
        """Mail what has come about already, without a reading; how many notices. Raises StoreError."""
        with self._turn:
            now, presence = self._clock(), self._presence().presence
            inputs = self._store.evaluation_inputs()
            if alerts.snoozed_until(inputs.attention.silences, now) is not None:
                return 0
            due = self._reminders.due(inputs.reminders, now, presence)
            for messages, numbers in due.mails:
                self._store.close_reminders(
                    numbers,
                    [
                        Mail(message, (), held=self._is_full(channel, inputs, now), channel=channel.value)
                        for channel, message in messages.items()
                    ],
                )
            return len(due.mails)

    def _is_full(self, channel: Channel, inputs: EvaluationInputs, now: Instant) -> bool:
        """Return whether what is queued for this channel now is over its limit."""
        if channel.value in inputs.holding:
            return True
        return outbox_capacity(self._store, now.wall, channel, holding=False).free <= 0

    def record_popup(self, fingerprints: Sequence[str], *, shown: bool = True) -> None:
        """Note that a popup about these alerts was shown, which starts their cooldown, or could not be."""
        with self._turn:
            now, state = self._clock(), self._state
            if not shown:  # that is written once, not at each poll
                fingerprints = [name for name in fingerprints if name not in state.no_popup]
            entries = [
                popup_entry(state.alerts[name].id, name, state.decisions, now, shown=shown)
                for name in fingerprints
                if name in state.alerts and state.alerts[name].id
            ]
            if not shown:
                self._state = replace(state, no_popup=state.no_popup.union(fingerprints))
                if entries:
                    self._try_writing(lambda: self._store.add_transitions(entries))
                return
            no_popup = state.no_popup.difference(fingerprints)
            unrecorded = {**state.unrecorded, **dict.fromkeys(fingerprints, now)}
            if self._try_writing(
                lambda: self._store.record_delivery(fingerprints, Channel.DESKTOP.value, now, entries)
            ):
                unrecorded = {name: at for name, at in unrecorded.items() if name not in fingerprints}
            self._state = replace(state, no_popup=no_popup, unrecorded=unrecorded)

    def record_reminder_popup(self, numbers: Sequence[int], *, shown: bool = True) -> None:
        """Note that the popup about these reminders was shown, which closes them, or could not be."""
        with self._turn:
            self._reminders.record_popup(numbers, shown=shown)
            if shown and not self._try_writing(lambda: self._store.close_reminders(numbers)):
                self._reminders.record_unwritten(numbers)

    def explain(self, reading: R) -> tuple[str, ...]:
        """Say of each rule what it makes of `reading`, and what would be sent; nothing is written."""
        from gpuwatch_tray.engine.explain import explain  # late: seldom asked for

        with self._turn:
            now, sighting = self._clock(), self._presence()
            self._read_inputs()
            evaluation = self._judge(self._book.without_events(reading), now, sighting.presence)
            return tuple(explain(self._book, evaluation, self._policy, sighting, now))

    def preview(self, reading: R) -> Status:
        """Say what `reading` means beside the alerts on file; nothing is written."""
        with self._turn:
            self._read_inputs()
            return self._book.status(self._judge(reading, self._clock(), self._presence().presence))

    def alerts_of_popup(self, key: str) -> tuple[str, ...]:
        """Return the fingerprints of the alerts that the popup with this key tells of."""
        with self._turn:
            return self._popups.alerts_of(key)

    # --- the steps of one evaluation ----------------------------------------------------------------------

    def _read_inputs(self) -> str | None:
        """Read what others have written; where that fails, the last inputs count: why it failed."""
        try:
            self._inputs = self._store.evaluation_inputs()
        except StoreError as error:
            return str(error)
        return None

    def _judge(self, reading: R, now: Instant, presence: Presence) -> Evaluation[R, H]:
        return evaluate_snapshot(
            self._book,
            self._state,
            self._inputs,
            self._policy,
            self._identity.host,
            reading,
            now,
            presence,
        )

    def _build_commit(self, evaluation: Evaluation[R, H], reminders: ReminderResult, now: Instant) -> Commit:
        ended = ended_alerts(self._book, self._state, self._inputs, self._policy, evaluation, now)
        mails: list[Mail] = []
        digested_rows: list[int] = []
        for channel in self._policy.routing.written:
            due, over = _sent_now(evaluation, channel), ended.due.get(channel, ())
            notices = [
                messages[channel] for messages, _ in reminders.notifications.mails if channel in messages
            ]
            if channel.chat:
                new = build_chats(self._identity, channel, due, over, notices, now.wall)
            else:
                new = build_mails(self._identity, evaluation, due, over, notices, now.wall)
            queued, digested = self._cap(channel, new, evaluation, now)
            mails += queued
            digested_rows += digested
        return build_commit(
            self._book,
            self._state,
            self._inputs,
            self._policy,
            evaluation,
            ended,
            reminders,
            tuple(mails),
            tuple(digested_rows),
            now,
        )

    def _cap(
        self, channel: Channel, mails: tuple[Mail, ...], evaluation: Evaluation[R, H], now: Instant
    ) -> tuple[tuple[Mail, ...], tuple[int, ...]]:
        """Hold what is over the channel's limit; return what is queued, and the rows of a digest."""
        holding = channel.value in self._inputs.holding
        if not mails and not (holding and evaluation.snoozed_until is None):
            return (), ()
        room = outbox_capacity(self._store, now.wall, channel, holding=holding)
        if len(mails) > room.free and not holding:
            log.warning("%d mails an hour or %d a day are enough: held for a digest", PER_HOUR, PER_DAY)
        return cap_mails(self._identity, mails, room, now.wall)

    def _write(self, commit: Commit, evaluation: Evaluation[R, H]) -> None:
        """Write `commit`, if it holds anything that is not on file."""
        renewed = self._store.renewed != self._renewed
        if not (
            commit.worth_writing
            or renewed
            or self._state.differs(commit, lambda: self._book.terms(self._policy))
        ):
            return
        self._store.commit(commit)
        self._renewed = self._store.renewed
        for change in evaluation.changes:
            log.info("%s: %s: %s", change.alert.rule, change.kind.value, change.alert.reason)
        for decision in evaluation.decisions:
            if decision.send:
                log.info("%s: %s", decision.alert.rule, decision)

    def _result(
        self,
        evaluation: Evaluation[R, H],
        reminders: ReminderResult,
        queued: tuple[Mail, ...],
        now: Instant,
        presence: Presence,
    ) -> EvaluationResult:
        trouble = self._trouble or self._store.trouble
        return EvaluationResult(
            replace(self._book.status(evaluation), awaited=self._reminders.awaited),
            evaluation.gaps,
            evaluation.changes,
            tuple(mail.message for mail in queued if mail.channel == Channel.EMAIL.value),
            tuple({Channel(mail.channel): None for mail in queued if Channel(mail.channel).chat}),
            self._alert_popups(evaluation, now, presence),
            self._popups.closed_keys(evaluation.alerts),
            reminders.notifications.popups if self._trouble is None else (),
            trouble,
            self._store.trouble,
            self._book.observed(evaluation.reading)[1],
        )

    def _alert_popups(
        self, evaluation: Evaluation[R, H], now: Instant, presence: Presence
    ) -> tuple[tuple[Popup, tuple[str, ...]], ...]:
        """Make the popups about what is due, what the person has missed, and what has ended."""
        if not self._policy.routing.popups:
            return ()

        def silenced(alert: Alert) -> bool:
            return is_silenced(self._inputs, alert, now)

        simulated = evaluation.reading.simulated
        popups = list(self._popups.group(_sent_now(evaluation, Channel.DESKTOP), simulated=simulated))
        fired = _changed(evaluation, ChangeKind.FIRED)
        missed = self._popups.missed(presence, fired, evaluation.alerts, silenced, simulated=simulated)
        if missed is not None:
            popups.append((missed, ()))
        if self._policy.resolved_popup and self._trouble is None:  # else the same alerts end again
            delivered = self._state.delivered(self._inputs, Channel.DESKTOP)
            ended = [
                alert
                for alert in _changed(evaluation, ChangeKind.RESOLVED)
                if was_delivered(alert, delivered.get(alert.fingerprint), now)
                and not silenced(alert)
                and alert.rule not in self._book.event_rules
            ]
            if ended:
                popups.append(
                    (render.resolved_popup(ended, self._identity.popup_host, simulated=simulated), ())
                )
        return tuple(popups)

    def _try_writing(self, write: Callable[[], object]) -> bool:
        """Write what can be written again later; whether it was written."""
        try:
            write()
        except StoreError as error:
            log.warning("%s", error)
            return False
        return True


def _sent_now(evaluation: Evaluation[R, H], channel: Channel) -> list[Alert]:
    return [
        decision.alert for decision in evaluation.decisions if decision.send and decision.channel == channel
    ]


def _changed(evaluation: Evaluation[R, H], kind: ChangeKind) -> list[Alert]:
    return [change.alert for change in evaluation.changes if change.kind is kind]


def mail_now(
    snapshot: Snapshot, policy: Policy, identity: MailIdentity, now: Instant, *, redacted: bool = True
) -> tuple[tuple[Alert, ...], tuple[str, ...], Message]:
    """Return what fires, what is open, and a mail about both, past every cooldown and without any state."""
    verdicts = rules.judge(snapshot, policy.limits, in_loop=False)
    firing, _ = alerts.step({}, verdicts, Tick(now), identity.host)
    always = policy.routing.email_when is EmailWhen.ALWAYS
    reported = tuple(alert for alert in firing.values() if always or alert.severity > Severity.INFO)
    missing = rules.open_questions(snapshot, verdicts)
    mail = render.alert_mail(
        identity,
        reported,
        counted(snapshot, policy.limits),
        missing,
        now=now.wall,
        message_id=new_id(identity),
        kind=MessageKind.TEST,
        redacted=redacted,
    )
    return reported, missing, mail
