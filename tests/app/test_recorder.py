"""The samples' own thread: it holds nothing up, and no fault of it costs an alert."""

from __future__ import annotations

import logging
import threading

import pytest

from gpuwatch_tray.app.recorder import Recorder
from gpuwatch_tray.history import Sampler
from gpuwatch_tray.history.sample_reader import read_samples
from gpuwatch_tray.history.sample_store import SampleStore
from gpuwatch_tray.model import Limits
from gpuwatch_tray.store import StoreError
from tests.support.fakes import Clock, snapshot
from tests.support.machine_history import NOON, UUID, gpu

READING = snapshot(gpus=(gpu(),))


class Shelf:
    """A store that takes, refuses or hangs."""

    def __init__(self) -> None:
        self.minutes = []
        self.error = None
        self.go_on = threading.Event()
        self.go_on.set()
        self.closed = threading.Event()

    def add(self, minute) -> None:
        self.go_on.wait(30)
        if self.error is not None:
            raise self.error
        self.minutes.append(minute)

    def flush(self) -> None:
        self.go_on.wait(30)

    def close(self) -> None:
        self.closed.set()


class Rig:
    def __init__(self, store) -> None:
        self.clock = Clock(NOON)
        self.recorder = Recorder(store, Sampler(Limits(), 15.0), self.clock.instant)
        self.recorder.start()

    def minutes(self, count) -> None:
        for _ in range(count * 12):
            self.clock.advance(5)
            self.recorder.record(READING, ())


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def recording(shelf):
    running = Rig(shelf)
    yield running
    shelf.go_on.set()
    assert running.recorder.stop(30)


def test_what_was_read_is_on_file_after_a_stop(tmp_path):
    """The minute that was open too."""
    recording = Rig(SampleStore(tmp_path, "box"))
    recording.minutes(2)
    assert recording.recorder.stop(30)
    found = read_samples(tmp_path, "box", NOON, NOON + 600, NOON + 600)
    assert sum(sample.covered for sample in found.samples[UUID]) == 115.0


def test_each_minute_that_ends_is_told_though_the_disk_takes_nothing(recording, shelf):
    """The page that follows has it, with or without a disk."""
    told = []
    recording.recorder.on_minute = told.append
    shelf.error = StoreError("full")
    for _ in range(3):
        recording.minutes(1)
        assert recording.recorder.flush(30)
    assert len(told) == 2
    assert [sample.uuid for sample in told[0]] == [UUID]


def test_a_flush_waits_until_it_is_written(recording, shelf):
    """A reader that asked for it misses no minute that is over."""
    recording.minutes(3)
    assert recording.recorder.flush(30)
    assert len(shelf.minutes) == 2


def test_a_disk_that_hangs_holds_up_no_reading(recording, shelf):
    """The minutes wait, no more than ten of them; a flush and a stop give up in time."""
    shelf.go_on.clear()
    recording.minutes(40)
    assert not recording.recorder.flush(0.05)
    assert not recording.recorder.stop(0.05)
    assert len(recording.recorder._waiting) <= 10


def test_a_disk_that_takes_nothing_is_said_once(recording, shelf, caplog):
    """In `trouble` as long as it lasts, in the log once."""
    shelf.error = StoreError("samples.sqlite3: the disk is full (free some disk space)")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            recording.minutes(1)
            assert recording.recorder.flush(30)
    assert caplog.messages == [str(shelf.error)]
    assert recording.recorder.trouble == str(shelf.error)
    shelf.error = None
    recording.minutes(1)
    assert recording.recorder.flush(30)
    assert recording.recorder.trouble is None


def test_a_fault_costs_the_samples_and_nothing_else(recording, shelf, monkeypatch, caplog):
    """Neither what adds up nor what writes can raise into a poll, nor end the thread."""
    shelf.error = ZeroDivisionError("a bug")
    recording.minutes(2)
    assert recording.recorder.flush(30)
    assert "log" in recording.recorder.trouble
    shelf.error = None
    with monkeypatch.context() as patched:
        patched.setattr(recording.recorder._sampler, "add", None)
        recording.minutes(1)
    recording.minutes(2)
    assert recording.recorder.flush(30)
    assert shelf.minutes
