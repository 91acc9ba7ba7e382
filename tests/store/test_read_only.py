"""A state folder that cannot be written, under the installed program: it watches, mails once, and says so."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing, suppress

import pytest

from gpuwatch_tray.common import host
from tests.driver.scenario import FakeGpu, Scenario
from tests.support.installed import busy
from tests.support.mounts import with_own_mounts
from tests.support.timing import wait_until

pytestmark = [pytest.mark.driver, pytest.mark.configured(POLL_SEC=1)]


class ReadOnlyState:
    """The state's folder on a file system of its own."""

    def __init__(self, folder) -> None:
        self.folder = folder
        folder.mkdir()
        self._mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", folder)

    def lock(self) -> None:
        self._mount("-o", "remount,ro", self.folder)

    def unlock(self) -> None:
        self._mount("-o", "remount,rw", self.folder)

    def outbox(self):
        database = sqlite3.connect(self.folder / f"state-{host.host()}.sqlite3")
        with closing(database), suppress(sqlite3.OperationalError):  # being made at this moment
            return database.execute("SELECT state FROM outbox").fetchall()
        return []

    @staticmethod
    def _mount(*words) -> None:
        if subprocess.run(["mount", *map(str, words)], check=False, capture_output=True).returncode:
            pytest.skip("no mounting here")


@pytest.fixture
def session(installed):
    """A runtime folder, as a session has one."""
    folder = installed.folder / "session"
    folder.mkdir(mode=0o700)
    installed.environment["XDG_RUNTIME_DIR"] = str(folder)
    return folder


@pytest.fixture
def state(installed, session):
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root may mount")
    made = ReadOnlyState(installed.state)
    yield made
    subprocess.run(["umount", "-l", str(made.folder)], check=True)  # a child may still be in it


def without_override(installed, *words):
    """Run it as root that may not overrule the modes of files, so that it is refused as any user is."""
    command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    return subprocess.run(
        [*command, str(installed.script), *words],
        env=installed.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=installed.folder,
    )


def assert_told(done, folder):
    """One line says what is wrong, where things are kept meanwhile, and what to do."""
    assert done.returncode == 1
    assert f"kept in {folder}" in done.stderr
    assert "until they can be written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("known", [True, False], ids=["of before", "none yet"])
def test_check_mails_once_and_knows_it_the_next_time(installed, server, two, state, session, known):
    """Cron's next run does not mail again; with the disk writable again the file knows all of it."""
    if known:
        assert installed.run("check").returncode == 0
    state.lock()
    installed.play(busy(*two))
    for _run in range(3):
        assert_told(installed.run("check"), session)
        assert len(server.messages) == 1
    assert "no queued mails" in installed.run("mail", "queue").stdout.lower()
    state.unlock()
    done = installed.run("check")
    assert (done.returncode, "can be written again" in done.stderr) == (0, True)
    assert (len(server.messages), state.outbox()) == (1, [("sent",)])
    assert installed.run("check").returncode == 0
    assert len(server.messages) == 1
    assert not list(session.rglob("*.sqlite3*"))


def test_the_cooldown_on_the_file_holds(installed, server, two, state, session):
    """What was mailed while the folder could be written is not mailed again."""
    installed.play(busy(*two))
    assert installed.run("check").returncode == 0
    state.lock()
    assert_told(installed.run("check"), session)
    assert len(server.messages) == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="plays a user by root's capabilities")
@pytest.mark.parametrize("known", [True, False], ids=["of before", "none yet"])
def test_a_folder_in_which_this_user_may_not_write(installed, server, two, session, known):
    """One mail, though the files in it could be written; and the folder stays as it was."""
    if known:
        assert installed.run("check").returncode == 0
    installed.state.mkdir(exist_ok=True)
    installed.state.chmod(0o500)
    installed.play(busy(*two))
    for _run in range(2):
        assert_told(without_override(installed, "check"), session)
        assert len(server.messages) == 1
    installed.state.chmod(0o700)
    assert installed.run("check").returncode == 0
    assert len(server.messages) == 1


def test_a_mail_that_waits_leaves_once(installed, server, two, state, session):
    """Its server was down at the first run; the next ones send it, whoever they are."""
    state.lock()
    installed.play(busy(*two))
    server.behave(connect="421 4.3.2 down for repairs")
    assert_told(installed.run("check"), session)
    (waiting,) = json.loads(installed.run("mail", "queue", "--json").stdout)["mails"]
    assert "421" in waiting["error"]
    server.behave()
    assert installed.run("mail", "retry", str(waiting["id"])).returncode == 0
    assert len(server.messages) == 1
    assert_told(installed.run("check"), session)
    assert len(server.messages) == 1


def test_a_folder_that_cannot_be_made(installed, server, two, session):
    """Below a file no folder can be made: watched and mailed all the same, once, and said."""
    installed.write("file")
    installed.environment["GPUWATCH_CACHE"] = str(installed.folder / "file" / "state")
    installed.play(busy(*two))
    for _run in range(2):
        done = installed.run("check")
        assert_told(done, session)
        assert "GPUWATCH_CACHE" in done.stderr
        assert len(server.messages) == 1


def watcher(installed):
    return subprocess.Popen(
        [installed.script, "watch"],
        env=installed.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_watch_says_it_everywhere_and_nobody_mails_beside_it(installed, server, two, state, session):
    """Its own lines, `status`, `doctor`, a second start and `check`; and it returns to the file by itself."""
    state.lock()
    installed.play(busy(*two))
    with watcher(installed) as running:
        try:
            server.wait_for(1, 60)
            status = installed.run("status")
            assert f"kept in {session}" in status.stdout
            doctor = installed.run("doctor")
            assert doctor.returncode == 1
            assert f"{state.folder} is not writable" in doctor.stdout
            assert f"kept in {session}" in doctor.stdout
            second = installed.run("watch")
            assert (second.returncode, f"PID {running.pid} is already watching" in second.stdout) == (0, True)
            beside = installed.run("check")
            assert (beside.returncode, "is watching on" in beside.stdout) == (1, True)
            assert f"kept in {session}" in beside.stderr
            state.unlock()
            wait_until(lambda: state.outbox() == [("sent",)], "the return to the file", 90)
            assert installed.run("status").returncode == 0
            assert installed.run("quit").returncode == 0
        finally:
            running.terminate()
            said = running.communicate(timeout=60)[0]
    assert f"kept in {session}" in said
    assert "can be written again" in said
    assert "Traceback" not in said
    assert installed.run("check").returncode == 0
    assert len(server.messages) == 1


def test_who_began_while_it_could_be_written_is_seen(installed, server, two, state, session):
    """The lock of the state's folder counts, though this process can only read it there."""
    with installed.watching() as running:
        script = f"mount -o remount,bind,ro {state.folder} && exec {installed.script} check"
        installed.play(busy(*two))
        server.wait_for(1, 60)
        beside = subprocess.run(
            with_own_mounts(script),
            env=installed.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert f"PID {running.pid} is watching on" in beside.stdout, beside.stderr
    assert len(server.messages) == 1


def test_who_began_while_it_could_not_be_written_is_seen(installed, server, state, session):
    """The lock elsewhere counts for one that starts once the folder can be written."""
    state.lock()
    installed.play(Scenario(gpus=[FakeGpu.numbered(0)]))
    with installed.watching() as running:
        state.unlock()
        beside = installed.run("check")
        assert f"PID {running.pid} is watching on" in beside.stdout
        assert installed.run("watch").stdout.startswith(f"watch, PID {running.pid} is already watching")
