"""Xid errors as events: heard on a thread of their own that comes, goes and never holds anything up."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from gpuwatch_tray.model import Xid
from gpuwatch_tray.sources.nvml.api import Code, DriverError
from gpuwatch_tray.sources.nvml.events import XidListener
from tests.driver.scenario import (
    FUNCTION_NOT_FOUND,
    NOT_SUPPORTED,
    UNKNOWN,
    FakeEvent,
    FakeGpu,
    Scenario,
    environment,
)
from tests.support.timing import slowness

pytestmark = pytest.mark.driver

READ_TWICE = """
from gpuwatch_tray.sources.nvml import NvmlSource
source = NvmlSource()
source.read()
source.read()
print("over")
"""
ZERO, ONE = FakeGpu.numbered(0), FakeGpu.numbered(1)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "nvml events"]


def until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)


def heard(rig, number=1):
    """Read until there are so many events, and return them."""
    events = []
    until(lambda: len(events.extend(rig.read().events) or events) >= number)
    return events


def listening(rig, *gpus, **machine):
    """Return a rig whose thread waits for events."""
    rig.play(*gpus, **machine)
    rig.read()
    rig.read()
    seen = []
    until(lambda: seen.append(rig.calls()["event_wait"]) or any(seen))


def test_an_xid_arrives_with_the_next_reading_and_once(rig):
    """With its GPU, its number, and the wall time at which it was heard."""
    listening(rig, ZERO, ONE)
    rig.play(ZERO, ONE, events=[FakeEvent(1, ONE.uuid, 79)])
    assert heard(rig) == [Xid(ONE.uuid, 79, rig.clock.now)]
    assert rig.read().events == ()


def test_several_arrive_in_their_order(rig):
    """None is lost between two readings."""
    listening(rig, ZERO, ONE)
    events = [FakeEvent(n, (ZERO, ONE)[n % 2].uuid, 40 + n) for n in range(1, 8)]
    rig.play(ZERO, ONE, events=events)
    assert [(one.uuid, one.code) for one in heard(rig, 7)] == [(one.uuid, one.data) for one in events]


def test_other_events_are_none_of_ours(rig):
    """Clock changes and corrected errors are events, too."""
    listening(rig, ZERO)
    rig.play(ZERO, events=[FakeEvent(1, ZERO.uuid, 7, type=0x10), FakeEvent(2, ZERO.uuid, 48)])
    assert [one.code for one in heard(rig)] == [48]


def test_a_program_that_reads_once_starts_no_thread(rig):
    """It would be gone before anything happens, and wait for the thread's end."""
    rig.read()
    assert rig.calls()["event_create"] == 0
    assert threads() == []


def test_the_thread_ends_with_the_source_within_a_second(rig):
    """The set is freed first, and the driver shut down after: never while somebody waits for an event."""
    listening(rig, ZERO)
    assert len(threads()) == 1
    before = time.monotonic()
    rig.source.close()
    until(lambda: not threads(), slowness())
    assert time.monotonic() - before < slowness()
    calls = rig.calls()
    assert (calls["event_free"], calls["shutdown"], calls["while_waiting"]) == (1, 1, 0)


def test_a_source_in_use_closes_at_once_and_the_thread_shuts_the_driver_down(rig):
    """With a long wait under way: whoever closes does not wait for it, and nothing is shut down beside it."""
    source = rig.another(event_wait=60)
    rig.play(ZERO)
    source.read()
    source.read()
    until(lambda: rig.calls()["event_wait"])
    before = time.monotonic()
    source.close()
    assert time.monotonic() - before < 0.9 * slowness()
    assert len(threads()) == 1
    assert rig.calls()["shutdown"] == 0
    rig.play(ZERO, events=[FakeEvent(1, ZERO.uuid, 79)])  # the wait ends
    until(lambda: not threads())
    calls = rig.calls()
    assert (calls["event_free"], calls["shutdown"], calls["while_waiting"]) == (1, 1, 0)


def test_a_wait_that_hangs_delays_the_close_by_little_and_leaves_the_driver_be(rig):
    """A shutdown beside a thread stuck in the driver would hang as well."""
    listening(rig, ZERO)
    rig.play(ZERO, hang={"event_wait": 60})
    threads()[0].join(0.1)  # the wait that is under way ends, the next one hangs
    rig.calls()
    before = time.monotonic()
    rig.source.close()
    assert time.monotonic() - before < slowness()
    assert len(threads()) == 1
    assert rig.calls()["shutdown"] == 0
    rig.play(ZERO)
    until(lambda: not threads())


def test_a_read_that_hangs_at_close_does_not_keep_the_thread(rig):
    """The thread is told to end at once; the rest is left to the read's end."""
    listening(rig, ZERO)
    rig.play(FakeGpu.numbered(0, hang={"power": 60}))
    reader = threading.Thread(target=rig.read, daemon=True)
    reader.start()
    until(lambda: rig.calls()["temperature_v"])
    rig.source.close()
    until(lambda: not threads(), slowness())
    assert reader.is_alive()
    rig.play(ZERO)
    reader.join(60)
    assert rig.calls()["shutdown"] == 1


def test_a_process_ends_although_nobody_closed_the_source(tmp_path):
    """The thread is a daemon."""
    path = Scenario().write(tmp_path / "scenario")
    command = [sys.executable, "-c", READ_TWICE]
    child = subprocess.run(
        command,
        env=environment(path),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert (child.stdout, child.stderr) == (b"over\n", b"")


def test_after_a_resume_the_gpus_are_registered_anew(rig):
    """The old set is void with its session; the new one hears what comes then."""
    listening(rig, ZERO)
    rig.play(ZERO, stale=UNKNOWN)
    rig.read()
    until(lambda: rig.calls()["event_register"] or rig.read() is None)
    until(lambda: rig.calls()["event_wait"])
    rig.play(ZERO, events=[FakeEvent(1, ZERO.uuid, 31)])
    assert [one.code for one in heard(rig)] == [31]
    assert rig.calls()["while_waiting"] == 0


def test_a_gpu_that_comes_is_heard_too(rig, bus):
    """The thread is begun anew with a set of all GPUs."""
    bus.card(0)
    listening(rig, ZERO)
    bus.card(1)
    rig.play(ZERO, ONE)
    rig.steady.advance(60)
    # On a busy machine the old thread may take longer to end than a read waits for it: the next one goes on.
    until(lambda: rig.read() and rig.calls()[f"event_register {ONE.uuid}"])
    until(lambda: rig.calls()["event_wait"])
    assert len(threads()) == 1
    rig.play(ZERO, ONE, events=[FakeEvent(1, ONE.uuid, 62)])
    assert [one.uuid for one in heard(rig)] == [ONE.uuid]


def test_one_thread_and_one_set_however_long_it_reads(rig):
    """Nothing is begun twice while the GPUs are the same, be one of them lost or not."""
    rig.play(ZERO, FakeGpu.numbered(1, lost=True))
    for _ in range(30):
        rig.read()
    until(lambda: not rig.calls()["event_create"])
    rig.steady.advance(1)
    for _ in range(20):
        rig.read()
    assert rig.calls()["event_create"] == 0
    assert len(threads()) == 1


def test_a_gpu_that_sleeps_is_not_registered(rig):
    """Its set would keep it awake."""
    folder = rig.devices / "0000:01:00.0"
    (folder / "power").mkdir(parents=True)
    for name, text in {"vendor": "0x10de", "class": "0x030000", "power/runtime_status": "suspended"}.items():
        (folder / name).write_text(text)
    (folder / "driver").symlink_to("nvidia")
    other = rig.devices / "0000:02:00.0"
    (other / "power").mkdir(parents=True)
    for name, text in {"vendor": "0x10de", "class": "0x030000", "power/runtime_status": "active"}.items():
        (other / name).write_text(text)
    (other / "driver").symlink_to("nvidia")
    listening(rig, ZERO, ONE)
    until(threads)
    assert not [name for name in rig.calls() if name.endswith(ZERO.uuid)]


@pytest.mark.parametrize("call", ["event_create", "event_register", "event_wait"])
@pytest.mark.parametrize("code", [NOT_SUPPORTED, FUNCTION_NOT_FOUND])
def test_a_driver_without_events_is_asked_once_and_noted(rig, call, code):
    """Windows, virtual and old GPUs: a line for `doctor`, no thread, no problem of the reading."""
    rig.play(errors={call: code})
    for _ in range(5):
        snapshot = rig.read()
    until(lambda: not threads())
    for _ in range(5):
        snapshot = rig.read()
    assert rig.read().no_events == "this driver or GPU reports no Xid errors"
    calls = rig.calls()
    assert calls["event_create"] == 1
    assert calls["event_free"] == (call != "event_create")
    assert (snapshot.problem, snapshot.gpus[0].problem) == (None, None)


def test_gpus_that_report_are_heard_beside_one_that_does_not(rig):
    """The note is made all the same."""
    listening(rig, FakeGpu.numbered(0, errors={"event_register": NOT_SUPPORTED}), ONE)
    rig.play(ZERO, ONE, events=[FakeEvent(1, ONE.uuid, 13)])
    assert [one.code for one in heard(rig)] == [13]
    assert rig.read().no_events


def test_a_source_that_hears_has_nothing_to_note(rig):
    """The usual case."""
    listening(rig, ZERO)
    assert rig.read().no_events == ""


# --- the back-off, without a clock


class Fake:
    """A driver whose waits give `answers` one by one, and the word to end, which comes after them."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.waits = []
        self.freed = 0

    def create_events(self):
        return "set"

    def register(self, handle, events):
        pass

    def wait(self, events, seconds=None):
        if seconds is None:  # as the word to end
            self.waits.append(events)
            return False
        if not self.answers:  # nothing left in the set
            return None
        answer = self.answers.pop(0)
        if isinstance(answer, DriverError):
            raise answer
        return answer

    def free_events(self, events):
        self.freed += events == "set"

    def is_set(self):
        return not self.answers


def listen(*answers):
    driver, events = Fake(*answers), XidListener(lambda: 7.0)
    events.listen(driver, {"GPU-1": SimpleNamespace(address=5)}, driver)
    return driver, events


BROKEN = DriverError(Code.UNKNOWN, "Unknown Error")


def test_a_wait_that_keeps_failing_is_made_less_and_less_often():
    """It fails at once, so that without a pause it would take a whole core."""
    driver, events = listen(*[BROKEN] * 9)
    assert driver.waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert events.trouble == "Xid errors cannot be received: Unknown Error (NVML 999)"
    assert driver.freed == 1


def test_a_wait_that_works_again_ends_the_pauses_and_the_note():
    """A timeout is an answer: nothing has happened, and that was heard."""
    driver, events = listen(BROKEN, BROKEN, None, BROKEN, None, (5, 79))
    assert driver.waits == [1, 2, 1]
    assert events.trouble == ""
    assert events.drain() == (Xid("GPU-1", 79, 7.0),)


def test_an_event_of_a_gpu_that_nobody_knows_is_told_without_its_name():
    """Better than not at all."""
    _, events = listen((6, 79))
    assert events.drain() == (Xid("", 79, 7.0),)


def test_of_a_storm_the_last_ones_are_kept():
    """The queue is bounded, however long nobody reads."""
    _, events = listen(*[(5, code) for code in range(200)])
    assert [one.code for one in events.drain()] == list(range(136, 200))


def test_a_storm_of_one_error_hides_no_other():
    """A program's errors come by the hundred, the one that needs a reset once."""
    _, events = listen((5, 79), *[(5, 13)] * 300, (6, 48), *[(5, 31)] * 300)
    codes = [(one.uuid, one.code) for one in events.drain()]
    assert len(codes) == 64
    assert {("GPU-1", 79), ("GPU-1", 13), ("", 48), ("GPU-1", 31)} == set(codes)


class Full(Fake):
    """A driver that has more to tell when the word to end comes."""

    def is_set(self):
        return len(self.answers) < 3


def test_what_is_in_the_set_when_it_is_given_up_is_still_told():
    """The GPU that falls off the bus changes what is listened to: just then there is something to hear."""
    driver, events = Full((5, 1), (5, 2), (5, 3), (5, 4)), XidListener(lambda: 7.0)
    events.listen(driver, {"GPU-1": SimpleNamespace(address=5)}, driver)
    assert [one.code for one in events.drain()] == [1, 2, 3, 4]


@pytest.mark.parametrize("call", ["event_create", "event_register"])
def test_what_keeps_it_from_hearing_for_a_while_makes_it_deaf_no_longer(rig, call):
    """It is tried again by itself, though the GPUs stay the same, and the note goes."""
    rig.play(ZERO, ONE, errors={call: UNKNOWN})
    until(lambda: rig.read().no_events)
    assert rig.read().no_events == "Xid errors cannot be received: Unknown Error (NVML 999)"
    rig.play(ZERO, ONE)
    until(lambda: not rig.read().no_events)
    rig.play(ZERO, ONE, events=[FakeEvent(1, ONE.uuid, 79)])
    assert [one.code for one in heard(rig)] == [79]
    assert len(threads()) == 1


def test_one_that_cannot_be_registered_yet_keeps_the_others_heard(rig):
    """And is heard itself as soon as it can be."""
    listening(rig, FakeGpu.numbered(0, errors={"event_register": UNKNOWN}), ONE)
    rig.play(
        FakeGpu.numbered(0, errors={"event_register": UNKNOWN}), ONE, events=[FakeEvent(1, ONE.uuid, 13)]
    )
    assert [one.code for one in heard(rig)] == [13]
    assert rig.read().no_events
    rig.play(ZERO, ONE)
    until(lambda: not rig.read().no_events)
    rig.play(ZERO, ONE, events=[FakeEvent(2, ZERO.uuid, 48)])
    assert [(one.uuid, one.code) for one in heard(rig)] == [(ZERO.uuid, 48)]
