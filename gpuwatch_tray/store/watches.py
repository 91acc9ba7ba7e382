"""
Reminders, the inventory of GPUs, and single values by key.

Whoever is asked writes a reminder; the evaluator keeps it up to date.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gpuwatch_tray.store.values import checked_rows
from gpuwatch_tray.watches import Reminder, reminder_from_json, reminder_to_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from gpuwatch_tray.model import ReminderNotice


def read_reminders(database: sqlite3.Connection) -> tuple[Reminder, ...]:
    """Read all reminders, oldest first."""
    rows = database.execute("SELECT id, body FROM watches ORDER BY id").fetchall()
    with checked_rows():
        return tuple(reminder_from_json(number, json.loads(body)) for number, body in rows)


def add_reminder(database: sqlite3.Connection, watch: Reminder) -> int:
    """Store a reminder and return its number. Inside the caller's transaction, as all below."""
    cursor = database.execute(
        "INSERT INTO watches (body, due) VALUES (?, ?)", (_reminder_json(watch), watch.notice is not None)
    )
    return int(cursor.lastrowid or 0)


def update_reminders(database: sqlite3.Connection, watches: Iterable[Reminder]) -> None:
    """
    Write the progress of these reminders.

    One that was cancelled meanwhile stays deleted; one that was completed meanwhile keeps its notice.
    """
    database.executemany(
        "UPDATE watches SET body = ?, due = ? WHERE id = ? AND NOT due",
        [(_reminder_json(watch), watch.notice is not None, watch.id) for watch in watches],
    )


def set_reminder_notice(database: sqlite3.Connection, number: int, notice: ReminderNotice) -> bool:
    """Set a reminder's notice, in place of an earlier one; return False where the reminder is gone."""
    for watch in read_reminders(database):
        if watch.id == number:
            made = Reminder(number, watch.asked, watch.condition, notice)
            database.execute(
                "UPDATE watches SET body = ?, due = 1 WHERE id = ?", (_reminder_json(made), number)
            )
            return True
    return False


def remove_reminder(database: sqlite3.Connection, number: int) -> bool:
    """Delete a reminder; return False where it is gone."""
    return database.execute("DELETE FROM watches WHERE id = ?", (number,)).rowcount > 0


def _reminder_json(watch: Reminder) -> str:
    return json.dumps(reminder_to_json(watch))
