"""The polling thread: ticks that do not drift, errors that end nowhere, a stuck call that is seen."""

from __future__ import annotations

import threading

import pytest

from gpuwatch_tray.poller import Housekeeper, Poller
from tests.fakes import Clock, snapshot

WAIT = 5.0  # seconds: an upper bound for events, never slept through


def test_an_error_of_a_poll_is_logged_and_no_success(caplog):
    """A poll that raises leaves the age of the data growing, and the next one comes."""
    clock = Clock(0.0)
    readings = iter([OSError("driver"), snapshot()])

    def read():
        reading = next(readings)
        if isinstance(reading, Exception):
            raise reading
        return reading

    used = []
    poller = Poller(read, used.append, 5.0, clock)
    clock.advance(7)
    poller.tick()
    assert (poller.silence(), used) == (7, [])
    assert "a poll failed" in caplog.text
    poller.tick()
    assert (poller.silence(), len(used)) == (0, 1)


def test_a_wake_polls_at_once_and_a_stop_ends_the_thread():
    """A "Check now" does not wait for the interval, and neither does the end."""
    polled = threading.Semaphore(0)
    poller = Poller(snapshot, lambda _: polled.release(), 3600.0)
    poller.start()
    assert polled.acquire(timeout=WAIT)
    poller.wake()
    assert polled.acquire(timeout=WAIT)
    assert poller.stop(WAIT)


def test_a_stuck_read_is_seen_and_does_not_hold_up_the_end():
    """While a driver call hangs, the silence grows and `stop` gives up in bounded time."""
    entered, release = threading.Event(), threading.Event()
    clock = Clock(0.0)

    def read():
        entered.set()
        release.wait(WAIT)
        return snapshot()

    poller = Poller(read, lambda _: None, 1.0, clock)
    poller.start()
    assert entered.wait(WAIT)
    clock.advance(30)
    assert poller.silence() == 30
    assert not poller.stop(0.05)
    release.set()
    assert poller.stop(WAIT)


def test_housekeeping_goes_on_after_an_error(caplog):
    """An error of one round is logged, and the next round comes."""
    rounds = threading.Semaphore(0)

    def keep():
        rounds.release()
        raise ValueError("once")

    keeper = Housekeeper(keep, period=0.001)
    keeper.start()
    assert rounds.acquire(timeout=WAIT)
    assert rounds.acquire(timeout=WAIT)
    keeper.stop(WAIT)
    assert "housekeeper: failed" in caplog.text


@pytest.mark.parametrize(("interval", "cost", "expected"), [(5.0, 1.0, [0, 5, 10]), (5.0, 12.0, [0, 12, 24])])
def test_ticks_do_not_drift(monkeypatch, interval, cost, expected):
    """A poll's own duration shortens the wait after it; ticks that were missed are left out."""
    clock = Clock(0.0)
    starts = []
    poller = Poller(snapshot, lambda _: None, interval, clock)

    def read():
        starts.append(clock.now)
        clock.advance(cost)
        if len(starts) == 3:
            poller.stop(0)
        return snapshot()

    poller._read = read
    monkeypatch.setattr(poller._wake, "wait", clock.advance)
    poller._run()
    assert starts == expected
