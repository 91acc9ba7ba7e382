"""Rows of several channels in one outbox: apart in all that is counted, leased, gathered and told."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from msgspec.structs import replace

from gpuwatch_tray.model import Instant
from gpuwatch_tray.store import OutboxSummary, Store, outbox
from tests.store.commits import NOW, alert, mail, message, step
from tests.support.fakes import START

PHONE, TEAM = "chat:phone", "chat:team"


def chat(number, channel=PHONE, names=("a",), **facts):
    return replace(mail(number, names, **facts), channel=channel)


def test_each_channel_leases_its_own_rows(store, other):
    """One that holds its lease for long holds up no other."""
    store.commit(step(mail(1, ["a"]), chat(2), chat(3, TEAM)))
    assert [row.id for row in store.lease_due(START, 600, channel=PHONE)] == [2]
    assert [row.id for row in other.lease_due(START, 60)] == [1]
    assert [row.id for row in other.lease_due(START, 60, channel=TEAM)] == [3]
    assert [row.channel for row in store.unsent()] == ["email", PHONE, TEAM]
    assert [row.id for row in store.unsent_mails()] == [1]


def test_what_was_taken_starts_the_cooldown_of_its_channel(store):
    """The other channels have theirs still to come."""
    store.commit(step(mail(1, ["a"]), chat(2)))
    store.mark_sent(2, START + 1, "HTTP 200")
    around = store.evaluation_inputs()
    assert around.delivered == {PHONE: {"a": Instant(START + 1)}}
    assert around.queued == {"email": {"a": START}}


def test_what_failed_is_summed_up_apart(store):
    """Count, error and number of attempts are of one channel."""
    store.commit(step(mail(1, ["a"]), chat(2), chat(3, TEAM, held=True)))
    store.mark_retry(2, START + 30, "no connection", failure="transient")
    assert store.outbox_summary(START) == OutboxSummary(1, START, START)
    assert store.outbox_summary(START, PHONE) == OutboxSummary(
        1, START, START + 30, "no connection", "transient", attempts=1
    )
    assert store.outbox_summary(START, TEAM) == OutboxSummary(held=1)
    assert store.evaluation_inputs().holding == {TEAM}
    assert (store.queued_since(START, 60), store.queued_since(START, 60, PHONE)) == (1, 1)
    assert store.queued_since(START, 60, TEAM) == 0


def test_a_backlog_is_gathered_by_channel(store):
    """Two stale messages of a chat are one, and no mail goes into it."""
    store.commit(step(mail(1), mail(2), chat(3), chat(4)))

    def gather(messages, _now):
        return replace(message(99), subject=", ".join(each.subject for each in messages))

    (digest,) = store.lease_due(START + 7200, 60, gather, channel=PHONE)
    assert (digest.message.subject, digest.channel) == ("subject 3, subject 4", PHONE)
    store.mark_sent(digest.id, START + 7201, "HTTP 200")
    assert [row.id for row in store.unsent()] == [1, 2]


def test_a_message_that_failed_for_a_day_is_given_up(store):
    """By its own age, not by that of those that it was gathered with; a mail is kept."""
    store.commit(step(chat(1, created=START), chat(2, created=START + 50_000), mail(3)))

    def gather(_messages, _now):
        return message(99)

    late = START + outbox.CHAT_TRIED + 1
    for turn in range(outbox.CHAT_ATTEMPTS):
        (digest,) = store.lease_due(late + turn, 60, gather, channel=PHONE)
        store.mark_retry(digest.id, late + turn + 1, "no connection", failure="transient")
    store.lease_due(late, 60)
    store.mark_retry(3, late + 60, "no connection", failure="transient")
    assert [(row.id, row.state) for row in store.unsent()] == [(1, "dead"), (2, "queued"), (3, "queued")]
    assert store.outbox_summary(late, PHONE).dead_error == "no connection"


def test_a_message_of_before_the_weekend_is_tried_a_few_times_at_least(store):
    """The computer has slept, or its clock was wrong: it is not a day that the message has failed for."""
    store.commit(step(chat(1)))
    late = START + 3 * outbox.CHAT_TRIED
    for turn in range(1, outbox.CHAT_ATTEMPTS):
        store.lease_due(late + turn, 60, channel=PHONE)
        store.mark_retry(1, late + turn + 1, "no network yet", failure="transient")
    assert [row.state for row in store.unsent()] == ["queued"]


def test_what_is_held_is_free_again_once_the_rest_of_its_digest_is_given_up(store):
    """A message over the limit outlives those it was gathered with, and its alert is told in the end."""
    store.commit(step(chat(1), chat(2), chat(3, names=("c",), created=START + 80_000, held=True)))
    late = START + outbox.CHAT_TRIED + 1
    for turn in range(outbox.CHAT_ATTEMPTS):
        (digest,) = store.lease_due(late + turn, 60, lambda _messages, _now: message(99), channel=PHONE)
        store.mark_retry(digest.id, late + turn + 1, "no answer", failure="ambiguous")
    assert [(row.id, row.state) for row in store.unsent()] == [(1, "dead"), (2, "dead"), (3, "held")]
    assert [row.id for row in store.held_mails(PHONE)] == [3]


def test_making_due_is_of_one_channel(store):
    """A mended password says nothing of a chat's token."""
    store.commit(step(mail(1), chat(2)))
    for number in (1, 2):
        store.mark_retry(number, START + 900, "refused", blocked=True, failure="configuration")
    store.make_mails_due(START + 1, PHONE)
    assert (store.outbox_summary(START).next_at, store.outbox_summary(START, PHONE).next_at) == (
        START + 900,
        START + 1,
    )


def test_an_end_is_owed_to_channels(tmp_path):
    """Which of them, is on file."""
    ended = replace(alert(1), owed_to=("email", PHONE))
    with closing(Store(tmp_path, "box")) as store:
        store.commit(step(ended=(ended,)))
    with closing(Store(tmp_path, "box")) as store:
        assert [each.owed_to for each in store.saved_state().ended] == [("email", PHONE)]


def test_a_file_of_the_version_before(tmp_path):
    """Every row was a mail, and every end was owed to the mail; nothing else changes."""
    with closing(Store(tmp_path, "box")) as store:
        store.commit(step(mail(1, ["a"]), ended=(replace(alert(1), owed_to=("email",)),)))
        path = store.path
    with closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE outbox DROP COLUMN channel")
        database.execute("ALTER TABLE incidents DROP COLUMN owed_to")
        database.execute("PRAGMA user_version = 6")
    with closing(Store(tmp_path, "box")) as store:
        (row,) = store.lease_due(NOW.wall, 60)
        assert (row.channel, row.fingerprints) == ("email", ("a",))
        assert [each.owed_to for each in store.saved_state().ended] == [("email",)]
        store.commit(step(chat(2)))
        assert [each.channel for each in store.unsent()] == ["email", PHONE]


def test_what_one_channel_gave_up_costs_no_other_its_own(store, monkeypatch):
    """A chat whose token is wrong for months leaves the mails that were given up where they are."""
    monkeypatch.setattr(outbox, "DEAD_KEPT", 2)
    store.commit(step(mail(1, ["a"]), *(chat(number) for number in range(2, 6))))
    for number in range(1, 6):
        store.mark_dead(number, START, "refused")
    store.commit(step())
    assert [row.id for row in store.unsent()] == [1, 4, 5]
