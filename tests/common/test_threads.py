"""Threads: ticks that do not drift, errors that end nothing, calls that hang, and queues."""

from __future__ import annotations

import sys
import threading

import pytest

from gpuwatch_tray.common.queue_thread import QueueThread
from gpuwatch_tray.common.threads import PeriodicThread, call_with_timeout
from tests.support.fakes import Clock

WAIT = 5.0  # seconds: an upper bound for events, never slept through


def test_an_error_of_a_poll_is_logged_and_no_success(caplog):
    """A poll that raises leaves the age of the data growing, and the next one comes."""
    clock = Clock(0.0)
    answers = iter([OSError("driver"), None])

    def poll():
        if (error := next(answers)) is not None:
            raise error

    poller = PeriodicThread(poll, 5.0, "poller", clock=clock)
    clock.advance(7)
    poller.tick()
    assert poller.seconds_since_success() == 7
    assert "poller: failed; tried again in 5 s" in caplog.text
    poller.tick()
    assert poller.seconds_since_success() == 0


def test_a_wake_polls_at_once_and_a_stop_ends_the_thread():
    """A "Check now" does not wait for the interval, and neither does the end."""
    polled = threading.Semaphore(0)
    poller = PeriodicThread(polled.release, 3600.0, "poller")
    poller.start()
    assert polled.acquire(timeout=WAIT)
    poller.run_now()
    assert polled.acquire(timeout=WAIT)
    assert poller.stop(WAIT)


def test_a_stuck_read_is_seen_and_does_not_hold_up_the_end():
    """While a driver call hangs, the silence grows and `stop` gives up in bounded time."""
    entered, release = threading.Event(), threading.Event()
    clock = Clock(0.0)

    def read():
        entered.set()
        release.wait(WAIT)

    poller = PeriodicThread(read, 1.0, "poller", clock=clock)
    poller.start()
    assert entered.wait(WAIT)
    clock.advance(30)
    assert poller.seconds_since_success() == 30
    assert not poller.stop(0.05)
    release.set()
    assert poller.stop(WAIT)


def test_housekeeping_goes_on_after_an_error(caplog):
    """An error of one round is logged, and the next round comes."""
    rounds = threading.Semaphore(0)

    def keep():
        rounds.release()
        raise ValueError("once")

    keeper = PeriodicThread(keep, 0.001, "housekeeper", delay=0.001)
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

    def work():
        starts.append(clock.now)
        clock.advance(cost)
        if len(starts) == 3:
            poller.stop(0)

    poller = PeriodicThread(work, interval, "poller", clock=clock)
    monkeypatch.setattr(poller._wake, "wait", clock.advance)
    poller._run()
    assert starts == expected


def test_the_first_tick_can_wait(monkeypatch):
    """With a delay the ticks count from its end."""
    clock = Clock(0.0)
    starts = []

    def work():
        starts.append(clock.now)
        if len(starts) == 2:
            thread.stop(0)

    thread = PeriodicThread(work, 5.0, "later", delay=3.0, clock=clock)
    monkeypatch.setattr(thread._wake, "wait", clock.advance)
    thread._run()
    assert starts == [3, 8]


def test_work_can_ask_for_another_rest(monkeypatch):
    """What it returns counts from its end, once; without, and after an error, the interval does."""
    clock = Clock(0.0)
    starts = []
    answers = iter([20.0, None, OSError("once"), 0.5])

    def work():
        starts.append(clock.now)
        clock.advance(1)
        if len(starts) == 5:
            thread.stop(0)
            return None
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    thread = PeriodicThread(work, 5.0, "resting", clock=clock)
    monkeypatch.setattr(thread._wake, "wait", clock.advance)
    thread._run()
    assert starts == [0, 21, 26, 31, 32.5]


def test_a_changed_interval_counts_from_a_tick_at_once():
    """Who asks for another interval need not wait for the old one."""
    ticks = threading.Semaphore(0)
    thread = PeriodicThread(ticks.release, 3600.0, "paced")
    thread.start()
    assert ticks.acquire(timeout=WAIT)
    thread.reconfigure(0.001)
    assert all(ticks.acquire(timeout=WAIT) for _ in range(3))
    assert thread.stop(WAIT)


def test_a_call_that_hangs_is_left_behind():
    """Its answer or error comes back in time; else a TimeoutError does, and the call goes on by itself."""
    release = threading.Event()
    assert call_with_timeout(WAIT, lambda: 3, "call") == 3
    with pytest.raises(KeyError):
        call_with_timeout(WAIT, lambda: {}["nowhere"], "call")
    with pytest.raises(SystemExit):
        call_with_timeout(WAIT, sys.exit, "call")
    with pytest.raises(TimeoutError):
        call_with_timeout(0.01, lambda: release.wait(WAIT), "call")
    release.set()


def test_a_queue_is_worked_off_in_order(caplog):
    """One item after the other, also after an error; what waits at the end is still handled."""
    handled = []

    def handle(item):
        handled.append((item, threading.current_thread().name))
        if item == 1:
            raise ValueError("odd")

    lane = QueueThread(handle, "lane")
    assert lane.stop()  # nothing was put: there is no thread
    lane = QueueThread(handle, "lane")
    assert all(lane.put(item) for item in range(3))
    assert lane.stop(WAIT)
    assert handled == [(item, "lane") for item in range(3)]
    assert "lane: an item could not be handled" in caplog.text


def test_a_full_queue_takes_no_more():
    """What is being handled takes no room; the thread that hangs holds up nobody."""
    entered, release = threading.Event(), threading.Event()

    def handle(_item):
        entered.set()
        release.wait(WAIT)

    lane = QueueThread(handle, "lane", room=2)
    assert lane.put(0)
    assert entered.wait(WAIT)
    assert [lane.put(item) for item in (1, 2, 3)] == [True, True, False]
    assert not lane.stop(0.01)
    release.set()
    assert lane.stop(WAIT)
