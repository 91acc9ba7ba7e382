"""
The outbox: mails that are to be sent, until they have been.

A row is `queued` (or `blocked`) until its mail is accepted, then `sent`; `held` is over the limit and waits
for a digest; `dead` was refused for good and stays until a person resends or drops it (`dropped`). A sender
leases a row first: until the lease ends, no other process touches it, and a sender that died loses nothing.
Rows with the same `digest` leave as one mail. They stay rows of their own, which share its Message-ID while
they are tried together: what may have been accepted is sent again under the same one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.store import deliveries, letters
from gpuwatch_tray.store.queued import FIRING_KINDS, OPEN

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from gpuwatch_tray.model import Instant, Message

EMAIL = Channel.EMAIL.value
AMBIGUOUS = "ambiguous"  # transport.FailureKind's name of it: the store knows no transport
DEAD_KEPT = 200


@dataclass(frozen=True, slots=True)
class Rest:
    """
    A mail that only some recipients got, for the others (`message.details.only`).

    It is due `at`, or given up where that is None. `failure` is the class of the `error`.
    """

    message: Message
    at: float | None
    error: str
    failure: str


def insert_mail(
    database: sqlite3.Connection, message: Message, fingerprints: Iterable[str], *, held: bool = False
) -> None:
    """Queue `message`, due at once, or hold it. Inside the caller's transaction, as all below."""
    database.execute(
        "INSERT INTO outbox (created, kind, subject, text, message_id, details, fingerprints, state, next_at,"
        " set_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            message.created,
            message.kind.value,
            message.subject,
            message.text,
            message.message_id,
            letters.details_to_json(message.details),
            json.dumps(list(fingerprints)),
            "held" if held else "queued",
            message.created,
            message.created,
        ),
    )


def insert_rest(database: sqlite3.Connection, rest: Rest, now: float) -> None:
    """Queue a mail for those who did not get it, without fingerprints: its alerts are notified."""
    insert_mail(database, rest.message, ())
    database.execute(
        "UPDATE outbox SET state = ?, attempts = 1, next_at = ?, set_at = ?, error = ?, failure = ?,"
        " sent_at = ? WHERE message_id = ?",
        (
            "dead" if rest.at is None else "queued",
            now if rest.at is None else rest.at,
            now,
            rest.error,
            rest.failure,
            now if rest.at is None else None,
            rest.message.message_id,
        ),
    )


def mark_sent(database: sqlite3.Connection, row_id: int, now: Instant, detail: str) -> None:
    """
    Close a row, with those of its digest, and start the cooldowns of its alerts.

    Do nothing where a damaged state was replaced meanwhile.
    """
    for number, names, kind in _same_mail(database, row_id):
        database.execute(
            "UPDATE outbox SET state = 'sent', sent_at = ?, lease_until = 0, error = ?, failure = ''"
            " WHERE id = ?",
            (now.wall, detail, number),
        )
        if kind in FIRING_KINDS:
            deliveries.record_deliveries(database, json.loads(names), EMAIL, now)


def _same_mail(database: sqlite3.Connection, row_id: int) -> list[tuple[int, str, str]]:
    """Return a row and those of its digest: number, fingerprints, kind."""
    return database.execute(
        "SELECT id, fingerprints, kind FROM outbox WHERE id = :id"
        " OR digest <> '' AND digest = (SELECT digest FROM outbox WHERE id = :id)",
        {"id": row_id},
    ).fetchall()


def delete_mails(database: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Delete rows that another mail has included."""
    database.executemany("DELETE FROM outbox WHERE id = ?", [(number,) for number in ids])


def mark_retry(
    database: sqlite3.Connection, row_id: int, at: float, error: str, *, blocked: bool, failure: str
) -> None:
    """
    Put a row back, to be sent at `at`; `blocked` where a person has to fix something first.

    End the lease; `set_at` stays the time of the lease. A digest that may have been accepted is sent again as
    it was; any other is put together anew.
    """
    state = "blocked" if blocked else "queued"
    database.executemany(
        "UPDATE outbox SET state = CASE state WHEN 'held' THEN state ELSE ? END, attempts = attempts + 1,"
        " next_at = ?, lease_until = 0, error = ?, failure = ?,"
        " digest = CASE WHEN ? THEN digest ELSE '' END WHERE id = ?",
        [
            (state, at, error, failure, failure == AMBIGUOUS, number)
            for number, _, _ in _same_mail(database, row_id)
        ],
    )


def mark_dead(database: sqlite3.Connection, row_id: int, at: float, error: str, failure: str) -> None:
    """Give a row up, as it was refused for good: it stays for a person to look at."""
    database.executemany(
        "UPDATE outbox SET state = 'dead', attempts = attempts + 1, sent_at = ?, lease_until = 0, error = ?,"
        " failure = ?, digest = '' WHERE id = ?",
        [(at, error, failure, number) for number, _, _ in _same_mail(database, row_id)],
    )


def make_due(database: sqlite3.Connection, ids: Iterable[int], now: float) -> int:
    """Make these rows due now, dead ones too, unless leased; return how many."""
    return database.executemany(
        "UPDATE outbox SET state = 'queued', next_at = :now, set_at = :now, sent_at = NULL, attempts = 0"
        " WHERE id = :id AND state IN ('queued', 'blocked', 'dead') AND lease_until <= :now",
        [{"id": number, "now": now} for number in ids],
    ).rowcount


def drop_mails(database: sqlite3.Connection, ids: Iterable[int], now: float) -> int:
    """Never send these rows, unless leased; return how many."""
    return database.executemany(
        "UPDATE outbox SET state = 'dropped', sent_at = :now"
        " WHERE id = :id AND state IN ('queued', 'blocked', 'held', 'dead') AND lease_until <= :now",
        [{"id": number, "now": now} for number in ids],
    ).rowcount


def make_all_due(database: sqlite3.Connection, now: float) -> None:
    """Make every waiting row that is not leased due now."""
    database.execute(
        f"UPDATE outbox SET next_at = :now, set_at = :now WHERE {OPEN} AND lease_until <= :now",
        {"now": now},
    )


def prune_outbox(database: sqlite3.Connection, before: float) -> None:
    """
    Delete mails that were sent or dropped `before` this time.

    Of the dead ones keep the latest `DEAD_KEPT`, by number, as a clock may be wrong: a mistyped address must
    not fill the disk.
    """
    database.execute("DELETE FROM outbox WHERE state IN ('sent', 'dropped') AND sent_at < ?", (before,))
    database.execute(
        "DELETE FROM outbox WHERE state = 'dead' AND id <="
        " (SELECT id FROM outbox WHERE state = 'dead' ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (DEAD_KEPT,),
    )
