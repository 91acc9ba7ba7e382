"""What the icon and the first row say: never green on missing data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gpuwatch_tray.alerts import Tick, step
from gpuwatch_tray.engine.status import stale, starting, status_of, with_lab, with_notes
from gpuwatch_tray.model import (
    Gpu,
    Instant,
    LabStatus,
    Level,
    Limits,
    Phase,
    Problem,
    Severity,
    Snapshot,
)
from gpuwatch_tray.rules import judge, open_questions, terms
from gpuwatch_tray.rules.verdict import counted
from tests.support.fakes import START, alert, process, snapshot

OVER = "python train.py (PID 1, GPU 0) has run for 1 h 6 min; the limit is 1 h"
TWO = "2 GPUs in use; the limit is 1"
NOW = Tick(Instant(START))
LIMITS = Limits(gpu_limit=1, max_etime=3600)


def status(reading, active=None):
    verdicts = judge(reading, LIMITS)
    active, _ = step(active or {}, verdicts, NOW, "box", terms(LIMITS))
    return status_of(reading, active, counted(reading, LIMITS), open_questions(reading, verdicts))


def shown(*alerts, gaps=(), until=None):
    """The status of a healthy reading with these alerts."""
    return status_of(snapshot(), {each.fingerprint: each for each in alerts}, (), gaps, until)


@pytest.mark.parametrize(
    ("reading", "level", "headline"),
    [
        (snapshot(process()), Level.OK, "All within limits: 1 of 4 GPUs in use"),
        (snapshot(), Level.OK, "All within limits: 0 of 4 GPUs in use"),
        (snapshot(process(1, 0), process(2, 1)), Level.WARNING, TWO),
        # two alerts: the first in full, the others counted
        (
            snapshot(process(1, 0), process(2, 1, 4000.0)),
            Level.WARNING,
            "2 alerts",
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
            f"{OVER}; GPU 1 cannot be read: lost",
        ),
        # a process list knows no idle GPUs: no total is claimed
        (snapshot(process(), gpus=(Gpu(0, ""),)), Level.OK, "All within limits: 1 GPU in use"),
    ],
)
def test_level_and_headline(reading, level, headline):
    """The level is the worst alert's, and missing data is never green."""
    found = status(reading)
    assert (found.level, found.headline) == (level, headline)


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
    active, _ = step({}, judge(reading, LIMITS), NOW, "box")
    blind = status(Snapshot("nvml", START + 5, problem=Problem("driver not loaded")), active)
    assert (blind.level, len(blind.alerts)) == (Level.NO_DATA, 1)


def test_before_the_first_poll_and_after_the_last_there_is_no_data():
    """A start and a hang both show "no data", the hang with the time of the last good poll."""
    assert starting(START).level is Level.NO_DATA
    assert stale(starting(START)).headline == "No data yet: reading the GPUs hangs"
    old = stale(status(snapshot(process())))
    assert (old.level, old.headline[:14]) == (Level.NO_DATA, "No data since ")


def test_a_status_that_tells_of_gpus_has_their_reading():
    """Only what has never been read has no snapshot, and no such status tells of an alert in its headline."""
    reading = snapshot(process(1, 0), process(2, 1))
    active, _ = step({}, judge(reading, LIMITS), NOW, "box")
    assert active
    for read in (status(reading, active), stale(status(reading, active))):
        assert read.snapshot is reading
    for unread in (starting(START), stale(starting(START))):
        told = with_notes(replace(unread, alerts=tuple(active.values())), ["x"], warn=True)
        assert told.snapshot is None
        assert told.level is Level.NO_DATA
        assert not any(one.message in told.headline for one in active.values())


def test_a_broken_configuration_is_not_green():
    """Notes that warn turn ok into warning and leave the worse states alone."""
    ok = status(snapshot(process()))
    assert with_notes(ok, ["x"], warn=True).level is Level.WARNING
    assert with_notes(ok, ["x"], warn=False).level is Level.OK
    assert with_notes(starting(START), ["x"], warn=True).level is Level.NO_DATA


WARNING = alert("a", text="It is warm")
RECOVERING = replace(WARNING, phase=Phase.RECOVERING)
CRITICAL = alert("b", severity=Severity.CRITICAL, text="It burns")
INFO = alert("c", severity=Severity.INFO, text="It is idle")
UNTIL = START + 3600
CALM = "All within limits: 0 of 4 GPUs in use"


def snoozed(one):
    return replace(one, snoozed_until=UNTIL)


@pytest.mark.parametrize(
    ("alerts", "gaps", "until", "level", "headline"),
    [
        # the worst gives the colour and stands first
        ((WARNING, CRITICAL), (), None, Level.CRITICAL, "2 alerts"),
        # information does not colour
        ((INFO,), (), None, Level.OK, "It is idle"),
        # but never over a gap
        ((INFO,), ("x",), None, Level.NO_DATA, "It is idle; x"),
        # what is pending is not shown, what recovers is
        ((replace(WARNING, phase=Phase.PENDING),), (), None, Level.OK, CALM),
        ((RECOVERING,), (), None, Level.WARNING, "It is warm (over for now)"),
        # acknowledged is said, and goes on
        ((replace(WARNING, acknowledged=True),), (), None, Level.WARNING, "It is warm (acknowledged)"),
        # every alert snoozed
        ((snoozed(WARNING),), (), None, Level.SNOOZED, "Snoozed: It is warm"),
        # one of two snoozed: the other is heard
        ((snoozed(CRITICAL), WARNING), (), None, Level.WARNING, "It is warm"),
        # everything snoozed, and nothing to snooze
        ((), (), UNTIL, Level.SNOOZED, CALM),
        # snoozed, but nothing is known: that is not hidden
        ((snoozed(WARNING),), ("x",), UNTIL, Level.NO_DATA, "x"),
        ((), ("x",), UNTIL, Level.NO_DATA, "x"),
        # an alert that names its gap does not say it twice
        ((replace(WARNING, text="GPU 1 cannot be read"),), ("GPU 1 cannot be read",), None, Level.WARNING,
         "GPU 1 cannot be read"),
    ],
)  # fmt: skip
def test_attention_and_gaps(alerts, gaps, until, level, headline):
    """The level is the worst alert's that is heard; a snooze shows as such, and never over missing data."""
    found = shown(*alerts, gaps=gaps, until=until)
    assert (found.level, found.headline) == (level, headline)


@pytest.mark.parametrize(
    ("reading", "in_use"),
    [
        (snapshot(process(1, 0), process(2, 0), process(3, 2)), 2),
        # over the limit, with one that cannot be placed: what is known
        (snapshot(process(1, 0), process(2, 1), process(3, None)), 2),
        # below it: unknown, as the rule itself
        (snapshot(process(1, 0), process(3, None)), None),
        (Snapshot("nvml", START, problem=Problem("driver not loaded")), None),
    ],
)
def test_the_number_of_gpus_in_use(reading, in_use):
    """The badge counts as the rule does, and says nothing where the rule cannot tell."""
    assert status(reading).in_use == in_use


@given(
    alerts=st.lists(
        st.builds(
            alert,
            rule=st.sampled_from("abcd"),
            severity=st.sampled_from(Severity),
            phase=st.sampled_from([Phase.PENDING, Phase.FIRING, Phase.RECOVERING]),
            acknowledged=st.booleans(),
            snoozed_until=st.none() | st.just(UNTIL),
            inhibited_by=st.sampled_from(["", "x"]),
        )
    ),
    until=st.none() | st.just(UNTIL),
)
def test_green_is_never_with_gaps(alerts, until):
    """Whatever fires and whatever is snoozed, a gap is neither green nor quietly snoozed."""
    assert shown(*alerts, gaps=("GPU 1 cannot be read",), until=until).level not in {Level.OK, Level.SNOOZED}


def test_alerts_of_one_poll_keep_their_order():
    """Of alerts that are as bad and as old, the one with the lower number stands first."""
    first, second = alert("a", id=1), alert("b", id=2)
    assert shown(second, first).alerts == shown(first, second).alerts == (first, second)


OWN = [Level.OK, Level.SNOOZED, Level.WARNING, Level.CRITICAL, Level.NO_DATA]


@pytest.mark.parametrize("here", OWN)
@pytest.mark.parametrize("there", OWN)
def test_the_icon_is_green_only_where_both_are(here, there):
    """Of this computer and the lab; an alert of either keeps its colour over what is not known."""
    lab = LabStatus(there, "of the lab", START)
    both = with_lab(replace(shown(), level=here), lab)
    assert (both.level is Level.OK) is (here is there is Level.OK)
    fires = {here, there} & {Level.WARNING, Level.CRITICAL}
    if fires:
        assert both.level is max(fires)
    elif Level.NO_DATA in {here, there}:
        assert both.level is Level.NO_DATA
    assert both.lab is lab
