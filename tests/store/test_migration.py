"""A state of version 0.1.0, with data in it, taken over; one of the future, left alone."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import Instant
from gpuwatch_tray.store import OutboxSummary, Store, StoreError
from tests.store import faults
from tests.store.commits import NOW, fired, mail, step
from tests.support.fakes import START

VERSION_1 = """
CREATE TABLE alerts (
    fingerprint TEXT PRIMARY KEY, rule TEXT NOT NULL, subject TEXT NOT NULL, severity INTEGER NOT NULL,
    reason TEXT NOT NULL, since REAL NOT NULL, value REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE deliveries (
    fingerprint TEXT NOT NULL, channel TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (fingerprint, channel)
) WITHOUT ROWID;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, created REAL NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
    text TEXT NOT NULL, message_id TEXT NOT NULL UNIQUE, fingerprints TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued', attempts INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL,
    lease_until REAL NOT NULL DEFAULT 0, set_at REAL NOT NULL, error TEXT NOT NULL DEFAULT '', sent_at REAL
);
CREATE INDEX outbox_waiting ON outbox (next_at) WHERE state <> 'sent';
CREATE TABLE sightings (
    pid INTEGER NOT NULL, command TEXT NOT NULL, started REAL NOT NULL, PRIMARY KEY (pid, command)
) WITHOUT ROWID;
"""
DATA = """
INSERT INTO alerts VALUES
    ('box/gpu_limit', 'gpu_limit', '', 2, 'GPU_COUNT(3) > GPU_LIMIT(2)', 1767799668.0, 3);
INSERT INTO deliveries VALUES ('box/gpu_limit', 'email', 1767799608.0);
INSERT INTO outbox (created, kind, subject, text, message_id, fingerprints, next_at, set_at)
    VALUES (1767799668.0, 'alert', 's', 't', '<old@box>', '["box/max_etime/1"]', 1767799668.0, 1767799668.0);
INSERT INTO sightings VALUES (7, 'digest', 1767799568.0);
"""


@pytest.fixture
def old(tmp_path, journal):
    """Write a file of version 1; its number is written last, as that version did."""
    path = tmp_path / "state-box.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA journal_mode = {journal}")
        database.executescript(VERSION_1 + DATA + "PRAGMA user_version = 1;")
    return path


def check(store):
    assert store.saved_state().alerts == ()  # begun anew, in silence: their cooldowns are known
    assert store.delivered("email") == {"box/gpu_limit": Instant(START - 60)}
    (row,) = store.lease_due(START, 60)
    assert (row.message.message_id, row.fingerprints) == ("<old@box>", ("box/max_etime/1",))
    assert store.sightings() == {(7, "digest"): START - 100}
    store.mark_sent(row.id, START, "250 ok")
    store.record_delivery(["a"], "desktop", NOW)
    store.commit(fired(1))
    assert store.delivered("desktop") == {"a": NOW}


def test_version_1_is_taken_over(old):
    """Queued mails are still sent, cooldowns still hold, processes are still known; it stays so."""
    with closing(Store(old.parent, "box")) as store:
        check(store)
    with closing(Store(old.parent, "box")) as again:
        assert len(again.saved_state().alerts) == 1


def test_version_3_gets_the_class_of_a_failure(tmp_path):
    """A mail that waited with an error waits on, with the error and without a class of it."""
    with closing(Store(tmp_path, "box")) as store:
        store.commit(step(mail(1)))
        store.mark_retry(1, START + 30, "451 later", failure="transient")
        path = store.path
    with closing(sqlite3.connect(path)) as database:
        for column in ("failure", "details", "digest"):
            database.execute(f"ALTER TABLE outbox DROP COLUMN {column}")
        database.execute("PRAGMA user_version = 3")
    with closing(Store(tmp_path, "box")) as store:
        assert store.outbox_summary(START) == OutboxSummary(1, START, START + 30, "451 later", attempts=1)
        store.mark_retry(1, START + 60, "535 wrong password", failure="configuration")
        assert store.outbox_summary(START).failure == "configuration"


def test_version_5_gets_threads(tmp_path):
    """An alert that fired before has no first mail on file; the next one about it becomes it."""
    with closing(Store(tmp_path, "box")) as store:
        store.commit(fired(1))
        path = store.path
    with closing(sqlite3.connect(path)) as database:
        database.executescript("ALTER TABLE incidents DROP COLUMN thread; PRAGMA user_version = 5;")
    with closing(Store(tmp_path, "box")) as store:
        (one,) = store.saved_state().alerts
        assert one.thread is None
        threaded = replace(one, thread=("<1@box>", START))
        store.commit(step(alerts=(threaded,)))
        assert store.saved_state().alerts == (threaded,)


def test_a_first_start_that_was_killed_half_way_is_taken_over_too(old):
    """Version 1 made its tables one by one and wrote its number last: 0 may have tables."""
    with closing(sqlite3.connect(old)) as database:
        database.execute("PRAGMA user_version = 0")
    with closing(Store(old.parent, "box")) as store:
        check(store)


def test_version_1_on_a_full_disk_is_taken_over_in_memory(old, monkeypatch):
    """Its mails are sent although its tables cannot be changed; the file is changed when there is room."""
    disk = faults.install(monkeypatch, old)
    with disk.failing(sqlite3.SQLITE_FULL, "ALTER"):
        store = Store(old.parent, "box", keeper=True)
        assert store.trouble is not None
        check(store)
    store.close()
    with closing(Store(old.parent, "box")) as again:
        assert len(again.saved_state().alerts) == 1
        assert [row.message.message_id for row in again.lease_due(START + 999, 60)] == ["<1@box>"]


def test_a_change_that_is_killed_half_way_has_changed_nothing(old, monkeypatch):
    """The tables and their number change in one transaction."""
    disk = faults.install(monkeypatch, old)
    for at in ("CREATE TABLE IF NOT EXISTS marks", "PRAGMA user_version =", "COMMIT"):
        full = disk.failing(sqlite3.SQLITE_FULL, at)
        with full, pytest.raises(StoreError), closing(Store(old.parent, "box")) as store:
            store.commit(fired(1))
        with closing(sqlite3.connect(old)) as database:
            assert database.execute("SELECT count(*) FROM alerts").fetchone() == (1,)
    with closing(Store(old.parent, "box")) as store:
        check(store)


def test_a_state_of_the_future_is_left_alone(tmp_path):
    """A newer version's file is refused with its name, not changed, also by the keeper."""
    path = tmp_path / "state-box.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    for keeper in (False, True):
        with pytest.raises(StoreError, match=r"state-box\.sqlite3: written by a newer"):
            Store(tmp_path, "box", keeper=keeper)
    assert path.read_bytes()[:18] == before[:18]
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208  # the names alone
