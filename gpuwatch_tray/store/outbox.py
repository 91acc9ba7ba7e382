"""
The outbox: mails that are to be sent, and messages to chats, until they have been.

Each channel has its own rows, and one never waits for another; a row below is called a mail, whatever its
channel.

A row is `queued` (or `blocked`) until its mail is accepted, then `sent`; `held` is over the limit and waits
for a digest; `dead` was refused for good, and stays until a person resends it or drops it (`dropped`). A
sender leases a row first, so that no other touches it. Rows with the same `digest` leave as one mail.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct
from msgspec.structs import asdict

from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.model import MailDetails, Message, MessageKind, Severity
from gpuwatch_tray.model.units import DAY
from gpuwatch_tray.store import incidents
from gpuwatch_tray.store.tables import checked_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable

    from gpuwatch_tray.model import Instant


def details_to_json(details: MailDetails) -> str:
    """Return the details as JSON without defaults; ASCII, as a process name may hold what UTF-8 cannot."""
    usual = asdict(MailDetails())
    return json.dumps({key: value for key, value in asdict(details).items() if value != usual[key]})


def details_from_json(text: str) -> MailDetails:
    """Parse the details. Raises UnreadableRowError."""
    with checked_rows():
        known = set(MailDetails.__struct_fields__)  # a newer version may have written more
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in json.loads(text).items()
            if name in known
        }
        severity = values.pop("severity", None)
        return MailDetails(severity=None if severity is None else Severity(severity), **values)


# Seconds by which the clocks of two processes may seem to differ, the wait for a lock included.
CLOCK_TOLERANCE = 60.0
# When a row may be taken. Times that were set later than now come from before the clock was set back: such a
# row is free, as nobody knows how long it would have to wait.
OPEN = "state IN ('queued', 'blocked')"
ON_ITS_WAY = "state IN ('queued', 'blocked', 'held')"
FREE_AT = "CASE WHEN set_at > :now + :apart THEN 0 ELSE max(next_at, lease_until) END"
COUNTED_KINDS = tuple(kind.value for kind in MessageKind if kind is not MessageKind.TEST)
FIRING_KINDS = {MessageKind.ALERT.value, MessageKind.DIGEST.value}  # about alerts that fire
EMAIL = Channel.EMAIL.value
CHAT_TRIED = DAY  # seconds for which a message to a chat is tried again: after that it is no news any more
# And how often at the least, which takes some 8 minutes: a computer that was asleep for the weekend, or whose
# clock was set, is not yet on the network when it tries first.
CHAT_ATTEMPTS = 5
COLUMNS = (
    "id, created, kind, subject, text, message_id, details, fingerprints, attempts, next_at, error, failure,"
    " state, digest, channel"
)


class OutboxMail(Struct, frozen=True):
    """
    One mail of the outbox, with the fingerprints of its alerts; `failure` is the class of its last `error`.

    `digest` is the Message-ID of the mail in which it was last tried together with others.
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
    channel: str = EMAIL


class OutboxSummary(Struct, frozen=True):
    """
    What waits in the outbox: how many mails, the oldest, the next attempt, the last error and its class.

    `attempts` is how often the one was tried that was tried most.
    `held` mails wait for a digest; `dead` ones were refused for good, the last of them for `dead_error`.
    """

    count: int = 0
    oldest: float | None = None
    next_at: float | None = None
    error: str = ""
    failure: str = ""
    held: int = 0
    dead: int = 0
    dead_error: str = ""
    attempts: int = 0


FingerprintTimes: TypeAlias = "dict[str, dict[str, float]]"  # by channel, then by fingerprint: wall times


def queued_fingerprints(database: sqlite3.Connection) -> FingerprintTimes:
    """Return the fingerprints that a mail on its way reports as firing, and when it was written."""
    return _fingerprint_times(
        database, f"SELECT channel, fingerprints, created FROM outbox WHERE {ON_ITS_WAY}"
    )


def given_up_fingerprints(database: sqlite3.Connection) -> FingerprintTimes:
    """Return the fingerprints of which a mail was refused for good or dropped, and when last (wall time)."""
    return _fingerprint_times(
        database, "SELECT channel, fingerprints, sent_at FROM outbox WHERE state IN ('dead', 'dropped')"
    )


def _fingerprint_times(database: sqlite3.Connection, select: str) -> FingerprintTimes:
    """Return the latest of the times that `select` gives for the mails about alerts that fire."""
    rows = database.execute(f"{select} AND kind IN (?, ?) ORDER BY 3, id", sorted(FIRING_KINDS))
    found: FingerprintTimes = {}
    with checked_rows():
        for channel, fingerprints, at in rows:
            found.setdefault(channel, {}).update(dict.fromkeys(json.loads(fingerprints), at))
    return found


def read_all_mails(database: sqlite3.Connection) -> list[OutboxMail]:
    """Read all rows, those of sent mails too."""
    return read_mails(database, "TRUE", {})


def count_queued_since(database: sqlite3.Connection, now: float, seconds: float, channel: str = EMAIL) -> int:
    """Count the mails queued within the last `seconds`: no tests, no held ones, a digest as one."""
    (count,) = database.execute(
        "SELECT count(DISTINCT CASE digest WHEN '' THEN message_id ELSE digest END) FROM outbox"
        f" WHERE kind IN ({', '.join('?' * len(COUNTED_KINDS))}) AND state <> 'held'"
        " AND created > ? - ? AND created <= ? + ? AND channel = ?",
        (*COUNTED_KINDS, now, seconds, now, CLOCK_TOLERANCE, channel),
    ).fetchone()
    return int(count)


def read_held(database: sqlite3.Connection, channel: str = EMAIL) -> tuple[OutboxMail, ...]:
    """Read the mails over the limit, oldest first, but for those that leave with a backlog."""
    return tuple(
        read_mails(database, "state = 'held' AND digest = '' AND channel = :channel", {"channel": channel})
    )


def read_holding(database: sqlite3.Connection) -> frozenset[str]:
    """Read the channels on which mails over the limit wait."""
    rows = database.execute("SELECT DISTINCT channel FROM outbox WHERE state = 'held' AND digest = ''")
    return frozenset(channel for (channel,) in rows)


def read_queue(database: sqlite3.Connection, channel: str = EMAIL) -> tuple[OutboxMail, ...]:
    """Read all that is neither sent nor dropped, oldest first."""
    where = "state NOT IN ('sent', 'dropped') AND channel = :channel"
    return tuple(read_mails(database, where, {"channel": channel}))


def read_whole_queue(database: sqlite3.Connection) -> tuple[OutboxMail, ...]:
    """Read all that is neither sent nor dropped on any channel, oldest first."""
    return tuple(read_mails(database, "state NOT IN ('sent', 'dropped')", {}))


def all_silenced(fingerprints: Collection[str], silenced: Callable[[str], bool]) -> bool:
    """Return whether a mail about these fingerprints waits, as all of them are snoozed."""
    return bool(fingerprints) and all(map(silenced, fingerprints))


def read_summary(
    database: sqlite3.Connection,
    now: float,
    silenced: Callable[[str], bool] = lambda _: False,
    channel: str = EMAIL,
) -> OutboxSummary:
    """Summarise what waits; nothing is due before `next_at`, which is None where all of it is snoozed."""
    rows = database.execute(
        f"SELECT created, {FREE_AT}, fingerprints, attempts FROM outbox WHERE {OPEN} AND channel = :channel",
        {"now": now, "apart": CLOCK_TOLERANCE, "channel": channel},
    ).fetchall()
    oldest = min((created for created, *_ in rows), default=None)
    attempts = max((tried for *_, tried in rows), default=0)
    with checked_rows():
        next_at = min(
            (at for _, at, fingerprints, _ in rows if not all_silenced(json.loads(fingerprints), silenced)),
            default=None,
        )
    row = database.execute(
        f"SELECT error, failure FROM outbox WHERE {OPEN} AND channel = ? AND error <> ''"
        " ORDER BY id DESC LIMIT 1",
        (channel,),
    ).fetchone()
    held, dead = database.execute(
        "SELECT coalesce(sum(state = 'held'), 0), coalesce(sum(state = 'dead'), 0) FROM outbox"
        " WHERE state IN ('held', 'dead') AND channel = ?",
        (channel,),
    ).fetchone()
    last = database.execute(
        "SELECT error FROM outbox WHERE state = 'dead' AND channel = ?"
        " ORDER BY sent_at DESC, id DESC LIMIT 1",
        (channel,),
    ).fetchone()
    error, failure = row or ("", "")
    dead_error = last[0] if last else ""
    return OutboxSummary(len(rows), oldest, next_at, error, failure, held, dead, dead_error, attempts)


def read_mails(database: sqlite3.Connection, where: str, values: dict[str, object]) -> list[OutboxMail]:
    """Read the rows that meet the SQL condition `where`, oldest first."""
    rows = database.execute(f"SELECT {COLUMNS} FROM outbox WHERE {where} ORDER BY id", values)
    return [_mail_of_row(row) for row in rows.fetchall()]


def _mail_of_row(row: tuple[Any, ...]) -> OutboxMail:
    row_id, created, kind, subject, text, message_id, details, fingerprints, *rest = row
    with checked_rows():
        message = Message(
            subject, text, created, message_id, MessageKind(kind), details=details_from_json(details)
        )
        return OutboxMail(row_id, message, tuple(json.loads(fingerprints)), *rest)


AMBIGUOUS, TRANSIENT = "ambiguous", "transient"  # transport.FailureKind's names: the store knows no transport
DEAD_KEPT = 200


class RemainingMail(Struct, frozen=True):
    """
    A mail that only some recipients got, for the others (`message.details.only`).

    It is due `at`, or given up where that is None; `failure` is the class of the `error`.
    """

    message: Message
    at: float | None
    error: str
    failure: str


def insert_mail(
    database: sqlite3.Connection,
    message: Message,
    fingerprints: Iterable[str],
    *,
    held: bool = False,
    channel: str = EMAIL,
) -> None:
    """Queue `message`, due at once, or hold it."""
    database.execute(
        "INSERT INTO outbox (created, kind, subject, text, message_id, details, fingerprints, state, next_at,"
        " set_at, channel) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            message.created,
            message.kind.value,
            message.subject,
            message.text,
            message.message_id,
            details_to_json(message.details),
            json.dumps(list(fingerprints)),
            "held" if held else "queued",
            message.created,
            message.created,
            channel,
        ),
    )


def insert_remaining(database: sqlite3.Connection, rest: RemainingMail, now: float) -> None:
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
    """Close a row, with those of its digest, and start the cooldowns of its alerts."""
    for number, fingerprints, kind, channel in _same_mail(database, row_id):
        database.execute(
            "UPDATE outbox SET state = 'sent', sent_at = ?, lease_until = 0, error = ?, failure = ''"
            " WHERE id = ?",
            (now.wall, detail, number),
        )
        if kind in FIRING_KINDS:
            incidents.record_deliveries(database, json.loads(fingerprints), channel, now)


def _same_mail(database: sqlite3.Connection, row_id: int) -> list[tuple[int, str, str, str]]:
    """Return a row and those of its digest: number, fingerprints, kind, channel."""
    return database.execute(
        "SELECT id, fingerprints, kind, channel FROM outbox WHERE id = :id"
        " OR digest <> '' AND digest = (SELECT digest FROM outbox WHERE id = :id)",
        {"id": row_id},
    ).fetchall()


def delete_held(database: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Delete held rows that another mail has included, but for those that leave with a backlog by now."""
    database.executemany(
        "DELETE FROM outbox WHERE id = ? AND state = 'held' AND digest = ''", [(number,) for number in ids]
    )


def mark_retry(
    database: sqlite3.Connection,
    row_id: int,
    at: float,
    error: str,
    *,
    blocked: bool = False,
    failure: str = "",
) -> None:
    """
    Put a row back, to be sent at `at`; `blocked` where a person has to fix something first.

    A message to a chat that has failed for CHAT_TRIED, CHAT_ATTEMPTS times, is given up instead, and stays as
    any that is.
    """
    # `set_at` stays the time of the lease. A digest that may have been accepted, now or before (see
    # `outbox_lease`), is sent again as it was; any other is put together anew.
    state = "blocked" if blocked else "queued"
    rows = _same_mail(database, row_id)
    database.executemany(
        "UPDATE outbox SET state = CASE state WHEN 'held' THEN state ELSE ? END, attempts = attempts + 1,"
        " next_at = ?, lease_until = 0, error = ?, failure = ?,"
        " digest = CASE WHEN ? IN (?, failure) THEN digest ELSE '' END WHERE id = ?",
        [(state, at, error, failure, AMBIGUOUS, failure, number) for number, *_ in rows],
    )
    late = f"channel <> ? AND set_at - created >= ? AND attempts >= ? AND {OPEN}"
    database.executemany(
        f"UPDATE outbox SET state = 'dead', sent_at = set_at, digest = '' WHERE id = ? AND {late}",
        [(number, EMAIL, CHAT_TRIED, CHAT_ATTEMPTS) for number, *_ in rows],
    )
    _free_held(database)


def _free_held(database: sqlite3.Connection) -> None:
    """Let what is held out of a digest of which nothing is left to be sent: the next one takes it up."""
    database.execute(
        "UPDATE outbox SET digest = '' WHERE state = 'held' AND digest <> '' AND NOT EXISTS"
        f" (SELECT 1 FROM outbox AS other WHERE other.digest = outbox.digest AND {OPEN})"
    )


def mark_dead(database: sqlite3.Connection, row_id: int, at: float, error: str, *, failure: str = "") -> None:
    """Give a row up, as it was refused for good: it stays for a person to look at."""
    database.executemany(
        "UPDATE outbox SET state = 'dead', attempts = attempts + 1, sent_at = ?, lease_until = 0, error = ?,"
        " failure = ?, digest = '' WHERE id = ?",
        [(at, error, failure, number) for number, *_ in _same_mail(database, row_id)],
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
    # Out of its digest as well: what becomes of that one is nothing to a row that was dropped.
    dropped = database.executemany(
        "UPDATE outbox SET state = 'dropped', sent_at = :now, digest = ''"
        " WHERE id = :id AND state IN ('queued', 'blocked', 'held', 'dead') AND lease_until <= :now",
        [{"id": number, "now": now} for number in ids],
    ).rowcount
    _free_held(database)
    return dropped


def make_all_due(database: sqlite3.Connection, now: float, channel: str = EMAIL) -> None:
    """Make every waiting row of the channel that is not leased due now."""
    database.execute(
        f"UPDATE outbox SET next_at = :now, set_at = :now WHERE {OPEN} AND lease_until <= :now"
        " AND channel = :channel",
        {"now": now, "channel": channel},
    )


def prune_outbox(database: sqlite3.Connection, before: float) -> None:
    """Delete mails that were sent or dropped `before` this time, and all but a channel's latest dead ones."""
    # By number, as a clock may be wrong: a mistyped address must not fill the disk.
    database.execute("DELETE FROM outbox WHERE state IN ('sent', 'dropped') AND sent_at < ?", (before,))
    database.execute(
        "DELETE FROM outbox WHERE state = 'dead' AND id <= (SELECT other.id FROM outbox AS other WHERE"
        " other.state = 'dead' AND other.channel = outbox.channel ORDER BY other.id DESC LIMIT 1 OFFSET ?)",
        (DEAD_KEPT,),
    )
