"""
The outbox: mails that are to be sent, until they have been.

A row is `queued` (or `blocked`) until its mail has been accepted, then `sent`; `held` is one over the cap,
which a digest will take up. Who sends a row leases it first: until the lease ends, no other process touches
it, and a sender that died loses nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.model import Instant, Message, MessageKind
from gpuwatch_tray.store.values import understood

if TYPE_CHECKING:
    import sqlite3  # noqa: TID251  # the store is the one importer
    from collections.abc import Callable, Iterable

EMAIL = Channel.EMAIL.value
APART = 60.0  # seconds by which the clocks of two processes may seem to differ, the wait for a lock included
# When a row may be taken. Times that were set later than now come from before the clock was set back: such a
# row is free, as nobody knows how long it would have to wait.
OPEN = "state NOT IN ('sent', 'held')"
FREE_AT = "CASE WHEN set_at > :now + :apart THEN 0 ELSE max(next_at, lease_until) END"
CAPPED = tuple(kind.value for kind in MessageKind if kind is not MessageKind.TEST)
TELLS = {MessageKind.ALERT.value, MessageKind.DIGEST.value}  # the kinds that say that an alert fires
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
    """
    What waits in the outbox: how many, since when, until when, and the last error.

    `failure` is that error's class, a value of transport.FailureKind.
    """

    count: int = 0
    oldest: float | None = None
    next_at: float | None = None
    error: str = ""
    failure: str = ""


def add(
    database: sqlite3.Connection, message: Message, fingerprints: Iterable[str], *, held: bool = False
) -> None:
    """Queue `message`, due at once, or hold it for a digest. Inside the caller's transaction."""
    database.execute(
        "INSERT INTO outbox (created, kind, subject, text, message_id, fingerprints, state, next_at, set_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            message.created,
            message.kind.value,
            message.subject,
            message.text,
            message.message_id,
            json.dumps(list(fingerprints)),
            "held" if held else "queued",
            message.created,
            message.created,
        ),
    )


def queued_fingerprints(database: sqlite3.Connection) -> dict[str, float]:
    """The fingerprints of which a mail is on its way that says that they fire, and when it was written."""
    rows = database.execute(
        "SELECT fingerprints, created FROM outbox WHERE state <> 'sent' AND kind IN (?, ?) ORDER BY id",
        sorted(TELLS),
    )
    with understood():
        return {name: created for names, created in rows for name in json.loads(names)}


def lease(
    database: sqlite3.Connection,
    now: float,
    seconds: float,
    silenced: Callable[[str], bool] = lambda _: False,
) -> tuple[Queued, ...]:
    """
    Take what is due, oldest first, for `seconds`. Inside the caller's transaction.

    A mail all of whose alerts (by fingerprint) are `silenced` stays where it is.
    """
    rows = database.execute(
        f"SELECT {COLUMNS} FROM outbox WHERE {OPEN} AND {FREE_AT} <= :now ORDER BY id",  # noqa: S608
        {"now": now, "apart": APART},
    ).fetchall()
    mails = [_queued(row) for row in rows]
    taken = [mail for mail in mails if not mail.fingerprints or not all(map(silenced, mail.fingerprints))]
    leases = [(now + seconds, now, mail.id) for mail in taken]
    database.executemany("UPDATE outbox SET lease_until = ?, set_at = ? WHERE id = ?", leases)
    return tuple(taken)


def sent(database: sqlite3.Connection, row_id: int, now: Instant, detail: str) -> None:
    """Close a row and start the cooldowns of its alerts. Inside the caller's transaction."""
    found = database.execute("SELECT fingerprints, kind FROM outbox WHERE id = ?", (row_id,)).fetchone()
    if found is None:
        return  # a damaged state was set aside meanwhile, and the row with it
    database.execute(
        "UPDATE outbox SET state = 'sent', sent_at = ?, lease_until = 0, error = ?, failure = ''"
        " WHERE id = ?",
        (now.wall, detail, row_id),
    )
    if found[1] in TELLS:
        record_delivery(database, json.loads(found[0]), EMAIL, now)


def record_delivery(
    database: sqlite3.Connection, fingerprints: Iterable[str], channel: str, now: Instant
) -> None:
    """Start the cooldown of `fingerprints` on `channel`. Inside the caller's transaction."""
    database.executemany(
        "INSERT OR REPLACE INTO deliveries (fingerprint, channel, at, uptime, boot) VALUES (?, ?, ?, ?, ?)",
        [(name, channel, now.wall, now.uptime, now.boot) for name in fingerprints],
    )


def every(database: sqlite3.Connection) -> list[Queued]:
    """All that are on file, also those that are sent."""
    return [_queued(row) for row in database.execute(f"SELECT {COLUMNS} FROM outbox").fetchall()]  # noqa: S608


def every_delivery(database: sqlite3.Connection) -> list[dict[str, Instant]]:
    """When each fingerprint was last told, channel by channel."""
    return [deliveries(database, channel.value) for channel in Channel]


def deliveries(database: sqlite3.Connection, channel: str) -> dict[str, Instant]:
    """When each fingerprint was last told on `channel`."""
    rows = database.execute(
        "SELECT fingerprint, at, uptime, boot FROM deliveries WHERE channel = ?", (channel,)
    )
    return {name: Instant(*at) for name, *at in rows.fetchall()}


def queued_since(database: sqlite3.Connection, now: float, seconds: float) -> int:
    """How many mails were queued within the last `seconds`, tests and held ones not counted."""
    (count,) = database.execute(
        f"SELECT count(*) FROM outbox WHERE kind IN ({', '.join('?' * len(CAPPED))}) AND state <> 'held'"  # noqa: S608
        " AND created > ? - ? AND created <= ? + ?",
        (*CAPPED, now, seconds, now, APART),
    ).fetchone()
    return int(count)


def held(database: sqlite3.Connection) -> tuple[Queued, ...]:
    """The mails over the cap, oldest first."""
    rows = database.execute(f"SELECT {COLUMNS} FROM outbox WHERE state = 'held' ORDER BY id")  # noqa: S608
    return tuple(_queued(row) for row in rows.fetchall())


def remove(database: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Take rows out that another mail has taken up. Inside the caller's transaction."""
    database.executemany("DELETE FROM outbox WHERE id = ?", [(number,) for number in ids])


def retry(
    database: sqlite3.Connection, row_id: int, at: float, error: str, *, blocked: bool, failure: str
) -> None:
    """
    Put a row back, to be sent at `at`; `blocked` says that a person has to mend something first.

    The lease, which was set just now, gives way; `set_at` stays the time of the lease.
    """
    database.execute(
        "UPDATE outbox SET state = ?, attempts = attempts + 1, next_at = ?, lease_until = 0, error = ?,"
        " failure = ? WHERE id = ?",
        ("blocked" if blocked else "queued", at, error, failure, row_id),
    )


def wake(database: sqlite3.Connection, now: float) -> None:
    """Make every row that nobody holds due now: what kept them back has been mended."""
    database.execute(
        f"UPDATE outbox SET next_at = :now, set_at = :now WHERE {OPEN} AND lease_until <= :now",  # noqa: S608
        {"now": now},
    )


def waiting(database: sqlite3.Connection, now: float) -> Waiting:
    """What waits, in five figures. `next_at` respects leases: nobody need look earlier."""
    count, oldest, next_at = database.execute(
        f"SELECT count(*), min(created), min({FREE_AT}) FROM outbox WHERE {OPEN}",  # noqa: S608
        {"now": now, "apart": APART},
    ).fetchone()
    row = database.execute(
        f"SELECT error, failure FROM outbox WHERE {OPEN} AND error <> '' ORDER BY id DESC LIMIT 1"  # noqa: S608
    ).fetchone()
    return Waiting(int(count), oldest, next_at, *(row or ("", "")))


def prune(database: sqlite3.Connection, before: float) -> None:
    """Forget mails that were sent `before`, and deliveries of alerts that are over. Inside a transaction."""
    database.execute("DELETE FROM outbox WHERE state = 'sent' AND sent_at < ?", (before,))
    database.execute(
        "DELETE FROM deliveries WHERE at < ? AND fingerprint NOT IN"
        " (SELECT fingerprint FROM incidents WHERE phase <> 'resolved')",
        (before,),
    )


def _queued(row: tuple[Any, ...]) -> Queued:
    row_id, created, kind, subject, text, message_id, names, attempts, next_at, error = row
    with understood():
        message = Message(subject, text, created, message_id, MessageKind(kind))
        return Queued(row_id, message, tuple(json.loads(names)), attempts, next_at, error)
