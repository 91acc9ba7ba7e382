"""The loop over the lab beside the one of this computer: its pace, its popups, and how settings change it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from gpuwatch_tray.alerts import RoutingPolicy
from gpuwatch_tray.alerts.lab_reminders import room_wanted
from gpuwatch_tray.app import lab_monitor
from gpuwatch_tray.app.actions import ActionDispatcher
from gpuwatch_tray.app.bootstrap import create_engine, create_lab_engine, open_store
from gpuwatch_tray.app.context import RunContext, SourceKind, lab_context
from gpuwatch_tray.app.control import messages_waiting
from gpuwatch_tray.app.lab_json import lab_answer
from gpuwatch_tray.app.lab_monitor import LONGEST_PAUSE, LabMonitor
from gpuwatch_tray.app.lab_watch import LabWatch
from gpuwatch_tray.app.monitor import HOUSEKEEP_AT_REST, HOUSEKEEP_EVERY, Monitor, Outputs
from gpuwatch_tray.app.telling import LAB_PREFIX
from gpuwatch_tray.common import host
from gpuwatch_tray.engine.lab_reminders import LabReminders
from gpuwatch_tray.engine.operations import AlertOperations, Reminders
from gpuwatch_tray.model import (
    Button,
    EmailWhen,
    LabStatus,
    Level,
    Limits,
    Popup,
    Presence,
    PresenceResult,
    Problem,
    RoomWanted,
    Severity,
    Snapshot,
)
from gpuwatch_tray.model.units import GIB
from gpuwatch_tray.notify.outbox_process import OutboxProcess
from gpuwatch_tray.settings import LabSettings, Settings
from gpuwatch_tray.store import Commit, OutboxSummary, StoreError
from tests.engine.lab_world import away, counted, detailed, lab
from tests.store.commits import mail
from tests.support.fakes import Clock, FakePopups, process, snapshot
from tests.support.timing import wait_until

# What another process does that has the lab.
HOLDER = """
import sys, time
from pathlib import Path
from gpuwatch_tray.ipc.lock import LockHolder, StoreLock
lock = StoreLock(Path(sys.argv[1]), sys.argv[2])
assert lock.acquire(LockHolder(1, "watch"))
print("held", flush=True)
time.sleep(600)
"""
BUSY = lab(counted("gpu1", 3))
WELL = lab(counted("gpu1", 1))
DEAD = lab(problem=Problem("no answer"))


def context_of(folder, **settings):
    base = {"limits": Limits(gpu_limit=1, max_etime=None), "lab": LabSettings(hosts=("gpu1",))}
    made = Settings(Path("/etc/gpu-watch.env"), folder, **(base | settings))
    return RunContext(made, (), SourceKind.NVML, "box", "ada")


class Desk:
    """A LabMonitor whose polls the test makes."""

    name = "test"

    def __init__(self, folder):
        self.context = lab_context(context_of(folder))
        self.store = open_store(self.context)
        self.clock, self.monotonic = Clock(), Clock(0.0)
        self.shown, self.popups, self.reads, self.retries = [], FakePopups(), 0, 0
        engine = create_lab_engine(self.context, self.store, self.clock.instant, presence=self.sighting)
        self.monitor = LabMonitor(
            self.context, self, engine, self.shown.append, (), self.popups, self.monotonic
        )

    def sighting(self):
        return PresenceResult(Presence.PRESENT, "test")

    def read(self, wanted=(), /):
        self.reads += 1
        self.wanted = wanted
        return replace(self.next, at=self.clock.now)

    def retry(self):
        self.retries += 1

    def close(self):
        pass

    def poll(self, view, count=1):
        """So many ticks, each at the pace of LAB_POLL_SEC."""
        self.next = view
        for _ in range(count):
            self.clock.advance(15)
            self.monotonic.advance(15)
            self.monitor._poller.tick()


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    yield made
    made.store.close()


def test_its_popups_have_keys_of_their_own(desk):
    """Two states number their alerts alike: a button finds the lab's by the beginning of the key."""
    desk.poll(BUSY)
    (popup,) = desk.popups.shown
    assert popup.key.startswith(LAB_PREFIX)
    assert "gpu1" in popup.body
    assert desk.monitor.alerts_of_popup(popup.key) == ("lab/gpu_limit/gpu1/",)
    assert desk.shown[-1].level is Level.WARNING
    desk.poll(WELL)
    assert desk.popups.closed == [popup.key]


def test_a_button_acts_on_the_labs_state(desk, tmp_path):
    """Acknowledge on a popup about the lab, and not an alert of this computer of the same number."""
    desk.poll(BUSY)

    class Watch:
        monitor = desk.monitor

        class lease:  # noqa: N801  # an attribute of the one that is played
            store = desk.store

        def check_now(self):
            pass

    class Here:
        def check_now(self):
            pass

        def send_mails_now(self):
            pass

    context = context_of(tmp_path)
    dispatcher = ActionDispatcher(context, AlertOperations(None, None), Reminders(None, None), None)
    dispatcher.bind(Here(), lambda _: (), desk.popups, lambda _: None, lambda _: None, Watch())
    dispatcher.on_popup_button(desk.popups.shown[0].key, Button.ACKNOWLEDGE)
    desk.poll(BUSY)
    assert [alert.acknowledged for alert in desk.shown[-1].alerts] == [True]


def test_a_lab_that_cannot_be_read_is_asked_less_often(desk):
    """The pause grows to two minutes; a click asks all at once, and an answer brings the old pace back."""
    desk.poll(DEAD, 40)
    assert 5 <= desk.reads <= 10
    before = desk.reads
    assert desk.retries == 0
    desk.monitor.check_now()
    desk.poll(WELL)
    assert (desk.reads, desk.retries) == (before + 1, 1)
    desk.poll(WELL, 10)
    assert desk.reads == before + 11
    assert LONGEST_PAUSE == 120.0


def test_a_loss_is_grey_and_never_green(desk):
    """Of the whole lab and of one host; what fired goes on firing."""
    desk.poll(WELL, 3)
    assert desk.shown[-1].level is Level.OK
    desk.poll(lab(away("gpu1")))
    assert desk.shown[-1].level is Level.NO_DATA
    desk.poll(DEAD)
    assert desk.shown[-1].level is Level.NO_DATA
    assert "no answer" in desk.shown[-1].headline


def test_a_read_that_hangs_is_grey_before_long(desk):
    """After three polls and what a read may take; a lab that is left alone for a while does not hang."""
    desk.poll(WELL, 3)
    assert desk.monitor.housekeep() == HOUSEKEEP_AT_REST
    desk.monotonic.advance(70)
    rest = desk.monitor.housekeep()
    assert desk.shown[-1].level is Level.OK
    assert HOUSEKEEP_EVERY <= rest < 10
    desk.monotonic.advance(10)
    assert desk.monitor.housekeep() == HOUSEKEEP_EVERY
    assert (desk.shown[-1].level, "hangs" in desk.shown[-1].headline) == (Level.NO_DATA, True)
    desk.poll(DEAD, 9)
    desk.monotonic.advance(LONGEST_PAUSE)
    desk.monitor.housekeep()
    assert "no answer" in desk.shown[-1].headline


def test_a_read_that_ends_after_the_stop_changes_nothing(desk):
    """One that hung while the settings changed: what it brings is not shown over the new lab, nor told."""

    def late(_wanted, /):
        desk.monitor.stop(0.0)
        return BUSY

    desk.read = late
    desk.monitor._poller.tick()
    desk.monitor.housekeep()
    assert (desk.shown, desk.popups.shown, desk.store.saved_state().alerts) == ([], [], ())


def test_memory_of_free_gpus_is_asked_for_while_somebody_waits_for_it(desk):
    """With the first poll after a start too; without such a reminder a poll asks for nothing more."""
    reminders = LabReminders(desk.store, desk.clock.instant)
    desk.poll(WELL)
    assert desk.wanted == ()
    reminders.add_free(2, "gpu*", WELL, memory=40 * GIB)
    desk.poll(WELL, 2)
    assert desk.wanted == (RoomWanted(40 * GIB, 2),)
    again = create_lab_engine(desk.context, desk.store, desk.clock.instant)
    assert room_wanted(again.reminders) == desk.wanted
    reminders.cancel(1)
    desk.poll(WELL, 2)
    assert desk.wanted == ()


def test_hosts_on_which_a_process_is_waited_for_are_asked_for_a_while(desk):
    """With the first poll after a start too, and in bounded time: who hangs holds up no other poll."""
    asked = []

    def detail(name):
        asked.append(name)
        desk.monotonic.advance(6)
        return Snapshot(name, desk.clock.now, problem=Problem("no answer within 5 s"))

    desk.detail = detail
    names = [f"gpu{n}" for n in range(1, 8)]
    hosts = lab(*(replace(detailed(name, 1), detail=None) for name in names))
    reminders = LabReminders(desk.store, desk.clock.instant)
    for name in names[1:]:
        reminders.add_end(name, 100, detailed(name, 1).detail)
    reminders.add_free(1, "gpu1", hosts)
    desk.poll(hosts, 2)
    assert asked[-3:] == ["gpu2", "gpu3", "gpu4"]
    assert desk.shown[-1].level is not Level.NO_DATA
    assert len(desk.shown[-1].awaited) == 7


def test_explain_names_what_the_exporters_do_not_tell(desk):
    """Why a rule is open is in the notes of the view: they stand before the rules."""
    note = "dcgm-exporter does not tell processes"
    desk.poll(replace(WELL, notes=(note,)))
    (first, *rules) = desk.monitor.explain()
    assert note in first
    assert any("host_blind" in line for line in rules)


def test_explain_numbers_the_labs_alerts_as_they_are_acknowledged(desk):
    """Beside them are this computer's, by the same numbers: `alerts ack 1` would be another one."""
    desk.poll(BUSY)
    assert any(line.strip().startswith("Alert L1, ") for line in desk.monitor.explain())


def test_a_mail_about_the_lab_that_does_not_leave_is_noted(desk):
    """`lab` and the page say so: a `watch` has no popup that would."""
    desk.monitor._outboxes = [
        SimpleNamespace(
            channel=channel, waiting=OutboxSummary(count=1, error="550 refused"), kick=lambda: None
        )
        for channel in ("email", "chat:ops")
    ]
    desk.poll(WELL)
    mail_note, chat_note = desk.shown[-1].notes
    assert mail_note.startswith("Email: ")
    assert chat_note.startswith("Chat ops: ")
    assert all("550 refused" in note for note in desk.shown[-1].notes)


def test_what_waits_of_the_lab_counts_too(desk):
    """`status` names mails and messages that have not left, whichever outbox they are in."""
    desk.monitor._outboxes = [
        SimpleNamespace(channel=channel, waiting=SimpleNamespace(count=count))
        for channel, count in (("email", 2), ("chat:ops", 3), ("chat:idle", 0))
    ]
    here = SimpleNamespace(mails_waiting=1, chats_waiting={"ops": 1})
    watch = LabWatch("watch", lambda _status: None)
    assert messages_waiting(here, watch) == (1, {"ops": 1})
    watch.monitor = desk.monitor
    assert messages_waiting(here, watch) == (3, {"ops": 4})


def test_the_worse_of_both_is_shown(tmp_path):
    """The lab beside this computer: its alerts, and that nothing is known of it, reach the icon."""
    context, shown = context_of(tmp_path), []
    store = open_store(context)
    made = Monitor(context, None, create_engine(context, store), Outputs(shown.append))
    made.on_snapshot(snapshot(process(1, 0)))
    assert shown[-1].level is Level.OK
    for level in (Level.WARNING, Level.CRITICAL, Level.NO_DATA):
        made.set_lab(LabStatus(level, "gpu1 is on fire", 1.0))
        assert shown[-1].level is level
        assert shown[-1].headline == "Lab: gpu1 is on fire"
    made.on_snapshot(snapshot(process(1, 0), process(2, 1)))  # our own alert, and the lab not known
    assert shown[-1].level is Level.WARNING
    made.set_lab(None)
    assert shown[-1].lab is None
    store.close()


def test_a_desk_without_gpus_of_its_own_shows_the_lab(tmp_path):
    """No driver here, and none was ever: that is no alert, and the icon is the lab's."""
    context, shown = context_of(tmp_path), []
    store = open_store(context)
    made = Monitor(context, None, create_engine(context, store), Outputs(shown.append))
    made.set_lab(LabStatus(Level.OK, "3 of 4 GPUs free", 1.0))
    for _ in range(30):
        made.on_snapshot(Snapshot("nvml", 1.0, problem=Problem("no driver", no_driver=True)))
    assert (shown[-1].level, shown[-1].alerts) == (Level.OK, ())
    assert shown[-1].headline == "Lab: 3 of 4 GPUs free"
    store.close()


class FakeSource:
    """Counts how often a source was opened and closed."""

    opened, closed = 0, 0

    def __init__(self, *_):
        type(self).opened += 1

    name = "test"

    def read(self, _wanted=(), /):
        return WELL

    def retry(self):
        pass

    def close(self):
        type(self).closed += 1


@pytest.fixture
def sources(monkeypatch):
    class Sources(FakeSource):
        opened, closed = 0, 0

    monkeypatch.setattr(lab_monitor, "open_lab", Sources)
    return Sources


def test_settings_begin_change_and_end_it(tmp_path, sources):
    """Other hosts are asked anew, other limits are applied as it runs, and without hosts it ends."""
    shown = []
    watch = LabWatch("watch", shown.append)
    watch.start(context_of(tmp_path, lab=LabSettings()))
    assert (watch.monitor, shown, sources.opened) == (None, [None], 0)
    watch.reconfigure(context_of(tmp_path))
    first = watch.monitor
    assert (sources.opened, sources.closed) == (1, 0)
    watch.reconfigure(context_of(tmp_path, limits=Limits(gpu_limit=7)))
    assert watch.monitor is first
    watch.reconfigure(context_of(tmp_path, lab=LabSettings(hosts=("gpu1", "gpu2"))))
    assert watch.monitor is not first
    assert (sources.opened, sources.closed) == (2, 1)
    watch.reconfigure(context_of(tmp_path, lab=LabSettings()))
    assert (watch.monitor, shown[-1], sources.closed) == (None, None, 2)
    watch.stop(1.0)


def test_popups_of_a_lab_that_is_no_longer_watched_leave_the_screen(tmp_path, sources):
    """No engine would know what their buttons are about; those of this computer stay."""
    popups = FakePopups()
    watch = LabWatch("tray", lambda _status: None, popups)
    watch.start(context_of(tmp_path))
    popups.show(Popup("a1", "of this computer", "", Severity.WARNING))
    watch.monitor._teller._show(Popup("a1", "of the lab", "", Severity.WARNING), lambda _shown: None)
    late = watch.monitor
    watch.reconfigure(context_of(tmp_path, limits=Limits(gpu_limit=7)))
    assert popups.closed == []
    watch.reconfigure(context_of(tmp_path, lab=LabSettings()))
    assert popups.closed == [f"{LAB_PREFIX}a1"]
    assert not late._teller._show(Popup("a2", "too late", "", Severity.WARNING), lambda _shown: None)
    watch.stop(1.0)


def test_a_state_that_cannot_be_read_takes_the_lab_alone(tmp_path, sources, monkeypatch):
    """The program goes on with its own computer, says why, and lets go of what it held."""

    def broken(*_args, **_more):
        raise StoreError("the state is torn")

    shown = []
    watch = LabWatch("watch", shown.append)
    with monkeypatch.context() as torn:
        torn.setattr(lab_monitor, "create_lab_engine", broken)
        watch.start(context_of(tmp_path))
    assert (shown[-1].level, "the state is torn" in shown[-1].headline) == (Level.NO_DATA, True)
    assert (watch.monitor, watch.lease) == (None, None)
    watch.reconfigure(context_of(tmp_path))
    assert watch.monitor is not None
    assert watch.stop(10.0)


def test_mail_and_chats_follow_the_settings(tmp_path, sources, monkeypatch):
    """What was written while nothing was sent leaves once the settings let it; a mended way is tried now."""
    monkeypatch.setattr(OutboxProcess, "tick", lambda _process: False)  # nothing is sent from here
    silent = RoutingPolicy(email_when=EmailWhen.NEVER)
    watch = LabWatch("watch", lambda _status: None)
    watch.start(context_of(tmp_path, to_email="ada@example.org", routing=silent))
    monitor, store = watch.monitor, watch.lease.store
    assert monitor.waiting == {}
    store.commit(Commit(host.now(), mails=(mail(created=time.time()),)))
    (row,) = store.lease_due(time.time() + 1.0, 60.0)
    store.mark_retry(row.id, time.time() + 3600.0, "refused", blocked=True, failure="configuration")
    watch.reconfigure(context_of(tmp_path, to_email="bob@example.org", routing=RoutingPolicy()))
    assert (watch.monitor, watch.lease.store) == (monitor, store)
    assert list(monitor.waiting) == ["email"]
    assert store.outbox_summary(time.time()).next_at <= time.time()
    watch.reconfigure(context_of(tmp_path, to_email="bob@example.org", routing=silent))
    assert monitor.waiting == {}
    assert watch.stop(10.0)


def test_a_lab_that_another_watches_is_taken_over_when_that_ends(tmp_path, sources, monkeypatch):
    """Meanwhile it is no data, with who has it; then the alert goes on, and nothing is mailed twice."""
    monkeypatch.setattr(OutboxProcess, "tick", lambda _process: False)  # nothing is sent from here
    monkeypatch.setattr(sources, "read", lambda _source, _wanted: BUSY)
    shown = []
    context = context_of(tmp_path, to_email="ada@example.org", routing=RoutingPolicy())
    one = LabWatch("watch", lambda _: None)
    other = LabWatch("tray", shown.append, try_again=0.01)
    one.start(context)
    wait_until(lambda: one.monitor.status.alerts, "the alert")
    other.start(context)
    assert (other.monitor, sources.opened) == (None, 1)
    assert one.lease.store.outbox_summary(time.time()).count == 1
    assert (shown[-1].level, shown[-1].elsewhere) == (Level.NO_DATA, True)
    assert f"another process watches the lab, and tells of it: watch, PID {os.getpid()}" in shown[-1].headline
    assert lab_answer(shown[-1]) == {"lab": None}
    told = len(shown)
    one.stop(10.0)
    wait_until(lambda: other.monitor is not None and other.monitor.status.alerts, "it is taken over")
    assert [status.headline for status in shown[told:]][:1] == ["Reading the lab for the first time"]
    (alert,) = other.monitor.status.alerts
    assert alert.id == 1
    before = len(shown)
    other.check_now()
    wait_until(lambda: len(shown) > before, "one more poll")
    assert other.lease.store.outbox_summary(time.time()).count == 1
    assert other.stop(10.0)


def test_a_lab_is_taken_over_from_one_that_was_killed(tmp_path, sources):
    """The lock dies with its process, however that ended."""
    context = context_of(tmp_path)
    name = lab_context(context).state_name
    held = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(context.settings.state), name], stdout=subprocess.PIPE, text=True
    )
    assert held.stdout.readline() == "held\n"
    watch = LabWatch("watch", lambda _: None, try_again=0.01)
    watch.start(context)
    assert watch.monitor is None
    held.kill()
    held.communicate(timeout=60)
    wait_until(lambda: watch.monitor is not None, "it is taken over")
    assert watch.stop(10.0)


@pytest.mark.parametrize("ends", ["stop", "reconfigure"])
def test_a_lab_that_is_no_longer_wanted_is_not_taken_over(tmp_path, sources, ends):
    """The tries end with the program, and with the lab's line in the settings."""
    one, other = LabWatch("watch", lambda _: None), LabWatch("watch", lambda _: None, try_again=0.01)
    one.start(context_of(tmp_path))
    other.start(context_of(tmp_path))
    if ends == "stop":
        assert other.stop(10.0)
    else:
        other.reconfigure(context_of(tmp_path, lab=LabSettings()))
    one.stop(10.0)
    wait_until(lambda: "lab turn" not in [thread.name for thread in threading.enumerate()], "no more tries")
    assert (other.monitor, sources.opened) == (None, 1)


def test_an_obstacle_is_told_once_and_tried_again(tmp_path, sources, monkeypatch, caplog):
    """A state that cannot be read now may be mended: it is logged once, and so is that it is over."""
    caplog.set_level(logging.INFO)
    tries = []

    def broken(*_args, **_more):
        tries.append(1)
        raise StoreError("the state is torn")

    watch = LabWatch("watch", lambda _: None, try_again=0.01)
    with monkeypatch.context() as torn:
        torn.setattr(lab_monitor, "create_lab_engine", broken)
        watch.start(context_of(tmp_path))
        wait_until(lambda: len(tries) > 3, "several tries")
    wait_until(lambda: watch.monitor is not None, "it is watched")
    lines = [record.message for record in caplog.records if record.name == LabWatch.__module__]
    assert lines == ["The lab is not watched: the state is torn", "the lab is watched now"]
    assert watch.stop(10.0)
