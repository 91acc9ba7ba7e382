"""What the "notify me when" rows do, on a real loop: the wish, the popup, and nothing said of a click."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from itertools import count

import pytest
from msgspec.structs import replace

from gpuwatch_tray.app.actions import ActionDispatcher
from gpuwatch_tray.common import host
from gpuwatch_tray.engine.operations import AlertOperations, Reminders
from gpuwatch_tray.model import Presence
from gpuwatch_tray.sources.nvml import NvmlSource
from gpuwatch_tray.sources.processes import ProcessInspector
from gpuwatch_tray.tray import ActionKind
from tests.app.test_monitor import Loop
from tests.driver.scenario import GIB, FakeEvent, FakeGpu, FakeProcess, Scenario, loaded
from tests.support.fakes import process, snapshot
from tests.support.timing import wait_until

# PIDs above Linux's highest: the system here has no such process, and its word is that it is gone.
ONE = process(4_194_400, 0)
BUSY = replace(snapshot(ONE, gpus=2), source="nvml", boot_id="")
GONE = replace(BUSY, processes=())


class Desk(Loop):
    """A loop with the actions of its menu."""

    def build(self):
        super().build()
        waiting = Reminders(self.store, self.clock.instant)
        person = AlertOperations(self.store, self.clock.instant)
        dispatcher = ActionDispatcher(self.context, person, waiting, lambda: None)
        dispatcher.bind(self.monitor, lambda _key: (), self.popups, lambda _: None, lambda _: None)
        self.actions = dispatcher.actions()

    def click(self, act, target):
        self.actions[act](target)

    @property
    def awaited(self):
        return [each.text for each in self.last.awaited]

    @property
    def titles(self):
        return [popup.title for popup in self.popups.shown]


@pytest.fixture
def loop(tmp_path):
    running = Desk(tmp_path)
    running.presence = Presence.PRESENT
    running.poll(BUSY)
    yield running
    running.store.close()


def test_a_click_is_a_wish_and_no_popup(loop):
    """The row is in the menu at the next look; nobody is told what they have just done."""
    loop.click(ActionKind.WHEN_FREE, "2")
    loop.click(ActionKind.WHEN_ENDS, f"{ONE.pid}:{ONE.identity}")
    loop.poll(BUSY)
    assert loop.awaited == ["2 GPUs are free for 1 min", f"PID {ONE.pid} (python train.py) ends"]
    loop.click(ActionKind.WHEN_CANCEL, "1")
    loop.poll(BUSY)
    assert loop.awaited == [f"PID {ONE.pid} (python train.py) ends"]
    assert loop.titles == []


def test_the_end_pops_up_once(loop):
    """The person at the desk gets one popup about it, and no mail is started."""
    loop.click(ActionKind.WHEN_ENDS, f"{ONE.pid}:{ONE.identity}")
    loop.poll(GONE)
    loop.poll(GONE)
    assert loop.titles == ["Process ended"]
    assert f"PID {ONE.pid} (python train.py, GPU 0) has ended after 1 min" in loop.popups.shown[0].body
    assert (loop.mail.kicks, loop.awaited) == (0, [])


def test_a_popup_that_fails_starts_the_mail(loop):
    """Where no popup can be shown, the next look queues a mail, and the outbox process goes."""
    loop.popups.works = False
    loop.click(ActionKind.WHEN_ENDS, f"{ONE.pid}:{ONE.identity}")
    loop.poll(GONE)
    assert loop.mail.kicks == 0
    loop.poll(GONE)
    loop.poll(GONE)
    assert loop.mail.kicks == 1
    assert len(loop.store.lease_due(host.now().wall, 60)) == 1


@pytest.mark.parametrize(
    ("act", "target", "why"),
    [
        (ActionKind.WHEN_ENDS, f"{ONE.pid}:another", f"process {ONE.pid} is not on a GPU here"),
        (ActionKind.WHEN_FREE, "3", "there are only 2 GPUs here"),
        (ActionKind.WHEN_CANCEL, "9", "there is no reminder 9"),
    ],
)
def test_what_came_too_late_is_said(loop, act, target, why):
    """A row of a menu that was open for long may name what is gone: one popup says so."""
    loop.click(act, target)
    (popup,) = loop.popups.shown
    assert popup.title == "You will not be notified"
    assert popup.body.startswith(why)


@pytest.mark.driver
@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"lost": True}, {"lost": True}, "GPU 0 was lost: it no longer answers"),
        ({"memory_used": 24 * GIB}, {}, "the memory of GPU 0 was full before; "),
        ({"code": 48}, {}, "the driver reported Xid 48 on GPU 0 at "),
    ],
)
def test_a_click_is_told_why_as_far_as_the_driver_knows(tmp_path, monkeypatch, before, after, said):
    """The menu's row, the played driver and a neighbour: the popup about the end has what they told."""
    monkeypatch.setattr("gpuwatch_tray.sources.processes.sees_host_pids", lambda: True)
    job = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    gpu = FakeGpu.numbered(0, FakeProcess(job.pid, 12 * GIB), FakeProcess(os.getpid(), 11 * GIB))
    with loaded(tmp_path / "scenario") as path, closing(NvmlSource(event_wait=0.02)) as source:
        running = Desk(tmp_path)
        running.presence = Presence.PRESENT

        def play(one, number=0, code=0, **facts):
            events = [FakeEvent(number, one.uuid, code)] if code else []
            Scenario(gpus=[replace(one, **facts)], events=events).write(path)
            running.poll(source.read())

        play(gpu)
        running.click(ActionKind.WHEN_ENDS, f"{job.pid}:{ProcessInspector().inspect(job.pid).identity}")
        play(gpu)
        numbers = count(1)

        def noted():
            """Play it until it is noted; an event, until the source listens."""
            play(gpu, next(numbers), **before)
            (reminder,) = running.store.reminders()
            condition = reminder.condition
            return condition.xids or condition.lost or condition.full

        wait_until(noted, "it to be noted")
        job.communicate(b"\n", timeout=60)
        play(replace(gpu, processes=gpu.processes[1:]), **after)
        ended = [popup.body for popup in running.popups.shown if popup.title == "Process ended"]
        assert said in ended[0]
        assert "the system shows that it has ended; " in ended[0]
        running.store.close()
