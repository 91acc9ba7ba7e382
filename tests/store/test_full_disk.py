"""A full disk under the installed program: it sends from memory, says so, and doubles nothing."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing, contextmanager, suppress

import pytest

from gpuwatch_tray.common import host
from tests.driver.scenario import FakeGpu, Scenario
from tests.support.faketime import adjustable
from tests.support.installed import busy
from tests.support.timing import wait_until

pytestmark = [
    pytest.mark.driver,
    pytest.mark.configured(POLL_SEC=1),
    pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux's prlimit"),
]


def full(pid=0):
    """No file can be written by the process any more: what its children inherit, and what it may lift."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def room(pid):
    """As before."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def check_on_a_full_disk(installed, state=None):
    environment = installed.environment | ({"GPUWATCH_CACHE": str(state)} if state else {})
    return subprocess.run(
        [installed.script, "check"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=installed.folder,
        preexec_fn=full if state is None else None,  # one thread, and that of a test
    )


def fill(path):
    with path.open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(b"x" * 4096)


def on_file(installed, question):
    with closing(sqlite3.connect(installed.state / f"state-{host.host()}.sqlite3")) as database:
        return database.execute(question).fetchall()


@contextmanager
def watching(installed):
    """Start `watch` and wait for its first poll; return it and the lines that it writes."""
    with subprocess.Popen(
        [installed.script, "watch"],
        env=installed.environment,
        stdout=subprocess.PIPE,  # a file could not be written any more either
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(iter(running.stdout.readline, "")))
        reader.start()
        try:
            wait_until(lambda: any("Reading" not in line for line in lines), "the first poll")
            yield running, lines
        finally:
            room(running.pid)
            running.send_signal(signal.SIGTERM)
            assert running.wait(60) == 0
            reader.join(60)
    assert "Traceback" not in "".join(lines)


def test_check_mails_from_memory_and_says_so(installed, server, two):
    """The mail is there, the exit code is 1, the lines name file and mend, and that the mail is forgotten."""
    installed.run("check")  # the state's file exists, as it does on any machine by then
    installed.play(busy(*two))
    done = check_on_a_full_disk(installed)
    (mail,) = server.messages
    assert "- GPU_COUNT(2) > GPU_LIMIT(1)" in mail.text
    assert done.returncode == 1
    assert "kept in memory only" in done.stderr
    assert "the next `check` sends it again" in done.stderr
    assert str(installed.state) in done.stderr
    assert "Traceback" not in done.stderr


def test_the_very_first_check_on_a_full_disk_mails(installed, server, two):
    """There is not even an empty state."""
    installed.play(busy(*two))
    done = check_on_a_full_disk(installed)
    assert (done.returncode, len(server.messages), "Traceback" in done.stderr) == (1, 1, False)


def test_a_cooldown_on_file_holds_on_a_full_disk(installed, server, two):
    """What was told while there was room is not told again while there is none."""
    installed.play(busy(*two))
    assert installed.run("check").returncode == 0
    done = check_on_a_full_disk(installed)
    assert len(server.messages) == 1
    assert "Traceback" not in done.stderr


def test_a_watcher_sends_from_memory_and_writes_it_down_when_there_is_room(installed, server, two):
    """The alert begins on a full disk: one mail, a note; on file in the end, and not sent again."""
    with watching(installed) as (running, lines):
        full(running.pid)
        installed.play(busy(*two))
        server.wait_for(1, 30)
        room(running.pid)
        # the answer of the child is recorded a moment after the server has taken the mail
        time.sleep(2.0)
    assert len(server.messages) == 1
    said = "".join(lines)
    assert "kept in memory only" in said
    assert "can be written again" in said
    assert on_file(installed, "SELECT state FROM outbox") == [("sent",)]
    assert on_file(installed, "SELECT phase FROM incidents WHERE rule = 'gpu_limit'") == [("firing",)]
    assert installed.run("check").returncode == 0
    assert len(server.messages) == 1


def test_a_mail_queued_before_the_disk_was_full_is_sent_once(installed, server, two):
    """It waits for its server on file; the disk fills; it is sent from memory, and by nobody else."""
    server.behave(connect="421 4.3.2 down for repairs")
    installed.play(busy(*two))
    shift = installed.write("shift", "+0s")
    installed.environment |= adjustable(shift)
    with watching(installed) as (running, lines):
        failed = "SELECT error FROM outbox WHERE error <> ''"
        wait_until(lambda: on_file(installed, failed), "the first attempt")
        full(running.pid)
        server.behave()
        installed.play(Scenario(gpus=[FakeGpu.numbered(0), FakeGpu.numbered(1)]))  # something to write down
        wait_until(lambda: "in memory only" in "".join(lines), "the word")
        shift.write_text("+60s")  # the next attempt is half a minute after the first
        server.wait_for(1, 30)
        beside = installed.run("check")
        assert ("is watching on" in beside.stdout, beside.returncode) == (True, 1)
        assert "free some disk space" in beside.stderr
        time.sleep(2.0)
    installed.run("check")
    ids = [mail.message["Message-ID"] for mail in server.messages]
    assert len(ids) == len(set(ids))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may mount")
def test_a_disk_without_a_single_free_page(installed, server, two, tmp_path):
    """A real file system, filled to the last byte, where SQLite finds no room for what it keeps beside."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no mounting here")
    try:
        assert installed.run("check", GPUWATCH_CACHE=str(folder)).returncode == 0
        fill(folder / "ballast")
        installed.play(busy(*two))
        done = check_on_a_full_disk(installed, folder)
        assert (done.returncode, len(server.messages)) == (1, 1), done.stderr
        assert "free some disk space" in done.stderr
        again = check_on_a_full_disk(installed, folder)
        assert (again.returncode, len(server.messages)) == (1, 1), again.stderr  # it knows what was mailed
        (folder / "ballast").unlink()
        assert installed.run("check", GPUWATCH_CACHE=str(folder)).returncode == 0
        assert len(server.messages) == 1
    finally:
        subprocess.run(["umount", str(folder)], check=True)
