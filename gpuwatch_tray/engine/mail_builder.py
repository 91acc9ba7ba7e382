"""The mails and chat messages that an evaluation queues, about what is due and has ended, with a cap."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.model import Alert, Instant, Message, MessageKind, Phase, Reason
from gpuwatch_tray.model.units import DAY, HOUR
from gpuwatch_tray.notify import render
from gpuwatch_tray.store import Gather, Mail, OutboxMail, Store

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from gpuwatch_tray.engine.types import Evaluation
    from gpuwatch_tray.notify.render import MailIdentity


PER_HOUR, PER_DAY = 20, 100
AGAIN = frozenset({Reason.COOLDOWN_OVER, Reason.SNOOZE_OVER})  # why an alert is told that was told before


class OutboxCapacity(Struct, frozen=True):
    """How many mails may still be queued now, and the held ones that there is room for."""

    free: int
    held: tuple[OutboxMail, ...] = ()


def outbox_capacity(
    store: Store, now: float, channel: Channel = Channel.EMAIL, *, holding: bool
) -> OutboxCapacity:
    """Count the mails of the last hour and day; `holding` while held ones wait. Raises StoreError."""
    hour, day = (store.queued_since(now, span, channel.value) for span in (HOUR, DAY))
    free = min(PER_HOUR - hour, PER_DAY - day)
    return OutboxCapacity(free, store.held_mails(channel.value) if holding and free > 0 else ())


def build_mails(
    identity: MailIdentity,
    evaluation: Evaluation[Any, Any],
    due: Sequence[Alert],
    ended: Sequence[Alert],
    reminders: Sequence[Message],
    now: float,
) -> tuple[Mail, ...]:
    """Build the mails of one evaluation: about `due`, about `ended`, and one for each reminder."""
    mails = []
    if due:
        message = render.alert_mail(
            identity,
            due,
            evaluation.processes,
            evaluation.gaps,
            now=now,
            message_id=new_id(identity),
            is_repeat=_sent_before(evaluation, due),
        )
        mails.append(Mail(message, tuple(alert.fingerprint for alert in due)))
    if ended:
        message = render.resolved_mail(identity, ended, now=now, message_id=new_id(identity))
        mails.append(Mail(message, tuple(alert.fingerprint for alert in ended)))
    return (*mails, *(Mail(message, ()) for message in reminders))


def build_chats(
    identity: MailIdentity,
    channel: Channel,
    due: Sequence[Alert],
    ended: Sequence[Alert],
    reminders: Sequence[Message],
    now: float,
) -> tuple[Mail, ...]:
    """Build the messages of one evaluation to a chat: about `due`, about `ended`, and the `reminders`."""
    told = []
    for alerts, write in ((due, render.alert_chat), (ended, render.resolved_chat)):
        if alerts:
            message = write(identity, alerts, now=now, message_id=new_id(identity))
            told.append(Mail(message, tuple(alert.fingerprint for alert in alerts), channel=channel.value))
    return (*told, *(Mail(message, (), channel=channel.value) for message in reminders))


def cap_mails(
    identity: MailIdentity, mails: Sequence[Mail], room: OutboxCapacity, now: float
) -> tuple[tuple[Mail, ...], tuple[int, ...]]:
    """Hold the mails beyond the room; the mails to queue, and the held rows (by id) of a digest."""
    # Where held mails wait and there is room again, one digest tells of them and of `mails`.
    if not room.held:
        return tuple(replace(mail, held=place >= room.free) for place, mail in enumerate(mails)), ()
    rows: list[OutboxMail | Mail] = [*room.held, *mails]
    # Only what is told to be firing counts as delivered by it: an end that was held starts no cooldown.
    firing = [row for row in rows if row.message.kind is MessageKind.ALERT]
    fingerprints = dict.fromkeys(name for row in firing for name in row.fingerprints)
    together = [row.message for row in rows]
    write = render.digest_chat if Channel(rows[0].channel).chat else render.digest
    message = write(identity, together, now=now, message_id=new_id(identity))
    digest = Mail(message, tuple(fingerprints), channel=rows[0].channel)
    return (digest,), tuple(row.id for row in room.held)


def ends_to_send(
    ended: Mapping[str, Alert],
    active: Mapping[str, Alert],
    delivered: Mapping[str, Instant],
    queued: Container[str],
    now: Instant,
) -> tuple[tuple[Alert, ...], tuple[Alert, ...]]:
    """Sort the alerts that have ended: those to be mailed now, and those of which nothing need be sent."""
    # "Resolved" follows a "firing" that was delivered. While the mail about the alert is still on its way,
    # its end waits; of an alert that fires again, or of which nobody was told, nothing is sent.
    due: list[Alert] = []
    settled: list[Alert] = []
    again = {name for name, alert in active.items() if alert.phase is not Phase.PENDING}
    for name, alert in ended.items():
        if name not in again and name in queued:
            continue
        was_told = name not in again and was_delivered(alert, delivered.get(name), now)
        (due if was_told else settled).append(alert)
    return tuple(due), tuple(settled)


def was_delivered(alert: Alert, last: Instant | None, now: Instant) -> bool:
    """Return whether the last delivery was of this incident, and not of an earlier one."""
    return last is not None and alert.fired is not None and not alert.fired.follows(last, now)


def _sent_before(evaluation: Evaluation[Any, Any], due: Sequence[Alert]) -> bool:
    """Return whether a mail about all of these incidents was written before, and none is worse since."""
    again = {
        decision.alert.fingerprint
        for decision in evaluation.decisions
        if decision.send and decision.channel == Channel.EMAIL and decision.reason in AGAIN
    }
    return all(alert.thread is not None and alert.fingerprint in again for alert in due)


def threaded(alerts: Mapping[str, Alert], mails: Sequence[Mail]) -> dict[str, Alert]:
    """Set on each alert the first mail about it, which later mails answer."""
    after = dict(alerts)
    for mail in mails:
        if mail.message.kind is MessageKind.ALERT and mail.channel == Channel.EMAIL.value:
            for name in mail.fingerprints:
                if name in after and after[name].thread is None:
                    thread = (mail.message.message_id, mail.message.created)
                    after[name] = replace(after[name], thread=thread)
    return after


def late_digest(identity: MailIdentity, channel: Channel = Channel.EMAIL) -> Gather:
    """Return the function that makes one mail of several that could not be sent before."""
    write = render.digest_chat if channel.chat else render.digest
    return lambda mails, now: write(identity, mails, now=now, message_id=new_id(identity), late=True)


def new_id(identity: MailIdentity) -> str:
    """Make a Message-ID that no other mail has."""
    return f"<{secrets.token_hex(16)}.gpuwatch-tray@{identity.host}>"
