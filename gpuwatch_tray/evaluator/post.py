"""The mails that an evaluation queues: about what is due, about what is over, and the cap on both."""

from __future__ import annotations

import logging
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray import messages
from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.model import Alert, Instant, Message, MessageKind, Phase, Reason
from gpuwatch_tray.store import Gather, Mail, QueuedMail, Store

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from gpuwatch_tray.evaluator.policy import Evaluation
    from gpuwatch_tray.messages import Letterhead
    from gpuwatch_tray.model import GpuProcess

log = logging.getLogger(__name__)

HOUR, DAY = 3600.0, 86400.0
PER_HOUR, PER_DAY = 20, 100
AGAIN = frozenset({Reason.COOLDOWN_OVER, Reason.SNOOZE_OVER})  # why an alert is told that was told before


class Post:
    """Writes the mails; what goes over the cap is held, and told in one digest once there is room again."""

    def __init__(self, store: Store, head: Letterhead) -> None:
        self._store = store
        self._head = head
        self._holding = bool(store.held())

    def adopt(self, head: Letterhead) -> None:
        """Write with this head from now on."""
        self._head = head

    def write(
        self,
        found: Evaluation,
        due: Sequence[Alert],
        over: Sequence[Alert],
        now: float,
        notices: Sequence[Message] = (),
    ) -> tuple[tuple[Mail, ...], tuple[int, ...]]:
        """The mails to queue, and the held ones (by row) that one of them takes up. Raises StoreError."""
        mails = []
        if due:
            message = compose(self._head, due, found.processes, found.gaps, now, reminder=_known(found, due))
            mails.append(Mail(message, tuple(alert.fingerprint for alert in due)))
        if over:
            message = messages.resolved_mail(self._head, over, now=now, message_id=new_id(self._head))
            mails.append(Mail(message, tuple(alert.fingerprint for alert in over)))
        mails += [Mail(message, ()) for message in notices]
        if not mails and (not self._holding or found.snoozed_until is not None):
            return (), ()
        room = self._room(now)
        held = self._store.held() if self._holding and room > 0 else ()
        if not held:
            if len(mails) > room and not self._holding:
                log.warning("%d mails an hour or %d a day are enough: held for a digest", PER_HOUR, PER_DAY)
            capped = (Mail(m.message, m.fingerprints, held=n >= room) for n, m in enumerate(mails))
            return tuple(capped), ()
        rows: list[QueuedMail | Mail] = [*held, *mails]
        # Only what is told to be firing counts as delivered by it: an end that was held starts no cooldown.
        firing = [each for each in rows if each.message.kind is MessageKind.ALERT]
        names = dict.fromkeys(name for each in firing for name in each.fingerprints)
        told = [each.message for each in rows]
        message = messages.digest(self._head, told, now=now, message_id=new_id(self._head))
        return (Mail(message, tuple(names)),), tuple(row.id for row in held)

    def full(self, now: float) -> bool:
        """Whether one more mail would have to be held. Raises StoreError."""
        return self._holding or self._room(now) <= 0

    def _room(self, now: float) -> int:
        hour, day = (self._store.queued_since(now, span) for span in (HOUR, DAY))
        return min(PER_HOUR - hour, PER_DAY - day)

    def taken(self, mails: Sequence[Mail]) -> None:
        """They are on file: a held one waits from now on, any other has taken up those that did."""
        if mails:
            self._holding = any(mail.held for mail in mails)


def ends_to_tell(
    ended: Mapping[str, Alert],
    active: Mapping[str, Alert],
    delivered: Mapping[str, Instant],
    queued: Container[str],
    now: Instant,
) -> tuple[tuple[Alert, ...], tuple[Alert, ...]]:
    """
    Of the alerts that are over: those to be told now, and those of which nothing need be told.

    "Resolved" follows a "firing" that was delivered. Of one whose mail is still on its way it is told when
    that has arrived; of one that fires again, or of which nobody was told, never.
    """
    told, settled = [], []
    again = {name for name, alert in active.items() if alert.phase is not Phase.PENDING}
    for name, alert in ended.items():
        last = delivered.get(name)
        if name in again:
            settled.append(alert)
        elif name in queued:
            continue
        elif was_told(alert, last, now):
            told.append(alert)
        else:
            settled.append(alert)
    return tuple(told), tuple(settled)


def was_told(alert: Alert, last: Instant | None, now: Instant) -> bool:
    """Whether the last delivery was of this incident, and not of an earlier one."""
    return last is not None and alert.fired is not None and not alert.fired.follows(last, now)


def compose(
    head: Letterhead,
    told: Sequence[Alert],
    processes: Sequence[GpuProcess],
    missing: Sequence[str],
    now: float,
    kind: MessageKind = MessageKind.ALERT,
    *,
    redacted: bool = True,
    reminder: bool = False,
) -> Message:
    """The mail about `told`."""
    return messages.alert_mail(
        head,
        told,
        processes,
        missing,
        now=now,
        message_id=new_id(head),
        kind=kind,
        redacted=redacted,
        reminder=reminder,
    )


def _known(found: Evaluation, due: Sequence[Alert]) -> bool:
    """Whether a mail about all of these incidents was written before, and none of them is worse since."""
    again = {
        each.alert.fingerprint
        for each in found.decisions
        if each.send and each.channel is Channel.EMAIL and each.reason in AGAIN
    }
    return all(alert.thread is not None and alert.fingerprint in again for alert in due)


def threaded(alerts: Mapping[str, Alert], mails: Sequence[Mail]) -> dict[str, Alert]:
    """The alerts, each with the first mail about it."""
    after = dict(alerts)
    for mail in mails:
        if mail.message.kind is MessageKind.ALERT:
            for name in mail.fingerprints:
                if name in after and after[name].thread is None:
                    thread = (mail.message.message_id, mail.message.created)
                    after[name] = replace(after[name], thread=thread)
    return after


def late_digest(head: Letterhead) -> Gather:
    """What makes one mail of several that could not be sent before."""
    return lambda mails, now: messages.digest(head, mails, now=now, message_id=new_id(head), late=True)


def new_id(head: Letterhead) -> str:
    """A Message-ID that no other mail has."""
    return f"<{secrets.token_hex(16)}.gpuwatch-tray@{head.host}>"
