"""What is said of why a process hangs: each fact alone, which of them matter, and in which order."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import ClockLimit, Problem, Xid
from tests.rules.readings import GIB, gpu
from tests.support.fakes import process

JOB = process(7, 0, memory=12 * GIB)
BUSY, STILL = gpu(utilisation=90), gpu(utilisation=0)
OTHER, LOST = gpu(1), gpu(1, problem="GPU is lost")


def hang(readings, gpus=(STILL, OTHER), **happens):
    """Work, then rest for eleven minutes, at whose start something happens; return what is said."""
    readings.read(JOB, gpus=(BUSY, OTHER))
    readings.read(JOB, gpus=(BUSY, OTHER))
    readings.read(JOB, gpus=gpus, **happens)
    readings.read_for(JOB, seconds=660, gpus=gpus)
    (finding,) = readings.judge("hung").findings
    return finding.text.partition("; ")[2]


def xid(code, uuid="GPU-0000"):
    return {"events": (Xid(uuid, code, 0.0),)}


@pytest.mark.parametrize(
    ("code", "uuid", "said"),
    [
        (48, "GPU-0000", "Xid 48 on GPU 0 at "),
        (31, "GPU-0000", "Xid 31 on GPU 0 at "),
        (999, "GPU-0000", "Xid 999 on GPU 0 at "),
        # the ranks of a job wait for each other
        (79, "GPU-0001", "Xid 79 on GPU 1 at "),
    ],
)
def test_an_error_of_the_driver_is_said(readings, code, uuid, said):
    """With its number, its GPU, its time and its meaning."""
    text = hang(readings, **xid(code, uuid))
    assert text.startswith("the driver reported ")
    assert said in text


@pytest.mark.parametrize(
    ("code", "uuid"),
    [
        # a program's own error on somebody else's GPU
        (31, "GPU-0001"),
        # these only follow others
        (43, "GPU-0000"),
        (154, "GPU-0000"),
    ],
)
def test_an_error_that_has_nothing_to_do_with_it_is_not_said(readings, code, uuid):
    """Another program's fault on another GPU is no reason."""
    assert hang(readings, **xid(code, uuid)) == "nothing that can be seen tells why"


def test_what_came_long_before_the_silence_is_no_reason_unless_it_lasts(readings):
    """A program's error of an hour before is forgiven; a GPU that needs a reset still does."""
    readings.read(JOB, gpus=(BUSY, OTHER), events=(Xid("GPU-0000", 31, 0.0), Xid("GPU-0000", 62, 0.0)))
    readings.read_for(JOB, seconds=3600, gpus=(BUSY, OTHER))
    text = hang(readings)
    assert "Xid 62" in text
    assert "Xid 31" not in text


def test_a_lost_gpu_of_the_machine_is_said(readings):
    """The process has one that works and waits for what ran on the other."""
    assert hang(readings, gpus=(STILL, LOST)) == "GPU 1 cannot be read: GPU is lost"


def test_a_memory_error_and_what_the_driver_wants_are_said(readings):
    """Both of its own GPU."""
    broken = gpu(utilisation=0, ecc_uncorrected=1, recovery=1)
    text = hang(readings, gpus=(broken, OTHER))
    assert "GPU 0 had a memory error at " in text
    assert "the driver says of GPU 0: it must be reset" in text


def test_who_has_taken_the_memory_is_said(readings):
    """A full GPU, with who else is on it and what they hold."""
    neighbour = process(9, 0, memory=11 * GIB, mine=False)
    full = replace(STILL, memory_used=23.9 * GIB)
    readings.read(JOB, gpus=(BUSY, OTHER))
    readings.read(JOB, gpus=(BUSY, OTHER))
    readings.read_for(JOB, neighbour, seconds=700, gpus=(full, OTHER))
    (finding,) = readings.judge("hung").findings
    said = finding.text.partition("; ")[2]
    assert said == "the memory of GPU 0 is full; others on it: bob: python (PID 9, 11.0 GiB)"


def test_a_neighbour_is_said_where_there_is_room_too(readings):
    """He may have taken what it waits for."""
    readings.read(JOB, gpus=(BUSY, OTHER))
    readings.read(JOB, gpus=(BUSY, OTHER))
    elsewhere = process(10, 1, memory=GIB, mine=False)
    readings.read_for(JOB, process(9, 0, memory=GIB, mine=False), elsewhere, seconds=700, gpus=(STILL, OTHER))
    (finding,) = readings.judge("hung").findings
    assert finding.text.endswith("; others on GPU 0: bob: python (PID 9, 1.0 GiB)")


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (ClockLimit.HW_THERMAL, "GPU 0 is slowed by heat"),
        (ClockLimit.HW_SLOWDOWN, "GPU 0 is slowed by its hardware"),
        (ClockLimit.IDLE, "nothing that can be seen tells why"),
    ],
)
def test_what_keeps_the_clocks_down_is_said(readings, limit, said):
    """Heat or the hardware; that it is idle is no reason."""
    assert hang(readings, gpus=(gpu(utilisation=0, limited_by=limit), OTHER)) == said


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("D", "it has waited inside the kernel for 11 min, for a disk, a network drive or the driver"),
        ("T", "it has been stopped for 11 min (Ctrl-Z, SIGSTOP or a debugger)"),
        ("S", "nothing that can be seen tells why"),
    ],
)
def test_the_state_of_the_process_is_said(readings, state, said):
    """As the kernel has it, for as long as it was so in every reading."""
    readings.read(JOB, gpus=(BUSY, OTHER))
    readings.read(JOB, gpus=(BUSY, OTHER))
    readings.read_for(replace(JOB, state=state), seconds=665, gpus=(STILL, OTHER))
    (finding,) = readings.judge("hung").findings
    assert finding.text.partition("; ")[2] == said


def test_a_moment_in_the_kernel_is_no_reason(readings):
    """Every program that reads a file waits for the disk now and then."""
    readings.read(JOB, gpus=(BUSY, OTHER))
    readings.read_for(replace(JOB, state="S"), seconds=665, gpus=(STILL, OTHER))
    readings.read(replace(JOB, state="D"), gpus=(STILL, OTHER))
    (finding,) = readings.judge("hung").findings
    assert finding.text.endswith("nothing that can be seen tells why")


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (0.0, "it uses no processor time either, so it waits for something"),
        (0.2, "nothing that can be seen tells why"),
        (1.0, "it uses 100 % of a processor core meanwhile"),
    ],
)
def test_its_use_of_the_processor_is_said(readings, rate, said):
    """It tells a wait from work or a busy loop; what it used before does not count."""
    cpu = 5000.0
    readings.read(replace(JOB, cpu=4000.0), gpus=(BUSY, OTHER))
    for _ in range(134):
        readings.read(replace(JOB, cpu=cpu), gpus=(STILL, OTHER))
        cpu += 5 * rate
    (finding,) = readings.judge("hung").findings
    assert finding.text.partition("; ")[2] == said


def test_a_process_that_the_kernel_killed_is_said(readings):
    """The machine's count rose in the silence: it may have been one of its workers."""
    readings.read(JOB, gpus=(BUSY, OTHER), oom_kills=3)
    readings.read(JOB, gpus=(BUSY, OTHER), oom_kills=3)
    readings.read(JOB, gpus=(STILL, OTHER), oom_kills=4)
    readings.read_for(JOB, seconds=660, gpus=(STILL, OTHER), oom_kills=4)
    (finding,) = readings.judge("hung").findings
    assert "ran out of memory at " in finding.text


def test_the_count_at_the_start_and_an_old_kill_are_no_reason(readings):
    """What the kernel did before anybody looked, or an hour before the silence, does not matter."""
    readings.read(JOB, gpus=(BUSY, OTHER), oom_kills=3)
    readings.read(JOB, gpus=(BUSY, OTHER), oom_kills=4)
    readings.read_for(JOB, seconds=3600, gpus=(BUSY, OTHER), oom_kills=4)
    readings.read_for(JOB, seconds=665, gpus=(STILL, OTHER), oom_kills=4)
    (finding,) = readings.judge("hung").findings
    assert finding.text.endswith("nothing that can be seen tells why")


def test_the_gravest_come_first_and_few_are_said(readings):
    """Its own GPU's fault, then the other's, and four clauses at most."""
    crowded = gpu(utilisation=0, memory_used=24 * GIB, limited_by=ClockLimit.HW_THERMAL, recovery=1)
    readings.read(JOB, gpus=(BUSY, OTHER))
    both = (Xid("GPU-0001", 79, 0.0), Xid("GPU-0000", 62, 0.0))
    readings.read(JOB, gpus=(BUSY, OTHER), events=both, mismatch=Problem("replaced"))
    readings.read_for(
        replace(JOB, state="T"), seconds=660, gpus=(crowded, OTHER), mismatch=Problem("replaced")
    )
    (finding,) = readings.judge("hung").findings
    facts = finding.text.split("; ")[1:]
    assert [fact[:29] for fact in facts] == [
        "the driver reported Xid 62 on",
        "the driver reported Xid 79 on",
        "the driver says of GPU 0: it ",
        "the NVIDIA driver was replace",
    ]


def test_what_rests_is_remembered_only_while_it_does(readings):
    """The memory is bounded by the processes there are, and begins anew with work and after a gap."""
    readings.read(JOB, gpus=(BUSY, OTHER))
    readings.read(JOB, gpus=(STILL, OTHER))
    (name,) = readings.history.resting
    first = readings.history.resting[name].since
    readings.read(JOB, seconds=7200, gpus=(STILL, OTHER))
    assert readings.history.resting[name].since > first
    readings.read(JOB, gpus=(BUSY, OTHER))
    assert readings.history.resting == {}
    readings.read(JOB, gpus=(STILL, OTHER))
    readings.read(gpus=(STILL, OTHER))
    assert readings.history.resting == {}
