"""When a process counts as gone, and how a command ended."""

from __future__ import annotations

import json
import re

import pytest
from msgspec.structs import replace

from gpuwatch_tray.alerts.reminder_types import (
    CommandEnds,
    Observation,
    ProcessEnds,
    Reminder,
    reminder_from_json,
    reminder_to_json,
)
from gpuwatch_tray.alerts.reminders import GRACE, awaited, command_notice, needs_process_check, step_reminder
from gpuwatch_tray.model import UNKNOWN, Gpu, Problem, Severity
from tests.support.fakes import BOOT, MIB, START, Clock, process, snapshot

GAP = 15.0
IT = process(7, 0, 3600.0, identity="start-7")
THERE, AWAY = snapshot(IT), snapshot()
DARK = snapshot(problem=Problem("driver not loaded"))
BROKEN = snapshot(gpus=(Gpu(0, "GPU-0000", process_problem="no permission"), Gpu(1, "GPU-0001")))
LOST = snapshot(gpus=(Gpu(0, "GPU-0000"), Gpu(1, "GPU-0001", problem="lost")))
ANOTHER = snapshot(process(7, 0, identity="start-8"))
NAMELESS = snapshot(process(7, 0, identity=""))
RESTARTED = replace(AWAY, boot_id="another boot")
PEAK = "peak GPU memory: "
SHOWN = "the system shows that it has ended; how, only the program that started it knows"


def ends(*, local, identity="start-7"):
    clock = Clock()
    condition = ProcessEnds(
        7, identity, "python train.py", BOOT, local, (0,), 3600.0, 100 * MIB, clock.instant()
    )
    return clock, Reminder(3, clock.instant(), condition)


def observation(clock, watch, reading, lives=None, after=5.0):
    clock.advance(after)
    return step_reminder(watch, Observation(reading, clock.instant(), GAP, lives=lives))


@pytest.mark.parametrize(
    ("local", "reading", "lives", "gone"),
    [
        # in a list: it runs
        (True, THERE, None, False),
        (False, THERE, None, False),
        # the system here says what is so, whatever the lists say
        (True, AWAY, True, False),
        (True, AWAY, False, True),
        (True, DARK, False, True),
        (True, DARK, True, False),
        (True, BROKEN, False, True),
        # it cannot say: nothing is known
        (True, AWAY, None, False),
        (True, DARK, None, False),
        # elsewhere only lists that are complete say that it is gone
        (False, AWAY, None, True),
        (False, DARK, None, False),
        (False, BROKEN, None, False),
        (False, LOST, None, False),
        # another one has the number: so this one is gone
        (True, ANOTHER, None, True),
        (False, ANOTHER, None, True),
        # who has the number cannot be told this time
        (False, NAMELESS, None, False),
        (True, NAMELESS, None, False),
        # another boot
        (True, RESTARTED, None, True),
        (False, RESTARTED, True, True),
    ],
)
def test_when_it_is_gone(local, reading, lives, gone):
    """A process is gone when that is known, and never because something could not be read."""
    clock, watch = ends(local=local)
    assert (observation(clock, watch, reading, lives).notice is not None) is gone


def test_the_notice_has_run_time_and_peak():
    """The run time runs up to the end, and the peak is over all its GPUs at one look."""
    clock, watch = ends(local=True)
    two = (replace(IT, memory=900 * MIB), replace(IT, gpu=1, memory=2000 * MIB))
    watch = observation(clock, watch, snapshot(*two))
    watch = observation(clock, watch, snapshot(replace(IT, memory=200 * MIB, elapsed=3661.0)))
    watch = observation(clock, watch, AWAY, lives=False)
    assert watch.notice.title == "Process ended"
    assert watch.notice.text == "PID 7 (python train.py, GPU 0) has ended after 1 h 1 min"
    assert watch.notice.details == (SHOWN, f"{PEAK}2.8 GiB")
    assert watch.notice.at == clock.now


def test_a_peak_is_no_part_of_what_it_held():
    """Where the memory on one of its GPUs is not known, the sum is not either."""
    clock, watch = ends(local=True)
    watch = observation(
        clock, watch, snapshot(replace(IT, memory=9000 * MIB), replace(IT, gpu=1, memory=UNKNOWN))
    )
    assert observation(clock, watch, AWAY, lives=False).notice.details == (SHOWN, f"{PEAK}100 MiB")


def test_off_the_gpus_its_time_runs_on():
    """A process that left the GPUs and goes on is waited for, and its run time is the whole."""
    clock, watch = ends(local=True)
    for _ in range(120):
        watch = observation(clock, watch, AWAY, lives=True, after=10)
    watch = observation(clock, watch, AWAY, lives=False)
    assert "has ended after 1 h 20 min" in watch.notice.text


@pytest.mark.parametrize(
    ("reading", "lives", "why"),
    [(AWAY, False, ""), (RESTARTED, None, ": the machine was restarted")],
)
def test_after_a_gap_it_says_when_it_was_last_seen(reading, lives, why):
    """Nobody knows when it ended while nothing watched: the notice says until when it was seen."""
    clock, watch = ends(local=True)
    notice = observation(clock, watch, reading, lives, after=7200).notice
    seen = r"when last seen, at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d, it had run for 1 h"
    assert re.fullmatch(rf"PID 7 \(python train\.py, GPU 0\) has ended; {seen}{why}", notice.text)


def test_another_holder_of_the_number_is_said():
    """PID reuse is an end, and called so."""
    clock, watch = ends(local=False)
    assert observation(clock, watch, ANOTHER).notice.text.endswith(": its PID now belongs to another process")


def test_without_an_identity_the_number_is_all_there_is():
    """In a container a process has a PID only: it is gone when no complete list has that."""
    clock, watch = ends(local=False, identity="")
    watch = observation(clock, watch, NAMELESS)
    assert watch.notice is None
    watch = observation(clock, watch, ANOTHER)  # can be told this time; it may well be the same
    assert watch.notice is None
    assert observation(clock, watch, AWAY).notice is not None


def test_whether_its_end_was_seen_or_only_its_absence_is_said():
    """The system here shows an end; elsewhere it is only on no list any more."""
    clock, here = ends(local=True)
    assert observation(clock, here, AWAY, lives=False).notice.details[0] == SHOWN
    clock, elsewhere = ends(local=False)
    assert observation(clock, elsewhere, AWAY).notice.details[0].startswith("only its absence was seen: ")


def test_what_it_met_while_it_was_there_is_kept():
    """Full memory, who else held it, and the kernel's count: what is read later is not what it met."""
    full = replace(THERE.gpus[0], memory_used=24 * 2**30, memory_total=24 * 2**30)
    other = process(8, 0, mine=False, memory=MIB)
    clock, watch = ends(local=True)
    there = snapshot(IT, other, gpus=(full, *THERE.gpus[1:]), oom_kills=3)
    watch = observation(clock, watch, there)
    met = (watch.condition.full, [row[:5] for row in watch.condition.others], watch.condition.oom_kills)
    assert met == (("GPU-0000",), [("GPU-0000", "bob", "python", 8, MIB)], 3)
    watch = observation(clock, watch, replace(AWAY, oom_kills=4), lives=False)
    assert watch.notice is not None
    assert (watch.condition.full, watch.condition.oom_kills) == (("GPU-0000",), 3)
    assert reminder_from_json(3, json.loads(json.dumps(reminder_to_json(watch)))) == watch


def test_the_system_is_asked_only_where_it_has_to_be():
    """A process that the lists have needs no question, nor one of another machine, nor a notice."""
    _, here = ends(local=True)
    clock, elsewhere = ends(local=False)
    assert [needs_process_check(here, each) for each in (THERE, AWAY, DARK)] == [False, True, True]
    assert not needs_process_check(elsewhere, AWAY)
    done = observation(clock, here, AWAY, lives=False)
    assert not needs_process_check(done, AWAY)


def test_a_notice_stands_until_it_is_told():
    """Once something has come about, no later look changes what is told of it."""
    clock, watch = ends(local=True)
    done = observation(clock, watch, AWAY, lives=False)
    assert observation(clock, done, THERE, lives=True) == done
    assert awaited(done).due


RUN = CommandEnds(9, "start-9", "python a.py", "boot-x")


def run_poll(clock, condition, reading=AWAY, lives=None, after=5.0, children=()):
    clock.advance(after)
    now = replace(clock.instant(), boot=condition.condition.boot)
    return step_reminder(condition, Observation(reading, now, GAP, lives=lives, children=frozenset(children)))


def test_the_peak_of_a_command_is_that_of_all_it_started():
    """A launcher holds nothing itself: its workers do, together at one look, and others do not count."""
    clock = Clock()
    watch = Reminder(1, clock.instant(), RUN)
    workers = [process(pid, gpu, identity="w", memory=200 * MIB) for pid, gpu in ((10, 0), (11, 1))]
    stranger = process(12, 1, identity="w", memory=900 * MIB)
    watch = run_poll(clock, watch, snapshot(*workers, stranger), lives=True, children=[(10, "w"), (11, "w")])
    assert watch.condition.peak == 400 * MIB
    watch = run_poll(clock, watch, snapshot(workers[0], stranger), lives=True, children=[(10, "w")])
    assert watch.condition.peak == 400 * MIB


def test_a_command_is_left_to_its_own_report():
    """While `when run` may still report, nothing is told; after a minute without it, that is told."""
    clock = Clock()
    watch = Reminder(1, clock.instant(), RUN)
    held = snapshot(process(9, 0, identity="start-9", memory=300 * MIB))
    watch = run_poll(clock, watch, held, lives=True)
    watch = run_poll(clock, watch, lives=False)
    assert watch.notice is None
    watch = run_poll(clock, watch, lives=False, after=GRACE - 1)
    assert watch.notice is None
    watch = run_poll(clock, watch, lives=False)
    assert (watch.notice.title, watch.notice.text) == ("Command ended", "python a.py: it has ended")
    assert watch.notice.details[0].startswith("how it ended is not known")
    assert watch.notice.details[1] == f"{PEAK}300 MiB"
    assert watch.notice.severity is Severity.WARNING


@pytest.mark.parametrize("lives", [True, None])
def test_the_lists_do_not_tell_of_a_command(lives):
    """A command need not be on a GPU: that no list has it says nothing."""
    clock = Clock()
    watch = Reminder(1, clock.instant(), RUN)
    for _ in range(100):
        watch = run_poll(clock, watch, lives=lives, after=10)
    assert watch.notice is None


def test_a_command_ends_with_the_machine():
    """After a restart of the machine it is told that the command is gone with it."""
    clock = Clock()
    watch = Reminder(1, clock.instant(), RUN)
    done = step_reminder(watch, Observation(DARK, clock.instant(), GAP))
    assert done.notice.text == "python a.py: the machine was restarted"
    assert done.notice.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("code", "title", "text"),
    [
        (0, "Command finished", "python a.py: done after 3 min"),
        (1, "Command failed", "python a.py: exit code 1 after 3 min"),
        (137, "Command failed", "python a.py: exit code 137 after 3 min"),
    ],
)
def test_a_command_that_is_reported(code, title, text):
    """The report says done or the exit code, the run time, the peak and the last lines."""
    notice = command_notice(replace(RUN, peak=5 * MIB), code, 200.0, ["a", "b"], START)
    assert (notice.title, notice.text, notice.output) == (title, text, ("a", "b"))
    assert notice.severity is (Severity.INFO if code == 0 else Severity.WARNING)
    assert notice.details == (f"{PEAK}5 MiB",)
