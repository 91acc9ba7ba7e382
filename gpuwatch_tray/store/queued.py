"""What is in the outbox: its rows, read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.model import Message, MessageKind
from gpuwatch_tray.store import letters
from gpuwatch_tray.store.values import understood

if TYPE_CHECKING:
    import sqlite3  # the store is the one importer
    from collections.abc import Callable, Collection

APART = 60.0  # seconds by which the clocks of two processes may seem to differ, the wait for a lock included
# When a row may be taken. Times that were set later than now come from before the clock was set back: such a
# row is free, as nobody knows how long it would have to wait.
OPEN = "state IN ('queued', 'blocked')"
ON_ITS_WAY = "state IN ('queued', 'blocked', 'held')"
FREE_AT = "CASE WHEN set_at > :now + :apart THEN 0 ELSE max(next_at, lease_until) END"
CAPPED = tuple(kind.value for kind in MessageKind if kind is not MessageKind.TEST)
TELLS = {MessageKind.ALERT.value, MessageKind.DIGEST.value}  # the kinds that say that an alert fires
COLUMNS = (
    "id, created, kind, subject, text, message_id, details, fingerprints, attempts, next_at, error, failure,"
    " state, digest"
)


@dataclass(frozen=True, slots=True)
class Queued:
    """
    One mail of the outbox, and the alerts that it tells of.

    `failure` is the class of its last `error` (transport.FailureKind); `digest` the Message-ID of the mail
    in which it was last tried together with others.
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
class Waiting:
    """
    What waits in the outbox: how many, since when, until when, and the last error.

    `failure` is that error's class, a value of transport.FailureKind. `held` mails wait for a digest; `dead`
    ones were refused for good, `dead_error` says why the last of them was.
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
    """The fingerprints of which a mail is on its way that says that they fire, and when it was written."""
    rows = database.execute(
        f"SELECT fingerprints, created FROM outbox WHERE {ON_ITS_WAY} AND kind IN (?, ?) ORDER BY id",
        sorted(TELLS),
    )
    with understood():
        return {name: created for names, created in rows for name in json.loads(names)}


def given_up(database: sqlite3.Connection) -> dict[str, float]:
    """The fingerprints of which a mail was refused for good or dropped, and when last (wall time)."""
    rows = database.execute(
        "SELECT fingerprints, sent_at FROM outbox WHERE state IN ('dead', 'dropped') AND kind IN (?, ?)"
        " ORDER BY sent_at",
        sorted(TELLS),
    )
    with understood():
        return {name: at for names, at in rows for name in json.loads(names)}


def every(database: sqlite3.Connection) -> list[Queued]:
    """All that are on file, also those that are sent."""
    return read(database, "TRUE", {})


def queued_since(database: sqlite3.Connection, now: float, seconds: float) -> int:
    """How many mails were queued within the last `seconds`: no tests, no held ones, a digest as one."""
    (count,) = database.execute(
        "SELECT count(DISTINCT CASE digest WHEN '' THEN message_id ELSE digest END) FROM outbox"
        f" WHERE kind IN ({', '.join('?' * len(CAPPED))}) AND state <> 'held'"
        " AND created > ? - ? AND created <= ? + ?",
        (*CAPPED, now, seconds, now, APART),
    ).fetchone()
    return int(count)


def held(database: sqlite3.Connection) -> tuple[Queued, ...]:
    """The mails over the cap, oldest first, but for those that leave with a backlog."""
    return tuple(read(database, "state = 'held' AND digest = ''", {}))


def queue(database: sqlite3.Connection) -> tuple[Queued, ...]:
    """All that is neither sent nor dropped, oldest first."""
    return tuple(read(database, "state NOT IN ('sent', 'dropped')", {}))


def quiet(names: Collection[str], silenced: Callable[[str], bool]) -> bool:
    """Whether a mail that tells of these alerts, by fingerprint, stays where it is while they are snoozed."""
    return bool(names) and all(map(silenced, names))


def waiting(
    database: sqlite3.Connection, now: float, silenced: Callable[[str], bool] = lambda _: False
) -> Waiting:
    """
    What waits, in a few figures. `next_at` respects leases and snoozes: nobody need look earlier.

    None where all that waits is snoozed.
    """
    rows = database.execute(
        f"SELECT created, {FREE_AT}, fingerprints FROM outbox WHERE {OPEN}",
        {"now": now, "apart": APART},
    ).fetchall()
    oldest = min((created for created, _, _ in rows), default=None)
    with understood():
        next_at = min((at for _, at, names in rows if not quiet(json.loads(names), silenced)), default=None)
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
    return Waiting(len(rows), oldest, next_at, error, failure, held, dead, last[0] if last else "")


def read(database: sqlite3.Connection, where: str, values: dict[str, object]) -> list[Queued]:
    """The rows for which the condition `where` holds, oldest first."""
    rows = database.execute(f"SELECT {COLUMNS} FROM outbox WHERE {where} ORDER BY id", values)
    return [_queued(row) for row in rows.fetchall()]


def _queued(row: tuple[Any, ...]) -> Queued:
    row_id, created, kind, subject, text, message_id, details, names, *rest = row
    with understood():
        message = Message(
            subject, text, created, message_id, MessageKind(kind), details=letters.unpacked(details)
        )
        return Queued(row_id, message, tuple(json.loads(names)), *rest)
