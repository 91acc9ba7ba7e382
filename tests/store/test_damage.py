"""A damaged file is set aside under a name that the log tells, and watching goes on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gpuwatch_tray.engine import Engine, HostRules, no_desktop
from gpuwatch_tray.store import Store, StoreError, state_file
from gpuwatch_tray.store.state_file import READERS
from gpuwatch_tray.store.tables import TABLES, memory_database
from tests.store import faults
from tests.store.commits import BUSY, HEAD, NOW, POLICY, alert, fired, mail, step
from tests.support.fakes import START

ROOT = Path(__file__).parents[2]
PAGE = 4096


def aside(folder):
    """Return the files set aside, without those beside them."""
    return [each for each in folder.glob("*.damaged-*") if not each.name.endswith(("-wal", "-shm"))]


def overwritten(path, table, page_bytes=b"\xff" * PAGE):
    """Overwrite the page at which `table` begins; what the -wal holds is in the file before."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    with path.open("r+b") as raw:
        raw.seek((page - 1) * PAGE)
        raw.write(page_bytes)


@pytest.mark.parametrize(
    "content", [b"not a database" * 100, b"\0" * 8192, b"SQLite format 3\0" + b"\7" * 5000]
)
def test_a_file_that_is_no_database_is_set_aside(tmp_path, caplog, content, journal):
    """It is renamed, named in the log, and replaced."""
    (tmp_path / "state-box.sqlite3").write_bytes(content)
    with closing(Store(tmp_path, "box")) as store:
        store.commit(fired(1))
        assert len(store.saved_state().alerts) == 1
    (found,) = aside(tmp_path)
    assert found.read_bytes()[:14] == content[:14]
    assert found.name in caplog.text


def test_an_empty_file_is_begun_without_a_word(tmp_path, caplog):
    """Nothing was in it."""
    (tmp_path / "state-box.sqlite3").touch()
    with closing(Store(tmp_path, "box")) as store:
        store.commit(fired(1))
    assert (aside(tmp_path), caplog.text) == ([], "")


def test_two_in_one_second_have_two_names(tmp_path, monkeypatch):
    """The second does not take the place of the first."""
    monkeypatch.setattr(state_file.time, "strftime", lambda _: "20260107-152748")
    for number in range(3):
        (tmp_path / "state-box.sqlite3").write_bytes(b"damaged %d" % number * 100)
        Store(tmp_path, "box").close()
    assert sorted(each.read_bytes()[:9] for each in aside(tmp_path)) == [
        b"damaged 0",
        b"damaged 1",
        b"damaged 2",
    ]


@pytest.mark.parametrize("table", ["incidents", "transitions", "deliveries", "silences", "marks"])
def test_damage_while_running_costs_no_mail(store, caplog, table):
    """A page is overwritten under an open store: what can be read is kept, the mails among it."""
    store.commit(fired(1))
    store.commit(step(mail(2, ["b"]), alerts=(alert(1),)))
    store.close()
    overwritten(store.path, table)
    again = Store(store.path.parent, "box")
    before = again.renewed
    again.commit(step(mail(3, ["c"]), alerts=(alert(1),)))
    again.evaluation_inputs()
    again.saved_state()
    again.history()
    again.record_delivery(["x"], "desktop", fired(1).at)
    assert [row.message.message_id for row in again.lease_due(START, 60)] == ["<1@box>", "<2@box>", "<3@box>"]
    assert again.renewed == before + 1
    (found,) = aside(store.path.parent)
    assert found.name in caplog.text
    again.close()


def test_damage_to_the_outbox_itself(store):
    """The step that finds it is taken on the new file; an evaluator learns that it has to write all again."""
    store.commit(fired(1))
    store.close()
    overwritten(store.path, "outbox")
    with closing(Store(store.path.parent, "box")) as again:
        again.commit(step(mail(2, ["b"]), alerts=(alert(1), alert(2, "b"))))
        assert (again.renewed, len(again.saved_state().alerts)) == (1, 2)
        assert [row.message.message_id for row in again.lease_due(START, 60)] == ["<2@box>"]


@pytest.mark.parametrize(
    "garbage",
    [
        "UPDATE incidents SET phase = 'purple'",
        "UPDATE incidents SET fired = '[1'",
        "UPDATE incidents SET severity = 77",
        "UPDATE outbox SET fingerprints = 'x'",
        "UPDATE outbox SET kind = x'00ff'",
        "UPDATE marks SET value = '[]'",
        "INSERT INTO silences VALUES ('moon', '', 'x', 0, '', 1)",
        "UPDATE incidents SET text = CAST(x'ff41' AS TEXT)",
    ],
)
def test_a_row_that_makes_no_sense_is_damage_too(store, garbage):
    """SQLite does not see it; what else the file holds is kept."""
    store.commit(fired(1))
    store.record_delivery(["told"], "email", fired(1).at)
    with closing(sqlite3.connect(store.path)) as database, database:
        database.execute(garbage)
    store.evaluation_inputs()
    store.saved_state()
    store.lease_due(START, 60)
    assert store.renewed == 1
    assert set(store.delivered("email")) == {"told"}
    assert len(aside(store.path.parent)) == 1


@pytest.mark.parametrize("table", ["incidents", "transitions", "outbox", "deliveries"])
def test_an_evaluator_whose_state_is_damaged_writes_it_again_and_mails_once(tmp_path, table):
    """It holds the alerts: they are on the new file after its next poll; only a lost cooldown tells twice."""
    with closing(Store(tmp_path, "box", keeper=True)) as store:
        evaluator = Engine(HostRules(), store, POLICY, HEAD, lambda: NOW, no_desktop)
        evaluator.evaluate(BUSY)
        (row,) = store.lease_due(START, 60)
        store.mark_sent(row.id, START, "250 ok")
        overwritten(store.path, table)
        with closing(sqlite3.connect(store.path)) as other:  # so that no page is read from memory
            other.execute("PRAGMA user_version = 2")
        outcomes = [evaluator.evaluate(BUSY) for _ in range(2)]
        store.history()  # who looks elsewhere finds what the evaluator has not read
        store.outbox_summary(START)
        outcomes += [evaluator.evaluate(BUSY) for _ in range(2)]
        assert store.renewed == 1
        assert [alert.rule for alert in store.saved_state().alerts] == ["gpu_limit"]
        assert [each.trouble for each in outcomes] == [None] * 4
        assert sum(len(each.mails) for each in outcomes) == (table == "deliveries")


def test_what_cannot_be_written_is_no_damage(store):
    """A text that no database takes is an error of ours, and the file stays where it is."""
    with pytest.raises(UnicodeEncodeError):
        store.record_delivery(["\udcff"], "email", fired(1).at)
    store.commit(fired(1))
    assert (aside(store.path.parent), store.renewed) == ([], 0)


def test_the_other_process_goes_on_in_the_new_file(store, other):
    """Who still has the damaged file open writes to the new one from then on: its mails are not lost."""
    store.commit(fired(1))
    store.close()
    other.close()
    overwritten(store.path, "transitions")
    one, two = Store(store.path.parent, "box"), Store(store.path.parent, "box")
    one.commit(step(mail(2, ["b"])))
    two.history()  # finds the damage
    one.commit(step(mail(3, ["c"])))
    assert len(two.lease_due(START, 60)) == 3
    assert (one.lease_due(START, 60), one.renewed) == ((), 1)
    one.close()
    two.close()


def test_a_file_that_was_deleted_is_written_again(store, other, caplog):
    """What the open one held is in the new one."""
    store.commit(fired(1))
    for each in store.path.parent.iterdir():
        each.unlink()
    assert len(store.lease_due(START, 60)) == 1
    assert "was deleted" in caplog.text
    assert other.lease_due(START, 60) == ()
    assert len(other.saved_state().alerts) == 1


@pytest.fixture
def copies(monkeypatch):
    """The states in memory that are made from now on."""
    made = []

    def make():
        made.append(memory_database())
        return made[-1]

    monkeypatch.setattr("gpuwatch_tray.store.database.memory_database", make)
    return made


def is_closed(connection):
    try:
        connection.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return True
    return False


def test_a_copy_in_memory_is_closed_once_it_is_not_needed(tmp_path, monkeypatch, copies):
    """After a deleted file is written again, after damage is set aside, and where that fails."""
    with closing(Store(tmp_path, "box")) as store:
        store.commit(fired(1))
        for each in tmp_path.iterdir():
            each.unlink()
        store.commit(fired(2))
    overwritten(store.path, "transitions")
    with closing(Store(tmp_path, "box")) as store:
        store.history()
    overwritten(store.path, "transitions")
    disk = faults.install(monkeypatch, tmp_path)
    full = disk.failing(sqlite3.SQLITE_FULL, "CREATE")
    with closing(Store(tmp_path, "box")) as store, full, pytest.raises(StoreError):
        store.history()
    assert [*map(is_closed, copies)] == [True, True, True]


def test_damage_on_a_full_disk_goes_on_in_memory(tmp_path, monkeypatch):
    """Set aside, read into memory, and no room for the new file: the mails are there all the same."""
    with closing(Store(tmp_path, "box")) as before:
        before.commit(fired(1))
    overwritten(before.path, "transitions")
    disk = faults.install(monkeypatch, tmp_path)
    store = Store(tmp_path, "box", keeper=True)
    with disk.failing(sqlite3.SQLITE_FULL, "CREATE"):
        store.history()
        assert "the disk is full" in store.trouble
        assert len(store.lease_due(START, 60)) == 1
    store.close()
    with closing(Store(tmp_path, "box")) as after:
        assert (len(after.saved_state().alerts), after.lease_due(START, 60)) == (1, ())


def test_no_table_is_forgotten_on_the_way_from_one_database_to_another():
    """Each table of the schema is copied, and has a reader that says whether its rows make sense."""
    with closing(memory_database()) as database:
        rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert {name for (name,) in rows if not name.startswith("sqlite_")} == set(TABLES) == set(READERS)
