"""
The lease of what is due on a channel, and the one mail that a stale backlog leaves as.

A function of a database, inside the caller's transaction, as those in `outbox`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from gpuwatch_tray.model import MessageKind, Severity
from gpuwatch_tray.model.units import HOUR
from gpuwatch_tray.store.outbox import (
    AMBIGUOUS,
    CLOCK_TOLERANCE,
    EMAIL,
    FREE_AT,
    ON_ITS_WAY,
    OPEN,
    TRANSIENT,
    OutboxMail,
    all_silenced,
    read_mails,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

    from gpuwatch_tray.model import Message


Gather: TypeAlias = "Callable[[Sequence[Message], float], Message]"
STALE_SECONDS = HOUR  # seconds after which a mail is history rather than news
STALE_MAILS = 2  # stale mails from which on they leave as one


def lease_mails(
    database: sqlite3.Connection,
    now: float,
    seconds: float,
    silenced: Callable[[str], bool] = lambda _: False,
    gather: Gather | None = None,
    channel: str = EMAIL,
) -> tuple[OutboxMail, ...]:
    """Lease what is due on the channel for `seconds`, the most urgent first."""
    # A mail all of whose alerts (by fingerprint) are `silenced` waits. Once several have waited for over an
    # hour, all that waits, held or not due yet, leaves as the one mail that `gather` makes of it: only
    # critical news goes by itself.
    at = {"now": now, "apart": CLOCK_TOLERANCE, "channel": channel}

    def read(where: str) -> list[OutboxMail]:
        mails = read_mails(database, f"({where}) AND channel = :channel", dict(at))
        return [mail for mail in mails if not all_silenced(mail.fingerprints, silenced)]

    due = read(f"{OPEN} AND {FREE_AT} <= :now")
    names = dict.fromkeys(mail.digest for mail in due if mail.digest)
    # Whatever fails next: an attempt before may have been accepted (see `outbox.mark_retry`).
    tried_before = [(AMBIGUOUS, name) for name in names]
    database.executemany("UPDATE outbox SET failure = ? WHERE digest = ?", tried_before)
    if not due or gather is None:
        return _set_lease(database, due, now, seconds)
    tried = [read_mails(database, f"digest = :name AND {ON_ITS_WAY}", {"name": name}) for name in names]
    # Made again under the same Message-ID: nobody knows whether it was accepted.
    digests = [_digest_row(group, gather, now, group[0].digest) for group in tried]
    # Not only those due: a mail is sent now in any case.
    free = "(lease_until <= :now OR set_at > :now + :apart)"
    urgent, backlog = _split_backlog(read(f"({OPEN} AND {free} OR state = 'held') AND digest = ''"), now)
    alone = [mail for mail in due if not mail.digest]
    if backlog:
        alone = [*urgent, *(mail for mail in alone if mail.message.details.only)]
        # One over the limit leaves by itself now: no digest of what is held may tell of it as well.
        released = [(mail.id,) for mail in urgent if mail.state == "held"]
        database.executemany("UPDATE outbox SET state = 'queued' WHERE id = ?", released)
        digest = _digest_row(backlog, gather, now)
        _begin_digest(database, backlog, digest.message.message_id)
        digests.append(digest)
    _set_lease(database, [*(mail for group in tried for mail in group), *alone, *backlog], now, seconds)
    return (*alone, *digests)


def _split_backlog(loose: Iterable[OutboxMail], now: float) -> tuple[list[OutboxMail], list[OutboxMail]]:
    """Return the urgent ones and the stale backlog of mails in no digest; no mail where nothing is stale."""
    # What only some recipients have got is in neither: a digest would go to all once more.
    whole = [mail for mail in loose if not mail.message.details.only]
    stale = [mail for mail in whole if mail.state != "held" and now - mail.message.created >= STALE_SECONDS]
    if len(stale) < STALE_MAILS:
        return [], []
    urgent = [mail for mail in whole if _is_urgent(mail, now)]
    return urgent, [mail for mail in whole if mail not in urgent]


def _begin_digest(database: sqlite3.Connection, rows: Iterable[OutboxMail], name: str) -> None:
    """Give the rows their digest, by its Message-ID, of which nothing was accepted yet."""
    # What was tried of them before were other mails.
    database.executemany(
        "UPDATE outbox SET digest = ?, failure = CASE failure WHEN ? THEN ? ELSE failure END WHERE id = ?",
        [(name, AMBIGUOUS, TRANSIENT, mail.id) for mail in rows],
    )


def _set_lease(
    database: sqlite3.Connection, rows: Iterable[OutboxMail], now: float, seconds: float
) -> tuple[OutboxMail, ...]:
    leased = tuple(rows)
    leases = [(now + seconds, now, row.id) for row in leased]
    database.executemany("UPDATE outbox SET lease_until = ?, set_at = ? WHERE id = ?", leases)
    return leased


def _is_urgent(mail: OutboxMail, now: float) -> bool:
    message = mail.message
    critical = message.kind is MessageKind.ALERT and message.details.severity is Severity.CRITICAL
    return critical and now - message.created < STALE_SECONDS


def _digest_row(rows: list[OutboxMail], gather: Gather, now: float, message_id: str = "") -> OutboxMail:
    """Return a row for the digest: what happens to the first row happens to all of them."""
    digest = gather([row.message for row in rows], now)
    digest = replace(digest, message_id=message_id or digest.message_id)
    fingerprints = dict.fromkeys(fingerprint for row in rows for fingerprint in row.fingerprints)
    most = max(row.attempts for row in rows)
    return replace(rows[0], message=digest, fingerprints=tuple(fingerprints), attempts=most)
