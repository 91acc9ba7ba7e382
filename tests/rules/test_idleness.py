"""A process that hangs, and one that holds memory of an idle GPU: what counts as idle, and what does not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import UNKNOWN, UNSUPPORTED, Problem, Severity, UseLimits
from tests.rules.readings import ALL_ON, FAILED, GIB, WELL, gpu
from tests.support.fakes import BOOT, process

JOB = process(7, 0, memory=12 * GIB)
NAME = f"{BOOT}/7/start-7"
BUSY, SLOW, STILL = (gpu(utilisation=n) for n in (90, 3, 0))
DARK = {"gpus": (), "problem": Problem("driver not loaded")}


def worked(readings, *processes, gpus=(BUSY,)):
    """Let the processes be seen at work."""
    readings.read(*processes or (JOB,), gpus=gpus)
    readings.read(*processes or (JOB,), gpus=gpus)


def test_a_job_that_stops_working_hangs_after_ten_minutes(readings):
    """Busy, then nothing for HUNG_MIN minutes: a warning about the process, and not a poll earlier."""
    worked(readings)
    readings.read_for(JOB, seconds=600, gpus=(STILL,))
    assert readings.found("hung") == []
    readings.read(JOB, gpus=(STILL,))
    (finding,) = readings.judge("hung").findings
    assert (finding.subject, finding.severity, finding.value) == (NAME, Severity.WARNING, 600)
    assert finding.reason.startswith("HUNG(600s) >= LIMIT(600s) :: GPU=0  MEM=12288MiB  PID=7 ")
    said = "python train.py (PID 7, GPU 0) was busy, and GPU 0 has done nothing for 10 min"
    assert finding.text == f"{said}; nothing that can be seen tells why"


def test_a_job_that_never_worked_does_not_hang(readings):
    """A model server that waits for its first request is no hang."""
    readings.read_for(JOB, seconds=3600, gpus=(STILL,))
    assert readings.found("hung") == []


@pytest.mark.parametrize("other", [process(8, 0), process(8, 0, mine=False), process(8, 0, mine=None)])
def test_of_two_on_a_busy_gpu_none_is_known_to_work(readings, other):
    """A notebook beside somebody's training is not said to hang when the training ends."""
    worked(readings, JOB, other)
    assert readings.history.busy == frozenset()
    readings.read_for(JOB, other, seconds=1200, gpus=(STILL,))
    assert readings.found("hung") == []


def test_a_desktop_beside_it_does_not_matter(readings):
    """Graphics are no second worker."""
    worked(readings, JOB, process(9, 0, kinds="G"))
    readings.read_for(JOB, seconds=605, gpus=(STILL,))
    assert len(readings.found("hung")) == 1


def test_a_blink_of_work_starts_the_time_anew_and_work_ends_it(readings):
    """A little utilisation is neither a hang nor a recovery; real work is."""
    worked(readings)
    readings.read_for(JOB, seconds=500, gpus=(STILL,))
    readings.read(JOB, gpus=(SLOW,))
    assert readings.judge("hung").band == {NAME}
    readings.read_for(JOB, seconds=500, gpus=(STILL,))
    assert readings.found("hung") == []
    readings.read(JOB, gpus=(BUSY,))
    assert readings.judge("hung").band == set()


def test_a_job_on_two_gpus_hangs_only_where_both_rest(readings):
    """As long as one of its GPUs works, the process does; what is not known of one may be work."""
    rows = (JOB, process(7, 1, memory=12 * GIB))
    pair = (BUSY, gpu(1, utilisation=90))
    worked(readings, *rows, gpus=pair)
    readings.read_for(*rows, seconds=900, gpus=(STILL, pair[1]))
    assert readings.found("hung") == []
    for missing in (FAILED, UNSUPPORTED):
        readings.read_for(*rows, seconds=900, gpus=(STILL, gpu(1, utilisation=missing)))
        assert readings.found("hung") == []
    readings.read_for(*rows, seconds=605, gpus=(STILL, gpu(1, utilisation=0)))
    (finding,) = readings.judge("hung").findings
    assert "GPU 0, GPU 1 have done nothing for 10 min; " in finding.text


def test_work_for_nobody_knows_whom_may_be_the_jobs(readings):
    """A GPU at work whose processes cannot be read keeps every process from being said to hang."""
    worked(readings)
    readings.read_for(JOB, seconds=900, gpus=(STILL, gpu(1, process_problem="Unknown Error")))
    assert readings.found("hung") == []
    readings.read(JOB, gpus=(STILL, gpu(1, utilisation=0, process_problem="Unknown Error")))
    assert len(readings.found("hung")) == 1


def test_a_reused_pid_has_not_worked(readings):
    """The memory of a process goes with it: another under its PID begins anew."""
    worked(readings)
    readings.read(gpus=(STILL,))
    assert readings.history.busy == frozenset()
    readings.read_for(replace(JOB, identity="another"), seconds=900, gpus=(STILL,))
    assert readings.found("hung") == []


def test_a_process_whose_start_is_not_known_is_not_judged(readings):
    """Without its start a PID may be anybody's."""
    anonymous = replace(JOB, identity="")
    worked(readings, anonymous)
    readings.read_for(anonymous, seconds=3600, gpus=(STILL,))
    assert readings.found("hung") == readings.found("idle_holding") == []


def test_memory_held_idle_for_half_an_hour_is_told(readings):
    """More than IDLE_HOLD_GIB of an idle GPU for IDLE_HOLD_MIN minutes, as a matter of information."""
    readings.read(JOB, gpus=(SLOW,))
    readings.read_for(JOB, seconds=1795, gpus=(SLOW,))
    assert readings.found("idle_holding") == []
    assert readings.judge("idle_holding").band == {f"{NAME}/GPU-0000"}
    readings.read(JOB, gpus=(SLOW,))
    (finding,) = readings.judge("idle_holding").findings
    assert (finding.subject, finding.severity) == (f"{NAME}/GPU-0000", Severity.INFO)
    assert (
        finding.text == "python train.py (PID 7, GPU 0) uses 12.0 GiB, and the GPU has been idle for 30 min"
    )


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
def test_who_does_not_hold_memory(readings, job):
    """A little memory, an unknown amount, and another's are not told."""
    readings.read_for(job, seconds=3600, gpus=(SLOW,))
    assert readings.found("idle_holding") == []


def test_the_time_runs_from_when_the_memory_was_taken(readings):
    """A GPU may be idle for hours before somebody takes memory of it."""
    readings.read_for(replace(JOB, memory=GIB), seconds=3600, gpus=(SLOW,))
    readings.read_for(JOB, seconds=1800, gpus=(SLOW,))
    assert readings.found("idle_holding") == []
    readings.read(JOB, gpus=(SLOW,))
    assert len(readings.found("idle_holding")) == 1


def test_who_hangs_is_not_told_of_twice(readings):
    """The warning is enough; with HUNG_MIN=off it is the memory that is told."""
    worked(readings)
    readings.read_for(JOB, seconds=3600, gpus=(STILL,))
    assert (len(readings.found("hung")), readings.found("idle_holding")) == (1, [])
    readings.limits = replace(ALL_ON, use=UseLimits(hung_hold=None))
    assert (readings.found("hung"), len(readings.found("idle_holding"))) == ([], 1)


@pytest.mark.parametrize("rule", ["hung", "idle_holding"])
@pytest.mark.parametrize(
    "gap",
    [
        # suspended: hours between two looks
        lambda readings: readings.read(JOB, seconds=7200, gpus=(STILL,)),
        # no driver for a while
        lambda readings: readings.read_for(seconds=7200, **DARK),
        # no word of the utilisation
        lambda readings: readings.read_for(JOB, seconds=7200, gpus=(gpu(utilisation=FAILED),)),
        # the GPU was lost for a while
        lambda readings: readings.read_for(seconds=7200, gpus=(gpu(utilisation=FAILED, problem="lost"),)),
    ],
)
def test_time_that_nobody_looked_at_is_not_idle(readings, rule, gap):
    """After a gap the time starts anew: anything may have happened in it."""
    worked(readings)
    readings.read_for(JOB, seconds=590, gpus=(STILL,))
    gap(readings)
    readings.read(JOB, gpus=(STILL,))
    assert readings.found(rule) == []
    readings.read_for(JOB, seconds=550, gpus=(STILL,))
    assert readings.found(rule) == []


def test_two_missed_polls_are_no_gap(readings):
    """A short failure to read does not take the idle minutes away."""
    worked(readings)
    readings.read_for(JOB, seconds=600, gpus=(STILL,))
    readings.read_for(JOB, seconds=10, gpus=(gpu(utilisation=FAILED),))
    readings.read(JOB, gpus=(STILL,))
    assert len(readings.found("hung")) == 1


def test_after_a_restart_what_fires_is_not_said_to_be_over(readings):
    """The new process does not know how long it has been; while the GPU rests it says neither."""
    readings.read(JOB, gpus=(STILL,))
    assert readings.judge("hung").band == {NAME}
    assert readings.judge("idle_holding").band == {f"{NAME}/GPU-0000"}


def test_a_failure_to_read_leaves_the_processes_of_that_gpu_open(readings):
    """The utilisation of one GPU failed: its processes are in doubt, the others are not."""
    readings.read(JOB, process(8, 1), gpus=(gpu(utilisation=FAILED), gpu(1)))
    for rule in ("hung", "idle_holding"):
        found = readings.judge(rule)
        assert found.unknown == "the utilisation of GPU 0 cannot be read: Unknown Error"
        assert found.cannot_tell(NAME)
        assert not found.cannot_tell(f"{BOOT}/8/start-8")


@pytest.mark.parametrize("missing", [UNKNOWN, UNSUPPORTED])
def test_where_no_utilisation_is_ever_told_it_is_said(readings, missing):
    """A MIG device has none: the rules say that they cannot fire there."""
    readings.read(JOB, gpus=(gpu(utilisation=missing),))
    for rule in ("hung", "idle_holding"):
        assert (readings.judge(rule).findings, readings.judge(rule).unknown) == ((), None)
        assert len(readings.judge(rule).cannot) == 1
        assert readings.judge(rule).value == ""


def test_utilisation_that_is_told_no_more_is_no_sign_of_life(readings):
    """What is said of a process stays where its GPU stops telling, until it works or is gone."""
    readings.read(JOB, gpus=(gpu(utilisation=UNSUPPORTED), gpu(1)))
    assert readings.judge("hung").band == {NAME}
    assert readings.judge("idle_holding").band == {f"{NAME}/GPU-0000"}
    readings.read(gpus=(gpu(utilisation=UNSUPPORTED),))
    assert readings.judge("hung").band == frozenset()


def test_an_owner_that_cannot_be_told_leaves_that_process_open(readings):
    """In a container nobody knows whose it is."""
    readings.read(replace(JOB, mine=None), gpus=(STILL,))
    assert readings.judge("hung").cannot_tell(NAME)


def test_only_the_gpus_that_are_there_are_remembered(readings):
    """What is remembered is bounded by what there is."""
    readings.read_for(JOB, process(8, 1), seconds=60, gpus=(WELL, gpu(1, utilisation=0)))
    assert (set(readings.history.devices), set(readings.history.holding)) == (
        {"GPU-0000", "GPU-0001"},
        {(f"{BOOT}/8/start-8", "GPU-0001")},
    )
    readings.read(gpus=(WELL,))
    assert (set(readings.history.devices), set(readings.history.boards)) == ({"GPU-0000"}, {"GPU-0000"})
    assert (readings.history.busy, readings.history.holding) == (frozenset(), {})


def test_a_list_with_a_gap_for_months_does_not_grow_the_memory(readings, monkeypatch):
    """Who is hidden by a gap is kept, up to a number."""
    monkeypatch.setattr("gpuwatch_tray.rules.rule_history.MOST_BUSY", 10)
    gapped = (WELL, gpu(1, process_problem="Unknown Error"))
    for pid in range(1, 100):
        readings.read(process(pid, 0), gpus=gapped)
        assert len(readings.history.busy) <= 11
    assert f"{BOOT}/99/start-99" in readings.history.busy
