"""The rows of the outbox, read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.model import Message, MessageKind
from gpuwatch_tray.store import letters
from gpuwatch_tray.store.values import checked_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection

# Seconds by which the clocks of two processes may seem to differ, the wait for a lock included.
CLOCK_TOLERANCE = 60.0
# When a row may be taken. Times that were set later than now come from before the clock was set back: such a
# row is free, as nobody knows how long it would have to wait.
OPEN = "state IN ('queued', 'blocked')"
ON_ITS_WAY = "state IN ('queued', 'blocked', 'held')"
FREE_AT = "CASE WHEN set_at > :now + :apart THEN 0 ELSE max(next_at, lease_until) END"
COUNTED_KINDS = tuple(kind.value for kind in MessageKind if kind is not MessageKind.TEST)
FIRING_KINDS = {MessageKind.ALERT.value, MessageKind.DIGEST.value}  # about alerts that fire
COLUMNS = (
    "id, created, kind, subject, text, message_id, details, fingerprints, attempts, next_at, error, failure,"
    " state, digest"
)


@dataclass(frozen=True, slots=True)
class OutboxMail:
    """
    One mail of the outbox, with the fingerprints of its alerts.

    `failure` is the class of its last `error` (transport.FailureKind); `digest` the Message-ID of the mail in
    which it was last tried together with others.
    """

    id: int
    message: Message
    fingerprints: tuple[str, ...] = ()
    attempts: int = 0
    next_at: float = 0.0
    error: str = ""
    failure: str = ""
    state: str = "queued"
    digest: str = ""


@dataclass(frozen=True, slots=True)
class OutboxSummary:
    """
    What waits in the outbox: how many mails, the oldest, the time of the next attempt, and the last error.

    `failure` is that error's class (transport.FailureKind). `held` mails wait for a digest; `dead` ones were
    refused for good, the last of them for `dead_error`.
    """

    count: int = 0
    oldest: float | None = None
    next_at: float | None = None
    error: str = ""
    failure: str = ""
    held: int = 0
    dead: int = 0
    dead_error: str = ""


def queued_fingerprints(database: sqlite3.Connection) -> dict[str, float]:
    """Return the fingerprints that a mail on its way reports as firing, and when it was written."""
    rows = database.execute(
        f"SELECT fingerprints, created FROM outbox WHERE {ON_ITS_WAY} AND kind IN (?, ?) ORDER BY id",
        sorted(FIRING_KINDS),
    )
    with checked_rows():
        return {name: created for names, created in rows for name in json.loads(names)}


def given_up_fingerprints(database: sqlite3.Connection) -> dict[str, float]:
    """Return the fingerprints of which a mail was refused for good or dropped, and when last (wall time)."""
    rows = database.execute(
        "SELECT fingerprints, sent_at FROM outbox WHERE state IN ('dead', 'dropped') AND kind IN (?, ?)"
        " ORDER BY sent_at",
        sorted(FIRING_KINDS),
    )
    with checked_rows():
        return {name: at for names, at in rows for name in json.loads(names)}


def read_all_mails(database: sqlite3.Connection) -> list[OutboxMail]:
    """Read all rows, those of sent mails too."""
    return read_mails(database, "TRUE", {})


def count_queued_since(database: sqlite3.Connection, now: float, seconds: float) -> int:
    """Count the mails queued within the last `seconds`: no tests, no held ones, a digest as one."""
    (count,) = database.execute(
        "SELECT count(DISTINCT CASE digest WHEN '' THEN message_id ELSE digest END) FROM outbox"
        f" WHERE kind IN ({', '.join('?' * len(COUNTED_KINDS))}) AND state <> 'held'"
        " AND created > ? - ? AND created <= ? + ?",
        (*COUNTED_KINDS, now, seconds, now, CLOCK_TOLERANCE),
    ).fetchone()
    return int(count)


def read_held(database: sqlite3.Connection) -> tuple[OutboxMail, ...]:
    """Read the mails over the limit, oldest first, but for those that leave with a backlog."""
    return tuple(read_mails(database, "state = 'held' AND digest = ''", {}))


def read_queue(database: sqlite3.Connection) -> tuple[OutboxMail, ...]:
    """Read all that is neither sent nor dropped, oldest first."""
    return tuple(read_mails(database, "state NOT IN ('sent', 'dropped')", {}))


def all_silenced(names: Collection[str], silenced: Callable[[str], bool]) -> bool:
    """Return whether a mail about these fingerprints waits, as all of them are snoozed."""
    return bool(names) and all(map(silenced, names))


def read_summary(
    database: sqlite3.Connection, now: float, silenced: Callable[[str], bool] = lambda _: False
) -> OutboxSummary:
    """
    Summarise what waits. `next_at` respects leases and snoozes: nothing is due earlier.

    It is None where all that waits is snoozed.
    """
    rows = database.execute(
        f"SELECT created, {FREE_AT}, fingerprints FROM outbox WHERE {OPEN}",
        {"now": now, "apart": CLOCK_TOLERANCE},
    ).fetchall()
    oldest = min((created for created, _, _ in rows), default=None)
    with checked_rows():
        next_at = min(
            (at for _, at, names in rows if not all_silenced(json.loads(names), silenced)), default=None
        )
    row = database.execute(
        f"SELECT error, failure FROM outbox WHERE {OPEN} AND error <> '' ORDER BY id DESC LIMIT 1"
    ).fetchone()
    held, dead = database.execute(
        "SELECT coalesce(sum(state = 'held'), 0), coalesce(sum(state = 'dead'), 0) FROM outbox"
        " WHERE state IN ('held', 'dead')"
    ).fetchone()
    last = database.execute(
        "SELECT error FROM outbox WHERE state = 'dead' ORDER BY sent_at DESC, id DESC LIMIT 1"
    ).fetchone()
    error, failure = row or ("", "")
    return OutboxSummary(len(rows), oldest, next_at, error, failure, held, dead, last[0] if last else "")


def read_mails(database: sqlite3.Connection, where: str, values: dict[str, object]) -> list[OutboxMail]:
    """Read the rows that meet the SQL condition `where`, oldest first."""
    rows = database.execute(f"SELECT {COLUMNS} FROM outbox WHERE {where} ORDER BY id", values)
    return [_mail_of_row(row) for row in rows.fetchall()]


def _mail_of_row(row: tuple[Any, ...]) -> OutboxMail:
    row_id, created, kind, subject, text, message_id, details, names, *rest = row
    with checked_rows():
        message = Message(
            subject, text, created, message_id, MessageKind(kind), details=letters.details_from_json(details)
        )
        return OutboxMail(row_id, message, tuple(json.loads(names)), *rest)
