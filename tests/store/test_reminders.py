"""What the person waits for on file: not lost, not brought back, told in one transaction with its mail."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from msgspec.structs import replace

from gpuwatch_tray.alerts.reminder_types import GpusFree, ProcessEnds, Reminder
from gpuwatch_tray.model import ReminderNotice
from gpuwatch_tray.store import Store, StoreError
from tests.store import faults
from tests.store.commits import NOW, mail, step
from tests.support.fakes import START

FREE = Reminder(0, NOW, GpusFree(2, 60.0, (("GPU-0", NOW),), NOW))
ENDS = Reminder(0, NOW, ProcessEnds(7, "start-7", "python ü.py", "boot-1", True, (0, 1), 12.5, 2**40, NOW))
NOTICE = ReminderNotice("GPU free", "GPU 0 is free", START, ("a",), ("b", "c"))


def test_watches_are_kept_with_their_numbers(store, other):
    """Every process sees them, oldest first; a number is never given twice."""
    assert (store.add_reminder(FREE), other.add_reminder(ENDS)) == (1, 2)
    assert store.reminders() == (replace(FREE, id=1), replace(ENDS, id=2))
    assert other.close_reminders([2])
    assert store.add_reminder(ENDS) == 3
    assert [each.id for each in other.reminders()] == [1, 3]


def test_a_step_moves_watches_on(store):
    """The evaluator's word is on file with everything else of its step."""
    store.add_reminder(FREE)
    moved = replace(FREE, id=1, notice=NOTICE)
    store.commit(step(reminders=(moved,)))
    assert store.reminders() == (moved,)
    store.commit(step(mail(1, ()), closed_reminders=(1,)))
    assert store.reminders() == ()
    assert len(store.lease_due(START, 60)) == 1


def test_what_was_cancelled_meanwhile_stays_cancelled(store, other):
    """A step that began before brings nothing back."""
    number = store.add_reminder(FREE)
    other.close_reminders([number])
    store.commit(step(reminders=(replace(FREE, id=number, notice=NOTICE),)))
    assert store.reminders() == ()


def test_what_came_about_meanwhile_keeps_its_notice(store, other):
    """The report of `when run` is not overwritten by a step that knew nothing of it."""
    number = store.add_reminder(ENDS)
    assert other.complete_reminder(number, NOTICE)
    store.commit(step(reminders=(replace(ENDS, id=number),)))
    assert store.reminders()[0].notice == NOTICE
    assert not store.complete_reminder(99, NOTICE)


def test_a_watch_is_closed_once_and_mailed_by_whoever_closed_it(store, other):
    """Of two that tell it only the first queues its mail; a held one waits for the digest."""
    number = store.add_reminder(FREE)
    assert store.close_reminders([number], [mail(1, ())])
    assert not other.close_reminders([number], [mail(2, ())])
    assert [row.message.message_id for row in store.lease_due(START, 60)] == ["<1@box>"]
    number = store.add_reminder(FREE)
    store.close_reminders([number], [mail(3, (), held=True)])
    assert [row.message.message_id for row in store.held_mails()] == ["<3@box>"]


def test_a_mail_that_cannot_be_queued_closes_nothing(store, tmp_path, monkeypatch):
    """Told and mailed are one transaction: on a disk that fails, neither."""
    number = store.add_reminder(FREE)
    disk = faults.install(monkeypatch, store.path)
    with closing(Store(tmp_path / "state", "box")) as failing:
        with disk.failing(sqlite3.SQLITE_FULL, "INSERT INTO outbox"), pytest.raises(StoreError):
            failing.close_reminders([number], [mail(1, ())])
        assert [each.id for each in failing.reminders()] == [number]
        assert failing.lease_due(START, 60) == ()


def test_version_2_gets_the_table(tmp_path, journal):
    """A state without watches, written before there were any, is taken over with all that it has."""
    with closing(Store(tmp_path, "box")) as store:
        store.commit(step(mail(1)))
        path = store.path
    with closing(sqlite3.connect(path)) as database:
        database.executescript("DROP TABLE watches; PRAGMA user_version = 2;")
    with closing(Store(tmp_path, "box")) as store:
        assert store.reminders() == ()
        assert store.add_reminder(FREE) == 1
        assert len(store.lease_due(START, 60)) == 1


def test_they_outlive_a_full_disk(tmp_path, journal, monkeypatch):
    """What is asked for while nothing can be written is kept, and on file when there is room again."""
    disk = faults.install(monkeypatch, tmp_path / "state-box.sqlite3")
    with closing(Store(tmp_path, "box", keeper=True)) as store:
        store.add_reminder(FREE)
        with disk.failing(sqlite3.SQLITE_FULL):
            store.add_reminder(ENDS)
            assert store.trouble is not None
            assert [each.id for each in store.reminders()] == [1, 2]
            store.close_reminders([1])
    with closing(Store(tmp_path, "box")) as again:
        assert again.reminders() == (replace(ENDS, id=2),)


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"asked": [1, 2], "wish": {"kind": "free"}}', "\udcff"])
def test_rows_that_make_no_sense_are_damage(tmp_path, body):
    """Such a file is set aside, and the rest of it goes on."""
    with closing(Store(tmp_path, "box")) as store:
        store.add_reminder(FREE)
        store.commit(step(mail(1)))
        path = store.path
    with closing(sqlite3.connect(path)) as database:
        raw = body.encode("utf-8", "surrogateescape")
        database.execute("UPDATE watches SET body = CAST(? AS TEXT)", (raw,))
        database.commit()
    with closing(Store(tmp_path, "box")) as store:
        assert store.reminders() == ()
        assert len(store.lease_due(START, 60)) == 1
    assert list(tmp_path.glob("*.damaged-*"))
