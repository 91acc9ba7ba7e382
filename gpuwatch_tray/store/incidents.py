"""
Incidents (alerts from first sign to end), their transitions, acknowledgements, silences and deliveries.

Here, in `outbox` and in `reminders_and_gpus`: functions of a database, inside the caller's transaction.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from gpuwatch_tray.alerts import Silence, SilenceScope
from gpuwatch_tray.model import Alert, Instant, Phase, Reason, Severity
from gpuwatch_tray.store.tables import checked_rows, instant_from_json, instant_to_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable


INCIDENTS_KEPT = 100  # incidents that are over, with their transitions
MOST_TRANSITIONS = 200  # of one incident: one that flaps for a month must not fill the disk
# The fields of an Alert, which are the columns too; the rest of it is in other tables or derived anew.
FIELDS = (
    *("id", "fingerprint", "rule", "subject", "severity", "reason", "text", "value", "phase", "since"),
    *("phase_seconds", "samples", "fired", "raises", "news", "covered", "resolved", "thread"),
    "owed_to",
)
COLUMNS = ", ".join(FIELDS).replace("phase_seconds", "held")  # the name that the column has


class Transition(Struct, frozen=True):
    """One event of an incident, at `at` (wall time): `what` happened, and the named reason `why`."""

    at: float
    incident: int
    what: str
    why: str = ""


def write_incidents(database: sqlite3.Connection, alerts: Iterable[Alert], *, owed: bool = False) -> None:
    """Insert or update these incidents."""
    marks = ", ".join("?" * (len(FIELDS) + 1))
    database.executemany(
        f"INSERT OR REPLACE INTO incidents ({COLUMNS}, owed) VALUES ({marks})",
        [(*_incident_row(alert), owed) for alert in alerts],
    )


def drop_incidents(database: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Delete incidents that never fired."""
    rows = [(number,) for number in ids]
    database.executemany("DELETE FROM incidents WHERE id = ?", rows)
    database.executemany("DELETE FROM transitions WHERE incident = ?", rows)


def read_open_incidents(database: sqlite3.Connection) -> list[tuple[Alert, bool]]:
    """Read the incidents that are not over (False), and those whose end is still to be notified (True)."""
    rows = database.execute(
        f"SELECT {COLUMNS}, owed FROM incidents WHERE phase <> 'resolved' OR owed ORDER BY id"
    )
    return [
        (_incident(row) if row[-1] else replace(_incident(row), owed_to=()), bool(row[-1]))
        for row in rows.fetchall()
    ]


def read_latest_incidents(database: sqlite3.Connection, limit: int) -> list[Alert]:
    """Read the last incidents that fired and are over, newest first."""
    rows = database.execute(
        f"SELECT {COLUMNS} FROM incidents WHERE phase = 'resolved' AND fired IS NOT NULL"
        " ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    return [_incident(row) for row in rows.fetchall()]


def read_incidents(database: sqlite3.Connection) -> list[Alert]:
    """Read all incidents."""
    return [_incident(row) for row in database.execute(f"SELECT {COLUMNS} FROM incidents").fetchall()]


def read_fired(database: sqlite3.Connection) -> list[tuple[str, Instant, Severity]]:
    """Read when the incidents began to fire, and how severe they were, by fingerprint, oldest first."""
    rows = database.execute(
        "SELECT fingerprint, fired, severity FROM incidents WHERE fired IS NOT NULL ORDER BY id"
    )
    with checked_rows():
        return [
            (name, Instant(*json.loads(at)), Severity(severity)) for name, at, severity in rows.fetchall()
        ]


def read_rules(database: sqlite3.Connection) -> dict[str, str]:
    """Read the rule of each fingerprint."""
    return dict(database.execute("SELECT fingerprint, rule FROM incidents").fetchall())


def highest_id(database: sqlite3.Connection) -> int:
    """Return the highest number that an incident has ever had, as far as known."""
    (number,) = database.execute(
        "SELECT max(coalesce((SELECT max(id) FROM incidents), 0),"
        " coalesce((SELECT max(incident) FROM transitions), 0))"
    ).fetchone()
    return int(number)


def add_transitions(database: sqlite3.Connection, transitions: Iterable[Transition]) -> None:
    """Record what happened."""
    database.executemany(
        "INSERT INTO transitions (at, incident, what, why) VALUES (?, ?, ?, ?)",
        [(line.at, line.incident, line.what, line.why) for line in transitions],
    )


def read_transitions(database: sqlite3.Connection) -> list[Transition]:
    """Read all transitions, oldest first."""
    rows = database.execute("SELECT at, incident, what, why FROM transitions ORDER BY id")
    return [Transition(*row) for row in rows.fetchall()]


def prune_incidents(database: sqlite3.Connection) -> None:
    """Delete all but the last `INCIDENTS_KEPT` that are over."""
    database.execute(
        "DELETE FROM incidents WHERE phase = 'resolved' AND NOT owed AND id NOT IN"
        " (SELECT id FROM incidents WHERE phase = 'resolved' ORDER BY id DESC LIMIT ?)",
        (INCIDENTS_KEPT,),
    )
    database.execute("DELETE FROM transitions WHERE incident NOT IN (SELECT id FROM incidents)")
    database.execute(
        "DELETE FROM transitions WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER"
        " (PARTITION BY incident ORDER BY id DESC) AS place FROM transitions) WHERE place > ?)",
        (MOST_TRANSITIONS,),
    )
    database.execute("DELETE FROM acknowledgements WHERE incident NOT IN (SELECT id FROM incidents)")


def _incident_row(alert: Alert) -> tuple[Any, ...]:
    values: dict[str, Any] = {name: getattr(alert, name) for name in FIELDS}
    values |= {"severity": alert.severity.value, "phase": alert.phase.value}
    values |= {"fired": instant_to_json(alert.fired), "resolved": instant_to_json(alert.resolved)}
    if alert.news is not None:
        reason, at = alert.news
        values["news"] = json.dumps([reason.value, at.wall, at.uptime, at.boot])
    if alert.thread is not None:
        values["thread"] = json.dumps(alert.thread)
    values["owed_to"] = json.dumps(alert.owed_to)
    return tuple(values.values())


def _incident(row: tuple[Any, ...]) -> Alert:
    with checked_rows():
        values = dict(zip(FIELDS, row, strict=False))
        values |= {"severity": Severity(values["severity"]), "phase": Phase(values["phase"])}
        values |= {name: instant_from_json(values[name]) for name in ("fired", "resolved")}
        if values["news"] is not None:
            reason, *at = json.loads(values["news"])
            values["news"] = (Reason(reason), Instant(*at))
        if values["thread"] is not None:
            message_id, written = json.loads(values["thread"])
            values["thread"] = (message_id, float(written))
        owed_to = tuple(json.loads(values["owed_to"]))
        return Alert(**values | {"covered": bool(values["covered"]), "owed_to": owed_to})


class Attention(Struct, frozen=True):
    """The silences, those just run out too, and the numbers of the acknowledged incidents."""

    silences: tuple[Silence, ...] = ()
    acknowledged: frozenset[int] = frozenset()


def read_attention(database: sqlite3.Connection) -> Attention:
    """Read the silences and acknowledgements."""
    silences = database.execute("SELECT scope, name, at, uptime, boot, seconds FROM silences").fetchall()
    incidents = database.execute("SELECT incident FROM acknowledgements").fetchall()
    with checked_rows():
        return Attention(
            tuple(
                Silence(SilenceScope(scope), name, Instant(at, uptime, boot), seconds)
                for scope, name, at, uptime, boot, seconds in silences
            ),
            frozenset(number for (number,) in incidents),
        )


def add_acknowledgements(
    database: sqlite3.Connection, ids: Iterable[int], transitions: Iterable[Transition], at: float
) -> None:
    """Record that the person has seen these incidents."""
    database.executemany(
        "INSERT OR REPLACE INTO acknowledgements (incident, at) VALUES (?, ?)",
        [(number, at) for number in ids],
    )
    add_transitions(database, transitions)


def remove_acknowledgements(database: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Delete acknowledgements."""
    database.executemany("DELETE FROM acknowledgements WHERE incident = ?", [(number,) for number in ids])


def add_silence(
    database: sqlite3.Connection, silence: Silence, transitions: Iterable[Transition] = ()
) -> None:
    """Store a silence in place of an earlier one of the same alerts."""
    at = silence.at
    database.execute(
        "INSERT OR REPLACE INTO silences (scope, name, at, uptime, boot, seconds) VALUES (?, ?, ?, ?, ?, ?)",
        (silence.scope.value, silence.name, at.wall, at.uptime, at.boot, silence.seconds),
    )
    add_transitions(database, transitions)


def remove_silences(database: sqlite3.Connection, silences: Iterable[Silence]) -> None:
    """Delete silences that are over, unless another one of the same alerts has begun meanwhile."""
    database.executemany(
        "DELETE FROM silences WHERE scope = ? AND name = ? AND at = ? AND uptime = ?",
        [(silence.scope.value, silence.name, silence.at.wall, silence.at.uptime) for silence in silences],
    )


def remove_all_silences(database: sqlite3.Connection) -> int:
    """Delete every silence; return how many there were."""
    return database.execute("DELETE FROM silences").rowcount


def record_deliveries(
    database: sqlite3.Connection,
    fingerprints: Iterable[str],
    channel: str,
    now: Instant,
    transitions: Iterable[Transition] = (),
) -> None:
    """Start the cooldown of `fingerprints` on `channel`."""
    database.executemany(
        "INSERT OR REPLACE INTO deliveries (fingerprint, channel, at, uptime, boot) VALUES (?, ?, ?, ?, ?)",
        [(fingerprint, channel, now.wall, now.uptime, now.boot) for fingerprint in fingerprints],
    )
    add_transitions(database, transitions)


def read_deliveries(database: sqlite3.Connection) -> dict[str, dict[str, Instant]]:
    """Read when each fingerprint was last notified, by channel."""
    delivered: dict[str, dict[str, Instant]] = {}
    rows = database.execute("SELECT channel, fingerprint, at, uptime, boot FROM deliveries")
    for channel, fingerprint, *at in rows.fetchall():
        delivered.setdefault(channel, {})[fingerprint] = Instant(*at)
    return delivered


def read_deliveries_on(database: sqlite3.Connection, channel: str) -> dict[str, Instant]:
    """Read when each fingerprint was last notified on `channel`."""
    rows = database.execute(
        "SELECT fingerprint, at, uptime, boot FROM deliveries WHERE channel = ?", (channel,)
    )
    return {fingerprint: Instant(*at) for fingerprint, *at in rows.fetchall()}


def prune_deliveries(database: sqlite3.Connection, before: float) -> None:
    """Delete the deliveries `before` this time of alerts that are over."""
    database.execute(
        "DELETE FROM deliveries WHERE at < ? AND fingerprint NOT IN"
        " (SELECT fingerprint FROM incidents WHERE phase <> 'resolved')",
        (before,),
    )
