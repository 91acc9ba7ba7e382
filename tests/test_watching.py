"""The loop that tray and `watch` share: what is shown when data stops, and what the notes say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gpuwatch_tray.app import LOOP_COOLDOWN, evaluator
from gpuwatch_tray.context import Setup, SourceKind
from gpuwatch_tray.model import Level, Limits
from gpuwatch_tray.settings import ConfigProblem, Settings
from gpuwatch_tray.store import Store, Waiting
from gpuwatch_tray.watching import Faces, Watching
from tests.fakes import START, Clock, FakePopups, process, snapshot

BUSY = snapshot(process(1, 0), process(2, 1))
CALM = snapshot(process(1, 0))


class FakeCourier:
    def __init__(self):
        self.waiting = Waiting()
        self.kicks = 0
        self.news = False

    def kick(self):
        self.kicks += 1

    def tick(self):
        return self.news


class Loop:
    """A Watching whose polls and rounds the test makes."""

    def __init__(self, tmp_path, **settings):
        base = {
            "config": Path("/etc/gpu-watch.env"),
            "state": tmp_path,
            "to_email": ("ada@example.org",),
            "limits": Limits(gpu_limit=1),
            "poll": 5.0,
        }
        self.setup = Setup(Settings(**(base | settings)), (), SourceKind.NVML, "box", "ada")
        self.store = Store(tmp_path, "box")
        self.clock = Clock()
        self.shown, self.popups, self.courier = [], FakePopups(), FakeCourier()
        self.build()

    def build(self):
        faces = Faces(self.shown.append, self.popups, self.courier)
        one = evaluator(self.setup, self.store, self.clock)
        self.monotonic = Clock(0.0)
        self.watching = Watching(self.setup, self, one, faces, self.monotonic)

    def read(self):
        return self.next

    def poll(self, reading):
        """One poll, on this thread."""
        self.next = reading
        self.watching._poller.tick()

    @property
    def last(self):
        return self.shown[-1]


@pytest.fixture
def loop(tmp_path):
    running = Loop(tmp_path)
    yield running
    running.store.close()


def test_an_alert_is_shown_popped_up_and_mailed_once(loop):
    """One firing alert is one popup and one kick of the courier, and the icon stays at warning."""
    for _ in range(3):
        loop.poll(BUSY)
    assert [status.level for status in loop.shown] == [Level.WARNING] * 3
    assert (len(loop.popups.shown), loop.courier.kicks) == (1, 1)
    loop.poll(CALM)
    assert loop.popups.closed == [loop.popups.shown[0].key]


def test_a_popup_that_fails_is_tried_at_the_next_poll(loop):
    """A daemon that comes back gets the popup that it missed."""
    loop.popups.works = False
    loop.poll(BUSY)
    loop.popups.works = True
    loop.poll(BUSY)
    assert len(loop.popups.shown) == 1


@pytest.mark.parametrize(
    ("poll", "kind", "silent", "stale"),
    [
        # three polls are missed, never sooner
        (5.0, SourceKind.NVML, 15.0, False),
        (5.0, SourceKind.NVML, 15.1, True),
        # a short interval is not taken at its word
        (0.2, SourceKind.NVML, 4.9, False),
        # another machine may take a while
        (5.0, SourceKind.COMMAND, 30.0, False),
        (5.0, SourceKind.COMMAND, 35.1, True),
    ],
)
def test_old_data_is_no_data(tmp_path, poll, kind, silent, stale):
    """When no poll comes back, the icon says "no data" and since when; the next good poll ends that."""
    loop = Loop(tmp_path, poll=poll)
    loop.setup = replace(loop.setup, source=kind)
    loop.build()
    loop.poll(CALM)
    loop.monotonic.advance(silent)
    loop.watching.keep()
    assert (loop.last.level is Level.NO_DATA) is stale
    assert loop.last.headline.startswith("No data since ") is stale
    loop.poll(CALM)
    assert loop.last.level is Level.OK
    loop.store.close()


def test_the_notes_say_why_mail_does_not_leave(loop, tmp_path):
    """No recipient, or mails that wait with their reason, stand in the menu."""
    loop.courier.waiting = Waiting(2, START, START, "connection refused")
    loop.poll(CALM)
    assert loop.last.notes[-1].startswith("Email: 2 mails wait since ")
    assert loop.last.notes[-1].endswith(": connection refused")
    loop.store.close()
    mute = Loop(tmp_path / "mute", to_email=())
    mute.poll(CALM)
    assert mute.last.notes[0].startswith("Email is off: ")
    mute.store.close()


def test_a_broken_configuration_is_named_and_not_green(loop):
    """The problems of the files stand in the menu, and the icon warns."""
    problem = ConfigProblem(Path("/etc/gpu-watch.env"), 12, "GPU_LIMIT", "expected a whole number")
    loop.setup = replace(loop.setup, problems=(problem,))
    loop.build()
    loop.poll(CALM)
    assert (loop.last.level, loop.last.notes) == (Level.WARNING, (str(problem),))


def test_a_cooldown_of_zero_is_not_a_mail_at_each_poll(tmp_path):
    """COOLDOWN_MIN=0 means every run of cron; a loop keeps a minute between equal mails."""
    loop = Loop(tmp_path, cooldown=0)
    for _ in range(5):
        loop.poll(BUSY)
        for row in loop.store.lease_due(loop.clock.now, 60):
            loop.store.mark_sent(row.id, loop.clock.now, "")
        loop.clock.advance(5)
    assert loop.courier.kicks == 1
    loop.clock.advance(LOOP_COOLDOWN)
    loop.poll(BUSY)
    assert loop.courier.kicks == 2
    loop.store.close()
