"""A hang with a driver that is played and a process that is real: its reasons in every way it is told."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from itertools import count

import pytest

from gpuwatch_tray.model import Limits, Presence
from gpuwatch_tray.sources.nvml import NvmlSource
from gpuwatch_tray.sources.processes import ProcessInspector
from tests.driver.scenario import GIB, FakeEvent, FakeGpu, FakeProcess, Scenario, loaded
from tests.engine.bench import Bench
from tests.support.timing import wait_until

pytestmark = pytest.mark.driver

OTHER = FakeGpu.numbered(1)


class Machine(Bench):
    """A bench whose readings are of the played driver: a job of this user on GPU 0."""

    def __init__(self, folder, path, pid):
        super().__init__(folder, limits=Limits(gpu_limit=4))
        self.path = path
        self.job = FakeProcess(pid, 12 * GIB)
        self.source = NvmlSource(event_wait=0.02)
        self.popups = []

    def close(self):
        self.source.close()
        super().close()

    def play(self, *more, events=(), other=OTHER, **facts):
        gpus = [FakeGpu.numbered(0, self.job, *more, **facts), other]
        Scenario(gpus=gpus, events=list(events)).write(self.path)

    def read(self, times=1):
        for _ in range(times):
            outcome = self.look(self.source.read(), 5.0)
            self.popups += [popup.body for popup, _members in outcome.popups]
        return outcome

    def work(self):
        self.play(utilisation=90)
        self.read(2)

    def hang(self):
        self.presence = Presence.PRESENT
        self.read(131)
        return self.alert()

    def alert(self):
        (alert,) = [one for one in self.store.saved_state().alerts if one.rule == "hung"]
        return alert.message

    def told(self):
        """The texts in which it is told: popup, mail as text and as HTML, `alerts explain`."""
        self.presence = Presence.AWAY
        self.read(2)
        mails = [mail for mail in self.deliver() if "A process seems to hang" in mail.details.html]
        explained = "\n".join(self.evaluator.explain(self.source.read()))
        return ["\n".join(self.popups), mails[0].text, mails[0].details.html, explained]


@pytest.fixture
def job():
    """A process of this user that waits."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield child
    child.send_signal(signal.SIGCONT)
    child.communicate(b"\n", timeout=60)


@pytest.fixture
def machine(folder, tmp_path, job, monkeypatch):
    monkeypatch.setattr("gpuwatch_tray.sources.processes.sees_host_pids", lambda: True)
    with loaded(tmp_path / "scenario") as path:
        made = Machine(folder, path, job.pid)
        yield made
        made.close()


def everywhere(machine, said):
    """Hold that it is said in every way."""
    texts = machine.told()
    assert len(texts) == 4
    for text in texts:
        assert said in text.replace("&#x27;", "'"), text


def test_an_xid_is_told_with_the_hang(machine):
    """The driver's error on the job's GPU, with its number and meaning."""
    machine.work()
    numbers = count(1)

    def heard():
        """One event more, until the source listens: what came before is not for it."""
        event = FakeEvent(next(numbers), FakeGpu.numbered(0).uuid, 62)
        machine.play(utilisation=0, events=[event])
        machine.read()
        return [one for one in machine.store.saved_state().alerts if one.rule == "xid_fatal"]

    wait_until(heard, "the driver's error")
    assert "Xid 62 on GPU 0" in machine.hang()
    everywhere(machine, "its microcontroller halted")


def test_a_lost_neighbour_gpu_is_told_with_the_hang(machine):
    """The job's other ranks were on it."""
    machine.work()
    machine.play(utilisation=0, other=FakeGpu.numbered(1, lost=True))
    assert "; GPU 1 cannot be read: " in machine.hang()
    everywhere(machine, "GPU 1 cannot be read: ")


def test_who_took_the_memory_is_told_with_the_hang(machine):
    """Another process, which is real too, has filled the GPU."""
    machine.work()
    taken = FakeProcess(os.getpid(), 11 * GIB)
    machine.play(taken, utilisation=0, memory_used=24 * GIB)
    said = f"(PID {os.getpid()}, 11.0 GiB)"
    message = machine.hang()
    assert "the memory of GPU 0 is full; others on it: " in message
    assert said in message
    everywhere(machine, said)


def test_a_stopped_process_is_told_with_the_hang(machine, job):
    """SIGSTOP, as Ctrl-Z sends it, seen in /proc within a minute."""
    machine.work()
    job.send_signal(signal.SIGSTOP)
    wait_until(lambda: ProcessInspector().inspect(job.pid).state == "T", "the signal to work")
    machine.play(utilisation=0)
    assert re.search(r"; it has been stopped for (9|10) min \(Ctrl-Z, SIGSTOP or", machine.hang())
    everywhere(machine, "min (Ctrl-Z, SIGSTOP or a debugger)")


def test_a_process_that_waits_is_told_to_use_no_processor(machine):
    """Its CPU is read from /proc; nothing else is known of it."""
    machine.work()
    machine.play(utilisation=0)
    assert machine.hang().endswith("; it uses no processor time either, so it waits for something")
    everywhere(machine, "it uses no processor time either, so it waits for something")
