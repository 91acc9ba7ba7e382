"""What is sent next: the mails that are due, and a stale backlog as one digest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from gpuwatch_tray.model import Message, MessageKind, Severity
from gpuwatch_tray.store import queued
from gpuwatch_tray.units import HOUR

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

    from gpuwatch_tray.store.queued import OutboxMail

Gather: TypeAlias = "Callable[[Sequence[Message], float], Message]"
STALE_SECONDS = HOUR  # seconds after which a mail is history rather than news
STALE_MAILS = 2  # stale mails from which on they leave as one


def lease_mails(
    database: sqlite3.Connection,
    now: float,
    seconds: float,
    silenced: Callable[[str], bool] = lambda _: False,
    gather: Gather | None = None,
) -> tuple[OutboxMail, ...]:
    """
    Lease what is due for `seconds`, the most urgent first. Inside the caller's transaction.

    A mail all of whose alerts (by fingerprint) are `silenced` waits. Once several have waited for over an
    hour, all that waits, held or not due yet, leaves as the one mail that `gather` makes of it: only critical
    news goes by itself.
    """
    at = {"now": now, "apart": queued.CLOCK_TOLERANCE}

    def read(where: str) -> list[OutboxMail]:
        found = queued.read_mails(database, where, dict(at))
        return [mail for mail in found if not queued.all_silenced(mail.fingerprints, silenced)]

    due = read(f"{queued.OPEN} AND {queued.FREE_AT} <= :now")
    if not due or gather is None:
        return _set_lease(database, due, now, seconds)
    tried = [
        queued.read_mails(database, f"digest = :name AND {queued.ON_ITS_WAY}", {"name": name})
        for name in dict.fromkeys(mail.digest for mail in due if mail.digest)
    ]
    digests = [_repeat_digest(group, gather, now) for group in tried]
    alone = [mail for mail in due if not mail.digest]
    rest = [mail for mail in alone if mail.message.details.only]  # a digest would go to all once more
    together: list[OutboxMail] = []
    # Not only those due: a mail is sent now in any case.
    free = "(lease_until <= :now OR set_at > :now + :apart)"
    loose = read(f"({queued.OPEN} AND {free} OR state = 'held') AND digest = ''")
    loose = [mail for mail in loose if not mail.message.details.only]
    if (
        sum(now - mail.message.created >= STALE_SECONDS for mail in loose if mail.state != "held")
        >= STALE_MAILS
    ):
        urgent = [mail for mail in loose if _is_urgent(mail, now)]
        together = [mail for mail in loose if mail not in urgent]
        alone = [*urgent, *rest]
    if together:
        digests.append(_gather_digest(database, together, gather, now))
    _set_lease(database, [*(mail for group in tried for mail in group), *alone, *together], now, seconds)
    return (*alone, *digests)


def _set_lease(
    database: sqlite3.Connection, rows: Iterable[OutboxMail], now: float, seconds: float
) -> tuple[OutboxMail, ...]:
    taken = tuple(rows)
    leases = [(now + seconds, now, row.id) for row in taken]
    database.executemany("UPDATE outbox SET lease_until = ?, set_at = ? WHERE id = ?", leases)
    return taken


def _is_urgent(mail: OutboxMail, now: float) -> bool:
    message = mail.message
    critical = message.kind is MessageKind.ALERT and message.details.severity is Severity.CRITICAL
    return critical and now - message.created < STALE_SECONDS


def _gather_digest(
    database: sqlite3.Connection, rows: list[OutboxMail], gather: Gather, now: float
) -> OutboxMail:
    made = gather([row.message for row in rows], now)
    names = [(made.message_id, row.id) for row in rows]
    database.executemany("UPDATE outbox SET digest = ? WHERE id = ?", names)
    return _digest_row(rows, made)


def _repeat_digest(rows: list[OutboxMail], gather: Gather, now: float) -> OutboxMail:
    """Make the digest again that these rows were tried in: nobody knows whether it was accepted."""
    made = gather([row.message for row in rows], now)
    return _digest_row(rows, replace(made, message_id=rows[0].digest))


def _digest_row(rows: list[OutboxMail], made: Message) -> OutboxMail:
    """Return a row for the digest: what happens to the first row happens to all of them."""
    names = dict.fromkeys(name for row in rows for name in row.fingerprints)
    most = max(row.attempts for row in rows)
    return replace(rows[0], message=made, fingerprints=tuple(names), attempts=most)
