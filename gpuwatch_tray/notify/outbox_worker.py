"""
The outbox worker: sends the mails that are due, and decides when those that failed are tried again.

A mail leaves only with a receipt: a crash can send it twice, with the same Message-ID, but never lose it.
"""

from __future__ import annotations

import logging
import random
import time
import traceback
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from gpuwatch_tray.i18n import _
from gpuwatch_tray.model.units import HOUR
from gpuwatch_tray.notify.transport import FailureKind, Receipt, Sender, TransportError
from gpuwatch_tray.store import EMAIL, Gather, RemainingMail, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gpuwatch_tray.model import Attachment, Message
    from gpuwatch_tray.store import OutboxMail, Store
    from gpuwatch_tray.store.outbox_pipe import PipedOutbox


log = logging.getLogger(__name__)

LEASE = 180.0  # seconds for which no other process sends the mails of this run
# Seconds into the lease after which no mail is started: one takes 60 s at most, twice that with a picture.
LAST_START = 50.0
RECORD_RETRY = 1.0  # seconds between attempts to record a mail as sent
RECORD_MARGIN = 10.0  # seconds before the end of the lease at which those attempts end
JITTER = 0.25  # of a delay, added at random, so that machines do not retry at the same moment
MOST_DOUBLINGS = 20


class RetryPolicy(Struct, frozen=True):
    """The delay after the nth failure: `first` * 2^n seconds, never more than `most`."""

    first: float
    most: float
    blocked: bool = False  # a person has to correct something; the mail is retried all the same

    def delay(self, attempts: int, chance: float) -> float:
        """Return the seconds to wait after `attempts` earlier failures; `chance` in [0, 1) spreads them."""
        seconds: float = self.first * 2 ** min(attempts, MOST_DOUBLINGS) * (1 + JITTER * chance)
        return min(seconds, self.most)


RETRY_POLICIES = {
    FailureKind.TRANSIENT: RetryPolicy(30, HOUR),
    FailureKind.AMBIGUOUS: RetryPolicy(30, HOUR),
    FailureKind.QUOTA: RetryPolicy(HOUR, 24 * HOUR),
    # Slower: a wrong password tried every minute locks the account.
    FailureKind.CONFIGURATION: RetryPolicy(HOUR / 4, 4 * HOUR, blocked=True),
    FailureKind.SIGN_IN: RetryPolicy(HOUR / 4, 4 * HOUR, blocked=True),
}
# The mail itself or its address is refused: no retry, a person has to decide.
PERMANENT_FAILURES = frozenset({FailureKind.MESSAGE, FailureKind.RECIPIENT})


Outbox: TypeAlias = "Store | PipedOutbox"


class SentMail(Struct, frozen=True):
    """A mail that was accepted."""

    id: int
    receipt: Receipt


class FailedMail(Struct, frozen=True):
    """A mail that was not sent, and when it is tried again (wall time); None once given up."""

    id: int
    kind: FailureKind
    error: str
    at: float | None


class DeliveryReport(Struct, frozen=True):
    """The result of one run. `left` mails were due and not started; they are due again after the lease."""

    sent: tuple[SentMail, ...] = ()
    failures: tuple[FailedMail, ...] = ()
    left: int = 0


def no_picture(_message: Message) -> bytes:
    """Return no picture, where none can be drawn."""
    return b""


def no_attachments(_message: Message) -> tuple[Attachment, ...]:
    """Return no files."""
    return ()


def deliver_due(
    store: Outbox,
    transport_for: Callable[[], Sender],
    clock: Callable[[], float],
    *,
    lease: float = LEASE,
    last_start: float = LAST_START,
    chance: Callable[[], float] = random.random,
    gather: Gather | None = None,
    draw: Callable[[Message], bytes] = no_picture,
    attach: Callable[[Message], tuple[Attachment, ...]] = no_attachments,
    channel: str = EMAIL,
    policies: Mapping[FailureKind, RetryPolicy] = RETRY_POLICIES,
) -> DeliveryReport:
    """
    Send each mail that is due on the channel once; call `transport_for` only where there is one.

    `gather` makes one mail of a stale backlog, `draw` the picture of a mail, empty where there is none,
    `attach` the files that go with it; `policies` say when one that failed is tried again.
    Once the transport itself has failed (no connection, wrong password), put the rest back untried.
    """
    start = clock()
    due = store.lease_due(start, lease, gather, channel=channel)
    sent: list[SentMail] = []
    failures: list[FailedMail] = []
    transport: Sender | None = None
    broken: TransportError | None = None
    for done, mail in enumerate(due):
        error = broken
        if error is None:
            if clock() - start > last_start:
                return DeliveryReport(tuple(sent), tuple(failures), len(due) - done)
            try:
                transport = transport or transport_for()
                receipt = send_with_files(transport, mail.message, draw, attach)
            except TransportError as failed:
                error = failed
                broken = failed if failed.for_all else None
            except Exception as fault:  # noqa: BLE001  # no bug may lose a mail
                error = _internal_error(fault)
            else:
                rest = _for_missed(mail, receipt, clock(), chance())
                _record_sent(store, mail, receipt, rest, clock, start + lease - RECORD_MARGIN)
                log.info("mail %d sent by %s: %s", mail.id, receipt.transport, receipt.answer)
                sent.append(SentMail(mail.id, receipt))
                continue
        failures.append(_record_failure(store, mail, error, clock(), chance(), policies))
    return DeliveryReport(tuple(sent), tuple(failures))


def send_with_files(
    transport: Sender,
    message: Message,
    draw: Callable[[Message], bytes] = no_picture,
    attach: Callable[[Message], tuple[Attachment, ...]] = no_attachments,
) -> Receipt:
    """Send with picture and files; where the server refuses that as too big, once more without."""
    try:
        whole = replace(message, picture=draw(message), attachments=attach(message))
    except Exception:  # the mail goes without them
        log.exception("what goes with a mail cannot be made")
        whole = message
    try:
        return transport.send(whole)
    except TransportError as error:
        if error.kind is not FailureKind.MESSAGE or whole == message:
            raise
        log.info("mail not taken (%s): once more without its picture and files", error)
    return transport.send(message)


def _for_missed(mail: OutboxMail, receipt: Receipt, now: float, chance: float) -> tuple[RemainingMail, ...]:
    """Return the mail once more for each group of recipients who were refused while others got it."""
    rest = []
    for number, missed in enumerate(receipt.missed, mail.id):
        message, error = mail.message, missed.error
        details = replace(message.details, only=missed.recipients)
        # It becomes a mail of its own, which needs its own Message-ID.
        message_id = f"{message.message_id.rstrip('>').replace('@', f'.{number}@', 1)}>"
        policy = RETRY_POLICIES.get(error.kind)
        at = None if policy is None else now + policy.delay(0, chance)
        log.warning("mail %d was not taken for all: %s", mail.id, error)
        message = replace(message, details=details, message_id=message_id)
        rest.append(RemainingMail(message, at, str(error), error.kind.value))
    return tuple(rest)


def _record_sent(
    store: Outbox,
    mail: OutboxMail,
    receipt: Receipt,
    rest: Sequence[RemainingMail],
    clock: Callable[[], float],
    until: float,
) -> None:
    """Record that the mail was sent, retrying until `until`: unrecorded, it would be sent again."""
    while True:
        try:
            store.mark_sent(mail.id, clock(), f"{receipt.transport}: {receipt.answer}", rest)
        except StoreError as error:
            if clock() >= until:
                raise
            log.warning("mail %d is sent, but that cannot be recorded yet: %s", mail.id, error)
            time.sleep(RECORD_RETRY)
        else:
            return


def _record_failure(
    store: Outbox,
    mail: OutboxMail,
    error: TransportError,
    now: float,
    chance: float,
    policies: Mapping[FailureKind, RetryPolicy],
) -> FailedMail:
    """Put the mail back for its next attempt, or give it up; unrecorded, it is due when the lease ends."""
    at = None
    try:
        if error.kind in PERMANENT_FAILURES:
            log.warning("mail %d given up (%s): %s", mail.id, error.kind.value, error)
            store.mark_dead(mail.id, now, str(error), failure=error.kind.value)
        else:
            policy = policies[error.kind]
            delay = max(policy.delay(mail.attempts, chance), min(error.wait or 0.0, 24 * HOUR))
            at = now + delay
            log.info("mail %d not sent (%s), again in %.0f s: %s", mail.id, error.kind.value, delay, error)
            store.mark_retry(mail.id, at, str(error), blocked=policy.blocked, failure=error.kind.value)
    except StoreError as fault:
        log.warning("mail %d is not sent, and that cannot be recorded: %s", mail.id, fault)
    return FailedMail(mail.id, error.kind, str(error), at)


def _internal_error(fault: Exception) -> TransportError:
    """Return the error for a bug, by its type and place only: its text might hold a secret."""
    frames = traceback.extract_tb(fault.__traceback__)
    name = type(fault).__name__
    log.error("%s while sending a mail:\n%s", name, "".join(traceback.format_list(frames)).rstrip())
    if frames:
        last = frames[-1]
        name = _("{fault} at {place}, line {line}").format(fault=name, place=last.name, line=last.lineno)
    return TransportError(
        FailureKind.TRANSIENT,
        _("internal error while sending: {fault}").format(fault=name),
        _("the log has the details"),
    )
