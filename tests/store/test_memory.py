"""A disk that cannot be written: the keeper goes on in memory, says so, and returns to the file."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from gpuwatch_tray.alerts import Silence, SilenceScope
from gpuwatch_tray.model import Instant
from gpuwatch_tray.store import KnownGpu, Store, StoreError
from gpuwatch_tray.store.database import RETRY_SECONDS
from tests.store.commits import NOW, alert, fired, mail, step
from tests.support.fakes import START

FULL = sqlite3.SQLITE_FULL
# code -> what the person reads
CAUSES = [
    (FULL, "the disk is full"),
    (sqlite3.SQLITE_READONLY, "the file cannot be written"),
    (sqlite3.SQLITE_IOERR_WRITE, "the disk fails"),
    (sqlite3.SQLITE_CANTOPEN, "the file cannot be opened"),
]


@pytest.fixture
def keeper(tmp_path, pace, disk, journal):
    opened = Store(tmp_path, "box", keeper=True)
    yield opened
    opened.close()


def reopened(store):
    """Open what a restart finds."""
    return closing(Store(store.path.parent, "box"))


@pytest.mark.parametrize(("code", "words"), CAUSES)
@pytest.mark.parametrize("at", ["BEGIN", "INSERT INTO outbox", "COMMIT"])
def test_whatever_fails_the_step_is_taken_in_memory(keeper, disk, caplog, code, words, at):
    """The state and its mail are there, the trouble is named once, and nothing is half done."""
    keeper.commit(fired(1))
    with disk.failing(code, at):
        keeper.commit(step(mail(2, ["b"]), alerts=(alert(1), alert(2, "b"))))
        assert [row.message.message_id for row in keeper.lease_due(START, 60)] == ["<1@box>", "<2@box>"]
        assert len(keeper.saved_state().alerts) == 2
        assert (words in keeper.trouble, str(keeper.path) in keeper.trouble) == (True, True)
        keeper.commit(step(mail(3)))
    assert caplog.text.count("in memory only") == 1
    with reopened(keeper) as found:
        assert [each.id for each in found.saved_state().alerts] == [1]


def test_when_the_disk_is_mended_the_file_holds_what_was_in_memory(keeper, disk, pace, caplog):
    """After a while, unasked: alerts, mails, deliveries, snoozes, GPUs; what is over is over there too."""
    hour = Silence(SilenceScope.ALL, "", NOW, 3600.0)
    keeper.commit(fired(1))
    keeper.add_silence(Silence(SilenceScope.RULE, "gpu_limit", NOW, 60.0))
    with disk.failing(FULL):
        keeper.commit(step(mail(2, ["b"]), alerts=(alert(2, "b"),), gpus=(KnownGpu("GPU-1", 0, "x", START),)))
        keeper.end_silences()
        keeper.add_silence(hour)
        keeper.mark_sent(1, START + 5, "250 ok")
        keeper.acknowledge([2], [], START)
        pace.advance(RETRY_SECONDS)
        assert len(keeper.saved_state().alerts) == 2
        assert keeper.trouble is not None
    assert keeper.trouble is not None  # not yet time
    pace.advance(RETRY_SECONDS)
    keeper.outbox_summary(START)
    assert keeper.trouble is None
    assert "can be written again" in caplog.text
    with reopened(keeper) as found:
        assert [each.id for each in found.saved_state().alerts] == [1, 2]
        assert found.attention().silences == (hour,)
        assert found.attention().acknowledged == {2}
        assert set(found.delivered("email")) == {"box/gpu_limit"}
        assert [each.uuid for each in found.gpus()] == ["GPU-1"]
        found.end_silences()
        assert [row.message.message_id for row in found.lease_due(START, 60)] == ["<2@box>"]


def test_a_mail_that_was_sent_in_memory_is_not_sent_again_from_the_file(keeper, disk, pace):
    """Whether it was queued before the disk was full or after."""
    keeper.commit(step(mail(1)))
    with disk.failing(FULL):
        keeper.commit(step(mail(2)))
        rows = keeper.lease_due(START, 60)
        assert len(rows) == 2
        for row in rows:
            keeper.mark_sent(row.id, START + 1, "250 ok")
    pace.advance(RETRY_SECONDS)
    assert keeper.lease_due(START + 1000, 60) == ()
    assert keeper.trouble is None
    assert keeper.lease_due(START + 2000, 60) == ()


def test_a_mail_that_was_sent_in_memory_stays_sent_where_the_file_was_read_in_part(keeper, disk, pace):
    """Memory began with the mails but without another table: the file's own row of the mail is outdated."""
    keeper.commit(step(mail(1, ["a"]), mail(2, ["b"]), alerts=(alert(1),)))
    with closing(sqlite3.connect(keeper.path)) as database:
        database.execute("UPDATE incidents SET severity = 'nonsense'")
        database.commit()
    with disk.failing(FULL):
        keeper.commit(step())
        first, _second = keeper.lease_due(START, 60)
        keeper.mark_sent(first.id, START + 1, "250 ok")
    pace.advance(RETRY_SECONDS)
    assert [row.id for row in keeper.lease_due(START + 1000, 60)] == [2]
    assert keeper.trouble is None


def test_a_mail_that_the_child_sent_meanwhile_is_not_sent_again_from_memory(keeper, disk, pace, tmp_path):
    """A child that had leased it before the disk was full records it in the file as soon as it can."""
    keeper.commit(step(mail(1, ["a"])))
    with reopened(keeper) as child:
        (row,) = child.lease_due(START, 180)
        with disk.failing(FULL):
            keeper.commit(step(mail(2, ["b"])))
            assert [each.id for each in keeper.lease_due(START + 1, 60)] == [2]
        child.mark_sent(row.id, START + 2, "250 ok")
    pace.advance(RETRY_SECONDS)
    assert keeper.lease_due(START + 1000, 60)[0].id == 2
    assert keeper.trouble is None
    assert set(keeper.delivered("email")) == {"a"}


def test_a_mail_in_flight_keeps_its_number_over_the_return(keeper, disk, pace):
    """Leased from memory, recorded when the file is back."""
    with disk.failing(FULL):
        keeper.commit(step(mail(1, ["a"])))
        (row,) = keeper.lease_due(START, 180)
    pace.advance(RETRY_SECONDS)
    keeper.mark_sent(row.id, START + 3, "250 ok")
    assert keeper.trouble is None
    assert (set(keeper.delivered("email")), keeper.lease_due(START + 1000, 60)) == ({"a"}, ())


def test_at_the_end_memory_gets_a_last_chance(keeper, disk):
    """Room was made in the meantime: the end need not wait for the next attempt."""
    with disk.failing(FULL):
        keeper.commit(fired(1))
    keeper.close()
    with reopened(keeper) as found:
        assert len(found.lease_due(START, 60)) == 1


def test_a_disk_that_is_full_from_the_start_keeps_nobody_from_watching(tmp_path, disk, pace, journal):
    """The keeper opens all the same, and knows what the file holds."""
    Store(tmp_path, "box").close()
    with closing(Store(tmp_path, "box")) as before:
        before.record_delivery(["a"], "email", NOW)
    with disk.failing(FULL, "PRAGMA journal_mode"), closing(Store(tmp_path, "box", keeper=True)) as store:
        assert "the disk is full" in store.trouble
        assert set(store.delivered("email")) == {"a"}
        store.commit(fired(1))
        assert len(store.lease_due(START, 60)) == 1


def test_no_file_and_no_room_for_one(tmp_path, disk, pace):
    """The very first start on a full disk."""
    with disk.failing(FULL, "CREATE"), closing(Store(tmp_path, "box", keeper=True)) as store:
        store.commit(fired(1))
        assert len(store.saved_state().alerts) == 1


def test_a_file_that_cannot_be_read_either_keeps_its_mails(tmp_path, disk, pace):
    """Memory then begins empty; on the return no mail of either is lost, and nothing shares a number."""
    with closing(Store(tmp_path, "box")) as before:
        before.commit(step(mail(1, ["a"]), alerts=(alert(1, "old"),)))
        before.record_delivery(["told"], "email", Instant(START - 10, 490.0, "boot-1"))
        before.add_silence(Silence(SilenceScope.ALL, "", NOW, 60.0))
    with disk.failing(sqlite3.SQLITE_CANTOPEN, ""):
        store = Store(tmp_path, "box", keeper=True)
        assert (store.renewed, store.saved_state().alerts) == (1, ())
        store.commit(step(mail(2, ["b"]), alerts=(alert(1, "new"),)))
    pace.advance(RETRY_SECONDS)
    assert store.lease_due(START, 60) == ()  # the snooze of the file holds the mails of both
    store.end_silences()
    assert [row.message.message_id for row in store.lease_due(START, 60)] == ["<1@box>", "<2@box>"]
    assert store.trouble is None
    assert [each.fingerprint for each in store.saved_state().alerts] == ["new"]
    assert (set(store.delivered("email")), len(store.attention().silences)) == ({"told"}, 0)
    store.close()


def test_whoever_does_not_evaluate_is_refused(tmp_path, disk):
    """Two memories would both send the mails of the file, and that at every run of cron."""
    with closing(Store(tmp_path, "box")) as store:
        store.commit(fired(1))
        with disk.failing(FULL), pytest.raises(StoreError, match=r"is full \(free some disk space\)"):
            store.lease_due(START, 60)
        assert store.trouble is None
        assert len(store.lease_due(START, 60)) == 1
    with disk.failing(FULL, "PRAGMA journal_mode"), closing(Store(tmp_path, "box")) as store:
        assert len(store.saved_state().alerts) == 1  # to read is no harm


def test_the_mails_that_are_in_memory_are_left_to_who_has_them(keeper, disk, pace):
    """A process beside that can write, as the disk has room again, does not send them a second time."""
    keeper.commit(step(mail(1)))
    with reopened(keeper) as beside:
        with disk.failing(FULL):
            keeper.commit(step(mail(2)))
        with pytest.raises(StoreError, match="keeps the mails and sends them"):
            beside.lease_due(START, 60)
        pace.advance(RETRY_SECONDS)
        assert len(keeper.lease_due(START, 60)) == 2
        assert beside.lease_due(START + 61, 60) != ()


def test_a_locked_file_is_no_reason_for_memory(keeper, disk):
    """Another process is at work: an error for now, and the next poll does it."""
    with disk.failing(sqlite3.SQLITE_BUSY, "BEGIN"), pytest.raises(StoreError, match="another program"):
        keeper.commit(fired(1))
    assert (keeper.trouble, keeper.saved_state().alerts) == (None, ())
    keeper.commit(fired(1))
    assert len(keeper.saved_state().alerts) == 1


def test_a_closed_store_stays_closed(tmp_path):
    """A thread that is late does not open it again behind the back of who holds the lock by then."""
    store = Store(tmp_path, "box", keeper=True)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.mark_sent(1, START, "250 ok")
    store.close()


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path):
    """It names the file and the variable that names another folder; who watches goes on all the same."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"state-box\.sqlite3: the state cannot be opened.*GPUWATCH_CACHE"):
        Store(tmp_path / "file", "box")
    with closing(Store(tmp_path / "file", "box", keeper=True)) as store:
        assert "state-box.sqlite3: Not a directory: alerts and mails are kept in memory only" in store.trouble
        assert "GPUWATCH_CACHE" in store.trouble
        store.commit(fired(1))
        assert len(store.lease_due(START, 60)) == 1
