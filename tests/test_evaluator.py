"""One evaluation: what is queued, popped up, written, and what a full disk does."""

from __future__ import annotations

import pytest

from gpuwatch_tray.evaluator import Evaluator, Policy, mail_now
from gpuwatch_tray.messages import Letterhead
from gpuwatch_tray.model import Level, Limits
from gpuwatch_tray.store import Store, StoreError
from tests.fakes import START, Clock, process, snapshot

HEAD = Letterhead("box", "ada", "/etc/gpu-watch.env")
POLICY = Policy(Limits(gpu_limit=1, max_etime=3600), 3600.0, mails=True)
BUSY = snapshot(process(1, 0), process(2, 1))
CALM = snapshot(process(1, 0))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path, "box")
    yield opened
    opened.close()


@pytest.fixture
def evaluator(store, clock):
    return Evaluator(store, POLICY, HEAD, clock)


def send_all(store, clock):
    rows = store.lease_due(clock.now, 60)
    for row in rows:
        store.mark_sent(row.id, clock.now, "250")
    return len(rows)


def test_one_mail_a_cooldown(evaluator, store, clock):
    """A firing alert is mailed once, not at the next poll, and once more after the cooldown."""
    sent = 0
    for _ in range(10):
        evaluator.evaluate(BUSY)
        sent += send_all(store, clock)
        clock.advance(300)
    assert (sent, clock.now - START) == (1, 3000)
    for _ in range(3):
        evaluator.evaluate(BUSY)
        sent += send_all(store, clock)
        clock.advance(300)
    assert sent == 2


def test_a_mail_that_is_not_sent_is_not_written_again(evaluator, store, clock):
    """While the mail waits for the server, no second one about the same alert is queued."""
    for _ in range(5):
        evaluator.evaluate(BUSY)
        clock.advance(4000)
    assert store.waiting(START).count == 1


def test_a_restart_within_the_cooldown_says_nothing_again(evaluator, store, clock):
    """What was mailed and shown before a restart is not repeated after it."""
    outcome = evaluator.evaluate(BUSY)
    evaluator.shown(outcome.popups[0][1])
    send_all(store, clock)
    clock.advance(60)
    again = Evaluator(store, POLICY, HEAD, clock).evaluate(BUSY)
    assert (again.mail, again.popups, again.changes) == (None, (), ())
    assert again.status.level is Level.WARNING


def test_alerts_of_one_poll_are_one_mail(evaluator, store):
    """Two rules that fire at once are told in one mail, which cools both down."""
    evaluator.evaluate(snapshot(process(1, 0, 4000.0), process(2, 1)))
    (row,) = store.lease_due(START, 60)
    assert len(row.fingerprints) == 2
    assert "GPU_COUNT(2) > GPU_LIMIT(1)" in row.message.text
    assert "MAX_ETIME(4000s) > LIMIT(3600s)" in row.message.text


def test_without_mail_nothing_is_queued(store, clock):
    """Without a recipient, or in a demo, alerts are kept and shown but not mailed."""
    quiet = Evaluator(store, Policy(POLICY.limits, 3600.0, mails=False), HEAD, clock)
    outcome = quiet.evaluate(BUSY)
    assert (outcome.mail, store.waiting(START).count, len(outcome.popups)) == (None, 0, 1)


def test_processes_over_the_limit_in_one_poll_are_one_popup(evaluator):
    """Each rule pops up once a poll, and the popup goes when the last of its alerts is over."""
    both = snapshot(process(1, 0, 4000.0), process(2, 0, 5000.0))
    (popup, members), *others = evaluator.evaluate(both).popups
    assert (len(members), others) == (2, [])
    evaluator.shown(members)
    assert evaluator.evaluate(snapshot(process(2, 0, 5000.0))).over == ()
    assert evaluator.evaluate(CALM).over == (popup.key,)


def test_a_popup_that_was_not_shown_is_due_again(evaluator):
    """Only a popup that the desktop has taken starts the cooldown."""
    assert len(evaluator.evaluate(BUSY).popups) == 1
    (again,) = evaluator.evaluate(BUSY).popups
    evaluator.shown(again[1])
    assert evaluator.evaluate(BUSY).popups == ()


def test_a_reminder_replaces_its_popup(evaluator, clock):
    """After the cooldown the popup comes again under the same key."""
    (first, members), *_ = evaluator.evaluate(BUSY).popups
    evaluator.shown(members)
    clock.advance(3600)
    (second, _), *_ = evaluator.evaluate(BUSY).popups
    assert first.key == second.key


def test_nothing_is_lost_while_the_disk_is_full(evaluator, store, clock, monkeypatch):
    """While the state cannot be written the alert is shown once and said so, and mailed when it can."""
    real = store.commit

    def full(*_args, **_kwargs):
        raise StoreError("state: the disk is full")

    monkeypatch.setattr(store, "commit", full)
    monkeypatch.setattr(store, "record_delivery", full)
    outcome = evaluator.evaluate(BUSY)
    assert (outcome.trouble, outcome.status.level) == ("state: the disk is full", Level.WARNING)
    evaluator.shown(outcome.popups[0][1])
    assert evaluator.evaluate(BUSY).popups == ()
    monkeypatch.setattr(store, "commit", real)
    assert evaluator.evaluate(BUSY).mail is not None
    assert store.waiting(START).count == 1


def test_the_state_is_not_written_while_nothing_changes(evaluator, store):
    """A poll that changes nothing leaves the disk alone."""
    evaluator.evaluate(BUSY)
    before = store.path.with_name(store.path.name + "-wal").stat().st_size
    evaluator.evaluate(snapshot(process(1, 0, 65.0), process(2, 1, 65.0)))
    assert store.path.with_name(store.path.name + "-wal").stat().st_size == before


def test_mail_now_needs_no_state():
    """The mail of --test-mail and --dry-run tells what fires, whatever was sent before."""
    firing, _, message = mail_now(BUSY, POLICY, HEAD, START)
    assert [alert.rule for alert in firing] == ["gpu_limit"]
    assert "GPU_COUNT(2)" in message.text
    assert mail_now(CALM, POLICY, HEAD, START)[0] == ()
