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


def test_critical_news_over_the_limit_that_leaves_by_itself_is_held_no_more(store, gather):
    """While it is being sent no digest of what is held tells it too; where it fails, it is tried again."""
    store.commit(step(mail(1, ["a"]), mail(2, ["b"]), severe(3, held=True, created=LATER - 60)))
    assert [row[0] for row in due(store, gather)] == [3, 1]
    assert store.held_mails() == ()
    store.mark_retry(3, LATER + 30, "451 later", failure="transient")
    assert [(row.id, row.state) for row in store.unsent_mails()] == [
        (1, "queued"),
        (2, "queued"),
        (3, "queued"),
    ]


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


def test_a_digest_that_may_have_been_accepted_keeps_its_id_over_later_failures(store, gather):
    """One refusal after the lost answer does not make it a new mail, which would come a second time."""
    store.commit(step(mail(1, ["a"]), mail(2, ["b"])))
    (first,) = store.lease_due(LATER, 60, gather)
    store.mark_retry(first.id, LATER + 30, "no answer", failure="ambiguous")
    for turn in range(1, 4):
        (again,) = store.lease_due(LATER + turn * 100, 60, gather)
        assert (again.message.message_id, again.attempts) == (first.message.message_id, turn)
        store.mark_retry(again.id, LATER + turn * 100 + 30, "451 later", failure="transient")


def test_a_mail_that_may_have_been_accepted_before_makes_no_digest_of_its_own(store, gather):
    """A new digest that was refused is put together anew as a whole, whatever became of its mails before."""
    store.commit(step(mail(1, ["a"]), mail(2, ["b"])))
    store.lease_due(START, 60)
    store.mark_retry(1, START + 30, "no answer", failure="ambiguous")
    store.mark_retry(2, START + 30, "451 later", failure="transient")
    (digest,) = store.lease_due(LATER, 60, gather)
    store.mark_retry(digest.id, LATER + 30, "451 later", failure="transient")
    (again,) = store.lease_due(LATER + 31, 60, gather)
    assert again.message.text == "<1@box> <2@box>"
    assert again.message.message_id != digest.message.message_id


def test_a_mail_of_a_digest_that_a_person_dropped_stays_dropped(store, gather):
    """Neither the next failure of the others nor their leave brings it back."""
    store.commit(step(mail(1, ["a"]), mail(2, ["b"]), mail(3, ["c"])))
    (digest,) = store.lease_due(LATER, 60, gather)
    store.mark_retry(digest.id, LATER + 30, "no answer", failure="ambiguous")
    assert store.drop_mails([2], LATER + 20) == 1
    (again,) = store.lease_due(LATER + 31, 60, gather)
    assert again.message.text == "<1@box> <3@box>"
    store.mark_retry(again.id, LATER + 60, "no answer", failure="ambiguous")
    assert [row.id for row in store.unsent_mails()] == [1, 3]
    store.lease_due(LATER + 61, 60, gather)
    store.mark_sent(1, LATER + 62, "250 ok")
    assert set(store.delivered("email")) == {"a", "c"}


def test_what_is_held_is_free_again_once_the_rest_of_its_digest_is_dropped(store, gather):
    """Nothing would ever send it else, and its alerts would count as told for ever."""
    store.commit(step(mail(1, ["a"]), mail(2, ["b"]), mail(3, ["c"], held=True)))
    (digest,) = store.lease_due(LATER, 60, gather)
    store.mark_retry(digest.id, LATER + 30, "no answer", failure="ambiguous")
    store.drop_mails([1], LATER + 31)
    assert store.held_mails() == ()
    store.drop_mails([2], LATER + 31)
    assert [row.id for row in store.held_mails()] == [3]


def test_a_held_mail_that_a_backlog_takes_with_it_is_not_deleted_by_a_digest(store, gather):
    """Both were about to tell of it: without its row nobody could record that the backlog was sent."""
    store.commit(step(mail(1, ["a"], held=True), mail(2, ["b"]), mail(3, ["c"])))
    held = [row.id for row in store.held_mails()]
    (backlog,) = store.lease_due(LATER, 60, gather)
    store.commit(step(mail(4, ["a"], kind=MessageKind.DIGEST), digested_rows=tuple(held)))
    store.mark_sent(backlog.id, LATER + 1, "250 ok")
    assert [row.id for row in store.unsent_mails()] == [4]
    assert set(store.delivered("email")) == {"a", "b", "c"}


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
