"""The loop that tray and `watch` share: what is shown when data stops, and what the notes say."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from gpuwatch_tray.alerts import ChatRoute, RoutingPolicy
from gpuwatch_tray.app.bootstrap import LOOP_COOLDOWN, create_engine
from gpuwatch_tray.app.context import RunContext, SourceKind
from gpuwatch_tray.app.monitor import HOUSEKEEP_AT_REST, HOUSEKEEP_EVERY, Monitor, Outputs
from gpuwatch_tray.engine.operations import Reminders
from gpuwatch_tray.model import Button, Level, Limits, Presence, PresenceResult, Severity
from gpuwatch_tray.settings import ConfigProblem, Settings
from gpuwatch_tray.settings.chat_addresses import parse_line
from gpuwatch_tray.store import OutboxSummary, Store
from gpuwatch_tray.store.database import RETRY_SECONDS
from tests.support.fakes import START, Clock, FakePopups, process, snapshot

BUSY = snapshot(process(1, 0), process(2, 1))
CALM = snapshot(process(1, 0))


class FakeOutboxProcess:
    channel = "email"
    idle_for = 60.0

    def __init__(self):
        self.waiting = OutboxSummary()
        self.kicks = 0
        self.news = False

    def kick(self):
        self.kicks += 1

    def tick(self):
        return self.news


class Loop:
    """A Monitor whose polls and rounds the test makes."""

    def __init__(self, tmp_path, **settings):
        base = {
            "config": Path("/etc/gpu-watch.env"),
            "state": tmp_path,
            "to_email": ("ada@example.org",),
            "limits": Limits(gpu_limit=1),
            "poll": 5.0,
        }
        self.context = RunContext(Settings(**(base | settings)), (), SourceKind.NVML, "box", "ada")
        self.store = Store(tmp_path, "box")
        self.clock = Clock()
        self.shown, self.popups, self.mail = [], FakePopups(), FakeOutboxProcess()
        self.presence = Presence.AWAY
        self.name = "test"
        self.build()

    def build(self):
        outputs = Outputs(self.shown.append, self.popups, self.mail)
        one = create_engine(self.context, self.store, self.clock.instant, presence=self.sighting)
        self.monotonic = Clock(0.0)
        self.monitor = Monitor(self.context, self, one, outputs, self.monotonic)

    def sighting(self):
        return PresenceResult(self.presence, "test")

    def read(self):
        return self.next

    def hang(self, seconds):
        """The reading does not come back for so long: the housekeeper's rounds, one a second."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.monotonic.advance(1)
            self.monitor.housekeep()

    def poll(self, reading):
        """One poll, on this thread."""
        self.next = reading
        self.clock.advance(5)
        self.monotonic.advance(5)
        self.monitor._poller.tick()

    @property
    def last(self):
        return self.shown[-1]


@pytest.fixture
def loop(tmp_path):
    running = Loop(tmp_path)
    yield running
    running.store.close()


def test_an_alert_is_shown_popped_up_and_mailed_once(loop):
    """One firing alert is one popup and one kick of the outbox process, and the icon stays at warning."""
    for _ in range(3):
        loop.poll(BUSY)
    assert [status.level for status in loop.shown] == [Level.WARNING] * 3
    assert (len(loop.popups.shown), loop.mail.kicks) == (1, 1)
    loop.poll(CALM)
    assert loop.popups.closed == [loop.popups.shown[0].key]


@pytest.mark.parametrize("shown", [True, False])
def test_a_popup_that_is_answered_late(loop, shown):
    """No poll repeats it meanwhile; if it fails after all the person at the desk gets a mail."""
    loop.presence, loop.popups.slow = Presence.PRESENT, True
    for _ in range(3):
        loop.poll(BUSY)
    assert (len(loop.popups.shown), loop.mail.kicks) == (1, 0)
    loop.popups.unanswered[0](shown)
    loop.popups.slow, loop.popups.works = False, shown
    loop.poll(BUSY)
    assert (len(loop.popups.shown), loop.mail.kicks) == (1, 0 if shown else 1)
    said = [entry.what for entry in loop.store.history(0)[1]]
    assert ("popup could not be shown" in said) is not shown


@pytest.mark.parametrize("shown", [True, False])
def test_a_reminder_stays_on_file_until_its_popup_is_answered(loop, shown):
    """Nothing repeats it meanwhile; one that was not shown after all is mailed."""
    loop.presence, loop.popups.slow = Presence.PRESENT, True
    reminders = Reminders(loop.store, loop.clock.instant)
    reminders.add_gpus_free(4, BUSY)
    for _ in range(20):
        loop.poll(snapshot())
    assert len(loop.popups.unanswered) == 1
    assert len(reminders.lines()) == 1
    loop.popups.unanswered[0](shown)
    loop.popups.works = False
    loop.poll(snapshot())
    assert reminders.lines() == []
    assert loop.mail.kicks == (0 if shown else 1)


def test_a_popup_about_the_mail_that_could_not_be_shown_comes_again(loop):
    """Late or at once, by a daemon that is back."""
    loop.mail.waiting, loop.mail.news = (
        OutboxSummary(1, START, START + 900, "535 wrong", "configuration"),
        True,
    )
    loop.popups.slow = True
    loop.monitor.housekeep()
    loop.mail.news = False
    loop.popups.unanswered[0](False)
    loop.popups.slow, loop.popups.works = False, False
    loop.hang(10)
    loop.popups.works = True
    loop.monotonic.advance(60)
    loop.monitor.housekeep()
    loop.hang(10)
    assert [popup.key for popup in loop.popups.shown] == ["mail-blocked"] * 2


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
    loop.context = replace(loop.context, source=kind)
    loop.build()
    loop.poll(CALM)
    loop.monotonic.advance(silent)
    loop.monitor.housekeep()
    assert (loop.last.level is Level.NO_DATA) is stale
    assert loop.last.headline.startswith("No data since ") is stale
    loop.poll(CALM)
    assert loop.last.level is Level.OK
    loop.store.close()


def test_the_housekeeper_rests_until_there_is_something_to_look_after(loop):
    """Until the data would be too old or a mail is due; every other second while no data comes."""
    loop.poll(CALM)
    assert loop.monitor.housekeep() == 15  # three polls
    loop.mail.idle_for = 7.0
    assert loop.monitor.housekeep() == 7
    loop.mail.idle_for = 0.0
    assert loop.monitor.housekeep() == HOUSEKEEP_EVERY
    loop.mail.idle_for = 60.0
    loop.monotonic.advance(14.5)
    assert loop.monitor.housekeep() == HOUSEKEEP_EVERY
    loop.monotonic.advance(2)
    assert loop.monitor.housekeep() == HOUSEKEEP_EVERY
    assert loop.last.level is Level.NO_DATA


def test_the_housekeeper_of_a_slow_monitor_looks_three_times_a_minute(tmp_path):
    """The clock may be set, or the machine may have slept, while a mail waited for its time."""
    slow = Loop(tmp_path, poll=3600.0)
    with closing(slow.store):
        slow.poll(CALM)
        assert slow.monitor.housekeep() == HOUSEKEEP_AT_REST


def test_the_notes_say_why_mail_does_not_leave(loop, tmp_path):
    """No recipient, or mails that wait with their reason, stand in the menu."""
    loop.mail.waiting = OutboxSummary(2, START, START, "connection refused")
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
    loop.context = replace(loop.context, problems=(problem,))
    loop.build()
    loop.poll(CALM)
    assert (loop.last.level, loop.last.notes) == (Level.WARNING, (str(problem),))


def test_a_cooldown_of_zero_is_not_a_mail_at_each_poll(tmp_path):
    """COOLDOWN_MIN=0 means every run of cron; a loop keeps a minute between equal mails."""
    loop = Loop(tmp_path, routing=RoutingPolicy(cooldown=0))
    for _ in range(5):
        loop.poll(BUSY)
        for row in loop.store.lease_due(loop.clock.now, 60):
            loop.store.mark_sent(row.id, loop.clock.now, "")
    assert loop.mail.kicks == 1
    loop.clock.advance(LOOP_COOLDOWN)
    loop.poll(BUSY)
    assert loop.mail.kicks == 2
    loop.store.close()


def titles(loop):
    return [popup.title for popup in loop.popups.shown]


def test_a_read_that_hangs_is_told(loop):
    """When no reading comes back, popup and mail say so after a minute more, though the poller hangs."""
    loop.poll(CALM)
    loop.hang(14)
    assert loop.last.level is Level.OK
    loop.hang(60)
    assert (titles(loop), loop.last.alerts) == ([], ())
    loop.hang(10)
    assert titles(loop) == ["The GPUs cannot be read"]
    assert loop.mail.kicks == 1
    assert loop.last.level is Level.NO_DATA
    assert loop.last.headline.startswith("No data since ")
    assert [alert.rule for alert in loop.last.alerts] == ["monitor_blind"]


def test_a_read_that_hangs_for_long_is_critical(loop):
    """After ten minutes more it is critical, which is told once more and at once."""
    loop.poll(CALM)
    loop.hang(80)
    loop.hang(620)
    assert [popup.severity for popup in loop.popups.shown] == [Severity.WARNING, Severity.CRITICAL]
    assert len({popup.key for popup in loop.popups.shown}) == 1


def test_two_readings_end_the_blindness(loop):
    """The first reading that comes back ends "no data", the second the alert and its popup."""
    loop.poll(CALM)
    loop.hang(90)
    loop.poll(CALM)
    assert [alert.phase.value for alert in loop.last.alerts] == ["recovering"]
    assert loop.popups.closed == []
    loop.poll(CALM)
    assert (loop.last.level, loop.last.alerts) == (Level.OK, ())
    assert loop.popups.closed == [loop.popups.shown[0].key]


def test_a_short_hang_is_not_told(loop):
    """A reading that comes back within the minute was late, not blind."""
    loop.poll(CALM)
    loop.hang(60)
    for _ in range(3):
        loop.poll(CALM)
    assert titles(loop) == []


def test_what_fires_is_frozen_while_the_reading_hangs(loop):
    """A hang ends no alert and repeats none: blind mutes all others."""
    loop.poll(BUSY)
    loop.hang(7200)
    assert {alert.rule for alert in loop.last.alerts} == {"gpu_limit", "monitor_blind"}
    assert titles(loop).count("More GPUs in use than the limit") == 1
    loop.poll(BUSY)
    assert {alert.rule for alert in loop.last.alerts} == {"gpu_limit", "monitor_blind"}


def test_coming_back_to_the_desk_pops_up_what_was_missed(loop):
    """The summary goes to the desktop like any popup, and cools nothing down."""
    loop.poll(BUSY)
    loop.poll(CALM)
    loop.presence = Presence.PRESENT
    loop.poll(CALM)
    assert titles(loop)[-1] == "An alert while you were away"


def test_the_last_reading_can_be_explained(loop):
    """Before the first reading there is nothing to explain; then each rule is."""
    assert loop.monitor.explain() == ("nothing has been read yet",)
    loop.poll(BUSY)
    assert any(line.startswith("gpu_limit: 2 GPUs in use") for line in loop.monitor.explain())


def test_a_sign_in_that_has_ended_pops_up_once_and_goes_when_the_mails_have_left(loop):
    """With its button, however often the outbox is looked at meanwhile."""
    why = "sign-in refused: invalid_grant"
    loop.mail.news = True
    for waiting in (
        OutboxSummary(1, START, START + 900, why, "sign-in"),
        OutboxSummary(2, START, START + 900, why, "sign-in"),
    ):
        loop.mail.waiting = waiting
        loop.monitor.housekeep()
    (popup,) = loop.popups.shown
    assert (popup.body, popup.buttons, loop.popups.closed) == (why, (Button.SIGN_IN,), [])
    loop.mail.waiting = OutboxSummary()
    loop.monitor.housekeep()
    assert loop.popups.closed == [popup.key]


def test_a_state_that_cannot_be_written_is_told_once_by_popup(loop, tmp_path):
    """A note as long as it lasts, one popup, which goes when the file can be written again."""
    wall = tmp_path / "wall"
    wall.write_text("")
    loop.store.close()
    loop.store = Store(wall, "box", keeper=True)
    loop.build()
    loop.popups.works = False
    loop.poll(CALM)
    loop.popups.works = True
    for _ in range(3):
        loop.poll(CALM)
    (popup,) = loop.popups.shown
    assert (popup.title, popup.body) == ("The state cannot be written", loop.store.trouble)
    assert loop.store.trouble in loop.last.notes
    wall.unlink()
    loop.store._database._retried_at -= RETRY_SECONDS
    loop.poll(CALM)
    assert loop.popups.closed == [popup.key]
    assert loop.last.notes == ()


class FakeRecorder:
    def __init__(self):
        self.trouble = None
        self.taken = []

    def record(self, reading, alerts):
        self.taken.append((reading, [alert.rule for alert in alerts]))


def test_each_reading_is_recorded_with_its_alerts_and_trouble_is_a_note(loop):
    """What keeps the samples gets what was judged; why it cannot keep them stands in the menu, no more."""
    loop.monitor._recorder = recorder = FakeRecorder()
    loop.poll(BUSY)
    assert recorder.taken == [(BUSY, ["gpu_limit"])]
    recorder.trouble = "samples-box.sqlite3: the disk is full"
    loop.poll(CALM)
    assert recorder.trouble in loop.last.notes
    assert loop.last.level is Level.OK


class FakeChatProcess(FakeOutboxProcess):
    channel = "chat:phone"


def test_a_chat_is_woken_and_what_waits_for_it_is_named(tmp_path):
    """Its process is kicked by an alert, its trouble is a note and a popup of its own beside the mail's."""
    chat = FakeChatProcess()
    route = ChatRoute("phone")
    running = Loop(tmp_path, routing=RoutingPolicy(chats=(route,)))
    with closing(running.store):
        outputs = replace(running.monitor._outputs, chats=(chat,))
        running.monitor = Monitor(
            running.context,
            running,
            create_engine(running.context, running.store, running.clock.instant, presence=running.sighting),
            outputs,
            running.monotonic,
        )
        running.poll(BUSY)
        assert (running.mail.kicks, chat.kicks) == (1, 1)
        chat.news = True
        running.monitor.housekeep()
        chat.waiting = OutboxSummary(2, START, START, "ntfy does not take it", "configuration", attempts=3)
        running.monitor.housekeep()
        assert [popup.key for popup in running.popups.shown if "mail" in popup.key] == ["mail-blocked:phone"]
        assert any(note.startswith("Chat phone: 2 messages wait") for note in running.last.notes)
        assert running.monitor.chats_waiting == {"phone": 2}
        assert running.monitor.mails_waiting == 0


def test_with_a_chat_nobody_is_told_that_email_is_off(tmp_path):
    """The person has chosen another way."""
    chats = (parse_line("phone ntfys://ntfy.sh/a"),)
    for settings, said in (({}, True), ({"chats": chats}, False)):
        running = Loop(tmp_path, to_email=(), no_recipient="not set", **settings)
        with closing(running.store):
            running.poll(CALM)
            assert any("Email is off" in note for note in running.last.notes) is said
