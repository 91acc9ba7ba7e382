"""The mails of evaluations: when they are queued, what they tell, and the cap on them."""

from __future__ import annotations

import pytest

from gpuwatch_tray.engine import late_digest, mail_now
from gpuwatch_tray.engine.mail_builder import PER_DAY, PER_HOUR
from gpuwatch_tray.model import EmailWhen, Instant, MessageKind, Presence, Severity
from tests.engine.bench import BUSY, CALM, DARK, HEAD, POLICY, Bench, at, with_heat
from tests.store import commits
from tests.support.fakes import START, process, snapshot

OVER = snapshot(process(1, 0, 4000.0))  # one process beyond MAX_ETIME


def kinds(mails):
    return [mail.kind for mail in mails]


def test_one_mail_a_cooldown(away):
    """A firing alert is mailed once, not at the next poll, and once more after the cooldown."""
    sent = 0
    for _ in range(10):
        away.look(BUSY)
        sent += len(away.deliver())
        away.clock.advance(300)
    assert (sent, away.clock.now - START) == (1, 3000)
    for _ in range(3):
        away.look(BUSY)
        sent += len(away.deliver())
        away.clock.advance(300)
    assert sent == 2


def test_the_cooldown_runs_from_the_delivery(away):
    """A mail that left late cools down from when it left."""
    away.look(BUSY)
    away.clock.advance(3000)
    away.deliver()
    assert not away.look(BUSY, 3599).mails
    assert away.look(BUSY, 1).mails


def test_a_mail_that_is_not_sent_is_not_written_again(away):
    """While the mail waits for the server, no second one about the same alert is queued."""
    for _ in range(5):
        away.look(BUSY)
        away.clock.advance(4000)
    assert away.store.outbox_summary(START).count == 1


def test_alerts_of_one_poll_are_one_mail(away):
    """Two rules that fire at once are told in one mail, which cools both down."""
    away.look(snapshot(process(1, 0, 4000.0), process(2, 1)))
    (row,) = away.store.lease_due(START, 60)
    assert len(row.fingerprints) == 2
    assert "GPU_COUNT(2) > GPU_LIMIT(1)" in row.message.text
    assert "MAX_ETIME(4000s) > LIMIT(3600s)" in row.message.text


def test_without_mail_nothing_is_queued(folder):
    """Without a recipient, or in a demo, alerts are kept and shown but not mailed."""
    quiet = Bench(folder, mails=False)
    outcome = quiet.look(BUSY)
    assert (outcome.mails, quiet.store.outbox_summary(START).count, len(outcome.popups)) == ((), 0, 1)
    quiet.close()


def test_somebody_at_the_desk_gets_the_mail_after_the_popup(bench):
    """The popup comes at once; the mail when nobody has reacted within ESCALATE_MIN."""
    first = bench.look(BUSY)
    assert (len(first.popups), first.mails) == (1, ())
    assert not any(outcome.mails for outcome in bench.looks(BUSY, times=119))
    (mail,) = bench.look(BUSY, 5).mails
    assert mail.kind is MessageKind.ALERT
    assert bench.history[-1] == "email queued: first, unacknowledged"


@pytest.mark.parametrize("end", ["over", "acknowledged", "snoozed"])
def test_what_ends_before_its_step_is_not_mailed(bench, end):
    """An alert that is over, acknowledged or snoozed before its mail is due is never mailed, nor its end."""
    bench.look(BUSY)
    reading = CALM if end == "over" else BUSY
    if end == "acknowledged":
        bench.attending.acknowledge("1")
    elif end == "snoozed":
        bench.attending.snooze(7200.0)
    bench.looks(reading, times=200)
    bench.look(CALM, 5)
    assert bench.deliver() == []


def test_the_mail_does_not_wait_for_somebody_who_leaves(bench):
    """Going away ends the wait for a reaction."""
    bench.look(BUSY)
    assert not bench.look(BUSY, 5).mails
    bench.presence = Presence.AWAY
    assert bench.look(BUSY, 5).mails


def test_unknown_presence_waits_as_presence_does(bench):
    """Where nobody can tell whether somebody is there, the popup has its time, and then it is mailed."""
    bench.presence = Presence.UNKNOWN
    assert not any(outcome.mails for outcome in [bench.look(BUSY), *bench.looks(BUSY, times=119)])
    assert bench.look(BUSY, 5).mails


def test_a_popup_that_cannot_be_shown_is_mailed(bench):
    """The popup failed, so the mail goes at the next look, with that as its reason."""
    bench.screen = False
    assert not bench.look(BUSY).mails
    assert bench.look(BUSY, 5).mails
    assert bench.history[-2:] == ["popup could not be shown: first", "email queued: first, no-popup"]


def test_a_popup_that_could_not_be_shown_is_known_after_a_restart(bench):
    """The next process mails as this one would have."""
    bench.screen = False
    bench.look(BUSY)
    bench.restart()
    assert bench.look(BUSY, 5).mails


def test_never_mails_nothing_and_always_at_once(folder):
    """EMAIL_WHEN=never queues neither an alert nor its end; always does not wait."""
    never = Bench(folder / "never", email_when=EmailWhen.NEVER, resolved_mail=False)
    never.presence = Presence.AWAY
    assert not never.look(BUSY).mails
    assert not never.look(CALM, 5).mails
    never.close()
    always = Bench(folder / "always", email_when=EmailWhen.ALWAYS)
    assert always.look(BUSY).mails
    always.close()


def test_the_end_is_told_where_the_beginning_was(away):
    """A mail that was delivered is followed by one that says it is over, once."""
    away.look(BUSY)
    away.deliver()
    (mail,) = away.look(CALM, 5).mails
    assert mail.kind is MessageKind.RESOLVED
    assert mail.text.endswith("Resolved:\n- GPU_COUNT(2) > GPU_LIMIT(1) (after 5 s)\n")
    assert kinds(away.deliver()) == [MessageKind.RESOLVED]
    assert not any(outcome.mails for outcome in away.looks(CALM, times=5))


def test_the_end_waits_for_a_mail_that_is_on_its_way(away):
    """While the mail about the beginning is queued the end is not told; once that has left it is."""
    away.look(BUSY)
    away.refuse()
    assert not away.look(CALM, 5).mails
    away.restart()
    assert not away.look(CALM, 5).mails
    away.clock.advance(60)
    assert kinds(away.deliver()) == [MessageKind.ALERT]
    assert kinds(away.look(CALM, 5).mails) == [MessageKind.RESOLVED]


def test_an_end_during_the_cooldown_of_an_earlier_incident_is_silent(away):
    """Of the second incident nobody was told, so its end is told to nobody."""
    away.look(BUSY)
    away.deliver()
    away.look(CALM, 5)
    away.deliver()
    assert not away.look(BUSY, 5).mails
    assert not away.look(CALM, 5).mails


def test_a_delivery_of_an_earlier_boot_is_not_of_this_incident(away):
    """With the wall clock set back and a reboot, what was told before seems to be later, and is not."""
    away.look(BUSY)
    away.deliver()
    away.look(CALM, 5)
    away.deliver()
    away.clock.reboot(-1800)
    away.restart()
    assert not away.look(BUSY, 5).mails  # within the cooldown
    assert not away.look(CALM, 5).mails


def test_an_end_that_fires_again_is_not_told(away):
    """An alert that is back before its mail has left has not ended."""
    away.look(BUSY)
    away.refuse()
    away.look(CALM, 5)
    away.look(BUSY, 5)
    away.clock.advance(60)
    away.deliver()
    assert not away.look(BUSY, 5).mails


def test_an_end_is_owed_although_it_is_pending_again(away):
    """What is only pending does not fire: the end of the incident before it is told all the same."""
    away.looks(DARK, times=14)
    away.refuse()
    away.looks(CALM, times=2)
    away.look(DARK, 60)
    assert kinds(away.deliver()) == [MessageKind.ALERT]
    mails = [*away.look(DARK, 5).mails, *away.look(CALM, 5).mails]
    assert kinds(mails) == [MessageKind.RESOLVED]


def test_switched_off_no_end_is_mailed(folder):
    """Without `email` in TELL_RESOLVED nothing is said of an end."""
    bench = Bench(folder, resolved_mail=False)
    bench.presence = Presence.AWAY
    bench.look(BUSY)
    bench.deliver()
    assert not bench.look(CALM, 5).mails
    bench.close()


def fire(bench, number):
    """One more process over its time, on a mail of its own."""
    bench.clock.advance(60)
    (row,) = (process(number, 0, 4000.0),)
    outcome = bench.look(snapshot(row))
    return outcome, bench.deliver()


def storm(bench, count, start=1):
    """So many processes, each over its time for one poll: the mails that left."""
    return [mail for number in range(start, start + count) for mail in fire(bench, number)[1]]


@pytest.fixture
def stormy(folder):
    bench = Bench(folder, resolved_mail=False, cooldown=60.0)
    bench.presence = Presence.AWAY
    yield bench
    bench.close()


def test_beyond_twenty_mails_an_hour_the_rest_is_one_digest(stormy, caplog):
    """Twenty mails leave, further ones are held, and one digest tells of them when there is room."""
    mails = storm(stormy, 30)
    assert (len(mails), set(kinds(mails))) == (PER_HOUR, {MessageKind.ALERT})
    assert [line for line in caplog.messages if "held for a digest" in line][1:] == []
    assert stormy.store.outbox_summary(stormy.clock.now).count == 0  # held is not waiting
    stormy.restart()
    stormy.clock.advance(3600)
    (digest,) = stormy.look(CALM).mails
    assert digest.subject.startswith("[GPU Watchdog] digest of 10 mails: ")
    assert all(f"PID={number} " in digest.text for number in range(21, 31))
    assert kinds(stormy.deliver()) == [MessageKind.DIGEST]
    assert not stormy.look(CALM, 60).mails


def test_what_a_digest_told_cools_down(stormy):
    """The alerts of a digest count as delivered by it."""
    storm(stormy, PER_HOUR)
    reading = snapshot(process(99, 0, 4000.0))
    stormy.look(reading)
    stormy.clock.advance(3600)
    stormy.look(reading)
    (digest,) = stormy.deliver()
    assert digest.kind is MessageKind.DIGEST
    assert not stormy.look(reading, 59).mails
    assert kinds(stormy.look(reading, 1).mails) == [MessageKind.ALERT]


def test_the_hours_cap_holds_to_the_mail(folder):
    """With room for one, of an alert and an end in the same poll one leaves and one is held."""
    bench = Bench(folder, cooldown=60.0)
    bench.presence = Presence.AWAY
    sent = []
    for number in range(1, 30):
        sent += fire(bench, number)[1]
    assert len(sent) == PER_HOUR
    bench.close()


def test_what_was_held_and_left_with_no_backlog_after_all_is_in_the_next_digest(stormy):
    """The mail queued meanwhile did not take it up, as the backlog had it."""
    storm(stormy, PER_HOUR + 2)
    stormy.clock.advance(3600)
    old = [commits.mail(number, ["old"], created=stormy.clock.now - 3600) for number in (901, 902)]
    stormy.store.commit(commits.step(*old, at=stormy.clock.instant()))
    (backlog,) = stormy.store.lease_due(stormy.clock.now, 60, late_digest(HEAD))
    assert kinds(stormy.look(OVER).mails) == [MessageKind.ALERT]
    stormy.store.mark_retry(backlog.id, stormy.clock.now + 600, "451 later", failure="transient")
    assert len(stormy.store.held_mails()) == 2
    assert kinds(stormy.look(CALM, 60).mails) == [MessageKind.DIGEST]
    assert stormy.store.held_mails() == ()


def test_an_end_that_was_held_starts_no_cooldown(folder):
    """A digest of ends alone does not keep the next beginning from being told."""
    bench = Bench(folder, cooldown=60.0)
    bench.presence = Presence.AWAY
    storm(bench, 10)  # each mail but the first tells an end beside it: 19 mails
    bench.look(BUSY, 60)  # the twentieth; the end of the tenth is held
    bench.deliver()
    bench.look(CALM, 60)  # an end, held
    bench.clock.advance(3600)
    bench.look(CALM)
    (digest,) = bench.deliver()
    assert digest.kind is MessageKind.DIGEST
    assert bench.look(BUSY, 1).mails[0].kind is MessageKind.ALERT
    bench.close()


def test_a_digest_waits_while_everything_is_snoozed(stormy):
    """A snooze of everything silences the digest too."""
    storm(stormy, 25)
    stormy.attending.snooze(7200.0)
    assert not stormy.look(CALM, 3700).mails
    assert kinds(stormy.look(CALM, 3600).mails) == [MessageKind.DIGEST]


def test_a_hundred_mails_a_day_are_enough(stormy):
    """The day has its own cap."""
    sent = []
    for hour in range(7):
        sent += storm(stormy, PER_HOUR, start=1000 * hour + 1)
        stormy.clock.advance(3600)
    assert len(sent) == PER_DAY
    stormy.clock.advance(86400)
    assert kinds(stormy.look(CALM).mails) == [MessageKind.DIGEST]


def test_mail_now_needs_no_state():
    """The mail of --test-mail and --dry-run tells what fires, whatever was sent before."""
    firing, _, message = mail_now(BUSY, POLICY, HEAD, Instant(START))
    assert [(alert.rule, alert.severity) for alert in firing] == [("gpu_limit", Severity.WARNING)]
    assert "GPU_COUNT(2)" in message.text
    assert message.kind is MessageKind.TEST
    assert mail_now(CALM, POLICY, HEAD, Instant(START))[0] == ()
    assert OVER.processes[0].command[1] in mail_now(OVER, POLICY, HEAD, Instant(START))[2].text


def test_the_mails_about_an_incident_answer_its_first(away):
    """Over cooldowns, restarts and the end: one thread. The next incident begins another."""
    away.look(BUSY)
    (first,) = away.deliver()
    away.restart()
    away.look(BUSY, 3600)
    (again,) = away.deliver()
    away.restart()
    away.look(CALM, 60)
    (over,) = away.deliver()
    mails = (first, again, over)
    root = (first.message_id,)
    assert [mail.details.replies_to for mail in mails] == [(), root, root]
    assert [mail.details.reminder for mail in mails] == [False, True, False]
    assert {mail.details.incidents for mail in mails} == {(1,)}
    away.look(BUSY, 3600)
    (anew,) = away.deliver()
    assert anew.details.replies_to == ()


def test_a_mail_about_something_new_beside_the_old_is_no_reminder(away):
    """It says firing, and is in the thread of the old one, and the first of the new one."""
    away.look(BUSY)
    (first,) = away.deliver()
    both = snapshot(process(1, 0, 4000.0), process(2, 1))
    away.look(both, 3600)
    (mixed,) = away.deliver()
    assert (mixed.details.replies_to, mixed.details.reminder) == ((first.message_id,), False)
    away.look(snapshot(), 60)
    (over,) = away.deliver()
    assert over.details.replies_to == (first.message_id, mixed.message_id)


def test_what_is_worse_is_no_reminder(away, monkeypatch):
    """The first mail warned; the rise is told as firing, in its thread."""
    with_heat(monkeypatch)
    away.looks(at(90), times=7)
    (first,) = away.deliver()
    away.looks(at(97), times=3)
    (worse,) = away.deliver()
    assert (worse.details.reminder, worse.details.severity) == (False, Severity.CRITICAL)
    assert worse.details.replies_to == (first.message_id,)
