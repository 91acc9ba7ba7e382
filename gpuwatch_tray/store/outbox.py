"""
The outbox: mails that are to be sent, until they have been.

A row is `queued` (or `blocked`) until its mail has been accepted, then `sent`; `held` is one over the cap,
which a digest will take up; `dead` is one that was refused for good, which stays until a person has it sent
again or drops it (`dropped`). Who sends a row leases it first: until the lease ends, no other process touches
it, and a sender that died loses nothing. Rows with the same `digest` leave as one mail: see `backlog`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.model import Instant, Message, MessageKind
from gpuwatch_tray.store import letters
from gpuwatch_tray.store.values import understood

if TYPE_CHECKING:
    import sqlite3  # noqa: TID251  # the store is the one importer
    from collections.abc import Callable, Collection, Iterable

EMAIL = Channel.EMAIL.value
AMBIGUOUS = "ambiguous"  # transport.FailureKind's name of it: the store knows no transport
DEAD_KEPT = 200
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


@dataclass(frozen=True, slots=True)
class Rest:
    """
    A mail that some of its recipients have got, for the others (`message.details.only`).

    It is due `at`, or given up where that is None. `failure` is the class of the `error`.
    """

    message: Message
    at: float | None
    error: str
    failure: str


def add(
    database: sqlite3.Connection, message: Message, fingerprints: Iterable[str], *, held: bool = False
) -> None:
    """Queue `message`, due at once, or hold it for a digest. Inside the caller's transaction."""
    database.execute(
        "INSERT INTO outbox (created, kind, subject, text, message_id, details, fingerprints, state, next_at,"
        " set_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            message.created,
            message.kind.value,
            message.subject,
            message.text,
            message.message_id,
            letters.packed(message.details),
            json.dumps(list(fingerprints)),
            "held" if held else "queued",
            message.created,
            message.created,
        ),
    )


def add_rest(database: sqlite3.Connection, rest: Rest, now: float) -> None:
    """Keep a mail for those who did not get it; its alerts are told. Inside the caller's transaction."""
    add(database, rest.message, ())
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


def queued_fingerprints(database: sqlite3.Connection) -> dict[str, float]:
    """The fingerprints of which a mail is on its way that says that they fire, and when it was written."""
    rows = database.execute(
        f"SELECT fingerprints, created FROM outbox WHERE {ON_ITS_WAY} AND kind IN (?, ?) ORDER BY id",  # noqa: S608
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


def sent(database: sqlite3.Connection, row_id: int, now: Instant, detail: str) -> None:
    """
    Close a row, with those of its digest, and start the cooldowns of its alerts.

    Inside the caller's transaction. Nothing is found where a damaged state was set aside meanwhile.
    """
    for number, names, kind in _same_mail(database, row_id):
        database.execute(
            "UPDATE outbox SET state = 'sent', sent_at = ?, lease_until = 0, error = ?, failure = ''"
            " WHERE id = ?",
            (now.wall, detail, number),
        )
        if kind in TELLS:
            record_delivery(database, json.loads(names), EMAIL, now)


def _same_mail(database: sqlite3.Connection, row_id: int) -> list[tuple[int, str, str]]:
    """A row and those that leave in one mail with it: number, fingerprints, kind."""
    return database.execute(
        "SELECT id, fingerprints, kind FROM outbox WHERE id = :id"
        " OR digest <> '' AND digest = (SELECT digest FROM outbox WHERE id = :id)",
        {"id": row_id},
    ).fetchall()


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
    return read(database, "TRUE", {})


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
    """How many mails were queued within the last `seconds`: no tests, no held ones, a digest as one."""
    (count,) = database.execute(
        "SELECT count(DISTINCT CASE digest WHEN '' THEN message_id ELSE digest END) FROM outbox"  # noqa: S608
        f" WHERE kind IN ({', '.join('?' * len(CAPPED))}) AND state <> 'held'"
        " AND created > ? - ? AND created <= ? + ?",
        (*CAPPED, now, seconds, now, APART),
    ).fetchone()
    return int(count)


def held(database: sqlite3.Connection) -> tuple[Queued, ...]:
    """The mails over the cap, oldest first, but for those that leave with a backlog."""
    return tuple(read(database, "state = 'held' AND digest = ''", {}))


def remove(database: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Take rows out that another mail has taken up. Inside the caller's transaction."""
    database.executemany("DELETE FROM outbox WHERE id = ?", [(number,) for number in ids])


def retry(
    database: sqlite3.Connection, row_id: int, at: float, error: str, *, blocked: bool, failure: str
) -> None:
    """
    Put a row back, to be sent at `at`; `blocked` says that a person has to mend something first.

    The lease, which was set just now, gives way; `set_at` stays the time of the lease. A digest that may
    have been accepted is sent again as it was; any other is put together anew.
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


def die(database: sqlite3.Connection, row_id: int, at: float, error: str, failure: str) -> None:
    """Give a row up, as it was refused for good: it stays for a person to look at."""
    database.executemany(
        "UPDATE outbox SET state = 'dead', attempts = attempts + 1, sent_at = ?, lease_until = 0, error = ?,"
        " failure = ?, digest = '' WHERE id = ?",
        [(at, error, failure, number) for number, _, _ in _same_mail(database, row_id)],
    )


def queue(database: sqlite3.Connection) -> tuple[Queued, ...]:
    """All that is neither sent nor dropped, oldest first."""
    return tuple(read(database, "state NOT IN ('sent', 'dropped')", {}))


def revive(database: sqlite3.Connection, ids: Iterable[int], now: float) -> int:
    """Make these rows due now, dead ones too; how many that were. One that is being sent stays as it is."""
    return database.executemany(
        "UPDATE outbox SET state = 'queued', next_at = :now, set_at = :now, sent_at = NULL, attempts = 0"
        " WHERE id = :id AND state IN ('queued', 'blocked', 'dead') AND lease_until <= :now",
        [{"id": number, "now": now} for number in ids],
    ).rowcount


def drop(database: sqlite3.Connection, ids: Iterable[int], now: float) -> int:
    """Never send these rows; how many that were. One that is being sent stays as it is."""
    return database.executemany(
        "UPDATE outbox SET state = 'dropped', sent_at = :now"
        " WHERE id = :id AND state IN ('queued', 'blocked', 'held', 'dead') AND lease_until <= :now",
        [{"id": number, "now": now} for number in ids],
    ).rowcount


def wake(database: sqlite3.Connection, now: float) -> None:
    """Make every row that nobody holds due now: what kept them back has been mended."""
    database.execute(
        f"UPDATE outbox SET next_at = :now, set_at = :now WHERE {OPEN} AND lease_until <= :now",  # noqa: S608
        {"now": now},
    )


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
        f"SELECT created, {FREE_AT}, fingerprints FROM outbox WHERE {OPEN}",  # noqa: S608
        {"now": now, "apart": APART},
    ).fetchall()
    oldest = min((created for created, _, _ in rows), default=None)
    with understood():
        next_at = min((at for _, at, names in rows if not quiet(json.loads(names), silenced)), default=None)
    row = database.execute(
        f"SELECT error, failure FROM outbox WHERE {OPEN} AND error <> '' ORDER BY id DESC LIMIT 1"  # noqa: S608
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


def prune(database: sqlite3.Connection, before: float) -> None:
    """
    Forget mails that were sent `before`, and deliveries of alerts that are over. Inside a transaction.

    Of the dead ones the latest `DEAD_KEPT` stay, by number, as a clock may be wrong: a mistyped address must
    not fill the disk.
    """
    database.execute("DELETE FROM outbox WHERE state IN ('sent', 'dropped') AND sent_at < ?", (before,))
    database.execute(
        "DELETE FROM outbox WHERE state = 'dead' AND id <="
        " (SELECT id FROM outbox WHERE state = 'dead' ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (DEAD_KEPT,),
    )
    database.execute(
        "DELETE FROM deliveries WHERE at < ? AND fingerprint NOT IN"
        " (SELECT fingerprint FROM incidents WHERE phase <> 'resolved')",
        (before,),
    )


def read(database: sqlite3.Connection, where: str, values: dict[str, object]) -> list[Queued]:
    """The rows for which the condition `where` holds, oldest first."""
    rows = database.execute(f"SELECT {COLUMNS} FROM outbox WHERE {where} ORDER BY id", values)  # noqa: S608
    return [_queued(row) for row in rows.fetchall()]


def _queued(row: tuple[Any, ...]) -> Queued:
    row_id, created, kind, subject, text, message_id, details, names, *rest = row
    with understood():
        message = Message(
            subject, text, created, message_id, MessageKind(kind), details=letters.unpacked(details)
        )
        return Queued(row_id, message, tuple(json.loads(names)), *rest)
