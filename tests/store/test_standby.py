"""What stands in for a state file that cannot be written: a file in the session's folder."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing

import pytest

from gpuwatch_tray.store import Store, StoreError, standby
from gpuwatch_tray.store.database import RETRY_SECONDS
from tests.store.commits import alert, fired, mail, step
from tests.support.fakes import START


class Folders:
    """A state's folder that cannot be made, as a file is in its way, and one that stands in."""

    def __init__(self, folder) -> None:
        self._wall = folder / "wall"
        self.state = self._wall / "state"
        self.place = folder / "session" / "0123"
        self.file = folder / "session" / "0123.sqlite3"
        self.block()

    def block(self):
        self._wall.write_text("")

    def free(self):
        self._wall.unlink()
        self.state.mkdir(parents=True)

    def store(self, *, keeper=False, places=None):
        return closing(
            Store(self.state, "box", keeper=keeper, standby=[self.place] if places is None else places)
        )


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path)


def test_the_next_keeper_knows_what_the_last_one_did(folders, journal):
    """Alerts, mails that wait and mails that were sent: as if the file could be written."""
    with folders.store(keeper=True) as first:
        first.commit(step(mail(1, ["a"]), mail(2, ["b"]), alerts=(alert(1, "a"), alert(2, "b"))))
        sent, _waits = first.lease_due(START, 0)
        first.mark_sent(sent.id, START + 1, "250 ok")
        assert str(folders.file) in first.trouble
        assert not first.is_forgotten
    with folders.store(keeper=True) as second:
        assert str(folders.file) in second.trouble
        assert "Not a directory" in second.trouble
        assert set(second.delivered("email")) == {"a"}
        assert [row.message.message_id for row in second.unsent_mails()] == ["<2@box>"]
        assert [each.id for each in second.saved_state().alerts] == [1, 2]


def test_once_the_file_can_be_written_it_holds_it_all(folders, pace):
    """A keeper that runs returns by itself, and leaves nothing elsewhere."""
    with folders.store(keeper=True) as keeper:
        keeper.commit(fired(1))
        folders.free()
        assert keeper.trouble is not None
        pace.advance(RETRY_SECONDS)
        assert len(keeper.saved_state().alerts) == 1
        assert keeper.trouble is None
    assert not list(folders.file.parent.glob("*.sqlite3*"))
    with folders.store() as found:
        assert len(found.unsent_mails()) == 1


def test_a_keeper_that_starts_then_returns_at_once(folders):
    """Cron's next run finds the folder mended: the file holds what was kept elsewhere."""
    with folders.store(keeper=True) as first:
        first.commit(fired(1))
    folders.free()
    with folders.store(keeper=True) as second:
        assert second.trouble is None
        assert len(second.saved_state().alerts) == 1
    assert not folders.file.exists()


def test_others_use_it_too_but_leave_the_mails_to_a_keeper_that_runs(folders):
    """`mail queue` and `mail retry` see the mails; while somebody sends them, nobody else does."""
    with folders.store(keeper=True) as keeper:
        keeper.commit(step(mail(1, ["a"]), alerts=(alert(1, "a"),)))
        with folders.store() as beside:
            assert len(beside.unsent_mails()) == 1
            with pytest.raises(StoreError, match="keeps the mails and sends them"):
                beside.lease_due(START, 60)
    with folders.store() as later:
        (row,) = later.lease_due(START, 60)
        later.mark_sent(row.id, START + 1, "250 ok")
    with folders.store(keeper=True) as keeper:
        assert keeper.lease_due(START + 600, 60) == ()
        assert set(keeper.delivered("email")) == {"a"}


def test_others_follow_when_it_is_put_back(folders):
    """A command that runs meanwhile goes on with the state file."""
    with folders.store(keeper=True) as first:
        first.commit(fired(1))
    with folders.store() as beside:
        assert len(beside.unsent_mails()) == 1
        folders.free()
        with folders.store(keeper=True) as second:
            second.commit(step(mail(2, ["b"]), alerts=(alert(1, "a"), alert(2, "b"))))
        assert len(beside.unsent_mails()) == 2


@pytest.fixture
def freed(disk, folders, pace):
    """Whoever keeps what stood in, who sends its mail, and that mail's row; the folder is free since."""
    with folders.store(keeper=True) as keeper, folders.store() as child:
        keeper.commit(step(mail(1, ["a"])))
        (row,) = keeper.lease_due(START, 60)
        assert len(child.unsent_mails()) == 1
        folders.free()
        pace.advance(RETRY_SECONDS)
        yield keeper, child, row.id


def test_who_has_waited_for_what_stood_in_records_its_mail_in_the_file(disk, freed):
    """The sender's record is not written to a file that nobody has any more: the mail would go again."""
    keeper, child, row = freed
    disk.before("BEGIN IMMEDIATE", keeper.saved_state)
    child.mark_sent(row, START + 1, "250 ok")
    assert keeper.trouble is None
    assert keeper.lease_due(START + 600, 60) == ()


def test_nothing_is_recorded_between_its_copy_and_its_end(disk, freed):
    """Whoever sends waits for the return to the file, and records there."""
    keeper, child, row = freed
    refused = []

    def record_meanwhile():
        with pytest.raises(StoreError, match="another program is using it"):
            child.mark_sent(row, START + 1, "250 ok")
        refused.append(row)

    disk.before("DELETE FROM acknowledgements", lambda: disk.before("COMMIT", record_meanwhile))
    keeper.saved_state()
    assert (keeper.trouble, refused) == (None, [row])
    child.mark_sent(row, START + 2, "250 ok")
    assert keeper.lease_due(START + 600, 60) == ()


def test_where_that_fails_too_it_goes_on_in_memory(folders, disk, caplog):
    """The session's folder is full as well: nothing is lost while the process runs, and that is said."""
    with folders.store(keeper=True) as keeper:
        keeper.commit(fired(1))
        with disk.failing(sqlite3.SQLITE_FULL):
            keeper.commit(step(mail(2, ["b"]), alerts=(alert(1, "a"), alert(2, "b"))))
        assert len(keeper.unsent_mails()) == 2
        assert keeper.is_forgotten
        assert "in memory only" in keeper.trouble
    assert not folders.file.exists()


def test_the_second_place_serves_where_the_first_does_not(folders, tmp_path):
    """A runtime folder that is gone leaves the temporary one."""
    places = [tmp_path / "wall" / "run" / "0123", folders.place]
    with folders.store(keeper=True, places=places) as keeper:
        assert str(folders.file) in keeper.trouble


def test_a_damaged_one_is_set_aside(folders):
    """It keeps nobody from watching."""
    folders.file.parent.mkdir(mode=0o700)
    folders.file.write_text("no database" * 1000)
    with folders.store(keeper=True) as keeper:
        keeper.commit(fired(1))
        assert str(folders.file) in keeper.trouble
    assert folders.file.with_name("0123.sqlite3.damaged").read_text().startswith("no database")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_not_used(folders):
    """Anybody may make a folder of our name in /tmp: nothing is put into it, and nothing read from it."""
    with folders.store(keeper=True) as planted:
        planted.commit(fired(1))
    os.chown(folders.file.parent, 12345, 12345)
    before = folders.file.read_bytes()
    with folders.store(keeper=True) as keeper:
        assert keeper.saved_state().alerts == ()
        keeper.commit(fired(2))
        assert keeper.is_forgotten
    assert folders.file.read_bytes() == before


def test_it_is_private(folders):
    """It holds the text of mails."""
    before = os.umask(0o022)
    try:
        with folders.store(keeper=True) as keeper:
            keeper.commit(fired(1))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folders.file.parent.iterdir()}
            assert stat.S_IMODE(folders.file.parent.stat().st_mode) == 0o700
    finally:
        os.umask(before)
    assert folders.file.name in modes
    assert set(modes.values()) == {0o600}


def test_a_claim_is_seen_from_any_place(folders, tmp_path):
    """Two processes need not know the same places."""
    state = folders.state / "state-box.sqlite3"
    here, there = folders.place, tmp_path / "temporary" / "0123"
    first = standby.MemoryClaim(state, [here, there])
    first.acquire()
    assert standby.MemoryClaim(state, [there]).held_by_other()
    assert not first.held_by_other()
    first.release()
    assert not standby.MemoryClaim(state, [there]).held_by_other()
