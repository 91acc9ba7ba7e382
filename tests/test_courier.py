"""The courier: a child when something is due, one at a time, ended after its deadline."""

from __future__ import annotations

import sys

import pytest

from gpuwatch_tray import courier as room
from gpuwatch_tray.courier import Courier
from gpuwatch_tray.model import Message
from gpuwatch_tray.store import Store
from tests.fakes import START, Clock

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def parts(tmp_path):
    store = Store(tmp_path, "box")
    yield store, Clock(), Clock(0.0)
    store.close()


def queue(store):
    store.commit({}, START, (Message("s", "t", START, "<1@box>"), ["a"]))


def marker(tmp_path):
    return [sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'a').write('x')"]


def test_no_child_without_mail(parts, tmp_path):
    """An empty outbox starts nothing."""
    courier = Courier(parts[0], marker(tmp_path), parts[1], parts[2])
    courier.tick()
    assert courier._child is None


def test_a_due_mail_starts_one_child(parts, tmp_path):
    """A kick with a due mail starts the child, and while it runs no second one."""
    store, clock, monotonic = parts
    courier = Courier(store, SLEEPS, clock, monotonic)
    courier.tick()
    queue(store)
    assert not courier.tick()  # not kicked, not yet time for a look
    courier.kick()
    assert courier.tick()
    first = courier._child
    courier.kick()
    courier.tick()
    assert courier._child is first
    assert courier.waiting.count == 1
    first.kill()
    first.wait(5)


def test_a_mail_that_waits_for_its_retry_is_left_alone_until_then(parts):
    """The child is started when the retry is due, without a kick."""
    store, clock, monotonic = parts
    queue(store)
    (row,) = store.lease_due(START, 60)
    store.mark_retry(row.id, START + 30, "refused")
    courier = Courier(store, SLEEPS, clock, monotonic)
    courier.tick()
    assert (courier._child, courier.waiting.error) == (None, "refused")
    clock.advance(30)
    courier.tick()
    assert courier._child is not None
    courier._child.kill()
    courier._child.wait(5)


def test_a_child_that_dies_without_a_word_is_not_started_again_at_once(parts, tmp_path):
    """A child that leaves the outbox as it was costs one start a minute, not one a second."""
    store, clock, monotonic = parts
    queue(store)
    courier = Courier(store, marker(tmp_path), clock, monotonic)
    for _ in range(130):
        courier.tick()
        if courier._child is not None:
            courier._child.wait(5)
        monotonic.advance(1)
    assert (tmp_path / "ran").read_text() == "xxx"


def test_a_child_that_hangs_is_ended(parts, caplog):
    """After the deadline the child is killed and named in the log."""
    store, clock, monotonic = parts
    queue(store)
    courier = Courier(store, SLEEPS, clock, monotonic)
    courier.tick()
    child = courier._child
    clock.advance(1)
    monotonic.advance(room.DEADLINE)
    store.lease_due(clock.now, 600)  # so that nothing is due and no further child starts
    courier.tick()
    assert child.returncode is not None
    assert (courier._child, f"PID {child.pid}" in caplog.text) == (None, True)
