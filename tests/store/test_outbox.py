"""The outbox on a real file: leases, retries, cooldowns."""

from __future__ import annotations

import pytest

from gpuwatch_tray.model import Instant, MessageKind
from gpuwatch_tray.store import OutboxSummary, Store, outbox
from tests.store.commits import NOW, alert, mail, message, step
from tests.support.fakes import START


def test_a_queued_mail_is_leased_once(store, other):
    """Two processes never get the same mail, until the lease of the first has run out."""
    store.commit(step(mail(1, ["a"])))
    (mine,) = store.lease_due(START, 60)
    assert (mine.message, mine.fingerprints) == (message(), ("a",))
    assert other.lease_due(START + 59, 60) == ()
    assert len(other.lease_due(START + 60, 60)) == 1


def test_two_that_look_at_once_do_not_both_get_the_mail(store, other):
    """A clock that was read a moment before another process took the lease does not make that lease stale."""
    store.commit(step(mail()))
    assert len(store.lease_due(START + 0.001, 60)) == 1
    assert other.lease_due(START, 60) == ()


def test_only_a_sent_mail_starts_the_cooldown(tmp_path, journal):
    """A failure leaves the mail waiting with its error; success records when each alert was told."""
    store = Store(tmp_path, "box", lambda: (531.0, "boot-1"))
    store.commit(step(mail(1, ["a", "b"])))
    (row,) = store.lease_due(START, 60)
    store.mark_retry(row.id, START + 30, "connection refused", failure="transient")
    assert store.delivered("email") == {}
    assert set(store.evaluation_inputs().queued["email"]) == {"a", "b"}
    assert store.outbox_summary(START) == OutboxSummary(
        1, START, START + 30, "connection refused", "transient", attempts=1
    )
    assert store.lease_due(START + 29, 60) == ()
    (again,) = store.lease_due(START + 30, 60)
    assert (again.attempts, again.message.message_id) == (1, "<1@box>")
    store.mark_sent(again.id, START + 31, "250 ok")
    told = Instant(START + 31, 531.0, "boot-1")
    assert store.delivered("email") == {"a": told, "b": told}
    assert (store.evaluation_inputs().queued, store.outbox_summary(START)) == ({}, OutboxSummary())
    store.close()


def test_a_mail_that_tells_of_an_end_starts_no_cooldown(store):
    """The next firing of that alert is news."""
    store.commit(step(mail(1, ["a"], kind=MessageKind.RESOLVED)))
    assert store.evaluation_inputs().queued == {}
    store.mark_sent(1, START, "250 ok")
    assert store.delivered("email") == {}


def test_channels_cool_down_apart(store):
    """A popup says nothing about the mail of the same alert."""
    store.record_delivery(["a"], "desktop", NOW)
    assert (store.delivered("desktop"), store.delivered("email")) == ({"a": NOW}, {})


@pytest.mark.parametrize("ahead", [3 * 3600, 10 * 86400])
def test_a_clock_set_back_does_not_strand_a_mail(store, ahead):
    """What was queued or put back by a clock that was ahead is due at once, and whoever asks is told so."""
    store.commit(step(mail(created=START + ahead)))
    (row,) = store.lease_due(START + ahead, 60)
    store.mark_retry(row.id, START + ahead + 30, "refused")
    assert store.outbox_summary(START).next_at == 0
    assert len(store.lease_due(START, 60)) == 1


def test_waking_makes_what_waits_due(store):
    """When what kept mails back has been mended, none waits for its next attempt."""
    store.commit(step(mail()))
    (row,) = store.lease_due(START, 60)
    store.mark_retry(row.id, START + 14400, "wrong password", blocked=True)
    store.make_mails_due(START + 60)
    assert len(store.lease_due(START + 60, 60)) == 1


def test_waking_leaves_a_mail_that_is_being_sent(store):
    """Its lease stays: it would be sent twice."""
    store.commit(step(mail()))
    store.lease_due(START, 180)
    store.make_mails_due(START + 60)
    assert store.lease_due(START + 61, 60) == ()


def test_a_mail_over_the_cap_is_sent_only_in_a_digest(store):
    """Held: neither due nor waiting, but its alerts are told soon; the digest takes it up in one step."""
    store.commit(step(mail(1, ["a"], held=True)))
    assert (store.lease_due(START, 60), store.outbox_summary(START)) == ((), OutboxSummary(held=1))
    (row,) = store.held_mails()
    assert set(store.evaluation_inputs().queued["email"]) == {"a"}
    assert store.queued_since(START, 3600) == 0
    store.commit(step(mail(2, ["a", "b"], kind=MessageKind.DIGEST), digested_rows=(row.id,)))
    assert (store.held_mails(), len(store.lease_due(START, 60))) == ((), 1)
    assert store.queued_since(START, 3600) == 1


def test_a_mail_that_is_gone_is_marked_without_a_word(store):
    """A damaged state was set aside while it was being sent."""
    store.mark_sent(7, START, "250 ok")
    store.mark_retry(7, START, "refused")
    assert store.outbox_summary(START) == OutboxSummary()


def test_old_deliveries_and_sent_mails_go(store):
    """After thirty days nothing is left of what is over; the cooldown of what still fires stays."""
    store.commit(step(mail(1, ["a", "b"]), alerts=(alert(1, "b"),)))
    store.mark_sent(1, START, "")
    later = Instant(START + 31 * 86400, 500.0, "boot-1")
    store.commit(step(at=later))
    assert set(store.delivered("email")) == {"b"}


def test_a_mail_that_was_given_up_stays_until_a_person_acts(store):
    """Dead: never due, listed with its error, for as long as it takes; then sent on request."""
    store.commit(step(mail(1, ["a"])))
    store.lease_due(START, 60)
    store.mark_dead(1, START + 1, "550 no such user", failure="recipient")
    later = Instant(START + 400 * 86400, 500.0, "boot-1")
    store.commit(step(at=later))
    assert store.lease_due(later.wall, 60) == ()
    assert store.outbox_summary(later.wall) == OutboxSummary(dead=1, dead_error="550 no such user")
    (row,) = store.unsent_mails()
    assert (row.state, row.error, row.failure) == ("dead", "550 no such user", "recipient")
    assert store.resend_mails([1], later.wall) == 1
    (again,) = store.lease_due(later.wall, 60)
    assert (again.message, again.attempts) == (message(), 0)


def test_an_alert_whose_mail_was_given_up_may_be_mailed_again(store):
    """It is not on its way, nor delivered; when it was given up is known, for the pause before the next."""
    store.commit(step(mail(1, ["a"]), mail(2, ["b"], kind=MessageKind.RESOLVED)))
    store.mark_dead(1, START + 1, "550 no")
    store.mark_dead(2, START + 1, "550 no")
    around = store.evaluation_inputs()
    assert (around.queued, around.delivered, around.given_up) == ({}, {}, {"email": {"a": START + 1}})


def test_a_mail_that_was_dropped_is_over(store):
    """Neither due nor listed; its alerts wait for their cooldown, or the next look would write it anew."""
    store.commit(step(mail(1, ["a"]), mail(2, ["b"], held=True)))
    assert store.drop_mails([1, 2], START + 5) == 2
    assert (store.unsent_mails(), store.outbox_summary(START), store.lease_due(START + 60, 60)) == (
        (),
        OutboxSummary(),
        (),
    )
    assert store.evaluation_inputs().given_up == {"email": {"a": START + 5, "b": START + 5}}
    store.commit(step(at=Instant(START + 31 * 86400, 500.0, "boot-1")))
    assert store.evaluation_inputs().given_up == {}


def test_what_is_being_sent_can_be_neither_retried_nor_dropped(store):
    """Whoever holds the lease decides first."""
    store.commit(step(mail()))
    store.lease_due(START, 60)
    assert (store.drop_mails([1], START + 59), store.resend_mails([1], START + 59)) == (0, 0)
    assert store.drop_mails([1], START + 60) == 1


def test_of_the_mails_given_up_the_latest_are_kept(store, monkeypatch):
    """A mistyped address does not fill the disk in months; what still waits is not counted."""
    monkeypatch.setattr(outbox, "DEAD_KEPT", 3)
    store.commit(step(*(mail(number) for number in range(1, 7))))
    for row in store.lease_due(START, 60)[:5]:
        store.mark_dead(row.id, START, "550 no such user")
    store.commit(step())
    assert [row.id for row in store.unsent_mails()] == [3, 4, 5, 6]
