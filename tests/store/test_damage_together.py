"""Several processes that find the same file damaged."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

from gpuwatch_tray.store import Store, StoreError, state_file
from gpuwatch_tray.store.tables import memory_database
from tests.store.commits import mail, step
from tests.store.test_damage import aside
from tests.support.fakes import START
from tests.support.timing import slowness

ROOT = Path(__file__).parents[2]
FINDER = """
import sys, pathlib, time
from gpuwatch_tray.store import Store
from tests.store.commits import mail, step
folder, number = pathlib.Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
store = Store(folder, "box")
store.commit(step(mail(number, [f"name-{number}"])))
store.close()
"""


def test_processes_that_find_it_at_the_same_instant_set_aside_one_file(tmp_path):
    """Four real processes, several times: one file is set aside, and what they write is in the new one."""
    children = 4
    for turn in range(4):
        folder = tmp_path / str(turn)
        folder.mkdir()
        (folder / "state-box.sqlite3").write_bytes(b"not a database" * 100)
        started = [
            subprocess.Popen(
                [sys.executable, "-c", FINDER, folder, str(number)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=ROOT,
            )
            for number in range(children)
        ]
        for child in started:
            assert child.stdout.readline() == b"ready\n"
        for child in started:
            child.stdin.write(b"\n")
            child.stdin.flush()
        for child in started:
            child.communicate(timeout=60)
            assert child.returncode == 0
        with closing(Store(folder, "box")) as store:
            assert len(aside(folder)) == 1
            assert len(store.lease_due(START, 60)) == children


def test_who_has_waited_for_a_file_that_was_set_aside_writes_to_the_new_one(tmp_path, disk):
    """The lock of the old one is free by then, and what is written there nobody would ever read."""
    with closing(Store(tmp_path, "box")) as store, closing(memory_database()) as memory:
        store.commit(step(mail(1, ["a"])))
        damage = sqlite3.DatabaseError("malformed")
        disk.before("BEGIN IMMEDIATE", lambda: state_file.set_aside(store.path, damage, memory))
        store.commit(step(mail(2, ["b"])))
        assert len(aside(tmp_path)) == 1
    with closing(Store(tmp_path, "box")) as found:
        assert [row.id for row in found.unsent_mails()] == [1, 2]


def test_who_sets_it_aside_for_ever_is_not_waited_for(tmp_path, monkeypatch):
    """A bounded wait, and one line."""
    monkeypatch.setattr(state_file, "BUSY", 0.2)
    (tmp_path / "state-box.sqlite3").write_bytes(b"not a database" * 100)
    with state_file.replacement_lock(tmp_path / "state-box.sqlite3"):
        begin = time.monotonic()
        failed = []

        def attempt():
            try:
                Store(tmp_path, "box")
            except StoreError as error:
                failed.append(str(error))

        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join(60)
    assert time.monotonic() - begin < 5 * slowness()
    assert "another process" in failed[0]
    assert os.listdir(tmp_path)  # noqa: PTH208
