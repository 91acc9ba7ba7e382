"""Clicks on rows about the lab, as the dispatcher carries them out on the lab's own state."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.app import actions
from gpuwatch_tray.app.actions import ActionDispatcher
from gpuwatch_tray.app.lab_actions import SNOOZE
from gpuwatch_tray.desktop import clipboard, launcher
from gpuwatch_tray.engine.operations import AlertOperations, Reminders
from gpuwatch_tray.model import Button, Problem, Snapshot
from gpuwatch_tray.settings import LabSettings
from gpuwatch_tray.tray import ActionKind
from tests.app.test_lab_monitor import BUSY, Desk, context_of
from tests.app.test_when_clicks import Desk as Here
from tests.support.lab_status import told


class Clicks:
    """A desk beside a lab, and its menu."""

    def __init__(self, folder, monkeypatch, **lab):
        (folder / "lab").mkdir()
        (folder / "here").mkdir()
        self.desk = Desk(folder / "lab")
        self.here = Here(folder / "here")
        self.asked, self.extras, self.checks = [], [], 0
        self.answer = told()
        monkeypatch.setattr(self.desk.monitor, "detail", self.detail)
        monkeypatch.setattr(clipboard, "available", lambda: True)
        monkeypatch.setattr(launcher, "available", lambda: True)
        self.lease = self.desk
        self.monitor = self.desk.monitor
        settings = {"hosts": ("gpu1",), **lab}
        context = context_of(folder / "lab", lab=LabSettings(**settings))
        store, clock = self.here.store, self.here.clock.instant
        self.dispatcher = ActionDispatcher(
            context, AlertOperations(store, clock), Reminders(store, clock), None
        )
        self.dispatcher.bind(
            self.here.monitor, lambda _: (), self.here.popups, self.extras.append, lambda _: None, self
        )
        self.desk.poll(BUSY, 10)

    def detail(self, host):
        self.asked.append((host, self.extras[-1].lab.details))
        return self.answer

    def check_now(self):
        self.checks += 1

    def click(self, kind, target=""):
        self.dispatcher.actions()[kind](target)

    @property
    def alert(self):
        return self.desk.monitor.status.alerts[0]


@pytest.fixture
def clicks(tmp_path, monkeypatch):
    made = Clicks(tmp_path, monkeypatch, prometheus=(), grafana="https://grafana.example")
    yield made
    made.desk.store.close()
    made.here.store.close()


def test_acknowledge_and_snooze_are_of_the_labs_state(clicks):
    """An alert of the lab is acknowledged and snoozed for two hours; this computer's state has none of it."""
    clicks.click(ActionKind.LAB_ACKNOWLEDGE, clicks.alert.fingerprint)
    clicks.click(ActionKind.LAB_SNOOZE, clicks.alert.fingerprint)
    (silence,) = clicks.desk.store.attention().silences
    assert (silence.seconds, silence.name) == (SNOOZE, clicks.alert.fingerprint)
    assert not clicks.here.store.attention().silences
    clicks.desk.poll(BUSY)
    assert clicks.alert.acknowledged
    assert clicks.checks == 2


def test_a_click_that_comes_too_late_is_answered(clicks):
    """On a popup whose alert is over, and on whatever is left of a lab that was taken out of the settings."""
    shown = clicks.here.popups.shown
    clicks.dispatcher.on_popup_button("lab:unheard-of", Button.ACKNOWLEDGE)
    assert (shown[-1].title, "out of date" in shown[-1].body) == ("Nothing was done", True)
    clicks.lease = clicks.monitor = None
    for late in (
        lambda: clicks.dispatcher.on_popup_button("lab:unheard-of", Button.SNOOZE),
        lambda: clicks.click(ActionKind.LAB_ACKNOWLEDGE, "a"),
        lambda: clicks.click(ActionKind.LAB_SILENCE, "f"),
        lambda: clicks.click(ActionKind.LAB_WHEN_CANCEL, "3"),
    ):
        shown.clear()
        late()
        assert [popup.title for popup in shown] == ["Nothing was done"]
        assert "no longer watched" in shown[0].body
    shown.clear()
    clicks.click(ActionKind.SNOOZE_ALL)  # of this computer, which is all that is left
    assert shown == []
    assert len(clicks.here.store.attention().silences) == 1


def test_snooze_all_and_resume_are_of_both(clicks):
    """What this computer and what the lab tells is snoozed until the same moment, and resumed."""
    clicks.click(ActionKind.SNOOZE_ALL)
    assert len(clicks.here.store.attention().silences) == 1
    assert len(clicks.desk.store.attention().silences) == 1
    clicks.click(ActionKind.RESUME)
    assert not clicks.here.store.attention().silences
    assert not clicks.desk.store.attention().silences


def test_a_look_now_is_a_look_at_both(clicks):
    """At this computer and at the lab."""
    clicks.click(ActionKind.CHECK_NOW)
    assert clicks.checks == 1


def test_a_wish_for_gpus_of_the_lab_is_kept_there(clicks):
    """It is on the lab's state, over one host or several, and can be ended."""
    clicks.click(ActionKind.LAB_WHEN_FREE, "2")
    clicks.click(ActionKind.LAB_WHEN_FREE, "4+")
    kept = clicks.desk.store.reminders()
    assert [(one.condition.count, one.condition.spread) for one in kept] == [(2, False), (4, True)]
    assert clicks.here.store.reminders() == ()
    clicks.click(ActionKind.LAB_WHEN_CANCEL, str(kept[0].id))
    assert [one.condition.count for one in clicks.desk.store.reminders()] == [4]


def test_a_host_is_asked_once_while_its_answer_is_fresh(clicks):
    """The menu says that it is asked, then has the answer; another look within seconds asks nobody."""
    clicks.click(ActionKind.ASK_HOST, "gpu1")
    ((host, while_asked),) = clicks.asked
    assert host == "gpu1"
    assert while_asked["gpu1"].snapshot is None
    assert clicks.extras[-1].lab.details["gpu1"].snapshot == told()
    clicks.click(ActionKind.ASK_HOST, "gpu1")
    assert len(clicks.asked) == 1


def test_a_host_that_says_nothing_leaves_the_reason(clicks):
    """The menu has why, in place of GPUs."""
    clicks.answer = Snapshot("gpu1", 0.0, problem=Problem("no answer within 5 s"))
    clicks.click(ActionKind.ASK_HOST, "gpu1")
    assert clicks.extras[-1].lab.details["gpu1"].snapshot.problem.text == "no answer within 5 s"


def test_only_pages_of_the_settings_are_opened(clicks, monkeypatch):
    """An address from elsewhere opens nothing."""
    opened = []
    monkeypatch.setattr(launcher, "open_address", opened.append)
    clicks.click(ActionKind.OPEN_LINK, "https://evil.example")
    clicks.click(ActionKind.OPEN_LINK, "https://grafana.example")
    assert opened == ["https://grafana.example"]
    assert clicks.extras[-1].lab.links == (("Grafana", "https://grafana.example"),)


def test_silences_for_everyone_are_offered_only_where_they_are_on(clicks):
    """LAB_SILENCE and an Alertmanager are needed; other settings take the offer back."""
    assert not clicks.extras[-1].lab.may_silence
    lab = LabSettings(prometheus=("https://p",), alertmanager=("https://a",), silence=True)
    context = clicks.dispatcher._context
    clicks.dispatcher.reconfigure(replace(context, settings=replace(context.settings, lab=lab)))
    assert clicks.extras[-1].lab.may_silence


def test_ssh_is_copied(clicks, monkeypatch):
    """The command of the row goes to the clipboard."""
    copied = []
    monkeypatch.setattr(actions.clipboard, "copy", copied.append)
    clicks.click(ActionKind.COPY_SSH, "ssh gpu1")
    assert copied == ["ssh gpu1"]
