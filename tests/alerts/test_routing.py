"""Layer B, the routing: what is told on which channel, and the named reason of each decision."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gpuwatch_tray.alerts import Channel, ChatRoute, DeliveryState, RoutingPolicy, decide
from gpuwatch_tray.model import EmailWhen, Instant, Phase, Presence, Reason, Severity
from tests.support.fakes import BOOT, START, alert

MAIL, POPUP = Channel.EMAIL, Channel.DESKTOP
PHONE, TEAM, LOG, WAITER = map(Channel.of_chat, ("phone", "team", "log", "waiter"))
CHATS = (
    ChatRoute("phone", Severity.CRITICAL),
    ChatRoute("team"),
    ChatRoute("log", Severity.INFO, frozenset({"intruder"})),
    ChatRoute("waiter", rules=frozenset({"when"})),
)
POLICY = RoutingPolicy(3600.0, mails=True, popups=True, chats=CHATS)
AWAY = (POLICY, Presence.AWAY)
DESK = (POLICY, Presence.PRESENT)


def at(seconds, boot=BOOT):
    return Instant(START + seconds, 9000.0 + seconds, boot)


NOW = at(0)
JUST = alert(fired=NOW)  # it has begun to fire at this moment
LONG = alert(fired=at(-7200))
INFO = alert("intruder", "GPU-0000/bob", Severity.INFO, fired=NOW)


def told(seconds, **facts):
    return DeliveryState(at(seconds), **facts)


def news(reason, seconds=0.0):
    return replace(LONG, news=(reason, at(seconds)))


NEVER_MAIL = (replace(POLICY, email_when=EmailWhen.NEVER), Presence.AWAY)
ALWAYS = (replace(POLICY, email_when=EmailWhen.ALWAYS), Presence.PRESENT)
NO_MAIL = (replace(POLICY, mails=False), Presence.AWAY)
NO_DESK = (replace(POLICY, popups=False), Presence.PRESENT)
NOT_SEEN = (POLICY, Presence.UNKNOWN)
NEVER_CHAT = (replace(POLICY, chat_when=EmailWhen.NEVER), Presence.AWAY)
ALWAYS_CHAT = (replace(POLICY, chat_when=EmailWhen.ALWAYS), Presence.PRESENT)
NO_CHATS = (replace(POLICY, chats=()), Presence.AWAY)
EVERYTHING = replace(JUST, snoozed_until=START + 60, inhibited_by="gpu_lost", acknowledged=True)

had, UNTOLD = DeliveryState, DeliveryState()

TABLE = [
    # what keeps it from being told anywhere, in the order of precedence
    ("pending", replace(EVERYTHING, phase=Phase.PENDING), MAIL, UNTOLD, AWAY, "no pending"),
    ("recovering", replace(EVERYTHING, phase=Phase.RECOVERING), POPUP, UNTOLD, AWAY, "no recovering"),
    ("snoozed: the mail too", EVERYTHING, MAIL, UNTOLD, AWAY, "no snoozed"),
    ("snoozed: the popup", EVERYTHING, POPUP, UNTOLD, AWAY, "no snoozed"),
    ("inhibited", replace(EVERYTHING, snoozed_until=None), MAIL, UNTOLD, AWAY, "no inhibited"),
    ("acknowledged", replace(JUST, acknowledged=True), MAIL, UNTOLD, AWAY, "no acknowledged"),
    ("acknowledged: no popup", replace(JUST, acknowledged=True), POPUP, UNTOLD, DESK, "no acknowledged"),
    # what keeps the channel shut
    ("nobody to mail", JUST, MAIL, had(queued=True), NO_MAIL, "no no-channel"),
    ("no desktop", JUST, POPUP, UNTOLD, NO_DESK, "no no-channel"),
    ("EMAIL_WHEN=never", JUST, MAIL, had(queued=True), NEVER_MAIL, "no never"),
    ("never binds no popup", JUST, POPUP, UNTOLD, NEVER_MAIL, "send first"),
    ("a mail is on its way", JUST, MAIL, told(-9999, queued=True), AWAY, "no queued"),
    ("that says nothing of the popup", JUST, POPUP, had(queued=True), AWAY, "send first"),
    # what only informs
    ("an info alert is mailed to nobody", INFO, MAIL, had(queued=True), AWAY, "no info-only"),
    ("it pops up", INFO, POPUP, UNTOLD, AWAY, "send first"),
    ("EMAIL_WHEN=always mails it too", INFO, MAIL, UNTOLD, ALWAYS, "send first always"),
    ("EMAIL_WHEN=never comes before that", INFO, MAIL, UNTOLD, NEVER_MAIL, "no never"),
    # the cooldown
    ("never told", JUST, POPUP, UNTOLD, DESK, "send first"),
    ("just told", LONG, POPUP, told(0), DESK, "no cooldown 3600"),
    ("a second before its end", LONG, MAIL, told(-3599), AWAY, "no cooldown 1"),
    ("at its end", LONG, MAIL, told(-3600), AWAY, "send cooldown-over away"),
    ("it outlives the incident", JUST, POPUP, told(-60), DESK, "no cooldown 3540"),
    ("a reboot does not end it", LONG, POPUP, had(at(-60, "old")), DESK, "no cooldown 3540"),
    ("nor does it last for ever", LONG, POPUP, had(at(3600, "old")), DESK, "send cooldown-over"),
    ("set back a little over a boot", LONG, POPUP, had(at(60, "old")), DESK, "no cooldown 3660"),
    # a mail that was given up is no delivery, but the next one would fare alike
    ("given up", LONG, MAIL, had(given_up=Instant(START - 60)), AWAY, "no given-up 3540"),
    ("given up a cooldown ago", LONG, MAIL, told(-9999, given_up=at(-3600)), AWAY, "send cooldown-over away"),
    ("delivered since", LONG, MAIL, told(-60, given_up=at(-600)), AWAY, "no cooldown 3540"),
    ("worse", news(Reason.SEVERITY_RISE), MAIL, had(given_up=at(-9)), ALWAYS, "send severity-rise always"),
    # what passes it, once
    ("a rise", news(Reason.SEVERITY_RISE), POPUP, told(-60), DESK, "send severity-rise"),
    ("a rise is mailed", news(Reason.SEVERITY_RISE), MAIL, told(-60), AWAY, "send severity-rise away"),
    ("a rise that was told", news(Reason.SEVERITY_RISE, -90), POPUP, told(-60), DESK, "no cooldown 3540"),
    ("a rise and its notice at once", news(Reason.SEVERITY_RISE), POPUP, told(0), DESK, "no cooldown 3600"),
    ("a snooze that ran out", news(Reason.SNOOZE_OVER), MAIL, told(-60), AWAY, "send snooze-over away"),
    ("flapping: one popup", news(Reason.FLAPPING), POPUP, told(-60), DESK, "send flapping"),
    ("flapping: no further mail", news(Reason.FLAPPING), MAIL, told(-60), AWAY, "no cooldown 3540"),
    ("flapping, never mailed", news(Reason.FLAPPING), MAIL, UNTOLD, AWAY, "send first away"),
    (
        "news of this boot is new, whatever the wall clock said in the last one",
        news(Reason.SEVERITY_RISE),
        POPUP,
        had(at(600, "old")),
        DESK,
        "send severity-rise",
    ),
    (
        "news of another boot, told in this one, is old whatever the wall clock said",
        replace(LONG, news=(Reason.SEVERITY_RISE, at(9999, "old"))),
        POPUP,
        told(-60),
        DESK,
        "no cooldown 3540",
    ),
    # the mail: why it does not wait, in the order of precedence
    ("always", replace(JUST, severity=Severity.CRITICAL), MAIL, UNTOLD, ALWAYS, "send first always"),
    ("critical", replace(JUST, severity=Severity.CRITICAL), MAIL, UNTOLD, DESK, "send first critical"),
    ("away", JUST, MAIL, had(no_popup=True), AWAY, "send first away"),
    ("no desktop is away", JUST, MAIL, UNTOLD, NO_DESK, "send first away"),
    ("the popup could not be shown", LONG, MAIL, had(no_popup=True), DESK, "send first no-popup"),
    ("nobody reacts", alert(fired=at(-600)), MAIL, UNTOLD, DESK, "send first unacknowledged"),
    ("there is still time to react", alert(fired=at(-599)), MAIL, UNTOLD, DESK, "no at-the-desk 1"),
    ("not known to be there: the popup has its time", JUST, MAIL, UNTOLD, NOT_SEEN, "no at-the-desk 600"),
    ("and then it is mailed", alert(fired=at(-600)), MAIL, UNTOLD, NOT_SEEN, "send first unacknowledged"),
    ("a rise gives time again", news(Reason.SEVERITY_RISE, -60), MAIL, UNTOLD, DESK, "no at-the-desk 540"),
    ("so does the end of a snooze", news(Reason.SNOOZE_OVER, -60), MAIL, UNTOLD, DESK, "no at-the-desk 540"),
    ("older news does not", alert(fired=at(-60), news=(Reason.SNOOZE_OVER, at(-90))), MAIL, UNTOLD, DESK,
     "no at-the-desk 540"),
    ("clock set back over a boot: long enough", alert(fired=at(60, "old")), MAIL, UNTOLD, DESK,
     "send first unacknowledged"),
    ("a repeat is mailed at once", LONG, MAIL, told(-3600), DESK, "send cooldown-over unacknowledged"),
    ("the cooldown comes before the desk", JUST, MAIL, told(-60), DESK, "no cooldown 3540"),
    # a chat goes by the same steps, with CHAT_WHEN and a filter of its own
    ("a chat, away", JUST, TEAM, UNTOLD, AWAY, "send first away"),
    ("a chat, at the desk", JUST, TEAM, UNTOLD, DESK, "no at-the-desk 600"),
    ("a chat is quiet for a cooldown of its own", LONG, TEAM, told(-60), AWAY, "no cooldown 3540"),
    ("a chat's message is on its way", JUST, TEAM, had(queued=True), AWAY, "no queued"),
    ("acknowledging binds a chat", replace(JUST, acknowledged=True), TEAM, UNTOLD, AWAY, "no acknowledged"),
    ("so does a snooze", EVERYTHING, TEAM, UNTOLD, AWAY, "no snoozed"),
    ("a chat that is gone", JUST, TEAM, UNTOLD, NO_CHATS, "no no-channel"),
    ("CHAT_WHEN=never", JUST, TEAM, UNTOLD, NEVER_CHAT, "no never"),
    ("CHAT_WHEN=never binds no mail", JUST, MAIL, UNTOLD, NEVER_CHAT, "send first away"),
    ("CHAT_WHEN=always", JUST, TEAM, UNTOLD, ALWAYS_CHAT, "send first always"),
    ("CHAT_WHEN=always binds no mail", JUST, MAIL, UNTOLD, ALWAYS_CHAT, "no at-the-desk 600"),
    ("EMAIL_WHEN=never binds no chat", JUST, TEAM, UNTOLD, NEVER_MAIL, "send first away"),
    ("a chat without a mail address", JUST, TEAM, UNTOLD, NO_MAIL, "send first away"),
    ("a warning to a chat for the critical", JUST, PHONE, UNTOLD, AWAY, "no filtered"),
    ("a critical one", replace(JUST, severity=Severity.CRITICAL), PHONE, UNTOLD, DESK, "send first critical"),
    ("info to a chat is as to mail", INFO, TEAM, UNTOLD, AWAY, "no info-only"),
    ("severity=info asks for it", INFO, LOG, UNTOLD, AWAY, "send first away"),
    ("an alert of another rule", JUST, LOG, UNTOLD, AWAY, "no filtered"),
    ("an alert to a chat for `when`", JUST, WAITER, UNTOLD, AWAY, "no filtered"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "channel", "before", "where", "expected"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_decision(one, channel, before, where, expected):
    """Each decision is to send or not, with its reason, the mail's step, and the seconds it waits."""
    found = decide(one, channel, before, *where, NOW)
    words = ["send" if found.send else "no", found.reason.value]
    words += [found.step.value] if found.step else []
    words += [f"{found.wait:g}"] if found.wait is not None else []
    assert " ".join(words) == expected


def test_the_table_reaches_every_reason():
    """Every reason is used."""
    reached = {word for row in TABLE for word in row[-1].split()}
    assert {reason.value for reason in Reason} <= reached


def test_a_decision_reads_as_a_sentence():
    """The log says what, and why."""
    assert str(decide(JUST, MAIL, DeliveryState(), *AWAY, NOW)) == "email now (first, away)"
    assert str(decide(JUST, MAIL, DeliveryState(), *DESK, NOW)) == "email not now (at-the-desk)"


@given(
    fired=st.floats(-1e5, 0),
    last=st.none() | st.floats(-1e4, 1e4),
    boot=st.sampled_from([BOOT, "old"]),
    presence=st.sampled_from(Presence),
    channel=st.sampled_from(POLICY.channels),
)
def test_a_wait_that_is_told_is_true(fired, last, boot, presence, channel):
    """After the seconds that a decision names, and not before, the same alert goes or its wait is another."""
    one = alert(fired=at(fired))
    before = DeliveryState(None if last is None else at(last, boot))
    where = (POLICY, presence)
    found = decide(one, channel, before, *where, NOW)
    if found.wait is None:
        return
    assert found.wait > 0
    later = decide(one, channel, before, *where, at(found.wait + 1e-3))
    assert not decide(one, channel, before, *where, at(found.wait - 1e-3)).send
    assert later.send or later.reason is not found.reason


def test_channels_by_their_names_on_file():
    """A chat's name cannot be mistaken for mail or the desktop, whatever it is."""
    assert [channel.value for channel in POLICY.channels[:3]] == ["email", "desktop", "chat:phone"]
    assert Channel("chat:phone") == PHONE
    assert Channel.of_chat("email") != MAIL
    assert (PHONE.chat, MAIL.chat, POPUP.chat) == ("phone", "", "")


def test_a_chat_for_some_rules_is_told_of_reminders_only_where_it_names_them():
    """Without rules a chat is told of all that was asked for."""
    assert [chat.wants_reminders for chat in CHATS] == [True, True, False, True]
