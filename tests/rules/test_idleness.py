"""A process that hangs, and one that holds memory of an idle GPU: what counts as idle, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuwatch_tray.model import UNKNOWN, UNSUPPORTED, Problem, Severity, UseLimits
from tests.fakes import BOOT, process
from tests.rules.samples import ALL_ON, FAILED, GIB, WELL, Poll, gpu

JOB = process(7, 0, memory=12 * GIB)
NAME = f"{BOOT}/7/start-7"
BUSY, SLOW, STILL = (gpu(utilisation=n) for n in (90, 3, 0))
DARK = {"gpus": (), "problem": Problem("driver not loaded")}


@pytest.fixture
def poll():
    """Provide readings with every rule on."""
    return Poll()


def worked(poll, *processes, gpus=(BUSY,)):
    """Let the processes be seen at work."""
    poll.look(*processes or (JOB,), gpus=gpus)
    poll.look(*processes or (JOB,), gpus=gpus)


def test_a_job_that_stops_working_hangs_after_ten_minutes(poll):
    """Busy, then nothing for HUNG_MIN minutes: a warning about the process, and not a poll earlier."""
    worked(poll)
    poll.looks(JOB, seconds=600, gpus=(STILL,))
    assert poll.found("hung") == []
    poll.look(JOB, gpus=(STILL,))
    (finding,) = poll.judge("hung").findings
    assert (finding.subject, finding.severity, finding.value) == (NAME, Severity.WARNING, 600)
    assert finding.reason.startswith("HUNG(600s) >= LIMIT(600s) :: GPU=0  MEM=12288MiB  PID=7 ")
    assert finding.text == "python (PID 7, GPU 0) was busy, and GPU 0 has done nothing for 10 min"


def test_a_job_that_never_worked_does_not_hang(poll):
    """A model server that waits for its first request is no hang."""
    poll.looks(JOB, seconds=3600, gpus=(STILL,))
    assert poll.found("hung") == []


@pytest.mark.parametrize("other", [process(8, 0), process(8, 0, mine=False), process(8, 0, mine=None)])
def test_of_two_on_a_busy_gpu_none_is_known_to_work(poll, other):
    """A notebook beside somebody's training is not said to hang when the training ends."""
    worked(poll, JOB, other)
    assert poll.memory.busy == frozenset()
    poll.looks(JOB, other, seconds=1200, gpus=(STILL,))
    assert poll.found("hung") == []


def test_a_desktop_beside_it_does_not_matter(poll):
    """Graphics are no second worker."""
    worked(poll, JOB, process(9, 0, kinds="G"))
    poll.looks(JOB, seconds=605, gpus=(STILL,))
    assert len(poll.found("hung")) == 1


def test_a_blink_of_work_starts_the_time_anew_and_work_ends_it(poll):
    """A little utilisation is neither a hang nor a recovery; real work is."""
    worked(poll)
    poll.looks(JOB, seconds=500, gpus=(STILL,))
    poll.look(JOB, gpus=(SLOW,))
    assert poll.judge("hung").band == {NAME}
    poll.looks(JOB, seconds=500, gpus=(STILL,))
    assert poll.found("hung") == []
    poll.look(JOB, gpus=(BUSY,))
    assert poll.judge("hung").band == set()


def test_a_job_on_two_gpus_hangs_only_where_both_rest(poll):
    """As long as one of its GPUs works, the process does; what is not known of one may be work."""
    rows = (JOB, process(7, 1, memory=12 * GIB))
    pair = (BUSY, gpu(1, utilisation=90))
    worked(poll, *rows, gpus=pair)
    poll.looks(*rows, seconds=900, gpus=(STILL, pair[1]))
    assert poll.found("hung") == []
    for missing in (FAILED, UNSUPPORTED):
        poll.looks(*rows, seconds=900, gpus=(STILL, gpu(1, utilisation=missing)))
        assert poll.found("hung") == []
    poll.looks(*rows, seconds=605, gpus=(STILL, gpu(1, utilisation=0)))
    (finding,) = poll.judge("hung").findings
    assert finding.text.endswith("GPU 0, GPU 1 have done nothing for 10 min")


def test_work_for_nobody_knows_whom_may_be_the_jobs(poll):
    """A GPU at work whose processes cannot be read keeps every process from being said to hang."""
    worked(poll)
    poll.looks(JOB, seconds=900, gpus=(STILL, gpu(1, process_problem="Unknown Error")))
    assert poll.found("hung") == []
    poll.look(JOB, gpus=(STILL, gpu(1, utilisation=0, process_problem="Unknown Error")))
    assert len(poll.found("hung")) == 1


def test_a_reused_pid_has_not_worked(poll):
    """The memory of a process goes with it: another under its PID begins anew."""
    worked(poll)
    poll.look(gpus=(STILL,))
    assert poll.memory.busy == frozenset()
    poll.looks(replace(JOB, identity="another"), seconds=900, gpus=(STILL,))
    assert poll.found("hung") == []


def test_a_process_whose_start_is_not_known_is_not_judged(poll):
    """Without its start a PID may be anybody's."""
    anonymous = replace(JOB, identity="")
    worked(poll, anonymous)
    poll.looks(anonymous, seconds=3600, gpus=(STILL,))
    assert poll.found("hung") == poll.found("idle_holding") == []


def test_memory_held_idle_for_half_an_hour_is_told(poll):
    """More than IDLE_HOLD_GIB of an idle GPU for IDLE_HOLD_MIN minutes, as a matter of information."""
    poll.look(JOB, gpus=(SLOW,))
    poll.looks(JOB, seconds=1795, gpus=(SLOW,))
    assert poll.found("idle_holding") == []
    assert poll.judge("idle_holding").band == {f"{NAME}/GPU-0000"}
    poll.look(JOB, gpus=(SLOW,))
    (finding,) = poll.judge("idle_holding").findings
    assert (finding.subject, finding.severity) == (f"{NAME}/GPU-0000", Severity.INFO)
    assert finding.text == "python (PID 7, GPU 0) holds 12.0 GiB, and the GPU has been idle for 30 min"


@pytest.mark.parametrize(
    "job",
    [
        # exactly the limit is still allowed
        replace(JOB, memory=2 * GIB),
        # Windows tells no memory of a process
        replace(JOB, memory=UNSUPPORTED),
        replace(JOB, memory=FAILED),
        # nobody else's
        replace(JOB, mine=False),
        replace(JOB, kinds=process(kinds="G").kinds),
    ],
)
def test_who_does_not_hold_memory(poll, job):
    """A little memory, an unknown amount, and another's are not told."""
    poll.looks(job, seconds=3600, gpus=(SLOW,))
    assert poll.found("idle_holding") == []


def test_the_time_runs_from_when_the_memory_was_taken(poll):
    """A GPU may be idle for hours before somebody takes memory of it."""
    poll.looks(replace(JOB, memory=GIB), seconds=3600, gpus=(SLOW,))
    poll.looks(JOB, seconds=1800, gpus=(SLOW,))
    assert poll.found("idle_holding") == []
    poll.look(JOB, gpus=(SLOW,))
    assert len(poll.found("idle_holding")) == 1


def test_who_hangs_is_not_told_of_twice(poll):
    """The warning is enough; with HUNG_MIN=off it is the memory that is told."""
    worked(poll)
    poll.looks(JOB, seconds=3600, gpus=(STILL,))
    assert (len(poll.found("hung")), poll.found("idle_holding")) == (1, [])
    poll.limits = replace(ALL_ON, use=UseLimits(hung_hold=None))
    assert (poll.found("hung"), len(poll.found("idle_holding"))) == ([], 1)


@pytest.mark.parametrize("rule", ["hung", "idle_holding"])
@pytest.mark.parametrize(
    "gap",
    [
        # suspended: hours between two looks
        lambda poll: poll.look(JOB, seconds=7200, gpus=(STILL,)),
        # no driver for a while
        lambda poll: poll.looks(seconds=7200, **DARK),
        # no word of the utilisation
        lambda poll: poll.looks(JOB, seconds=7200, gpus=(gpu(utilisation=FAILED),)),
        # the GPU was lost for a while
        lambda poll: poll.looks(seconds=7200, gpus=(gpu(utilisation=FAILED, problem="lost"),)),
    ],
)
def test_time_that_nobody_looked_at_is_not_idle(poll, rule, gap):
    """After a gap the time starts anew: anything may have happened in it."""
    worked(poll)
    poll.looks(JOB, seconds=590, gpus=(STILL,))
    gap(poll)
    poll.look(JOB, gpus=(STILL,))
    assert poll.found(rule) == []
    poll.looks(JOB, seconds=550, gpus=(STILL,))
    assert poll.found(rule) == []


def test_two_missed_polls_are_no_gap(poll):
    """A short failure to read does not take the idle minutes away."""
    worked(poll)
    poll.looks(JOB, seconds=600, gpus=(STILL,))
    poll.looks(JOB, seconds=10, gpus=(gpu(utilisation=FAILED),))
    poll.look(JOB, gpus=(STILL,))
    assert len(poll.found("hung")) == 1


def test_after_a_restart_what_fires_is_not_said_to_be_over(poll):
    """The new process does not know how long it has been; while the GPU rests it says neither."""
    poll.look(JOB, gpus=(STILL,))
    assert poll.judge("hung").band == {NAME}
    assert poll.judge("idle_holding").band == {f"{NAME}/GPU-0000"}


def test_a_failure_to_read_leaves_the_processes_of_that_gpu_open(poll):
    """The utilisation of one GPU failed: its processes are in doubt, the others are not."""
    poll.look(JOB, process(8, 1), gpus=(gpu(utilisation=FAILED), gpu(1)))
    for rule in ("hung", "idle_holding"):
        found = poll.judge(rule)
        assert found.unknown == "the utilisation of GPU 0 cannot be read: Unknown Error"
        assert found.cannot_tell(NAME)
        assert not found.cannot_tell(f"{BOOT}/8/start-8")


@pytest.mark.parametrize("missing", [UNKNOWN, UNSUPPORTED])
def test_where_no_utilisation_is_ever_told_it_is_said(poll, missing):
    """A MIG device has none: the rules say that they cannot fire there."""
    poll.look(JOB, gpus=(gpu(utilisation=missing),))
    for rule in ("hung", "idle_holding"):
        assert (poll.judge(rule).findings, poll.judge(rule).unknown) == ((), None)
        assert len(poll.judge(rule).cannot) == 1
        assert poll.judge(rule).value == ""


def test_utilisation_that_is_told_no_more_is_no_sign_of_life(poll):
    """What is said of a process stays where its GPU stops telling, until it works or is gone."""
    poll.look(JOB, gpus=(gpu(utilisation=UNSUPPORTED), gpu(1)))
    assert poll.judge("hung").band == {NAME}
    assert poll.judge("idle_holding").band == {f"{NAME}/GPU-0000"}
    poll.look(gpus=(gpu(utilisation=UNSUPPORTED),))
    assert poll.judge("hung").band == frozenset()


def test_an_owner_that_cannot_be_told_leaves_that_process_open(poll):
    """In a container nobody knows whose it is."""
    poll.look(replace(JOB, mine=None), gpus=(STILL,))
    assert poll.judge("hung").cannot_tell(NAME)


def test_only_the_gpus_that_are_there_are_remembered(poll):
    """What is remembered is bounded by what there is."""
    poll.looks(JOB, process(8, 1), seconds=60, gpus=(WELL, gpu(1, utilisation=0)))
    assert (set(poll.memory.devices), set(poll.memory.holding)) == (
        {"GPU-0000", "GPU-0001"},
        {(f"{BOOT}/8/start-8", "GPU-0001")},
    )
    poll.look(gpus=(WELL,))
    assert (set(poll.memory.devices), set(poll.memory.boards)) == ({"GPU-0000"}, {"GPU-0000"})
    assert (poll.memory.busy, poll.memory.holding) == (frozenset(), {})


def test_a_list_with_a_gap_for_months_does_not_grow_the_memory(poll, monkeypatch):
    """Who is hidden by a gap is kept, up to a number."""
    monkeypatch.setattr("gpuwatch_tray.rules.memory.MOST_BUSY", 10)
    gapped = (WELL, gpu(1, process_problem="Unknown Error"))
    for pid in range(1, 100):
        poll.look(process(pid, 0), gpus=gapped)
        assert len(poll.memory.busy) <= 11
    assert f"{BOOT}/99/start-99" in poll.memory.busy
