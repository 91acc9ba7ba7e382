"""Runs of one name that end within minutes: which are held, and what the one notice about them says."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.alerts.reminder_types import CommandEnds, GpusFree, Reminder
from gpuwatch_tray.alerts.run_groups import (
    FOLLOWS,
    TOGETHER,
    ToldGroup,
    group_of,
    is_held,
    join_ends,
    join_notices,
    told_now,
)
from gpuwatch_tray.model import ReminderNotice, Severity
from tests.support.fakes import START, Clock


def ended(asked, at, number=1):
    """A run that began and ended so many seconds after START."""
    now = replace(Clock().instant(), wall=START + asked)
    notice = ReminderNotice("Command finished", "base: done", START + at)
    return Reminder(number, now, CommandEnds(9, "start-9", "base"), notice)


@pytest.mark.parametrize(
    ("runs", "latest"),
    [
        ([(-100, 20)], 20),  # a rank: it ran when the first one ended
        ([(FOLLOWS, 400)], 400),  # the next of a script
        ([(FOLLOWS + 1, 400)], None),  # somebody has started it anew
        ([(0, 30), (31, 60), (61, 90)], 90),  # one after the other, in a script
        ([(61, 90), (0, 30), (31, 60)], 90),
        ([(0, 30), (31 + FOLLOWS, 60)], None),
    ],
)
def test_what_belongs_together(runs, latest):
    """What was started before the others had ended, or right after, as by a script."""
    told = ToldGroup(Clock().instant(), START)
    joined = join_ends(told, [ended(*run) for run in runs])
    assert (joined and joined.latest) == (None if latest is None else START + latest)


def test_what_belongs_together_is_held_for_minutes():
    """From the last notice on; not across a clock that went back."""
    clock = Clock()
    told = told_now([ended(0, 10), ended(0, 7)], clock.instant())
    assert (told.latest, is_held(told, clock.instant())) == (START + 10, True)
    assert not is_held(told, replace(clock.instant(), uptime=clock.instant().uptime - 1))
    clock.advance(TOGETHER)
    assert not is_held(told, clock.instant())


def test_only_commands_have_a_group():
    """What was asked about GPUs or another's process stands alone."""
    assert group_of(ended(0, 1)) == "base"
    assert group_of(Reminder(1, Clock().instant(), GpusFree(1, 60.0))) == ""


def failure(text, at=START, severity=Severity.WARNING, **more):
    return ReminderNotice("Command failed", f"base: {text}", at, severity=severity, **more)


DONE = ReminderNotice("Command finished", "base: done after 3 min", START)


def test_one_is_told_as_it_is():
    """A group of one needs no sum."""
    assert join_notices("base", [DONE], more=True) is DONE


@pytest.mark.parametrize(
    ("notices", "more", "title", "text"),
    [
        ([DONE] * 7, False, "Commands finished", "base: 7 runs are done"),
        ([DONE] * 7, True, "Commands finished", "base: 7 more runs are done"),
        ([DONE, failure("a")], False, "1 command failed", "base: 2 runs ended, 1 failed"),
        ([failure("a"), failure("b")], True, "2 commands failed", "base: 2 more runs ended, 2 failed"),
    ],
)
def test_several_are_counted(notices, more, title, text):
    """How many ended, and how many of them failed."""
    joined = join_notices("base", notices, more=more)
    assert (joined.title, joined.text) == (title, text)
    assert joined.severity is max(notice.severity for notice in notices)


def test_the_first_failure_is_told_in_full():
    """Its details, last lines, log and GPUs; of the others the cause, each once, the worst above."""
    notices = [
        DONE,
        failure("the disk is full", START + 9, Severity.CRITICAL, run=4, details=("make room", "free it")),
        *[failure("rank 0 did not answer", START + 8 - n, run=8 - n, gpus=("GPU-9",)) for n in range(3)],
        failure("the disk is full", START + 10, Severity.CRITICAL, run=5, output=("late",), gpus=("GPU-1",)),
    ]
    joined = join_notices("base", notices, more=False)
    assert joined.details == (
        "the disk is full (2 times)",
        "rank 0 did not answer (3 times)",
        "about the first that failed: make room",
        "free it",
    )
    assert (joined.run, joined.gpus, joined.output, joined.at) == (4, (), (), START + 10)


def test_many_causes_are_cut_and_counted():
    """Eight sentences, and how many there are besides."""
    joined = join_notices("base", [failure(f"cause {n}", START + n) for n in range(11)], more=False)
    assert joined.details[:9] == (*(f"cause {n}" for n in range(8)), "and 3 more")
