"""A backlog on a real file: what has waited for long leaves as one mail, and nothing is lost with it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import MailDetails, Message, MessageKind, Severity
from gpuwatch_tray.store import OutboxSummary, RemainingMail
from gpuwatch_tray.store.outbox_lease import STALE_SECONDS
from tests.store.commits import mail, step
from tests.support.fakes import START

LATER = START + STALE_SECONDS


class Gathered:
    """Makes digests that name what is in them, each with an id of its own."""

    def __init__(self):
        self.made = 0

    def __call__(self, mails, now):
        self.made += 1
        text = " ".join(each.message_id for each in mails)
        return Message("digest", text, now, f"<digest-{self.made}@box>", MessageKind.DIGEST)


@pytest.fixture
def gather():
    return Gathered()


def severe(number, severity=Severity.CRITICAL, **facts):
    """Make a mail about something critical."""
    made = mail(number, [f"c{number}"], **facts)
    return replace(made, message=replace(made.message, details=MailDetails(severity=severity)))


def due(store, gather, now=LATER):
    return [(row.id, row.message.subject, row.message.text) for row in store.lease_due(now, 60, gather)]


def test_what_has_waited_for_an_hour_leaves_as_one(store, gather):
    """The stale, the fresh, the held and what is not due yet: one mail, whose sending closes them all."""
    store.commit(step(mail(1, ["a"]), mail(2, ["b"]), mail(3, ["c"], held=True)))
    store.commit(step(mail(4, ["d"], created=LATER - 60), mail(5, ["e"], kind=MessageKind.RESOLVED)))
    store.mark_retry(2, LATER + 600, "451 later", failure="transient")
    assert due(store, gather) == [(1, "digest", "<1@box> <2@box> <3@box> <4@box> <5@box>")]
    assert due(store, gather, LATER + 59) == []
    assert store.queued_since(LATER, 86400) == 1
    store.mark_sent(1, LATER + 2, "250 ok")
    assert (store.outbox_summary(LATER), store.unsent_mails()) == (OutboxSummary(), ())
    assert set(store.delivered("email")) == {"a", "b", "c", "d"}


def test_one_mail_alone_stays_itself(store, gather):
    """A digest of one would say less."""
    store.commit(step(mail(1, ["a"])))
    assert due(store, gather) == [(1, "subject 1", "text ü\n")]


def test_fresh_mails_leave_one_by_one(store, gather):
    """Under an hour it is news."""
    store.commit(step(mail(1, ["a"]), mail(2, ["b"])))
    assert [row[0] for row in due(store, gather, LATER - 1)] == [1, 2]
    assert gather.made == 0


def test_fresh_critical_news_leaves_by_itself_and_first(store, gather):
    """It must not drown; what was critical hours ago is in the digest."""
    store.commit(step(mail(1, ["a"]), severe(2), severe(3, created=LATER - 60)))
    found = due(store, gather)
    assert found == [(3, "subject 3", "text ü\n"), (1, "digest", "<1@box> <2@box>")]


def test_a_digest_that_was_refused_for_now_takes_up_what_has_come_since(store, gather):
    """Nothing of it was accepted: the next one has everything, under a new Message-ID."""
    store.commit(step(mail(1, ["a"]), mail(2, ["b"])))
    (first,) = store.lease_due(LATER, 60, gather)
    store.mark_retry(first.id, LATER + 30, "451 later", failure="transient")
    store.commit(step(mail(3, ["c"], created=LATER)))
    (second,) = store.lease_due(LATER + 31, 60, gather)
    assert second.message.text == "<1@box> <2@box> <3@box>"
    assert second.attempts == 1
    assert second.message.message_id != first.message.message_id


def test_what_is_held_stays_held_when_the_digest_does_not_leave(store, gather):
    """It was tried with the others, and counts against no cap; while that goes on, no other digest has it."""
    store.commit(step(mail(1, ["a"]), mail(2, ["b"]), mail(3, ["c"], held=True)))
    (row,) = store.lease_due(LATER, 60, gather)
    assert "<3@box>" in row.message.text
    assert store.held_mails() == ()
    store.mark_retry(row.id, LATER + 30, "451 later", failure="transient")
    assert [each.id for each in store.held_mails()] == [3]
    assert store.queued_since(LATER, 86400) == 2


@pytest.mark.parametrize("died", [False, True])
def test_a_digest_that_may_have_been_accepted_is_sent_again_as_it_was(store, gather, died):
    """A lost answer, or a sender that died: the same mails under the same Message-ID; the rest apart."""
    store.commit(step(mail(1, ["a"]), mail(2, ["b"])))
    (first,) = store.lease_due(LATER, 60, gather)
    if not died:
        store.mark_retry(first.id, LATER + 30, "no answer", failure="ambiguous")
    store.commit(step(mail(3, ["c"], created=LATER)))
    other, again = store.lease_due(LATER + 61, 60, gather)
    assert other.message.message_id == "<3@box>"
    assert (again.message.message_id, again.message.text) == (first.message.message_id, "<1@box> <2@box>")


def test_a_digest_that_is_given_up_is_kept_mail_by_mail(store, gather):
    """Each of them can be looked at, sent or dropped."""
    store.commit(step(mail(1, ["a"]), mail(2, ["b"])))
    (row,) = store.lease_due(LATER, 60, gather)
    store.mark_dead(row.id, LATER, "550 no", failure="recipient")
    assert [(each.id, each.state) for each in store.unsent_mails()] == [(1, "dead"), (2, "dead")]
    assert store.resend_mails([2], LATER + 60) == 1
    assert [row[0] for row in due(store, gather, LATER + 60)] == [2]


def test_a_snoozed_mail_is_in_no_digest(store, gather):
    """It stays where it is until the snooze ends."""
    from gpuwatch_tray.alerts import Silence, SilenceScope
    from tests.store.commits import NOW

    store.add_silence(Silence(SilenceScope.ALERT, "a", NOW, 2 * STALE_SECONDS))
    store.commit(step(mail(1, ["a"]), mail(2, ["b"]), mail(3, ["c"])))
    assert [row[2] for row in due(store, gather)] == ["<2@box> <3@box>"]


@pytest.mark.parametrize("scope", ["alert", "all"])
def test_nobody_need_look_for_a_snoozed_mail(store, scope):
    """A child a minute all through the night would find nothing that it may send."""
    from gpuwatch_tray.alerts import Silence, SilenceScope
    from tests.store.commits import NOW

    store.commit(step(mail(1, ["a"])))
    store.add_silence(Silence(SilenceScope(scope), "a" if scope == "alert" else "", NOW, 600))
    found = store.outbox_summary(START + 30)
    assert (found.count, found.next_at) == (1, None)
    store.commit(step(mail(2, ["b"])))
    assert (store.outbox_summary(START + 30).next_at is None) == (scope == "all")
    assert store.outbox_summary(START + 601).next_at is not None


def test_what_some_have_not_got_yet_is_in_no_digest(store, gather):
    """It goes to them alone, as the others would get it twice; what is stale besides leaves as one mail."""
    store.commit(step(mail(1, ["a"]), mail(2, ["b"]), mail(3, ["c"])))
    (first,) = [row for row in store.lease_due(START, 60) if row.id == 1]
    details = replace(first.message.details, only=("two@example.org",))
    left = replace(first.message, details=details, message_id="<1.rest@box>")
    store.mark_sent(1, START, "250 ok", [RemainingMail(left, START + 30, "450", "transient")])
    later = START + 2 * 3600
    alone, digest = store.lease_due(later, 60, gather)
    assert (alone.message.details.only, alone.message.message_id) == (("two@example.org",), "<1.rest@box>")
    assert (alone.fingerprints, alone.attempts) == ((), 1)
    assert set(digest.fingerprints) == {"b", "c"}
