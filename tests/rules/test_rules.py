"""The rules: what counts, strictly greater, the Bash tool's reasons, and what is left open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.model import (
    UNKNOWN,
    Gpu,
    Limits,
    Missing,
    Problem,
    ProcessScope,
    Severity,
    Snapshot,
    Terms,
    Why,
)
from gpuwatch_tray.rules import RULES, judge, judged, open_questions, terms
from gpuwatch_tray.rules.availability import judge_gpu_lost, judge_monitor_blind
from gpuwatch_tray.rules.gpu_use import judge_gpu_limit, judge_max_etime
from gpuwatch_tray.rules.verdict import counted
from tests.support.fakes import BOOT, process, snapshot

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
    verdict = judge_gpu_limit(snapshot(*processes), LIMITS)
    assert [finding.reason for finding in verdict.findings] == ([reason] if reason else [])
    assert verdict.unknown is None


@pytest.mark.parametrize(
    ("reading", "why"),
    [
        # a GPU that cannot be told makes the answer unknown, not smaller
        (snapshot(*on(0, None)), "the GPU of process 101 is not known"),
        (snapshot(*on(0), gpus=(Gpu(0, "GPU-0000"), LOST)), "GPU 1 cannot be read: GPU is lost"),
        (
            snapshot(*on(0), gpus=(Gpu(0, "GPU-0000"), LISTLESS)),
            "the processes of GPU 1 cannot be read: Unknown Error",
        ),
        (UNREADABLE, "driver not loaded (load it)"),
        # in a container a process may be mine without my being able to tell
        (
            snapshot(process(7, 0, mine=None)),
            "the owner of process 7 is not known (PROCESS_SCOPE=all counts everyone's)",
        ),
        # the system's reason is told once, however many there are
        (
            snapshot(*(process(pid, 0, mine=None, user=Missing(Why.ERROR, "hidden")) for pid in (7, 8))),
            "the owners of some processes are not known: hidden (PROCESS_SCOPE=all counts everyone's)",
        ),
    ],
)
def test_gpu_limit_is_open_where_data_is_missing(reading, why):
    """Below the limit, missing data leaves the verdict open and says why."""
    verdict = judge_gpu_limit(reading, LIMITS)
    assert (verdict.findings, verdict.unknown) == ((), why)
    assert verdict.cannot_tell("")


def test_scope_all_counts_everybody():
    """PROCESS_SCOPE=all counts other users' processes and those of unknown owners."""
    others = [process(1, 0, mine=False), process(2, 1, mine=None), process(3, 2, kinds="G")]
    assert [p.pid for p in counted(snapshot(*others), Limits(scope=ProcessScope.ALL))] == [1, 2]


@pytest.mark.parametrize(
    ("elapsed", "fires"),
    # whole seconds, strictly greater
    [(21600.0, False), (21600.99, False), (21601.0, True), (0.0, False)],
)
def test_max_etime_is_strictly_greater_in_whole_seconds(elapsed, fires):
    """MAX_ETIME compares the whole seconds that ps prints, and the limit itself is still allowed."""
    assert bool(judge_max_etime(snapshot(process(elapsed=elapsed)), LIMITS).findings) is fires


def test_max_etime_has_the_bash_tools_reason():
    """The reason of MAX_ETIME is the Bash tool's, with the process's own line behind it."""
    verdict = judge_max_etime(snapshot(process(2943615, 0, 32400.0)), LIMITS)
    assert [finding.reason for finding in verdict.findings] == [
        "MAX_ETIME(32400s) > LIMIT(21600s) :: GPU=0  MEM=2828MiB  PID=2943615  ETIME=09:00:00"
    ]


def test_max_etime_tells_of_each_process_once():
    """A process on two GPUs is one finding, two processes are two, told apart by PID and start."""
    rows = [process(1, 0, 30000.0), process(1, 1, 30000.0), process(2, 0, 30000.0)]
    subjects = [finding.subject for finding in judge_max_etime(snapshot(*rows), LIMITS).findings]
    assert subjects == [f"{BOOT}/1/start-1", f"{BOOT}/2/start-2"]


def test_max_etime_leaves_a_process_of_unknown_age_open_and_no_other():
    """An unknown elapsed time leaves that PID open, while other subjects can be concluded about."""
    verdict = judge_max_etime(snapshot(process(1, elapsed=UNKNOWN, identity=""), process(2)), LIMITS)
    assert verdict.unknown == "the elapsed time of process 1 is unknown"
    assert verdict.cannot_tell(f"{BOOT}/1/start-1")
    assert not verdict.cannot_tell(f"{BOOT}/11/start-11")


@pytest.mark.parametrize("reading", [UNREADABLE, snapshot(gpus=(Gpu(0, "GPU-0000"), LOST))])
def test_max_etime_concludes_nothing_from_a_list_with_gaps(reading):
    """While a process list is missing, no absence of a process means that it ended."""
    assert judge_max_etime(reading, LIMITS).cannot_tell("any/subject")


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


HEALTHY = Gpu(0, "GPU-0000", "Test GPU")
EVERYTHING = Limits(gpu_limit=0, max_etime=-1)


@pytest.mark.parametrize(
    ("reading", "subjects"),
    [
        # all answer
        (snapshot(gpus=(HEALTHY,)), []),
        # the UUID, never the index
        (snapshot(gpus=(HEALTHY, LOST)), ["GPU-0001"]),
        (snapshot(gpus=(Gpu(1, "GPU-0000"), Gpu(0, "GPU-0001", problem="GPU is lost"))), ["GPU-0001"]),
        # one that never told who it is has nothing but its index
        (snapshot(gpus=(HEALTHY, Gpu(1, "", problem="GPU is lost"))), ["1"]),
        # one whose processes cannot be read is there
        (snapshot(gpus=(HEALTHY, LISTLESS)), []),
    ],
)
def test_gpu_lost_names_the_gpus_that_do_not_answer(reading, subjects):
    """A GPU that cannot be read as a whole is a critical finding, whatever it is numbered."""
    verdict = judge_gpu_lost(reading, LIMITS)
    assert [finding.subject for finding in verdict.findings] == subjects
    assert {finding.severity for finding in verdict.findings} <= {Severity.CRITICAL}
    assert verdict.unknown is None


@pytest.mark.parametrize(
    ("lost", "text"),
    [
        (Gpu(1, "GPU-0001", "RTX", problem="lost"), "GPU 1 (RTX) cannot be read: lost"),
        (Gpu(1, "GPU-0001", problem="lost"), "GPU 1 (GPU-0001) cannot be read: lost"),
        (Gpu(1, "", problem="lost"), "GPU 1 cannot be read: lost"),
    ],
)
def test_a_lost_gpu_without_a_name_is_called_by_what_is_known_of_it(lost, text):
    """Its UUID, or its number alone: never a pair of empty brackets."""
    assert judge_gpu_lost(snapshot(gpus=(HEALTHY, lost)), LIMITS).findings[0].text == text


def test_gpu_lost_says_nothing_when_nothing_can_be_read():
    """Without a driver no GPU is lost, and none that was lost is back."""
    verdict = judge_gpu_lost(UNREADABLE, LIMITS)
    assert (verdict.findings, verdict.cannot_tell("GPU-0001")) == ((), True)


@pytest.mark.parametrize(
    ("reading", "subjects"),
    [
        (snapshot(gpus=(HEALTHY,)), []),
        # nothing at all can be read: that mutes all others
        (UNREADABLE, [""]),
        # one GPU's processes cannot: its UUID
        (snapshot(gpus=(HEALTHY, LISTLESS)), ["GPU-0001"]),
        # a lost GPU is gpu_lost's
        (snapshot(gpus=(HEALTHY, LOST)), []),
    ],
)
def test_monitor_blind_finds_what_cannot_be_read(reading, subjects):
    """What cannot be read is itself a finding, and this rule alone can always tell."""
    verdict = judge_monitor_blind(reading, LIMITS)
    assert [finding.subject for finding in verdict.findings] == subjects
    assert verdict.unknown is None


@pytest.mark.parametrize(("poll", "hold"), [(5.0, 60.0), (20.0, 60.0), (60.0, 180.0)])
def test_monitor_blind_waits_for_a_minute_and_three_polls(poll, hold):
    """A slow poll does not look blind, two good samples end it, and ten minutes make it critical."""
    assert terms(Limits(poll=poll))["monitor_blind"] == Terms(hold, 2, 0.0, 2, 600.0)


def test_a_lost_gpu_takes_two_polls_and_two_minutes():
    """gpu_lost fires in two polls, and is over after two healthy minutes."""
    assert terms(LIMITS)["gpu_lost"] == Terms(hold_samples=2, clear=120.0, clear_samples=2)


def test_without_holds_only_what_one_look_can_tell_is_judged():
    """Cron's runs judge the two rules of the Bash tool and none with a hold, a loop those too."""
    assert {"gpu_limit", "max_etime"} <= judged(LIMITS, in_loop=False)
    assert not {"gpu_lost", "monitor_blind"} & judged(LIMITS, in_loop=False)
    assert {"gpu_limit", "max_etime", "gpu_lost", "monitor_blind"} <= judged(LIMITS)
    for in_loop in (False, True):
        names = judged(LIMITS, in_loop=in_loop)
        verdicts = judge(UNREADABLE, LIMITS, in_loop=in_loop)
        assert [verdict.rule for verdict in verdicts] == [name for name in RULES if name in names]


def test_each_open_question_is_told_once():
    """What is missing is named once, however many rules it leaves open."""
    reading = snapshot(gpus=(HEALTHY, LOST))
    assert open_questions(reading, judge(reading, LIMITS)) == ("GPU 1 cannot be read: GPU is lost",)
    unowned = snapshot(process(7, 0, mine=None))
    assert len(open_questions(unowned, judge(unowned, LIMITS))) == 1
    assert open_questions(snapshot(), judge(snapshot(), LIMITS)) == ()


@pytest.mark.parametrize(
    "reading", [UNREADABLE, snapshot(process(elapsed=9e4), gpus=(HEALTHY, LOST, LISTLESS))]
)
def test_every_rule_says_what_it_measured_and_against_what(reading):
    """`alerts explain` has a value and a threshold to print for every rule, or why it cannot judge."""
    for verdict in judge(reading, LIMITS):
        assert verdict.unknown or (verdict.value and verdict.threshold), verdict.rule


@given(one=st.text(min_size=1), other=st.text(min_size=1))
def test_no_text_is_part_of_a_subject(one, other):
    """What the driver says of a fault changes no fingerprint."""
    names = []
    for text in (one, other):
        gpus = (HEALTHY, Gpu(1, "GPU-1", problem=text), Gpu(2, "GPU-2", process_problem=text))
        readings = [snapshot(process(1, 0), gpus=gpus), Snapshot("nvml", 1.0, problem=Problem(text))]
        found = [f for reading in readings for v in judge(reading, EVERYTHING) for f in v.findings]
        names.append({(finding.rule, finding.subject) for finding in found})
    assert names[0] == names[1]
    assert {"gpu_limit", "max_etime", "gpu_lost", "monitor_blind"} <= {rule for rule, _ in names[0]}
