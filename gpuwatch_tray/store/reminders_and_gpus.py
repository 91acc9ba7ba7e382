"""Reminders, the inventory of GPUs, and single values by key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.alerts.reminder_types import Reminder, reminder_from_json, reminder_to_json
from gpuwatch_tray.store.tables import checked_rows, instant_from_json, instant_to_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from gpuwatch_tray.model import Instant, ReminderNotice


def read_reminders(database: sqlite3.Connection) -> tuple[Reminder, ...]:
    """Read all reminders, oldest first."""
    rows = database.execute("SELECT id, body FROM watches ORDER BY id").fetchall()
    with checked_rows():
        return tuple(reminder_from_json(number, json.loads(body)) for number, body in rows)


def add_reminder(database: sqlite3.Connection, reminder: Reminder) -> int:
    """Store a reminder and return its number."""
    cursor = database.execute(
        "INSERT INTO watches (body, due) VALUES (?, ?)",
        (_reminder_json(reminder), reminder.notice is not None),
    )
    return int(cursor.lastrowid or 0)


def update_reminders(database: sqlite3.Connection, reminders: Iterable[Reminder]) -> None:
    """Write the progress of these reminders, but for those that were cancelled or completed meanwhile."""
    database.executemany(
        "UPDATE watches SET body = ?, due = ? WHERE id = ? AND NOT due",
        [(_reminder_json(reminder), reminder.notice is not None, reminder.id) for reminder in reminders],
    )


def set_reminder_notice(database: sqlite3.Connection, number: int, notice: ReminderNotice) -> bool:
    """Set a reminder's notice, in place of an earlier one; return False where the reminder is gone."""
    for reminder in read_reminders(database):
        if reminder.id == number:
            completed = Reminder(number, reminder.asked, reminder.condition, notice)
            database.execute(
                "UPDATE watches SET body = ?, due = 1 WHERE id = ?", (_reminder_json(completed), number)
            )
            return True
    return False


def remove_reminder(database: sqlite3.Connection, number: int) -> bool:
    """Delete a reminder; return False where it is gone."""
    return database.execute("DELETE FROM watches WHERE id = ?", (number,)).rowcount > 0


def _reminder_json(reminder: Reminder) -> str:
    return json.dumps(reminder_to_json(reminder))


class KnownGpu(Struct, frozen=True):
    """
    A GPU as it was last seen at `seen` (wall time); `name` is empty where it is not known.

    A GPU that the person has `forgotten` is not missed any more, until it is seen again.
    """

    uuid: str
    index: int
    name: str
    seen: float
    forgotten: bool = False


def read_inventory(database: sqlite3.Connection) -> tuple[KnownGpu, ...]:
    """Read all GPUs, by index."""
    rows = database.execute("SELECT uuid, gpu, name, seen, forgotten FROM inventory ORDER BY gpu, uuid")
    return tuple(
        KnownGpu(uuid, index, name, seen, bool(forgotten))
        for uuid, index, name, seen, forgotten in rows.fetchall()
    )


def write_inventory(database: sqlite3.Connection, gpus: Iterable[KnownGpu]) -> None:
    """Insert or update these GPUs."""
    database.executemany(
        "INSERT OR REPLACE INTO inventory (uuid, gpu, name, seen, forgotten) VALUES (?, ?, ?, ?, ?)",
        [(gpu.uuid, gpu.index, gpu.name, gpu.seen, gpu.forgotten) for gpu in gpus],
    )


def mark_gpu_forgotten(database: sqlite3.Connection, uuid: str) -> bool:
    """Mark a GPU as forgotten; return False where it is not missed."""
    changed = database.execute("UPDATE inventory SET forgotten = 1 WHERE uuid = ? AND NOT forgotten", (uuid,))
    return changed.rowcount > 0


LAST_EVALUATION = "last evaluation"
GREETED = "greeted"  # the welcome was shown
LAST_LOOP_EVALUATION = "last evaluation of a loop"  # only polls in a loop count towards a hold time


def read_instant(database: sqlite3.Connection, name: str = LAST_EVALUATION) -> Instant | None:
    """Read when the last evaluation was that had something to write."""
    row = database.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
    with checked_rows():
        return instant_from_json(row[0]) if row else None


def write_instant(database: sqlite3.Connection, at: Instant, name: str = LAST_EVALUATION) -> None:
    """Store an instant."""
    database.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (name, instant_to_json(at)))


def was_greeted(database: sqlite3.Connection) -> bool:
    """Return whether the welcome was shown, so that this is not the first start on this state."""
    return database.execute("SELECT 1 FROM marks WHERE name = ?", (GREETED,)).fetchone() is not None


def record_greeting(database: sqlite3.Connection) -> None:
    """Record that the welcome was shown."""
    database.execute("INSERT OR REPLACE INTO marks VALUES (?, '1')", (GREETED,))


def write_probe(database: sqlite3.Connection) -> None:
    """Write a little: only that shows whether the disk accepts it."""
    database.execute("INSERT INTO marks VALUES ('touched', '1') ON CONFLICT DO UPDATE SET value = value + 1")


def read_sightings(database: sqlite3.Connection) -> dict[tuple[int, str], float]:
    """Read when the processes started that the command source has seen, by (pid, digest of the command)."""
    rows = database.execute("SELECT pid, command, started FROM sightings")
    return {(pid, command): started for pid, command, started in rows.fetchall()}


def write_sightings(database: sqlite3.Connection, sightings: Mapping[tuple[int, str], float]) -> None:
    """Replace the processes that the command source has seen."""
    database.execute("DELETE FROM sightings")
    rows = [(*key, at) for key, at in sightings.items()]
    database.executemany("INSERT INTO sightings VALUES (?, ?, ?)", rows)
