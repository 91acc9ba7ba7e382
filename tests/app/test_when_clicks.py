"""What the "notify me when" rows do, on a real loop: the wish, the popup, and nothing said of a click."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.app.actions import ActionDispatcher
from gpuwatch_tray.common import host
from gpuwatch_tray.engine.operations import AlertOperations, Reminders
from gpuwatch_tray.model import Presence
from gpuwatch_tray.tray import ActionKind
from tests.app.test_monitor import Loop
from tests.support.fakes import process, snapshot

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
