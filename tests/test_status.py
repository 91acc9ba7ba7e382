"""What the icon and the first row say: never green on missing data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.alerts import step
from gpuwatch_tray.model import Gpu, Level, Limits, Problem, Snapshot
from gpuwatch_tray.rules import judge, open_questions
from gpuwatch_tray.rules.scope import counted
from gpuwatch_tray.status import stale, starting, status_of, with_notes
from tests.fakes import START, process, snapshot

OVER = "GPU=0  MEM=2828MiB  PID=1  ETIME=01:06:40"
LIMITS = Limits(gpu_limit=1, max_etime=3600)


def status(reading, active=None):
    verdicts = judge(reading, LIMITS)
    active, _ = step(active or {}, verdicts, START, "box")
    return status_of(reading, active, counted(reading, LIMITS), open_questions(reading, verdicts))


@pytest.mark.parametrize(
    ("reading", "level", "headline"),
    [
        (snapshot(process()), Level.OK, "All within limits: 1 of 4 GPUs in use"),
        (snapshot(), Level.OK, "All within limits: 0 of 4 GPUs in use"),
        (snapshot(process(1, 0), process(2, 1)), Level.WARNING, "GPU_COUNT(2) > GPU_LIMIT(1)"),
        # two alerts: the first in full, the others counted
        (
            snapshot(process(1, 0), process(2, 1, 4000.0)),
            Level.WARNING,
            "GPU_COUNT(2) > GPU_LIMIT(1) (and 1 more)",
        ),
        # a source that cannot be read is not an idle machine
        (
            Snapshot("nvml", START, problem=Problem("driver not loaded")),
            Level.NO_DATA,
            "No data: driver not loaded",
        ),
        # a lost GPU: no green, although the other one is within the limits
        (
            snapshot(process(), gpus=(Gpu(0, "GPU-0"), Gpu(1, "GPU-1", problem="lost"))),
            Level.NO_DATA,
            "GPU 1 cannot be read: lost",
        ),
        # an alert stands beside the loss, and both are named
        (
            snapshot(process(1, 0, 4000.0), gpus=(Gpu(0, "GPU-0"), Gpu(1, "GPU-1", problem="lost"))),
            Level.WARNING,
            f"MAX_ETIME(4000s) > LIMIT(3600s) :: {OVER}; GPU 1 cannot be read: lost",
        ),
        # a process list knows no idle GPUs: no total is claimed
        (snapshot(process(), gpus=(Gpu(0, ""),)), Level.OK, "All within limits: 1 GPU in use"),
    ],
)
def test_level_and_headline(reading, level, headline):
    """The level is the worst alert's, and missing data is never green."""
    shown = status(reading)
    assert (shown.level, shown.headline) == (level, headline)


@given(
    lost=st.sets(st.integers(0, 3), min_size=1),
    listless=st.booleans(),
    used=st.lists(st.sampled_from([0, 1, 2, 3, None]), max_size=6),
)
def test_no_gap_is_ever_green(lost, listless, used):
    """Whatever else holds, a GPU that cannot be read, or whose list cannot, keeps the icon from green."""
    broken = {"process_problem": "x"} if listless else {"problem": "x"}
    gpus = tuple(Gpu(i, f"GPU-{i}", **(broken if i in lost else {})) for i in range(4))
    reading = snapshot(*(process(10 + n, gpu) for n, gpu in enumerate(used)), gpus=gpus)
    assert status(reading).level is not Level.OK


def test_an_alert_from_before_does_not_hide_that_there_is_no_data():
    """While the driver cannot be read, the icon says so, whatever fired before."""
    reading = snapshot(process(1, 0), process(2, 1))
    active, _ = step({}, judge(reading, LIMITS), START, "box")
    blind = status(Snapshot("nvml", START + 5, problem=Problem("driver not loaded")), active)
    assert (blind.level, len(blind.alerts)) == (Level.NO_DATA, 1)


def test_before_the_first_poll_and_after_the_last_there_is_no_data():
    """A start and a hang both show "no data", the hang with the time of the last good poll."""
    assert starting(START).level is Level.NO_DATA
    assert stale(starting(START)).headline == "No data yet: the reading does not come back"
    old = stale(status(snapshot(process())))
    assert (old.level, old.headline[:14]) == (Level.NO_DATA, "No data since ")


def test_a_broken_configuration_is_not_green():
    """Notes that warn turn ok into warning and leave the worse states alone."""
    ok = status(snapshot(process()))
    assert with_notes(ok, ["x"], warn=True).level is Level.WARNING
    assert with_notes(ok, ["x"], warn=False).level is Level.OK
    assert with_notes(starting(START), ["x"], warn=True).level is Level.NO_DATA
