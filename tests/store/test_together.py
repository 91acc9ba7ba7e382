"""Several processes on one state: nothing lost, nothing doubled, and who is kept waiting comes back."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from gpuwatch_tray.common import host
from gpuwatch_tray.engine import Engine, HostRules, no_desktop
from gpuwatch_tray.notify.outbox_worker import deliver_due
from gpuwatch_tray.notify.transport import Receipt
from gpuwatch_tray.store import Store, StoreError, state_file
from tests.store.commits import BUSY, HEAD, NOW, POLICY, mail, step
from tests.support.fakes import START
from tests.support.faketime import shifted
from tests.support.installed import Installed, busy
from tests.support.mailserver import MailServer
from tests.support.workers import workers

ROOT = Path(__file__).parents[2]
STARTS = """
import sys, pathlib
from gpuwatch_tray.store import Store, state_file
from tests.store.commits import mail, step
state_file.JOURNAL = sys.argv[3]
print("ready", flush=True)
sys.stdin.readline()
store = Store(pathlib.Path(sys.argv[1]), "box")
for turn in range(5):
    number = int(sys.argv[2]) * 100 + turn
    store.commit(step(mail(number, [str(number)])))
store.close()
"""
DELIVERS = """
import sys, pathlib
from gpuwatch_tray.notify.outbox_worker import deliver_due
from gpuwatch_tray.store import Store, state_file
from tests.support.fakes import START
from tests.store.crashing import Recorder
state_file.JOURNAL = sys.argv[3]
store = Store(pathlib.Path(sys.argv[1]), "box")
print("ready", flush=True)
sys.stdin.readline()
for turn in range(10):
    deliver_due(store, lambda: Recorder(pathlib.Path(sys.argv[1])), lambda: START)
"""


def together(code, folder, journal, count=5):
    """Run `code` in several processes that begin at the same instant."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, folder, str(number), journal],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        for number in range(count)
    ]
    for child in started:
        assert child.stdout.readline() == b"ready\n"
    for child in started:
        child.stdin.write(b"\n")
        child.stdin.flush()
    codes = []
    for child in started:
        child.communicate(timeout=60)
        codes.append(child.returncode)
    return codes


def test_first_starts_at_the_same_instant(tmp_path, journal):
    """Five processes make the file and its tables together, and each writes what it has to."""
    assert together(STARTS, tmp_path, journal) == [0] * 5
    with closing(Store(tmp_path, "box")) as store:
        assert len(store.lease_due(START, 60)) == 25


def test_processes_that_deliver_together_send_each_mail_once(tmp_path, journal):
    """The tray's child, cron's check and a person at the terminal."""
    with closing(Store(tmp_path, "box")) as store:
        store.commit(step(*(mail(number, [str(number)]) for number in range(40))))
        assert together(DELIVERS, tmp_path, journal, 4) == [0] * 4
        assert len((tmp_path / "sent").read_text().splitlines()) == 40
        assert store.outbox_summary(START).count == 0


@pytest.fixture
def impatient(monkeypatch):
    """Wait for another process's transaction for a moment only."""
    monkeypatch.setattr(state_file, "BUSY", 0.1)


def holder(path):
    """Another program in the middle of a transaction."""
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("BEGIN EXCLUSIVE")
    return database


def test_an_evaluation_that_finds_the_file_locked_is_taken_by_the_next_poll(tmp_path, journal, impatient):
    """The trouble is said, the alert is shown, and its mail is queued once when the file is free."""
    store = Store(tmp_path, "box", keeper=True)
    evaluator = Engine(HostRules(), store, POLICY, HEAD, lambda: NOW, no_desktop)
    with closing(holder(store.path)):
        for _ in range(2):
            outcome = evaluator.evaluate(BUSY)
            assert "locked" in outcome.trouble
            assert len(outcome.status.alerts) == 1
            assert outcome.mails == ()
    assert store.trouble is None
    outcomes = [evaluator.evaluate(BUSY) for _ in range(2)]
    assert [(len(each.mails), each.trouble) for each in outcomes] == [(1, None), (0, None)]
    assert len(store.lease_due(NOW.wall, 60)) == 1
    store.close()


def test_a_mail_that_was_sent_while_the_file_is_locked_is_recorded_later(tmp_path, journal, impatient):
    """The runner keeps at it for as long as it holds the lease: unrecorded, the mail would be sent again."""
    store = Store(tmp_path, "box")
    store.commit(step(mail()))
    held = []

    class Way:
        name = "way"

        def send(self, _message):
            held.append(holder(store.path))
            threading.Timer(1.5, held[0].close).start()
            return Receipt("way", "250")

    report = deliver_due(store, Way, lambda: START)
    assert (len(report.sent), store.outbox_summary(START).count) == (1, 0)
    store.close()


def test_a_failure_that_cannot_be_recorded_does_not_keep_the_next_mail_back(tmp_path, journal, impatient):
    """The first is due again when the lease ends; the second is tried all the same."""
    store = Store(tmp_path, "box")
    store.commit(step(mail(1), mail(2)))
    tried = []

    class Way:
        name = "way"

        def send(self, message):
            tried.append(message.message_id)
            if len(tried) == 1:
                tried.append(holder(store.path))
                raise ZeroDivisionError
            tried[1].close()
            return Receipt("way", "250")

    report = deliver_due(store, Way, lambda: START)
    assert (len(report.failures), len(report.sent)) == (1, 1)
    assert [row.id for row in store.lease_due(START + 180, 60)] == [1]
    store.close()


def test_a_locked_file_at_the_start_is_one_clear_line(tmp_path, journal, impatient):
    """It names the file and what keeps it; nothing is set aside."""
    Store(tmp_path, "box").close()
    path = tmp_path / "state-box.sqlite3"
    named = pytest.raises(StoreError, match=r"state-box\.sqlite3.*another program")
    with closing(holder(path)), named, closing(Store(tmp_path, "box")) as store:
        store.commit(step(mail()))
    assert not list(tmp_path.glob("*.damaged-*"))


@pytest.mark.driver
def test_check_is_killed_at_any_moment_and_the_next_one_tells(tmp_path):
    """Real processes, a real server: after each kill -9 the mail is there once, or twice under one id."""
    with workers(tmp_path, ["train.py"], ["eval.py"]) as children, MailServer() as server:
        for turn, delay in enumerate((0.15, 0.3, 0.4, 0.5, 0.7)):
            installed = Installed(_made(tmp_path / str(turn)))
            installed.mail_through(server)
            installed.play(busy(*(child.pid for child in children)))
            server.forget()
            with subprocess.Popen([installed.script, "check"], env=installed.environment) as doomed:
                time.sleep(delay)
                doomed.send_signal(signal.SIGKILL)
            heir = installed.run("check", **shifted("+4m"))
            assert (heir.returncode, heir.stderr) == (0, "")
            ids = [each.message["Message-ID"] for each in server.messages]
            assert (len(set(ids)), len(ids) in {1, 2}) == (1, True)


@pytest.mark.driver
def test_cron_finds_the_file_locked_and_mails_at_its_next_run(tmp_path):
    """Exit code 1 and a line that names the file, then the mail."""
    installed = Installed(tmp_path)
    with workers(tmp_path, ["train.py"], ["eval.py"]) as children, MailServer() as server:
        installed.mail_through(server)
        installed.run("check")
        installed.play(busy(*(child.pid for child in children)))
        with closing(holder(installed.state / f"state-{host.host()}.sqlite3")):
            locked = installed.run("check")
        assert (locked.returncode, "locked" in locked.stderr, server.messages) == (1, True, ())
        assert "Traceback" not in locked.stderr
        assert installed.run("check").returncode == 0
        assert len(server.messages) == 1


def _made(folder):
    folder.mkdir()
    return folder
