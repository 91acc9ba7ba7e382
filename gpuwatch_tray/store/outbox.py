"""
The outbox: mails that are to be sent, until they have been.

A row is `queued` until its mail has been accepted, then `sent`. Who sends a row leases it first: until
the lease ends, no other process touches it, and a sender that died loses nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.model import Message, MessageKind

if TYPE_CHECKING:
    import sqlite3  # noqa: TID251  # the store is the one importer
    from collections.abc import Iterable

EMAIL = Channel.EMAIL.value
APART = 60.0  # seconds by which the clocks of two processes may seem to differ, the wait for a lock included
# When a row may be taken. Times that were set later than now come from before the clock was set back: such a
# row is free, as nobody knows how long it would have to wait.
FREE_AT = "CASE WHEN set_at > :now + :apart THEN 0 ELSE max(next_at, lease_until) END"
COLUMNS = "id, created, kind, subject, text, message_id, fingerprints, attempts, next_at, error"


@dataclass(frozen=True, slots=True)
class Queued:
    """One mail of the outbox, and the alerts that it tells of."""

    id: int
    message: Message
    fingerprints: tuple[str, ...]
    attempts: int
    next_at: float
    error: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in the outbox: how many, since when, until when, and the last error."""

    count: int = 0
    oldest: float | None = None
    next_at: float | None = None
    error: str = ""


def add(database: sqlite3.Connection, message: Message, fingerprints: Iterable[str]) -> None:
    """Queue `message`, due at once. Inside the caller's transaction."""
    database.execute(
        "INSERT INTO outbox (created, kind, subject, text, message_id, fingerprints, next_at, set_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            message.created,
            message.kind.value,
            message.subject,
            message.text,
            message.message_id,
            json.dumps(list(fingerprints)),
            message.created,
            message.created,
        ),
    )


def queued_fingerprints(database: sqlite3.Connection) -> frozenset[str]:
    """The fingerprints whose mail is on its way."""
    rows = database.execute("SELECT fingerprints FROM outbox WHERE state <> 'sent'")
    return frozenset(name for (names,) in rows for name in json.loads(names))


def lease(database: sqlite3.Connection, now: float, seconds: float) -> tuple[Queued, ...]:
    """Take what is due, oldest first, for `seconds`. Inside the caller's transaction."""
    rows = database.execute(
        f"SELECT {COLUMNS} FROM outbox WHERE state <> 'sent' AND {FREE_AT} <= :now ORDER BY id",  # noqa: S608
        {"now": now, "apart": APART},
    ).fetchall()
    leases = [(now + seconds, now, row[0]) for row in rows]
    database.executemany("UPDATE outbox SET lease_until = ?, set_at = ? WHERE id = ?", leases)
    return tuple(_queued(row) for row in rows)


def sent(database: sqlite3.Connection, row_id: int, now: float, detail: str) -> None:
    """Close a row and start the cooldowns of its alerts. Inside the caller's transaction."""
    (names,) = database.execute("SELECT fingerprints FROM outbox WHERE id = ?", (row_id,)).fetchone()
    database.execute(
        "UPDATE outbox SET state = 'sent', sent_at = ?, lease_until = 0, error = ? WHERE id = ?",
        (now, detail, row_id),
    )
    record_delivery(database, json.loads(names), EMAIL, now)


def record_delivery(
    database: sqlite3.Connection, fingerprints: Iterable[str], channel: str, now: float
) -> None:
    """Start the cooldown of `fingerprints` on `channel`. Inside the caller's transaction."""
    database.executemany(
        "INSERT INTO deliveries (fingerprint, channel, at) VALUES (?, ?, ?)"
        " ON CONFLICT (fingerprint, channel) DO UPDATE SET at = excluded.at",
        [(name, channel, now) for name in fingerprints],
    )


def retry(database: sqlite3.Connection, row_id: int, at: float, error: str, *, blocked: bool) -> None:
    """
    Put a row back, to be sent at `at`; `blocked` says that a person has to mend something first.

    The lease, which was set just now, gives way; `set_at` stays the time of the lease.
    """
    database.execute(
        "UPDATE outbox SET state = ?, attempts = attempts + 1, next_at = ?, lease_until = 0, error = ?"
        " WHERE id = ?",
        ("blocked" if blocked else "queued", at, error, row_id),
    )


def wake(database: sqlite3.Connection, now: float) -> None:
    """Make every row that nobody holds due now: what kept them back has been mended."""
    database.execute(
        "UPDATE outbox SET next_at = :now, set_at = :now WHERE state <> 'sent' AND lease_until <= :now",
        {"now": now},
    )


def waiting(database: sqlite3.Connection, now: float) -> Waiting:
    """What waits, in four figures. `next_at` respects leases: nobody need look earlier."""
    count, oldest, next_at = database.execute(
        f"SELECT count(*), min(created), min({FREE_AT}) FROM outbox WHERE state <> 'sent'",  # noqa: S608
        {"now": now, "apart": APART},
    ).fetchone()
    row = database.execute(
        "SELECT error FROM outbox WHERE state <> 'sent' AND error <> '' ORDER BY id DESC LIMIT 1"
    ).fetchone()
    return Waiting(int(count), oldest, next_at, row[0] if row else "")


def _queued(row: tuple[Any, ...]) -> Queued:
    row_id, created, kind, subject, text, message_id, names, attempts, next_at, error = row
    message = Message(subject, text, created, message_id, MessageKind(kind))
    return Queued(row_id, message, tuple(json.loads(names)), attempts, next_at, error)
