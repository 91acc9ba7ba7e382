"""
One evaluation: a snapshot is judged, the alerts take a step, and what is due is queued or handed out.

The state and the mail about it reach the disk in one transaction, before anything is shown or sent.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuwatch_tray import alerts, messages, rules
from gpuwatch_tray.alerts import Change, Channel, Due
from gpuwatch_tray.model import Alert, GpuProcess, Limits, Message, MessageKind, Popup, Snapshot, Status
from gpuwatch_tray.rules.scope import counted
from gpuwatch_tray.status import status_of
from gpuwatch_tray.store import Store, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.messages import Letterhead

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Policy:
    """What an evaluation goes by: limits, the cooldown in seconds, and whether there is a way to mail."""

    limits: Limits
    cooldown: float
    mails: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What one evaluation came to.

    `popups` are to be shown, each with the alerts it tells of; `over` are the keys of popups to close;
    `gaps` is what kept a rule from judging; `trouble` is set when the state could not be written.
    """

    status: Status
    gaps: tuple[str, ...]
    changes: tuple[Change, ...] = ()
    mail: Message | None = None
    popups: tuple[tuple[Popup, tuple[str, ...]], ...] = ()
    over: tuple[str, ...] = ()
    trouble: str | None = None


class Evaluator:
    """Holds the alerts between evaluations; the store holds them between runs."""

    def __init__(self, store: Store, policy: Policy, head: Letterhead, clock: Callable[[], float]) -> None:
        self._store = store
        self._policy = policy
        self._head = head
        self._clock = clock
        self._active = store.active()
        self._popup_of: dict[str, str] = {}  # fingerprint -> key of the popup on the screen
        self._shown = store.delivered(Channel.DESKTOP.value)  # for when the disk cannot be asked
        self._trouble: str | None = None

    def evaluate(self, snapshot: Snapshot) -> Outcome:
        """Judge `snapshot` and commit what follows from it."""
        now = self._clock()
        verdicts = rules.judge(snapshot, self._policy.limits)
        processes = counted(snapshot, self._policy.limits)
        missing = rules.open_questions(snapshot, verdicts)
        after, changes = alerts.step(self._active, verdicts, now, self._head.host)
        for change in changes:
            log.info("%s: %s: %s", change.alert.rule, change.kind.value, change.alert.reason)
        trouble: str | None = None
        mail: Message | None = None
        try:
            mail = self._commit(after, changes, processes, missing, now)
            due = self._due(after, Channel.DESKTOP, now)
            self._active = after
        except StoreError as error:
            # The step is not taken: the next poll takes it again, so that no mail is lost. The popup
            # need not wait for the disk.
            if str(error) != self._trouble:
                log.error("%s", error)  # noqa: TRY400  # the one line says it all
            trouble = str(error)
            due = alerts.due(after.values(), self._shown, now, self._policy.cooldown)
        self._trouble = trouble
        status = status_of(snapshot, after, processes, missing)
        popups, over = self._popups(due, simulated=snapshot.simulated), self._over(after)
        return Outcome(status, missing, changes, mail, popups, over, trouble)

    def shown(self, fingerprints: Sequence[str]) -> None:
        """Start the desktop cooldown of alerts whose popup the desktop has taken."""
        now = self._clock()
        self._shown.update(dict.fromkeys(fingerprints, now))
        try:
            self._store.record_delivery(fingerprints, Channel.DESKTOP.value, now)
        except StoreError as error:
            log.warning("%s", error)

    def _commit(
        self,
        after: dict[str, Alert],
        changes: Sequence[Change],
        processes: Sequence[GpuProcess],
        missing: Sequence[str],
        now: float,
    ) -> Message | None:
        due = self._due(after, Channel.EMAIL, now) if self._policy.mails else ()
        mail = None
        if due:
            told = tuple(notice.alert for notice in due)
            mail = _compose(self._head, told, processes, missing, now, MessageKind.ALERT)
            for notice in due:
                log.info("%s: mail queued (%s)", notice.alert.rule, notice.reason.value)
        if mail is not None:
            self._store.commit(after, now, (mail, [notice.alert.fingerprint for notice in due]))
        elif changes:
            self._store.commit(after, now)
        return mail

    def _due(self, active: dict[str, Alert], channel: Channel, now: float) -> tuple[Due, ...]:
        # The queue is read first: a mail that is sent in between is then seen at least once.
        queued = self._store.queued() if channel is Channel.EMAIL else frozenset[str]()
        delivered = self._store.delivered(channel.value)
        if channel is Channel.DESKTOP:
            delivered |= self._shown
        return alerts.due(active.values(), delivered, now, self._policy.cooldown, queued)

    def _popups(self, due: Sequence[Due], *, simulated: bool) -> tuple[tuple[Popup, tuple[str, ...]], ...]:
        """One popup for each rule's alerts of this poll; an alert told before keeps its popup."""
        groups: dict[str, list[Alert]] = {}
        for notice in due:
            alert = notice.alert
            key = self._popup_of.setdefault(alert.fingerprint, alert.fingerprint)
            home = next((k for k, members in groups.items() if members[0].rule == alert.rule), key)
            self._popup_of[alert.fingerprint] = home
            groups.setdefault(home, []).append(alert)
        return tuple(
            (
                messages.popup(key, members, self._head.host, simulated=simulated),
                tuple(a.fingerprint for a in members),
            )
            for key, members in groups.items()
        )

    def _over(self, active: dict[str, Alert]) -> tuple[str, ...]:
        """The popups none of whose alerts is firing any more."""
        gone = {key for name, key in self._popup_of.items() if name not in active}
        self._popup_of = {name: key for name, key in self._popup_of.items() if name in active}
        return tuple(sorted(gone - set(self._popup_of.values())))


def mail_now(
    snapshot: Snapshot, policy: Policy, head: Letterhead, now: float, *, redacted: bool = True
) -> tuple[tuple[Alert, ...], tuple[str, ...], Message]:
    """What fires, what is open, and the mail about both, past every cooldown and without any state."""
    verdicts = rules.judge(snapshot, policy.limits)
    firing, _ = alerts.step({}, verdicts, now, head.host)
    told, missing = tuple(firing.values()), rules.open_questions(snapshot, verdicts)
    message = _compose(
        head, told, counted(snapshot, policy.limits), missing, now, MessageKind.TEST, redacted=redacted
    )
    return told, missing, message


def _compose(
    head: Letterhead,
    told: Sequence[Alert],
    processes: Sequence[GpuProcess],
    missing: Sequence[str],
    now: float,
    kind: MessageKind,
    *,
    redacted: bool = True,
) -> Message:
    message_id = f"<{uuid.uuid4().hex}.gpuwatch-tray@{head.host}>"
    return messages.alert_mail(
        head, told, processes, missing, now=now, message_id=message_id, kind=kind, redacted=redacted
    )
