"""
The outbox's runner: sends what is due, and decides what becomes of what could not be sent.

Nothing is lost before nothing is doubled: a mail leaves the outbox only when a transport has handed in a
receipt, so a crash or a lost answer can double a mail (with the same Message-ID), and never lose one.
The mail libraries are not imported here, but by the transport that is asked for when something is due.
"""

from __future__ import annotations

import logging
import random
import time
import traceback
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from gpuwatch_tray.language import _
from gpuwatch_tray.store import Gather, Rest, StoreError
from gpuwatch_tray.transport import FailureKind, Receipt, Transport, TransportError
from gpuwatch_tray.units import HOUR

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.model import Message

log = logging.getLogger(__name__)

LEASE = 180.0  # seconds for which a run keeps other processes off its mails
# Seconds into the lease after which no mail is started: one takes 60 s at most, and twice with a picture.
LAST_START = 50.0
RECORD_AGAIN = 1.0  # seconds between attempts to record a mail as sent
RECORD_MARGIN = 10.0  # seconds before the end of the lease at which that is given up
JITTER = 0.25  # of a delay, added at random, so that machines do not come back in step
MOST_DOUBLINGS = 20


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait after the nth failure: `first` * 2^n seconds, never more than `most`."""

    first: float
    most: float
    blocked: bool = False  # somebody has to mend something; it is tried all the same

    def delay(self, attempts: int, chance: float) -> float:
        """The seconds to wait after `attempts` earlier failures; `chance` in [0, 1) spreads them."""
        seconds: float = self.first * 2 ** min(attempts, MOST_DOUBLINGS) * (1 + JITTER * chance)
        return min(seconds, self.most)


PACES = {
    FailureKind.TRANSIENT: Pace(30, HOUR),
    FailureKind.AMBIGUOUS: Pace(30, HOUR),
    FailureKind.QUOTA: Pace(HOUR, 24 * HOUR),
    # Slower: a wrong password tried every minute locks the account.
    FailureKind.CONFIGURATION: Pace(HOUR / 4, 4 * HOUR, blocked=True),
    FailureKind.SIGN_IN: Pace(HOUR / 4, 4 * HOUR, blocked=True),
}
# Refused for good: the mail itself, or the address. A person has to look at it.
FOR_GOOD = frozenset({FailureKind.MESSAGE, FailureKind.RECIPIENT})


class QueuedMail(Protocol):
    """One mail of the outbox, as far as the runner looks at it."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def message(self) -> Message:
        """What to send."""

    @property
    def attempts(self) -> int:
        """How often it has failed so far."""


class OutboxPort(Protocol):
    """What the runner needs of the store."""

    def lease_due(self, now: float, lease: float, gather: Gather | None = ...) -> Sequence[QueuedMail]:
        """Take what is due; until `now + lease` nobody else gets it. `gather` makes one mail of a backlog."""

    def mark_sent(self, row_id: int, now: float, detail: str, rest: Sequence[Rest] = ...) -> None:
        """Record that it was accepted, and by whom; keep the `rest` for those who did not get it."""

    def mark_retry(
        self, row_id: int, at: float, error: str, *, blocked: bool = ..., failure: str = ...
    ) -> None:
        """Put it back, due at `at`, with one more failure, whose class is `failure`."""

    def mark_dead(self, row_id: int, at: float, error: str, *, failure: str = ...) -> None:
        """Give it up: it is kept, and not sent."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A mail that was accepted."""

    id: int
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Failure:
    """A mail that was not, why, and when it is tried again (wall time); None when it was given up."""

    id: int
    kind: FailureKind
    error: str
    at: float | None

    def __str__(self) -> str:
        return self.error


@dataclass(frozen=True, slots=True)
class Report:
    """What one run did. `left` mails were due and not reached; they are due again when the lease ends."""

    sent: tuple[Sent, ...] = ()
    failures: tuple[Failure, ...] = ()
    left: int = 0


def no_picture(_message: Message) -> bytes:
    """Where nothing can be drawn."""
    return b""


def deliver_due(
    store: OutboxPort,
    transport_for: Callable[[], Transport],
    clock: Callable[[], float],
    *,
    lease: float = LEASE,
    last_start: float = LAST_START,
    chance: Callable[[], float] = random.random,
    gather: Gather | None = None,
    draw: Callable[[Message], bytes] = no_picture,
) -> Report:
    """
    Send what the outbox holds and is due, once each; the transport is asked for only when something is.

    `gather` makes one mail of a stale backlog, `draw` the picture of a mail, empty where there is none.
    Once the way itself has failed (no connection, wrong password), the rest is put back untried.
    """
    start = clock()
    due = store.lease_due(start, lease, gather)
    sent: list[Sent] = []
    failures: list[Failure] = []
    transport: Transport | None = None
    broken: TransportError | None = None
    for done, mail in enumerate(due):
        error = broken
        if error is None:
            if clock() - start > last_start:
                return Report(tuple(sent), tuple(failures), len(due) - done)
            try:
                transport = transport or transport_for()
                receipt = send(transport, mail.message, draw)
            except TransportError as failed:
                error = failed
                broken = failed if failed.for_all else None
            except Exception as fault:  # noqa: BLE001  # the worker's outermost: no fault may lose a mail
                error = _internal(fault)
            else:
                rest = _rest(mail, receipt, clock(), chance())
                _record(store, mail, receipt, rest, clock, start + lease - RECORD_MARGIN)
                log.info("mail %d sent by %s: %s", mail.id, receipt.transport, receipt.answer)
                sent.append(Sent(mail.id, receipt))
                continue
        failures.append(_put_back(store, mail, error, clock(), chance()))
    return Report(tuple(sent), tuple(failures))


def send(transport: Transport, message: Message, draw: Callable[[Message], bytes]) -> Receipt:
    """With its picture; where that is too much for the other side, once more without."""
    try:
        message = replace(message, picture=draw(message))
    except Exception:  # a picture is worth no mail
        log.exception("the picture of a mail cannot be drawn")
    try:
        return transport.send(message)
    except TransportError as error:
        if error.kind is not FailureKind.MESSAGE or not message.picture:
            raise
        log.info("mail not taken (%s): once more without its picture", error)
    return transport.send(replace(message, picture=b""))


def _rest(mail: QueuedMail, receipt: Receipt, now: float, chance: float) -> tuple[Rest, ...]:
    """The mail once more for each group of recipients who were refused while others got it."""
    found = []
    for number, missed in enumerate(receipt.missed, mail.id):
        message, error = mail.message, missed.error
        details = replace(message.details, only=missed.recipients)
        # Another mail, for other people: its row needs an identity of its own.
        message_id = f"{message.message_id.rstrip('>').replace('@', f'.{number}@', 1)}>"
        pace = PACES.get(error.kind)
        at = None if pace is None else now + pace.delay(0, chance)
        log.warning("mail %d was not taken for all: %s", mail.id, error)
        message = replace(message, details=details, message_id=message_id)
        found.append(Rest(message, at, str(error), error.kind.value))
    return tuple(found)


def _record(
    store: OutboxPort,
    mail: QueuedMail,
    receipt: Receipt,
    rest: Sequence[Rest],
    clock: Callable[[], float],
    until: float,
) -> None:
    """Note that the mail has left, as long as the lease lasts: unrecorded, it would be sent again."""
    while True:
        try:
            store.mark_sent(mail.id, clock(), f"{receipt.transport}: {receipt.answer}", rest)
        except StoreError as error:
            if clock() >= until:
                raise
            log.warning("mail %d is sent, but that cannot be recorded yet: %s", mail.id, error)
            time.sleep(RECORD_AGAIN)
        else:
            return


def _put_back(
    store: OutboxPort, mail: QueuedMail, error: TransportError, now: float, chance: float
) -> Failure:
    if error.kind in FOR_GOOD:
        return _give_up(store, mail, error, now)
    pace = PACES[error.kind]
    delay = max(pace.delay(mail.attempts, chance), min(error.wait or 0.0, 24 * HOUR))
    try:
        store.mark_retry(mail.id, now + delay, str(error), blocked=pace.blocked, failure=error.kind.value)
    except StoreError as fault:
        # It is due again when the lease ends, and the next mail may go out.
        log.warning("mail %d is not sent, and that cannot be recorded: %s", mail.id, fault)
    log.info("mail %d not sent (%s), again in %.0f s: %s", mail.id, error.kind.value, delay, error)
    return Failure(mail.id, error.kind, str(error), now + delay)


def _give_up(store: OutboxPort, mail: QueuedMail, error: TransportError, now: float) -> Failure:
    try:
        store.mark_dead(mail.id, now, str(error), failure=error.kind.value)
    except StoreError as fault:
        log.warning("mail %d is given up, and that cannot be recorded: %s", mail.id, fault)
    log.warning("mail %d given up (%s): %s", mail.id, error.kind.value, error)
    return Failure(mail.id, error.kind, str(error), None)


def _internal(fault: Exception) -> TransportError:
    """A fault of ours, named by its type and place: its text might hold what was being sent."""
    places = traceback.extract_tb(fault.__traceback__)
    name = type(fault).__name__
    log.error("%s while sending a mail:\n%s", name, "".join(traceback.format_list(places)).rstrip())
    if places:
        last = places[-1]
        name = _("{fault} at {place}, line {line}").format(fault=name, place=last.name, line=last.lineno)
    return TransportError(
        FailureKind.TRANSIENT,
        _("internal error while sending: {fault}").format(fault=name),
        _("the log has the details"),
    )
