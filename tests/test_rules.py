"""The two rules: what counts, strictly greater, the Bash tool's reasons, and what is left open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.model import UNKNOWN, Gpu, Limits, Problem, Scope, Snapshot
from gpuwatch_tray.rules import judge
from gpuwatch_tray.rules.gpu_limit import gpu_limit
from gpuwatch_tray.rules.max_etime import max_etime
from gpuwatch_tray.rules.scope import counted
from tests.fakes import BOOT, process, snapshot

LIMITS = Limits(gpu_limit=2, max_etime=21600, ignore=frozenset({"xorg", "explorer.exe"}))
LOST = Gpu(1, "GPU-0001", problem="GPU is lost")
LISTLESS = Gpu(1, "GPU-0001", process_problem="Unknown Error")
UNREADABLE = Snapshot("nvml", 1.0, problem=Problem("driver not loaded", "load it", no_driver=True))


def on(*gpus, **facts):
    return [process(100 + n, gpu, **facts) for n, gpu in enumerate(gpus)]


@pytest.mark.parametrize(
    ("processes", "reason"),
    [
        # strictly greater: two GPUs are not over a limit of two
        (on(0, 1), None),
        (on(0, 1, 2), "GPU_COUNT(3) > GPU_LIMIT(2)"),
        # several processes on one GPU use one GPU
        (on(0, 0, 1, 1), None),
        # one process on three GPUs uses three
        ([process(100, 0), process(100, 1), process(100, 2)], "GPU_COUNT(3) > GPU_LIMIT(2)"),
        # graphics alone never counts, C+G and MPS do
        ([*on(0, 1), process(200, 2, kinds="G")], None),
        ([*on(0, 1), process(200, 2, kinds="C+G")], "GPU_COUNT(3) > GPU_LIMIT(2)"),
        ([*on(0, 1), process(200, 2, kinds="M")], "GPU_COUNT(3) > GPU_LIMIT(2)"),
        # nobody else's
        ([*on(0, 1), process(200, 2, mine=False)], None),
        # graphics of an unknown owner is no matter either
        ([*on(0, 1), process(200, 2, mine=None, kinds="G")], None),
        # an ignored program, whatever its case
        ([*on(0, 1), process(200, 2, name="Explorer.EXE")], None),
        # known GPUs above the limit fire although another cannot be told
        (on(0, 1, 2, None), "GPU_COUNT(3) > GPU_LIMIT(2)"),
    ],
)
def test_gpu_limit_fires_with_the_bash_tools_reason(processes, reason):
    """GPU_LIMIT fires when more GPUs than the limit carry processes that count, and only then."""
    verdict = gpu_limit(snapshot(*processes), LIMITS)
    assert [finding.reason for finding in verdict.findings] == ([reason] if reason else [])
    assert verdict.unknown is None


@pytest.mark.parametrize(
    ("reading", "why"),
    [
        # a GPU that cannot be told makes the answer unknown, not smaller
        (snapshot(*on(0, None)), "the GPU of process 101 cannot be told"),
        (snapshot(*on(0), gpus=(Gpu(0, "GPU-0000"), LOST)), "GPU 1 cannot be read: GPU is lost"),
        (
            snapshot(*on(0), gpus=(Gpu(0, "GPU-0000"), LISTLESS)),
            "the processes of GPU 1 cannot be read: Unknown Error",
        ),
        (UNREADABLE, "driver not loaded (load it)"),
        # in a container a process may be mine without my being able to tell
        (
            snapshot(process(7, 0, mine=None)),
            "the owner of process 7 cannot be told (PROCESS_SCOPE=all counts everybody's)",
        ),
    ],
)
def test_gpu_limit_is_open_where_data_is_missing(reading, why):
    """Below the limit, missing data leaves the verdict open and says why."""
    verdict = gpu_limit(reading, LIMITS)
    assert (verdict.findings, verdict.unknown) == ((), why)
    assert verdict.cannot_tell("")


def test_scope_all_counts_everybody():
    """PROCESS_SCOPE=all counts other users' processes and those of unknown owners."""
    others = [process(1, 0, mine=False), process(2, 1, mine=None), process(3, 2, kinds="G")]
    assert [p.pid for p in counted(snapshot(*others), Limits(scope=Scope.ALL))] == [1, 2]


@pytest.mark.parametrize(
    ("elapsed", "fires"),
    # whole seconds, strictly greater
    [(21600.0, False), (21600.99, False), (21601.0, True), (0.0, False)],
)
def test_max_etime_is_strictly_greater_in_whole_seconds(elapsed, fires):
    """MAX_ETIME compares the whole seconds that ps prints, and the limit itself is still allowed."""
    assert bool(max_etime(snapshot(process(elapsed=elapsed)), LIMITS).findings) is fires


def test_max_etime_has_the_bash_tools_reason():
    """The reason of MAX_ETIME is the Bash tool's, with the process's own line behind it."""
    verdict = max_etime(snapshot(process(2943615, 0, 32400.0)), LIMITS)
    assert [finding.reason for finding in verdict.findings] == [
        "MAX_ETIME(32400s) > LIMIT(21600s) :: GPU=0  MEM=2828MiB  PID=2943615  ETIME=09:00:00"
    ]


def test_max_etime_tells_of_each_process_once():
    """A process on two GPUs is one finding, two processes are two, told apart by PID and start."""
    rows = [process(1, 0, 30000.0), process(1, 1, 30000.0), process(2, 0, 30000.0)]
    subjects = [finding.subject for finding in max_etime(snapshot(*rows), LIMITS).findings]
    assert subjects == [f"{BOOT}/1/start-1", f"{BOOT}/2/start-2"]


def test_max_etime_leaves_a_process_of_unknown_age_open_and_no_other():
    """An unknown elapsed time leaves that PID open, while other subjects can be concluded about."""
    verdict = max_etime(snapshot(process(1, elapsed=UNKNOWN, identity=""), process(2)), LIMITS)
    assert verdict.unknown == "the elapsed time of process 1 is unknown"
    assert verdict.cannot_tell(f"{BOOT}/1/start-1")
    assert not verdict.cannot_tell(f"{BOOT}/11/start-11")


@pytest.mark.parametrize("reading", [UNREADABLE, snapshot(gpus=(Gpu(0, "GPU-0000"), LOST))])
def test_max_etime_concludes_nothing_from_a_list_with_gaps(reading):
    """While a process list is missing, no absence of a process means that it ended."""
    assert max_etime(reading, LIMITS).cannot_tell("any/subject")


@given(elapsed=st.floats(0, 1e7), later=st.floats(0, 1e6))
def test_time_that_passes_never_changes_a_subject(elapsed, later):
    """The subject of a finding holds no elapsed time; the Bash tool's hash did, and changed at each run."""
    young, old = process(elapsed=elapsed), process(elapsed=elapsed + later)
    limits = Limits(gpu_limit=0, max_etime=-1)
    names = [
        {(f.rule, f.subject) for verdict in judge(snapshot(p), limits) for f in verdict.findings}
        for p in (young, old)
    ]
    assert names[0] == names[1] != set()
