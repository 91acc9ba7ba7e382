"""`when run` with a driver that is played: what the tray saw of the run's GPU, and what a kill -9 leaves."""

from __future__ import annotations

import json
import os
import signal
import sqlite3  # to turn back the clock of a state
import subprocess
import sys
from contextlib import closing

import pytest
from msgspec.structs import replace

from gpuwatch_tray.alerts.reminders import GRACE
from gpuwatch_tray.common import host
from gpuwatch_tray.store import Store
from tests.driver.scenario import FakeEvent, FakeGpu, FakeProcess, Scenario
from tests.support.installed import MIB
from tests.support.timing import wait_until

pytestmark = [pytest.mark.driver, pytest.mark.configured(POLL_SEC=1, GPU_LIMIT=4)]

# It ends, with these last words and this exit code, once its input is closed.
WORKER = "import os, sys; print(os.getpid(), flush=True); sys.stdin.read(); print(sys.argv[1]); sys.exit({})"
ILLEGAL = "torch.AcceleratorError: CUDA error: an illegal memory access was encountered"


class Run:
    """A run that holds memory of GPU 0, as the driver plays it."""

    def __init__(self, installed, words="", code=1):
        self.installed = installed
        self.wrapper = subprocess.Popen(
            [
                installed.script,
                *("when", "run", "--name", "base", "--"),
                *(sys.executable, "-c", WORKER.format(code), words),
            ],
            env=installed.environment,
            cwd=installed.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = int(self.wrapper.stdout.readline())
        self.gpu = FakeGpu.numbered(0, FakeProcess(self.pid, 300 * MIB))

    def play(self, events=(), **facts):
        gpus = [replace(self.gpu, **facts), FakeGpu.numbered(1)]
        self.installed.play(Scenario(gpus=gpus, events=list(events)))

    def waited_for(self):
        """What the tray has noted of it; None while it is not waited for."""
        with closing(Store(self.installed.state, host.host())) as store:
            return next((one.condition for one in store.reminders()), None)

    def wait_until_seen(self):
        wait_until(lambda: (noted := self.waited_for()) is not None and noted.devices, "the tray to see it")

    def end(self):
        self.wrapper.communicate("", timeout=60)
        return self.wrapper.returncode

    def record(self):
        (record,) = json.loads(self.installed.run("runs", "--json").stdout)
        return record


def told(server, subject):
    """The text of the mail about it."""

    def found():
        return next((mail.text for mail in server.messages if subject in mail.message["Subject"]), None)

    return wait_until(found, f"the mail: {subject}")


def test_an_xid_of_its_gpu_is_in_the_sentence(installed, server):
    """The driver's error comes while the program still writes its own, which does not say where."""
    with installed.watching():
        run = Run(installed, ILLEGAL)
        run.play()
        run.wait_until_seen()
        run.play([FakeEvent(1, run.gpu.uuid, 48)])
        wait_until(lambda: run.waited_for().xids, "the tray to see the error")
        assert run.end() == 1
        text = told(server, "Command failed")
    record = run.record()
    assert record["sentence"].startswith("the driver reported Xid 48 on GPU 0 at ")
    assert f"- base: {record['sentence']}\n" in text
    assert (record["kind"], record["evidence"]) == ("xid", ILLEGAL)


def test_a_gpu_that_was_lost_is_in_the_sentence(installed, server):
    """It fell off the bus under the run."""
    with installed.watching():
        run = Run(installed, ILLEGAL)
        run.play()
        run.wait_until_seen()
        run.play(lost=True)
        wait_until(lambda: run.waited_for().lost, "the tray to lose it")
        assert run.end() == 1
        text = told(server, "Command failed")
    record = run.record()
    assert record["kind"] == "gpu_lost"
    assert "GPU 0" in record["sentence"]
    assert f"- base: {record['sentence']}\n" in text


def test_a_run_that_went_well_has_its_gpus_and_peak_too(installed, server):
    """In the record as in the notice."""
    with installed.watching():
        run = Run(installed, code=0)
        run.play()
        run.wait_until_seen()
        assert run.end() == 0
        text = told(server, "Command finished")
    record = run.record()
    assert (record["gpus"], record["peak_gpu_memory"]) == (["GPU 0"], 300 * MIB)
    assert "- peak GPU memory: 300 MiB\n- on GPU 0\n" in text


def test_a_run_outlives_the_tray(installed, server):
    """After kill -9 of the tray the run goes on, and `when run` mails its end by itself."""
    with installed.watching() as tray:
        run = Run(installed)
        run.play()
        run.wait_until_seen()
        tray.kill()
        tray.wait(60)
        assert run.end() == 1
    assert "- base: " in told(server, "Command failed")
    assert (run.record()["code"], run.waited_for()) == (1, None)


def test_the_end_is_told_where_both_were_killed(installed, server):
    """After kill -9 of tray and `when run` the log stays, and the next that watches tells of the end."""
    with installed.watching() as tray:
        run = Run(installed)
        run.play()
        run.wait_until_seen()
        tray.kill()
        tray.wait(60)
    run.wrapper.send_signal(signal.SIGKILL)
    run.wrapper.communicate(timeout=60)  # its input is closed: the run ends
    installed.play(Scenario(gpus=[FakeGpu.numbered(0), FakeGpu.numbered(1)]))
    wait_until(lambda: "why: " in installed.run("runs", "show", "1").stdout, "the end")
    assert installed.run("runs", "log", "1").stdout == f"{run.pid}\n\n"  # with what it said after the kill
    assert installed.run("check").returncode == 0
    turn_back(installed)
    assert installed.run("check").returncode == 0
    text = told(server, "Command ended")
    assert "- base: it has ended\n" in text
    assert "- peak GPU memory: 300 MiB\n" in text
    assert run.waited_for() is None


def turn_back(installed):
    """As if the end had been seen so much earlier that nobody will report it any more."""
    (file,) = installed.state.glob("state-*.sqlite3")
    with closing(sqlite3.connect(file, timeout=10)) as database, database:
        ((number, body),) = database.execute("SELECT id, body FROM watches").fetchall()
        read = json.loads(body)
        wall, uptime, boot = read["wish"]["gone"]
        read["wish"]["gone"] = [wall - GRACE - 1, uptime - GRACE - 1, boot]
        database.execute("UPDATE watches SET body = ? WHERE id = ?", (json.dumps(read), number))


@pytest.mark.configured(POLL_SEC=1, GPU_LIMIT=4, EMAIL_WHEN="always")
def test_the_ranks_of_a_job_are_two_mails(installed, server):
    """The first that ends is told at once; the others wait for each other, and are on file until then."""
    with installed.watching():
        ranks = [Run(installed, code=code) for code in (1, 0, 3)]
        assert [rank.end() for rank in ranks] == [1, 0, 3]
        assert "- base: " in told(server, "Command failed")
        wait_until(lambda: installed.run("when", "list").stdout.count("not yet reported") == 2, "the others")
    # The next that watches knows of no first one, and tells of both at once.
    with installed.watching():
        text = told(server, "1 command failed")
    assert "- base: 2 runs ended, 1 failed\n" in text
    assert "- about the first that failed: " in text


class Other:
    """A process that nobody started with `when run`, on GPU 0, whose end one wants to be told of."""

    def __init__(self, installed):
        self.installed = installed
        self.child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.gpu = FakeGpu.numbered(0, FakeProcess(self.child.pid, 300 * MIB))
        self.play()

    def play(self, *neighbours, events=(), **facts):
        processes = (*self.gpu.processes, *neighbours)
        gpus = [replace(self.gpu, processes=processes, **facts), FakeGpu.numbered(1)]
        self.installed.play(Scenario(gpus=gpus, events=list(events)))

    def noted(self, what):
        """Wait until the tray has noted something of it."""

        def seen():
            with closing(Store(self.installed.state, host.host())) as store:
                return next((getattr(one.condition, what) for one in store.reminders()), None)

        return wait_until(seen, f"the tray to note: {what}")

    def want_to_know(self):
        wait_until(
            lambda: self.installed.run("when", "ends", str(self.child.pid)).returncode == 0, "the reminder"
        )
        self.noted("devices")

    def end(self, **facts):
        self.child.kill()
        self.child.communicate(timeout=60)
        gpus = [replace(self.gpu, processes=(), **facts), FakeGpu.numbered(1)]
        self.installed.play(Scenario(gpus=gpus))


@pytest.fixture
def other(installed):
    made = Other(installed)
    yield made
    made.child.kill()
    made.child.communicate(timeout=60)


PROOF = "- the system shows that it has ended; how, only the program that started it knows\n"


def test_an_xid_explains_the_end_of_a_process_that_nobody_ran(other, server):
    """`when ends PID` has no log; the driver's error is told all the same, and what shows the end."""
    with other.installed.watching():
        other.want_to_know()
        other.play(events=[FakeEvent(1, other.gpu.uuid, 48)])
        other.noted("xids")
        other.end()
        text = told(server, "Process ended")
    assert "- the driver reported Xid 48 on GPU 0 at " in text
    assert PROOF in text


def test_a_lost_gpu_explains_the_end_of_a_process_that_nobody_ran(other, server):
    """Its GPU fell off the bus before it went."""
    with other.installed.watching():
        other.want_to_know()
        other.play(lost=True)
        other.noted("lost")
        other.end(lost=True)
        text = told(server, "Process ended")
    assert "- GPU 0 was lost: it no longer answers\n" in text
    assert PROOF in text


def test_a_neighbour_that_took_the_memory_is_told_with_the_end(other, server):
    """The memory was full while the process was there; by the time its end is seen it is not any more."""
    with other.installed.watching():
        other.want_to_know()
        other.play(FakeProcess(os.getpid(), 11000 * MIB), memory_used=24 * 1024 * MIB)
        assert other.noted("full") == (other.gpu.uuid,)
        other.end()
        text = told(server, "Process ended")
    assert "- it is gone; how it ended was not seen, and the memory of GPU 0 was full before; " in text
    assert f"(PID {os.getpid()}) held 10.7 GiB, since " in text
    assert PROOF in text


def test_a_neighbour_is_told_where_the_memory_was_not_full(other, server):
    """Who else was there is told without a guess at the cause."""
    with other.installed.watching():
        other.want_to_know()
        other.play(FakeProcess(os.getpid(), 900 * MIB))
        other.noted("others")
        other.end()
        text = told(server, "Process ended")
    assert f"(PID {os.getpid()}) held 900 MiB, since " in text
    assert "- others on its GPUs: " in text
    assert "the cause is not known" not in text
