"""Settings that are read again: taken as a whole, or refused as a whole."""

from __future__ import annotations

from contextlib import closing

import pytest
from msgspec.structs import replace

from gpuwatch_tray.alerts import RoutingPolicy
from gpuwatch_tray.app import bootstrap
from gpuwatch_tray.app.bootstrap import StoreLease
from gpuwatch_tray.app.context import RunContext, SourceKind, with_settings
from gpuwatch_tray.app.monitor import Monitor, Outputs
from gpuwatch_tray.app.reload import CHECK_AGAIN, CHECK_INTERVAL, PROBLEM_KEY, SettingsReloader
from gpuwatch_tray.app.tray_app import Welcome
from gpuwatch_tray.ipc.lock import LockHolder
from gpuwatch_tray.model import Button, Level, Limits, Problem
from gpuwatch_tray.settings import ConfigProblem, Secret, Settings, SmtpSettings
from gpuwatch_tray.settings.chat_addresses import parse_line
from gpuwatch_tray.store import Store
from tests.support.fakes import Clock, FakePopups, process, snapshot

BUSY = snapshot(process(1, 0), process(2, 1))
WRONG = ConfigProblem("gpu-watch.env", 2, "GPU_LIMIT", "expected a whole number")


class Running:
    """A watching program whose polls and looks at the files the test makes."""

    name = "test"

    def __init__(self, folder):
        self.settings = Settings(folder / "gpu-watch.env", folder, limits=Limits(gpu_limit=5))
        context = RunContext(self.settings, (), SourceKind.NVML, "box", "ada")
        self.store = Store(folder, "box")
        self.clock, self.shown, self.popups = Clock(), [], FakePopups()
        outputs = Outputs(self.shown.append, self.popups)
        judge = bootstrap.create_engine(
            context, self.store, self.clock.instant, presence=bootstrap.no_desktop
        )
        self.monitor = Monitor(context, self, judge, outputs, Clock(0.0))
        self.held = StoreLease(self.store, LockHolder(mails=False), self)
        self.adopted, self.next, self.holder = [], None, None
        self.pending = False
        self.reloading = SettingsReloader(
            context, self.held, self.monitor, self, self.adopted.append, self.popups
        )

    def read(self):
        return BUSY

    def describe(self, holder):
        self.holder = holder

    def check(self):
        """What the files say, as Changes would."""
        return self.next

    def say(self, *problems, **settings):
        """The files say this now."""
        self.settings = replace(self.settings, **settings)
        self.next = (self.settings, problems)
        self.reloading.check()

    def poll(self):
        self.clock.advance(5)
        self.monitor._poller.tick()
        return self.shown[-1]


@pytest.fixture
def running(tmp_path):
    made = Running(tmp_path)
    with closing(made.store):
        yield made


def test_what_is_right_is_taken_over(running):
    """A new limit counts at the next poll, a new interval at once, and whoever else goes by it is told."""
    assert running.poll().level is Level.OK
    running.say(limits=Limits(gpu_limit=1), poll=0.5)
    assert running.poll().level is Level.WARNING
    assert running.monitor._poller._interval == 0.5
    assert [context.settings.poll for context in running.adopted] == [0.5]


def test_a_change_that_is_not_read_yet_is_looked_at_sooner(running):
    """It counts once it is at rest, which two looks in a row tell."""
    assert running.reloading.check() is None
    running.pending = True
    assert running.reloading.check() == CHECK_AGAIN
    assert CHECK_AGAIN < CHECK_INTERVAL


def test_what_says_the_same_changes_nothing(running):
    """A file that was only touched is no change."""
    running.say()
    assert running.adopted == []
    assert running.popups.shown == []


def test_what_is_wrong_is_refused_as_a_whole(running):
    """The old settings hold, also of the keys that are right; popup, icon and menu name file and line."""
    running.say(WRONG, limits=Limits(gpu_limit=1), poll=0.5)
    status = running.poll()
    assert running.adopted == []
    assert running.monitor._poller._interval == 5.0
    (popup,) = running.popups.shown
    assert "gpu-watch.env:2: GPU_LIMIT" in popup.body
    assert (status.level, status.notes[0]) == (Level.WARNING, str(WRONG))
    running.reloading.check()
    assert len(running.popups.shown) == 1


def test_what_was_mended_takes_the_popup_away(running):
    """Right again: taken over, the popup is closed, and the note is gone."""
    running.say(WRONG)
    running.say()
    assert running.popups.closed == [PROBLEM_KEY]
    assert running.poll().level is Level.OK


def test_a_recipient_brings_the_mail(running, monkeypatch):
    """With TO_EMAIL mail can leave from now on, and those who come second are told; without, none."""
    running.say(to_email=("ada@example.org",))
    assert running.monitor._outputs.mail is not None
    assert running.holder.mails
    kept = running.monitor._outputs.mail
    running.say(limits=Limits(gpu_limit=3))
    assert running.monitor._outputs.mail is kept
    running.say(to_email=())
    assert running.monitor._outputs.mail is None
    assert not running.holder.mails


def test_a_new_way_tries_what_waits_at_once(running, monkeypatch):
    """A password that was corrected wakes the mails that the wrong one kept back; another key does not."""
    woken = []
    monkeypatch.setattr(running.store, "make_mails_due", lambda _at, channel: woken.append(channel))
    running.say(to_email=("ada@example.org",))
    server = SmtpSettings("mail.example.org", 587, "ada", Secret("right"), "ada@example.org")
    running.say(smtp=server)
    assert len(woken) == 2
    running.say(routing=RoutingPolicy(cooldown=60))
    assert len(woken) == 2


def test_chats_come_and_go(running, monkeypatch):
    """Each has a process of its own, which stays while it is set up; a new address tries what waits."""
    woken = []
    monkeypatch.setattr(running.store, "make_mails_due", lambda _at, channel: woken.append(channel))

    def say(*lines):
        chats = tuple(parse_line(line) for line in lines)
        running.say(chats=chats, routing=RoutingPolicy(chats=tuple(chat.route for chat in chats)))
        return {process.channel: process for process in running.monitor._outputs.chats}

    first = say("phone ntfys://ntfy.sh/a")
    assert (list(first), woken, running.holder.mails) == (["chat:phone"], ["chat:phone"], True)
    second = say("phone ntfys://ntfy.sh/b", "team ntfys://ntfy.sh/c severity=critical")
    assert list(second) == ["chat:phone", "chat:team"]
    assert second["chat:phone"] is first["chat:phone"]
    assert woken == ["chat:phone", "chat:phone", "chat:team"]
    assert list(say("team ntfys://ntfy.sh/c")) == ["chat:team"]
    assert len(woken) == 3
    assert say() == {}
    assert not running.holder.mails


def test_a_new_language_waits_for_the_next_start(running):
    """It is said, as a note; nothing is spoken in two languages."""
    running.say(language="zh_CN")
    assert any("UI_LANGUAGE" in note for note in running.poll().notes)


def test_a_demo_keeps_its_own_rules(tmp_path):
    """Its story is not the settings': only what is no rule is taken over."""
    settings = Settings(tmp_path / "a", tmp_path)
    demo = RunContext(settings, (), SourceKind.DEMO, "box", "ada")
    new = with_settings(demo, (replace(settings, limits=Limits(gpu_limit=9), icon_badge=True), (WRONG,)))
    assert (new.settings.icon_badge, new.problems) == (True, ())
    assert new.settings.limits.gpu_limit != 9


WELCOME = (Button.TEST, Button.SETTINGS)


def greeting(running, **facts):
    context = RunContext(replace(running.settings, **facts), (), SourceKind.NVML, "box", "ada")
    return Welcome(context, running.store, running.popups, WELCOME)


def test_the_first_start_greets_once(running):
    """At the first good reading of the first start: how many GPUs, their names, and two buttons."""
    first = greeting(running)
    first.on_snapshot(snapshot(problem=Problem("driver not loaded")))
    assert running.popups.shown == []
    for _ in range(3):
        first.on_snapshot(snapshot())
    (popup,) = running.popups.shown
    assert popup.title == "gpuwatch-tray is watching 4 GPUs"
    assert "Test GPU 0, Test GPU 1" in popup.body
    assert "gpuwatch-tray setup mail" in popup.body
    assert popup.buttons == WELCOME
    greeting(running).on_snapshot(snapshot())
    assert len(running.popups.shown) == 1


@pytest.mark.parametrize("shown", [True, False])
def test_a_greeting_that_is_answered_late(running, shown):
    """Only one that was shown is the last."""
    running.popups.slow = True
    greeting(running).on_snapshot(snapshot())
    running.popups.unanswered[0](shown)
    greeting(running).on_snapshot(snapshot())
    assert len(running.popups.shown) == (1 if shown else 2)


def test_a_greeting_that_nobody_saw_is_given_again(running):
    """Without a popup the next start greets, and this one does not try at each poll."""
    running.popups.works = False
    first = greeting(running)
    first.on_snapshot(snapshot())
    running.popups.works = True
    first.on_snapshot(snapshot())
    assert running.popups.shown == []
    greeting(running, to_email=("ada@example.org",)).on_snapshot(snapshot())
    assert "setup mail" not in running.popups.shown[0].body
