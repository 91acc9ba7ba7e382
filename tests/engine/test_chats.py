"""Each chat is a channel of its own: cooldown, acknowledge, cap, resolved, digest, and a day without it."""

from __future__ import annotations

import re

import pytest

from gpuwatch_tray.alerts import Channel, ChatRoute, Silence, SilenceScope
from gpuwatch_tray.engine import late_digest
from gpuwatch_tray.engine.mail_builder import PER_DAY, PER_HOUR
from gpuwatch_tray.engine.operations import Reminders
from gpuwatch_tray.model import EmailWhen, MessageKind, Presence, Severity
from gpuwatch_tray.model.units import DAY, HOUR
from gpuwatch_tray.notify import render
from gpuwatch_tray.notify.chat import CHAT_RETRIES
from gpuwatch_tray.notify.outbox_worker import deliver_due
from gpuwatch_tray.notify.transport import FailureKind, Receipt, TransportError
from tests.engine.bench import BUSY, CALM, HEAD, Bench, with_heat
from tests.support.fakes import process, snapshot

PHONE, TEAM = ChatRoute("phone"), ChatRoute("team")
EMAIL = Channel.EMAIL


class Way:
    """A chat or a mail server: takes what it is given, or fails so."""

    name = "way"

    def __init__(self, kind=None):
        self.kind = kind
        self.taken = []
        self.tries = 0

    def send(self, message):
        self.tries += 1
        if self.kind is not None:
            raise TransportError(self.kind, "no answer", for_all=True)
        self.taken.append(message)
        return Receipt(self.name, "HTTP 200")


@pytest.fixture
def two(folder):
    """A bench with two chats and mail, which nobody sits at the desk of."""
    made = Bench(folder, chats=(PHONE, TEAM))
    made.presence = Presence.AWAY
    made.ways = {channel: Way() for channel in (EMAIL, PHONE.channel, TEAM.channel)}
    yield made
    made.close()


def visit(bench, *channels):
    """As the processes that send do: each its own channel, when something is due there."""
    for channel in channels or bench.ways:
        due = bench.store.outbox_summary(bench.clock.now, channel.value).next_at
        if due is not None and due <= bench.clock.now:
            deliver_due(
                bench.store,
                lambda way=bench.ways[channel]: way,
                bench.clock,
                chance=lambda: 0.5,
                gather=late_digest(HEAD, channel),
                channel=channel.value,
                policies=CHAT_RETRIES,
            )


def kinds(bench, channel):
    return [message.kind.value for message in bench.ways[channel].taken]


def test_an_alert_goes_to_each_channel_once(two):
    """The mail as it always was, the chats short; each is then quiet for its cooldown."""
    outcome = two.look(BUSY)
    assert outcome.chats == (PHONE.channel, TEAM.channel)
    visit(two)
    for _ in range(3):
        two.look(BUSY, 60)
        visit(two)
    assert {channel: len(way.taken) for channel, way in two.ways.items()} == dict.fromkeys(two.ways, 1)
    (message,) = two.ways[PHONE.channel].taken
    assert message.subject == "▲ box: More GPUs in use than the limit"
    assert message.text == "▲ 2 GPUs in use; the limit is 1"
    assert two.ways[EMAIL].taken[0].subject.startswith("[GPU Watchdog] ada@box")


def test_each_cooldown_is_its_own(two):
    """One chat was down: it is told when it is back, and the others not once more."""
    two.ways[TEAM.channel].kind = FailureKind.TRANSIENT
    two.look(BUSY)
    visit(two)
    two.ways[TEAM.channel].kind = None
    for _ in range(40):
        two.look(BUSY, 60)
        visit(two)
    assert {channel: len(way.taken) for channel, way in two.ways.items()} == dict.fromkeys(two.ways, 1)
    two.look(BUSY, HOUR - 40 * 60 + 1)
    visit(two)
    assert [len(two.ways[channel].taken) for channel in two.ways] == [2, 2, 1]


def test_the_end_goes_to_those_who_had_the_alert(two):
    """Once to each, and to the one that was late after its own message; to one that dropped it never."""
    two.ways[TEAM.channel].kind = FailureKind.TRANSIENT
    two.look(BUSY)
    visit(two)
    two.look(CALM, 60)
    visit(two)
    assert kinds(two, EMAIL) == kinds(two, PHONE.channel) == ["alert", "resolved"]
    assert kinds(two, TEAM.channel) == []
    two.ways[TEAM.channel].kind = None
    for _ in range(5):
        two.look(CALM, 60)
        visit(two)
    assert kinds(two, TEAM.channel) == ["alert", "resolved"]
    assert kinds(two, EMAIL) == kinds(two, PHONE.channel) == ["alert", "resolved"]
    assert two.ways[PHONE.channel].taken[1].subject == "✔ box: An alert is over"


def test_what_is_owed_survives_a_restart(two):
    """The chat that is late has the end in another process, and nobody has it twice."""
    two.ways[TEAM.channel].kind = FailureKind.TRANSIENT
    two.look(BUSY)
    visit(two)
    two.look(CALM, 60)
    visit(two)
    two.restart()
    two.ways[TEAM.channel].kind = None
    for _ in range(5):
        two.look(CALM, 60)
        visit(two)
        two.restart()
    assert {tuple(kinds(two, channel)) for channel in two.ways} == {("alert", "resolved")}


def test_a_message_that_was_dropped_has_no_end(two):
    """Resolved goes only where firing was."""
    two.ways[TEAM.channel].kind = FailureKind.TRANSIENT
    two.look(BUSY)
    visit(two)
    rows = [row.id for row in two.store.unsent() if row.channel == TEAM.channel.value]
    two.store.drop_mails(rows, two.clock.now)
    two.ways[TEAM.channel].kind = None
    for _ in range(3):
        two.look(CALM, 60)
        visit(two)
    assert kinds(two, TEAM.channel) == []
    assert kinds(two, PHONE.channel) == ["alert", "resolved"]


def test_without_chat_in_notify_resolved_no_chat_hears_of_an_end(two):
    """The mail does."""
    two.restart(resolved_chat=False)
    two.look(BUSY)
    visit(two)
    two.look(CALM, 60)
    visit(two)
    assert kinds(two, PHONE.channel) == ["alert"]
    assert kinds(two, EMAIL) == ["alert", "resolved"]


def test_acknowledge_and_snooze_bind_the_chats(two):
    """Also what was queued before the snooze; afterwards each is told."""
    two.look(BUSY)
    two.attending.snooze(HOUR)
    visit(two)
    assert [way.taken for way in two.ways.values()] == [[], [], []]
    two.look(BUSY, HOUR + 1)
    visit(two)
    assert all(way.taken for way in two.ways.values())
    (alert,) = two.store.saved_state().alerts
    two.attending.acknowledge(str(alert.id))
    before = [len(way.taken) for way in two.ways.values()]
    two.look(BUSY, 2 * HOUR)
    visit(two)
    assert [len(way.taken) for way in two.ways.values()] == before


def test_a_snooze_of_a_rule_holds_back_what_is_queued_of_it(two):
    """On every channel alike."""
    two.look(BUSY)
    now = two.clock.instant()
    two.store.add_silence(Silence(SilenceScope.RULE, "gpu_limit", now, HOUR))
    visit(two)
    assert [way.tries for way in two.ways.values()] == [0, 0, 0]


def test_a_chat_with_a_filter_gets_what_it_is_for(two, monkeypatch):
    """One for critical alerts, one for a rule; the mail gets all."""
    with_heat(monkeypatch)
    two.restart(chats=(ChatRoute("phone", Severity.CRITICAL), ChatRoute("team", rules=frozenset({"heat"}))))
    two.look(BUSY)
    visit(two)
    assert [len(way.taken) for way in two.ways.values()] == [1, 0, 0]


def test_chats_alone_need_no_mail(two):
    """Without an address everything else is as with one."""
    two.restart(mails=False)
    two.look(BUSY)
    visit(two)
    two.look(CALM, 60)
    visit(two)
    assert [kinds(two, channel) for channel in two.ways] == [[], ["alert", "resolved"], ["alert", "resolved"]]


def test_at_the_desk_the_popup_comes_first(two):
    """A chat waits for ESCALATE_MIN as the mail does; CHAT_WHEN=always does not."""
    two.presence = Presence.PRESENT
    two.look(BUSY)
    visit(two)
    assert [way.taken for way in two.ways.values()] == [[], [], []]
    two.restart(chat_when=EmailWhen.ALWAYS)
    two.look(BUSY, 60)
    visit(two)
    assert [len(way.taken) for way in two.ways.values()] == [0, 1, 1]


def test_a_chat_that_is_taken_out_is_forgotten(two):
    """What it was owed goes with it."""
    two.ways[TEAM.channel].kind = FailureKind.TRANSIENT
    two.look(BUSY)
    visit(two)
    two.restart(chats=(PHONE,))
    two.look(CALM, 60)
    assert two.store.saved_state().ended == ()


def test_what_was_asked_for_goes_to_the_chats_too(two):
    """As to mail: a reminder is closed once it is queued; its command's output stays on this computer."""
    two.restart(chats=(PHONE, ChatRoute("team", rules=frozenset({"gpu_lost"}))))
    reminders = Reminders(two.store, two.clock.instant)
    number = reminders.add_command(7, "seven", "boot", "train.py")
    two.look(CALM, 5)
    reminders.report_command(number, 1, 60.0, ["the password is hunter2"])
    two.look(CALM, 5)
    visit(two)
    assert kinds(two, PHONE.channel) == kinds(two, EMAIL) == ["notice"]
    assert kinds(two, TEAM.channel) == []
    (message,) = two.ways[PHONE.channel].taken
    assert message.subject.startswith("▲ box: ")
    assert "hunter2" not in message.subject + message.text
    assert reminders.lines() == []


def test_a_reminder_without_mail_and_monitor_goes_to_a_chat(two):
    """`when run` closes it itself where nothing runs."""
    two.restart(mails=False)
    reminders = Reminders(two.store, two.clock.instant)
    number = reminders.add_command(7, "seven", "boot", "train.py")
    reminders.report_command(number, 0, 60.0, [])
    assert two.evaluator.mail_due_reminders() == 1
    visit(two)
    assert kinds(two, PHONE.channel) == kinds(two, TEAM.channel) == ["notice"]


BORN = 4000.0
EACH, EVERY = 4, 100.0


def crowd(number):
    """Four processes that nobody has seen before, beyond the limit."""
    return snapshot(*(process(1000 + EACH * number + n, 0, BORN) for n in range(EACH)))


def outage(bench, seconds, polls=150):
    """Alerts in so many polls, then nothing, until so many seconds are over; nobody answers anywhere."""
    for way in bench.ways.values():
        way.kind = FailureKind.TRANSIENT
    for number in range(polls):
        bench.look(crowd(number), EVERY)
        for channel in bench.ways:
            assert bench.store.queued_since(bench.clock.now, HOUR, channel.value) <= PER_HOUR
            assert bench.store.queued_since(bench.clock.now, DAY, channel.value) <= PER_DAY
        visit(bench)
    while seconds > polls * EVERY:
        bench.clock.advance(600)
        seconds -= 600
        visit(bench)
    for way in bench.ways.values():
        way.kind = None


def test_a_day_without_any_of_them_is_one_digest_a_channel(two):
    """600 alerts in 150 messages, over the caps too; each channel comes back by one that counts them."""
    outage(two, 0.9 * DAY)
    for _ in range(12):  # within the longest pause
        two.clock.advance(600)
        visit(two)
    assert {tuple(kinds(two, channel)) for channel in two.ways} == {("digest",)}
    (digest,) = two.ways[PHONE.channel].taken
    assert re.fullmatch("▲ box: [0-9]+ messages are late", digest.subject)
    assert {int(pid) for pid in re.findall("PID ([0-9]+)", digest.text)} == set(range(1000, 1600))
    shown = render.fitted(digest, 1000)
    assert len(digest.subject) + len(shown) < 1000
    assert shown.splitlines()[-1].startswith("and ")
    assert len(two.store.delivered(PHONE.channel.value)) == EACH * 150
    assert two.store.unsent() == ()


def test_after_a_day_what_a_chat_has_not_taken_is_given_up_and_kept(two):
    """The mail goes on; a chat's old messages are named, and leave when a person asks for it."""
    two.ways[PHONE.channel].kind = FailureKind.TRANSIENT
    two.look(BUSY)
    visit(two)
    for _ in range(30):
        two.clock.advance(HOUR)
        visit(two)
    phone = two.store.outbox_summary(two.clock.now, PHONE.channel.value)
    assert (phone.count, phone.dead, phone.dead_error) == (0, 1, "no answer")
    (row,) = two.store.unsent()
    assert (row.state, row.channel) == ("dead", "chat:phone")
    tries = two.ways[PHONE.channel].tries
    assert 20 < tries < 40  # it backed off, to an hour
    two.clock.advance(HOUR)
    visit(two)
    assert two.ways[PHONE.channel].tries == tries
    two.ways[PHONE.channel].kind = None
    two.store.resend_mails([row.id], two.clock.now)
    visit(two)
    assert kinds(two, PHONE.channel) == ["alert"]


def test_a_mail_is_never_given_up_for_its_age(two):
    """The same week without a mail server leaves it waiting."""
    two.ways[EMAIL].kind = FailureKind.TRANSIENT
    two.look(BUSY)
    for _ in range(7 * 24):
        visit(two)
        two.clock.advance(HOUR)
    waiting = two.store.outbox_summary(two.clock.now)
    assert (waiting.count, waiting.dead) == (1, 0)


def test_the_caps_are_each_channels_own(two):
    """A chat that was used up by its own messages leaves the others free, and gets a digest later."""
    for number in range(PER_HOUR + 5):
        two.look(crowd(number), 60)
        visit(two, PHONE.channel)
    assert two.store.evaluation_inputs().holding == {"email", "chat:phone", "chat:team"}
    assert len(two.ways[PHONE.channel].taken) == PER_HOUR
    two.look(snapshot(), HOUR)
    visit(two)
    last = two.ways[PHONE.channel].taken[-1]
    assert last.kind is MessageKind.DIGEST
    assert two.store.evaluation_inputs().holding == set()
