"""The outbox worker: no mail lost, none doubled without need, and growing delays."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.notify.outbox_worker import LEASE, PERMANENT_FAILURES, RETRY_POLICIES, deliver_due
from gpuwatch_tray.notify.transport import FailureKind, Receipt, TransportError
from gpuwatch_tray.store import StoreError
from tests.support.fakes_outbox import FakeOutbox

HOUR = 3600.0
ROOT = Path(__file__).parents[2]


class FakeTransport:
    """Does what `plan` says, mail by mail; None is success. `sent` holds the message ids it was given."""

    name = "fake"

    def __init__(self, *plan: Exception | None, during=None) -> None:
        self.plan = list(plan)
        self.sent: list[str] = []
        self.during = during

    def send(self, message):
        self.sent.append(message.message_id)
        if self.during is not None:
            self.during()
        step = self.plan.pop(0) if self.plan else None
        if step is not None:
            raise step
        return Receipt("fake way", "250 taken")


def run(outbox, transport, *, now=1000.0, chance=0.0, **options):
    return deliver_due(outbox, lambda: transport, lambda: now, chance=lambda: chance, **options)


def failing(kind, text="no", **options):
    return TransportError(kind, text, **options)


def test_what_is_due_is_sent_and_closed_with_the_receipt():
    """The row is sent, and its detail names the way and the answer."""
    outbox = FakeOutbox()
    first, second = outbox.add(), outbox.add()
    report = run(outbox, FakeTransport())
    assert [sent.id for sent in report.sent] == [first, second]
    assert report.failures == ()
    assert outbox.rows[first].state == "sent"
    assert outbox.rows[first].detail == "fake way: 250 taken"


def test_what_is_not_due_stays():
    """A mail put back for later is not touched."""
    outbox = FakeOutbox()
    outbox.add(at=2000.0)
    transport = FakeTransport()
    run(outbox, transport)
    assert transport.sent == []


def test_with_nothing_due_no_transport_is_asked_for():
    """The mail libraries are not loaded for nothing."""

    def transport_for():
        raise AssertionError("asked for")

    assert deliver_due(FakeOutbox(), transport_for, lambda: 0.0).sent == ()


def test_each_mail_is_recorded_before_the_next_is_sent():
    """A crash between two mails cannot double the first."""
    outbox = FakeOutbox()
    outbox.add()
    outbox.add()
    seen = []
    run(outbox, FakeTransport(during=lambda: seen.append(list(outbox.history))))
    assert seen == [[], [("sent", 1)]]


def test_a_transient_failure_is_tried_again_after_30_seconds_and_then_twice_as_long():
    """30, 60, 120 ... seconds, at most an hour, and never blocked."""
    outbox = FakeOutbox()
    number = outbox.add()
    now, pauses = 1000.0, []
    for _ in range(9):
        report = run(outbox, FakeTransport(failing(FailureKind.TRANSIENT, "451 later")), now=now)
        assert report.failures[0].error == "451 later"
        row = outbox.rows[number]
        assert (row.state, row.error) == ("queued", "451 later")
        pauses.append(row.next_at - now)
        now = row.next_at
    assert pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert run(outbox, FakeTransport(), now=now).sent[0].id == number


@given(
    kind=st.sampled_from(list(RETRY_POLICIES)),
    attempts=st.integers(0, 100_000),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_every_pause_is_bounded_and_spread(kind, attempts, chance):
    """Never under the first pause, never over the longest, and at most a quarter longer by chance."""
    policy = RETRY_POLICIES[kind]
    pause = policy.delay(attempts, chance)
    assert policy.first <= pause <= policy.most
    assert pause <= policy.delay(attempts, 0.0) * 1.25


# kind -> the first pause, the longest, whether the row is blocked
KINDS = [
    (FailureKind.TRANSIENT, 30.0, HOUR, "queued"),
    (FailureKind.AMBIGUOUS, 30.0, HOUR, "queued"),
    (FailureKind.QUOTA, HOUR, 24 * HOUR, "queued"),
    (FailureKind.CONFIGURATION, 900.0, 4 * HOUR, "blocked"),
    (FailureKind.SIGN_IN, 900.0, 4 * HOUR, "blocked"),
]


@pytest.mark.parametrize(("kind", "first", "most", "state"), KINDS)
def test_each_kind_of_failure_keeps_the_mail(kind, first, most, state):
    """Nothing is thrown away; what somebody must mend is marked, and tried more slowly."""
    outbox = FakeOutbox()
    number = outbox.add()
    report = run(outbox, FakeTransport(failing(kind)))
    row = outbox.rows[number]
    assert (row.state, row.next_at, row.attempts) == (state, 1000.0 + first, 1)
    assert row.failure == kind.value
    assert (report.failures[0].kind, report.failures[0].at) == (kind, row.next_at)
    assert RETRY_POLICIES[kind].most == most


def test_a_wait_that_the_server_asked_for_is_kept():
    """Retry-After beyond our own pause counts, up to a day."""
    outbox = FakeOutbox()
    first, second = outbox.add(), outbox.add()
    run(outbox, FakeTransport(failing(FailureKind.QUOTA, wait=7200.0), failing(FailureKind.QUOTA, wait=1e9)))
    assert outbox.rows[first].next_at == 1000.0 + 7200.0
    assert outbox.rows[second].next_at == 1000.0 + 24 * HOUR


def test_a_broken_way_is_tried_once_and_the_rest_put_back():
    """With the server unreachable, ten mails cost one time-out, and each keeps the reason."""
    outbox = FakeOutbox()
    for _ in range(10):
        outbox.add()
    transport = FakeTransport(failing(FailureKind.TRANSIENT, "refused", for_all=True))
    report = run(outbox, transport)
    assert transport.sent == ["<1@test>"]
    assert len(report.failures) == 10
    assert {row.error for row in outbox.rows.values()} == {"refused"}


def test_a_mail_that_is_refused_does_not_hold_up_the_others():
    """Too big, or unanswered: the next one is sent all the same."""
    outbox = FakeOutbox()
    for _ in range(3):
        outbox.add()
    report = run(outbox, FakeTransport(failing(FailureKind.MESSAGE), failing(FailureKind.AMBIGUOUS)))
    assert [sent.id for sent in report.sent] == [3]


def test_a_way_that_is_not_set_up_blocks_all_that_is_due():
    """The choice itself fails: every due mail says so."""

    def transport_for():
        raise failing(FailureKind.CONFIGURATION, "TO_EMAIL is not set")

    outbox = FakeOutbox()
    outbox.add()
    outbox.add()
    report = deliver_due(outbox, transport_for, lambda: 0.0)
    assert {row.state for row in outbox.rows.values()} == {"blocked"}
    assert [failure.error for failure in report.failures] == ["TO_EMAIL is not set"] * 2


def test_two_workers_do_not_send_the_same_mail():
    """While one sends, the other finds nothing: the lease."""
    outbox = FakeOutbox()
    outbox.add()
    other = FakeTransport()
    mine = FakeTransport(during=lambda: run(outbox, other))
    run(outbox, mine)
    assert (mine.sent, other.sent) == (["<1@test>"], [])


def test_a_worker_that_died_loses_nothing():
    """The lease of a worker that never came back ends, and the mail goes out under the same Message-ID."""
    outbox = FakeOutbox()
    outbox.add()
    dying = FakeTransport(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run(outbox, dying)
    heir = FakeTransport()
    run(outbox, heir, now=1000.0 + LEASE - 1)
    assert heir.sent == []
    run(outbox, heir, now=1000.0 + LEASE)
    assert heir.sent == dying.sent == ["<1@test>"]


def test_no_mail_is_started_that_would_outlast_the_lease():
    """A slow server: what is left is neither sent nor marked, and is due when the lease ends."""
    outbox = FakeOutbox()
    for _ in range(5):
        outbox.add()
    now = [1000.0]

    def a_minute_passes():
        now[0] += 60.0

    transport = FakeTransport(during=a_minute_passes)
    report = deliver_due(outbox, lambda: transport, lambda: now[0])
    assert (len(report.sent), report.left) == (1, 4)
    assert now[0] - 1000.0 < LEASE
    assert [row.state for row in outbox.rows.values()] == ["sent", "queued", "queued", "queued", "queued"]


@pytest.mark.parametrize("kind", [FailureKind.RECIPIENT, FailureKind.MESSAGE])
def test_what_is_refused_for_good_is_given_up_and_kept(kind):
    """Dead: not tried again by itself, with its error on file; the next mail is sent all the same."""
    outbox = FakeOutbox()
    dead, good = outbox.add(), outbox.add()
    report = run(outbox, FakeTransport(failing(kind, "550 no such user")))
    assert [(failed.id, failed.at) for failed in report.failures] == [(dead, None)]
    row = outbox.rows[dead]
    assert (row.state, row.error, row.failure) == ("dead", "550 no such user", kind.value)
    assert outbox.rows[good].state == "sent"
    assert run(outbox, FakeTransport(), now=9e9).sent == ()


def test_every_failure_has_its_action():
    """A class is tried again at its pace, or given up; none is both or neither."""
    assert set(RETRY_POLICIES) | PERMANENT_FAILURES == set(FailureKind)
    assert not set(RETRY_POLICIES) & PERMANENT_FAILURES


class Pictures(FakeTransport):
    """Also keeps the pictures it was given."""

    def __init__(self, *plan):
        super().__init__(*plan)
        self.pictures = []

    def send(self, message):
        self.pictures.append(message.picture)
        return super().send(message)


def test_a_mail_that_is_too_big_goes_once_more_without_its_picture():
    """552: at once, under the same Message-ID; then it has left."""
    outbox = FakeOutbox()
    outbox.add()
    transport = Pictures(failing(FailureKind.MESSAGE, "552 too big"))
    report = run(outbox, transport, draw=lambda message: b"PNG of " + message.message_id.encode())
    assert len(report.sent) == 1
    assert transport.sent == ["<1@test>", "<1@test>"]
    assert transport.pictures == [b"PNG of <1@test>", b""]


def test_too_big_without_its_picture_too_it_is_given_up():
    """Twice 552: dead. Any other refusal is not tried a second time."""
    outbox = FakeOutbox()
    outbox.add()
    outbox.add()
    big = failing(FailureKind.MESSAGE, "552 too big")
    transport = Pictures(big, big, failing(FailureKind.TRANSIENT, "451 later"))
    report = run(outbox, transport, draw=lambda _: b"PNG")
    assert [failed.kind for failed in report.failures] == [FailureKind.MESSAGE, FailureKind.TRANSIENT]
    assert [row.state for row in outbox.rows.values()] == ["dead", "queued"]
    assert len(transport.sent) == 3


def test_a_picture_that_cannot_be_drawn_keeps_no_mail(caplog):
    """It leaves without one, and the log says why."""

    def draw(_message):
        raise OSError("no samples")

    outbox = FakeOutbox()
    outbox.add()
    transport = Pictures()
    assert len(run(outbox, transport, draw=draw).sent) == 1
    assert transport.pictures == [b""]
    assert "no samples" in caplog.text


def test_a_fault_of_ours_keeps_the_mail_and_tells_no_secret(caplog):
    """An unexpected exception: put back, named by type and place; its text is in neither error nor log."""
    outbox = FakeOutbox()
    outbox.add()
    outbox.add()
    with caplog.at_level(logging.DEBUG):
        report = run(outbox, FakeTransport(ZeroDivisionError("hunter2")))
    assert (outbox.rows[1].state, outbox.rows[1].next_at) == ("queued", 1030.0)
    assert outbox.rows[2].state == "sent"
    assert "ZeroDivisionError at send, line" in report.failures[0].error
    assert "hunter2" not in report.failures[0].error
    assert "hunter2" not in caplog.text
    assert "test_outbox_worker.py" in caplog.text


def test_a_failure_that_cannot_be_recorded_is_told_and_the_next_mail_tried():
    """The row stays leased and is due again when the lease ends."""

    class Stubborn(FakeOutbox):
        def mark_retry(self, *_row, **_more):
            raise StoreError("the state cannot be written: database is locked")

    outbox = Stubborn()
    outbox.add()
    outbox.add()
    report = run(outbox, FakeTransport(failing(FailureKind.TRANSIENT, "451 later")))
    assert ([failed.error for failed in report.failures], [sent.id for sent in report.sent]) == (
        ["451 later"],
        [2],
    )


def test_the_worker_loads_no_mail_library():
    """The process that only looks whether something is due stays small."""
    code = (
        "import sys, gpuwatch_tray.notify.outbox_worker, gpuwatch_tray.notify.transport\n"
        "heavy = {'smtplib', 'email', 'ssl', 'google', 'googleapiclient', 'requests'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=ROOT)


def test_the_choice_of_a_transport_loads_no_library_of_the_others():
    """Importing the package costs next to nothing; Google's libraries come with Gmail only."""
    code = (
        "import sys, gpuwatch_tray.notify.email, gpuwatch_tray.notify.email.smtp\n"
        "assert not {'google', 'googleapiclient', 'requests', 'httplib2'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=ROOT)
