"""One evaluator a folder and state."""

from __future__ import annotations

import errno
import os
import stat
import threading

import pytest

from gpuwatch_tray.ipc import lock as lock_module
from gpuwatch_tray.ipc.lock import LockError, LockHolder, StoreLock

TRAY = LockHolder(os.getpid(), "tray")


def test_the_second_is_refused_and_told_who_is_first(tmp_path):
    """While one holds the lock, another does not get it and can name the holder."""
    first, second = StoreLock(tmp_path, "box"), StoreLock(tmp_path, "box")
    assert first.acquire(TRAY)
    assert not second.acquire(TRAY)
    assert str(second.holder()) == f"tray, PID {os.getpid()}"
    second.release()  # not its own: nothing happens
    assert not second.acquire(TRAY)
    first.release()
    assert second.acquire(TRAY)
    second.release()


def test_states_that_share_a_folder_do_not_exclude_each_other(tmp_path):
    """The lock is per host and source, as home folders are shared over NFS."""
    one, other = StoreLock(tmp_path, "a"), StoreLock(tmp_path, "b")
    assert one.acquire(TRAY)
    assert other.acquire(TRAY)
    one.release()
    other.release()


def test_a_holder_in_trouble_says_so(tmp_path):
    """Who comes second learns that the first cannot read the driver, or mails nobody."""
    first, second = StoreLock(tmp_path, "box"), StoreLock(tmp_path, "box")
    first.acquire(TRAY)
    first.describe(LockHolder(os.getpid(), "tray", mails=False, trouble="driver not loaded"))
    assert (second.holder().mails, second.holder().trouble) == (False, "driver not loaded")
    first.release()


def test_the_description_says_where_the_holder_answers(tmp_path):
    """`status` from cron, without the session's variables, learns the address from the lock's file."""
    first, second = StoreLock(tmp_path, "box"), StoreLock(tmp_path, "box")
    first.acquire(LockHolder(os.getpid(), "tray"))
    assert second.holder().address == ""
    first.describe(LockHolder(os.getpid(), "tray", address="/run/user/1/s"))
    assert second.holder().address == "/run/user/1/s"
    first.release()
    assert second.holder() == LockHolder()


def test_a_description_of_an_older_version_is_read(tmp_path):
    """What a version without an address wrote names its holder all the same."""
    text = '{"pid": 7, "face": "tray", "mails": true, "trouble": null}'
    (tmp_path / "watching-box.json").write_text(text)
    assert StoreLock(tmp_path, "box").holder() == LockHolder(7, "tray")


def test_whether_the_lock_is_free_can_be_asked_without_keeping_it(tmp_path):
    """Free before, not while another holds it, free after; without a folder nobody holds it."""
    first, second = StoreLock(tmp_path, "box"), StoreLock(tmp_path, "box")
    assert second.is_free()
    assert first.acquire(TRAY)
    assert not second.is_free()
    first.release()
    assert second.is_free()
    assert first.acquire(TRAY)  # asking has not taken it
    first.release()
    assert StoreLock(tmp_path / "gone", "box").is_free()
    assert not (tmp_path / "gone").exists()


DAMAGED = [
    "",
    "[]",
    '{"pid": 1, "news": 2}',
    "\xff",
    '{"pid": "x"}',
    '{"pid": 1, "address": ["/s"]}',
    '{"pid": 1, "face": null}',
    "[" * 100_000,
]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_description_is_an_unknown_holder(tmp_path, text):
    """Whatever stands in the file, the lock alone decides."""
    (tmp_path / "watching-box.json").write_text(text, encoding="latin-1")
    assert StoreLock(tmp_path, "box").holder() == LockHolder()


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    """The error names the folder and the variable that names another."""
    (tmp_path / "file").write_text("")
    with pytest.raises(LockError, match=r"file: the state cannot be kept there: .*GPUWATCH_CACHE"):
        StoreLock(tmp_path / "file", "box").acquire(TRAY)


@pytest.fixture
def umask():
    """Set the umask of most systems, under which a file is readable by all."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}


def test_nobody_else_can_open_the_lock(tmp_path, umask):
    """Whoever can open it can hold it, and nothing would be watched: 0700 and 0600 whatever the umask."""
    state = tmp_path / "cache" / "state"
    first = StoreLock(state, "box")
    assert first.acquire(TRAY)
    private = {"state": 0o700, "watching-box.lock": 0o600, "watching-box.json": 0o600}
    assert modes(state) == private
    first.release()
    state.chmod(0o755)
    (state / "watching-box.lock").chmod(0o644)
    assert first.acquire(TRAY)
    assert modes(state) == private
    first.release()
    (state / "watching-box.lock").chmod(0o644)
    assert first.is_free()
    assert modes(state)["watching-box.lock"] == 0o600


def test_a_shared_folder_stays_shared(tmp_path, umask):
    """A state in /tmp does not close it to everybody; the files are private all the same."""
    tmp_path.chmod(0o1777)
    lock = StoreLock(tmp_path, "box")
    assert lock.acquire(TRAY)
    assert modes(tmp_path)[tmp_path.name] == 0o1777
    assert modes(tmp_path)["watching-box.lock"] == 0o600
    lock.release()


@pytest.fixture
def blocked(tmp_path):
    """A state's folder that cannot be made, as a file is in its way."""
    (tmp_path / "wall").write_text("")
    return tmp_path / "wall" / "state"


def free(blocked):
    blocked.parent.unlink()
    blocked.mkdir(parents=True)


def test_elsewhere_it_excludes_as_well(blocked, tmp_path):
    """Where the state's folder cannot be written, one at a time evaluates all the same, and is known."""
    run, temporary = tmp_path / "run" / "0123", tmp_path / "tmp" / "0123"
    first = StoreLock(blocked, "box", [run, temporary])
    second = StoreLock(blocked, "box", [temporary])  # cron's, which knows no runtime folder
    third = StoreLock(blocked, "box", [run, temporary])
    assert first.acquire(TRAY)
    assert not second.acquire(TRAY)
    assert not third.acquire(TRAY)
    assert str(third.holder()) == f"tray, PID {os.getpid()}"
    assert not second.is_free()
    assert second.path == temporary.with_name("watching-0123.lock")
    first.release()
    assert third.holder() == LockHolder()
    assert second.is_free()
    assert second.acquire(TRAY)
    second.release()


def test_who_holds_it_elsewhere_still_holds_it_once_the_folder_can_be_written(blocked, tmp_path):
    """One that starts then is refused; the first one moves its description, and leaves both places free."""
    place = tmp_path / "run" / "0123"
    first, second = StoreLock(blocked, "box", [place]), StoreLock(blocked, "box", [place])
    assert first.acquire(TRAY)
    free(blocked)
    assert not second.acquire(TRAY)
    assert second.holder() == TRAY
    first.describe(LockHolder(os.getpid(), "tray", trouble="none"))
    assert not (place.parent / "watching-0123.json").exists()
    assert second.holder().trouble == "none"
    first.release()
    assert second.acquire(TRAY)
    second.release()


def test_a_description_that_was_left_elsewhere_is_taken_away(blocked, tmp_path):
    """Its process was killed; the next one, in the state's folder, is the holder."""
    place = tmp_path / "run" / "0123"
    killed = StoreLock(blocked, "box", [place])
    assert killed.acquire(LockHolder(1, "watch"))
    left = (place.parent / "watching-0123.json").read_text()
    killed.release()
    (place.parent / "watching-0123.json").write_text(left)
    free(blocked)
    first, second = StoreLock(blocked, "box", [place]), StoreLock(blocked, "box", [place])
    assert first.acquire(TRAY)
    assert second.holder() == TRAY
    first.release()


def test_the_description_goes_elsewhere_where_the_folder_is_full(tmp_path, monkeypatch):
    """The lock is an empty file, which a full disk accepts; who has it is known all the same."""
    place = tmp_path / "run" / "0123"
    first, second = StoreLock(tmp_path, "box", [place]), StoreLock(tmp_path, "box", [place])
    assert first.acquire(LockHolder(os.getpid(), "tray", trouble="before"))
    real = lock_module.write_private

    def full(file, text):
        if file.parent == tmp_path:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file, text)

    monkeypatch.setattr(lock_module, "write_private", full)
    first.describe(LockHolder(os.getpid(), "tray", trouble="the disk is full"))
    assert second.holder().trouble == "the disk is full"
    monkeypatch.undo()
    first.describe(TRAY)
    assert second.holder() == TRAY
    assert not list(place.parent.glob("*.json"))
    first.release()
    assert second.is_free()


def test_another_thread_describes_the_same_lock(tmp_path):
    """The poller says what is wrong; the main thread took the lock."""
    first, second = StoreLock(tmp_path, "box"), StoreLock(tmp_path, "box")
    assert first.acquire(TRAY)
    poller = threading.Thread(target=first.describe, args=(LockHolder(1, "tray", trouble="hangs"),))
    poller.start()
    poller.join()
    assert second.holder().trouble == "hangs"
    assert not second.acquire(TRAY)
    first.release()
    assert second.acquire(TRAY)
    second.release()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a folder away")
def test_nobody_else_can_hold_it_elsewhere(blocked, tmp_path):
    """Anybody may make a folder of our name in /tmp, and lock and describe in it what they like."""
    place = tmp_path / "tmp" / "0123"
    theirs = StoreLock(blocked, "box", [place])
    assert theirs.acquire(LockHolder(1, "watch"))
    os.chown(place.parent, 12345, 12345)
    ours = StoreLock(blocked, "box", [place])
    assert (ours.is_free(), ours.holder()) == (True, LockHolder())
    with pytest.raises(LockError):
        ours.acquire(TRAY)
    theirs.release()
