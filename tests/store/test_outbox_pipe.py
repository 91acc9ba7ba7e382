"""Mails and answers through two pipes, while the outbox is in memory only."""

from __future__ import annotations

import io
import os

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import MessageKind
from gpuwatch_tray.notify.outbox_worker import deliver_due
from gpuwatch_tray.notify.transport import FailureKind, MissedRecipients, Receipt, TransportError
from gpuwatch_tray.store import Mail, outbox_pipe
from tests.store.commits import mail, message, step
from tests.support.fakes import START


def deliver(lines, answers, way):
    return deliver_due(
        outbox_pipe.PipedOutbox(lines, answers), lambda: way, lambda: START + 5, chance=lambda: 0.0
    )


class Way:
    """Takes every mail but those whose subject says `refuse`."""

    name = "way"

    def __init__(self):
        self.taken = []

    def send(self, found):
        if "refuse" in found.subject:
            raise TransportError(FailureKind.CONFIGURATION, "535 wrong password")
        self.taken.append(found)
        return Receipt("way", "250 taken")


def test_what_is_handed_over_is_what_was_queued(store):
    """Every character of it, also those that no terminal shows; its answers close it."""
    text = "ü\n\u2028 {} \0 \ufffd 你好\n"
    strange = replace(message(1, kind=MessageKind.DIGEST), text=text)
    store.commit(step(Mail(strange, ("a",)), mail(2, ["b"])))
    rows = store.lease_due(START, 60)
    answers, way = io.BytesIO(), Way()
    deliver(io.BytesIO(outbox_pipe.encode_mails(rows)), answers, way)
    assert way.taken == [strange, message(2)]
    for line in answers.getvalue().splitlines(keepends=True):
        outbox_pipe.record_answer(store, line)
    assert store.outbox_summary(START).count == 0
    assert {name: at.wall for name, at in store.delivered("email").items()} == {
        "a": START + 5,
        "b": START + 5,
    }


def test_a_refusal_is_put_back_with_its_reason(store):
    """Blocked, with the time of the next attempt, which grows with the attempts before."""
    refused = replace(message(1), subject="refuse")
    store.commit(step(Mail(refused, ("a",))))
    store.mark_retry(1, START, "535 before")
    answers = io.BytesIO()
    deliver(io.BytesIO(outbox_pipe.encode_mails(store.lease_due(START, 60))), answers, Way())
    outbox_pipe.record_answer(store, answers.getvalue())
    waiting = store.outbox_summary(START + 5)
    assert (waiting.error, waiting.next_at) == ("535 wrong password", START + 5 + 1800)
    assert waiting.failure == FailureKind.CONFIGURATION.value


def test_what_some_did_not_get_comes_back(store):
    """Who was refused while others got it: the mail for them alone is on file with the reason."""

    class Partly(Way):
        def send(self, found):
            missed = (
                MissedRecipients(("two@b.org",), TransportError(FailureKind.TRANSIENT, "450 later")),
                MissedRecipients(("three@b.org",), TransportError(FailureKind.RECIPIENT, "550 unknown")),
            )
            return replace(super().send(found), missed=missed)

    store.commit(step(mail(1, ["a"])))
    answers = io.BytesIO()
    deliver(io.BytesIO(outbox_pipe.encode_mails(store.lease_due(START, 60))), answers, Partly())
    outbox_pipe.record_answer(store, answers.getvalue())
    later, dead = store.unsent_mails()
    assert (later.message.details.only, later.state, later.next_at) == (("two@b.org",), "queued", START + 35)
    assert (dead.message.details.only, dead.state, dead.error) == (("three@b.org",), "dead", "550 unknown")
    assert {later.message.text, dead.message.text} == {message(1).text}
    assert len({later.message.message_id, dead.message.message_id, message(1).message_id}) == 3
    assert set(store.delivered("email")) == {"a"}


def test_a_line_that_was_cut_off_is_left_out(store):
    """The other process ended in the middle: the whole mails before it are sent."""
    store.commit(step(mail(1), mail(2)))
    lines = outbox_pipe.encode_mails(store.lease_due(START, 60))[:-5]
    way = Way()
    deliver(io.BytesIO(lines), io.BytesIO(), way)
    assert way.taken == [message(1)]


def test_who_handed_it_over_may_be_gone_and_every_mail_is_sent(store):
    """Nobody reads the answers: nobody else has the mails either."""
    store.commit(step(mail(1), mail(2)))
    reader, writer = os.pipe()
    os.close(reader)
    way = Way()
    with os.fdopen(writer, "wb", buffering=0) as answers:
        deliver(io.BytesIO(outbox_pipe.encode_mails(store.lease_due(START, 60))), answers, way)
    assert len(way.taken) == 2


@pytest.mark.parametrize("line", [b"", b"Traceback\n", b"[]\n", b'{"mail": 1}\n', b"\xff\n", b"7\n"])
def test_an_answer_that_is_none_changes_nothing_and_is_not_logged(store, caplog, line):
    """Whatever the child prints, it closes no mail; its text may hold anything."""
    store.commit(step(mail(1)))
    outbox_pipe.record_answer(store, line)
    assert store.outbox_summary(START).count == 1
    assert "Traceback" not in caplog.text
