"""The simulation: plausible, labelled, and each rule's turn within a minute."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from gpuwatch_tray.common import redact
from gpuwatch_tray.model import LABEL, Limits, Missing, ProcessKind, ProcessScope, Snapshot
from gpuwatch_tray.sources.simulated import PERIOD, SimulatedSource, demo_limits, simulate

MAX_ETIME = 21600
AT = 1_700_000_000.0
TIMES = st.floats(0, 40 * PERIOD)


def at(t: float, max_etime: int = MAX_ETIME) -> Snapshot:
    """Simulate the time `t`."""
    return simulate(t, AT + t, "u", max_etime)


def own(t: float) -> list:
    """One's own computing processes at `t`."""
    return [p for p in at(t).processes if p.mine and p.computes]


def gpus_in_use(t: float) -> int:
    """On how many GPUs one's own processes compute at `t`: what GPU_COUNT counts."""
    return len({p.gpu for p in own(t)})


def longest(t: float) -> float:
    """Return the age of one's oldest process at `t`; 0 with none."""
    return max((p.elapsed for p in own(t)), default=0.0)


def test_the_story_raises_each_rule_in_turn_and_clears_it():
    """Calm, then a GPU too many, then a process too old, then calm again, in every round."""
    limit = demo_limits(Limits()).gpu_limit
    for t in (0, PERIOD, 7 * PERIOD):
        assert [gpus_in_use(t + s) > limit for s in (0, 11, 13, 40, 61, 63, 69, 80)] == [
            *(False, False, True, True, True, False, False, False)
        ]
        assert [longest(t + s) > MAX_ETIME for s in (0, 34, 36, 61, 69, 71, 73, 89)] == [
            *(False, False, True, True, True, False, False, False)
        ]


def test_a_poll_every_five_seconds_sees_each_state():
    """With the default interval both rules fire within a minute and clear before the round ends."""
    seen = [(gpus_in_use(t) > 1, longest(t) > MAX_ETIME) for t in range(0, 90, 5)]
    assert seen[0] == seen[-1] == (False, False)
    assert (True, False) in seen[:12]
    assert (True, True) in seen[:12]


@pytest.mark.parametrize("max_etime", [0, 20, 60, 86400 * 3])
def test_the_training_passes_any_limit(max_etime):
    """However short or long MAX_ETIME is, the training is just over it at 36 s."""
    ages = [p.elapsed for p in simulate(36, AT, "u", max_etime).processes if p.mine and p.computes]
    assert max_etime < max(ages) <= max(max_etime + 1, 60)


@given(TIMES)
def test_every_moment_is_plausible(t):
    """Each value that a card without a meter has is within what it can do; its memory holds all processes."""
    snapshot = at(t)
    assert snapshot.simulated
    assert (snapshot.boot_id, snapshot.problem, snapshot.at) == ("simulated", None, AT + t)
    assert [gpu.index for gpu in snapshot.gpus] == [0, 1]
    for gpu in snapshot.gpus:
        missing = [name for name, value in asdict(gpu).items() if isinstance(value, Missing)]
        assert missing == ["energy"]
        assert (
            sum(p.memory for p in snapshot.processes if p.gpu == gpu.index)
            <= gpu.memory_used
            < gpu.memory_total
        )
        assert 0 <= gpu.utilisation <= 100
        assert 30 <= gpu.temperature <= 80
        assert 20 <= gpu.power <= gpu.power_limit
        assert 0 <= gpu.fan <= 100
        assert (gpu.problem, gpu.process_problem) == (None, None)


@given(TIMES, st.sampled_from([1.0, 0.5]))
def test_values_move_without_jumps(t, step):
    """Between two looks a second apart nothing leaps, not at the turn of a round either."""
    for before, after in zip(at(t).gpus, at(t + step).gpus, strict=True):
        assert abs(after.temperature - before.temperature) <= 6
        assert abs(after.power - before.power) <= 190 * step
        assert abs(after.utilisation - before.utilisation) <= 55 * step + 1
        assert abs(after.memory_used - before.memory_used) <= 0.4 * before.memory_total * step


def test_heat_is_slower_than_load():
    """The second GPU warms for a while after it is busy, and is warm for a while after it is idle."""
    warming, busy, after, cold = (at(t).gpus[1] for t in (15.5, 40.0, 64.0, 85.0))
    assert warming.utilisation > 85
    assert warming.temperature < busy.temperature - 20
    assert after.utilisation < 10
    assert after.temperature > cold.temperature + 20


@given(TIMES)
def test_no_simulated_pid_names_a_real_process(t):
    """Every PID is above what Linux can give, and no two processes share one."""
    pids = [p.pid for p in at(t).processes]
    assert min(pids) > 4_194_304
    assert len(set(pids)) == len(pids)


def test_a_process_is_the_same_from_look_to_look_and_new_in_each_round():
    """PID, identity and start stay for a process's life; the next round's is another process."""
    lives: dict[tuple, list[float]] = {}
    for tenth in range(int(30 * PERIOD)):
        for p in at(tenth / 10).processes:
            lives.setdefault((p.pid, p.identity, p.name), []).append(p.started)
    for starts in lives.values():
        assert max(starts) - min(starts) < 0.001
    training = [key for key in lives if key[1].endswith(".1")]
    assert len(training) == 3 + 1


@given(TIMES)
def test_elapsed_times_go_up_between_two_polls(t):
    """A process never gets younger."""
    later = {p.pid: p.elapsed for p in at(t + 0.5).processes}
    assert all(later[p.pid] > p.elapsed for p in at(t).processes if p.pid in later)


def test_the_cast_has_a_desktop_and_a_neighbour():
    """An own graphics-only Xorg and another user's notebook are there for the rules not to count."""
    snapshot = at(5)
    xorg = next(p for p in snapshot.processes if p.name == "Xorg")
    alice = next(p for p in snapshot.processes if p.user == "alice")
    assert (xorg.mine, xorg.kinds, xorg.computes) == (True, {ProcessKind.GRAPHICS}, False)
    assert (alice.mine, alice.computes) == (False, True)
    assert isinstance(alice.cwd, Missing)
    assert redact.command(alice) == "python3.11"


def test_redaction_has_something_to_show():
    """The training's made-up key is in its command and not in what is shown of it."""
    (training,) = (p for p in own(5) if "--wandb-key" in p.command)
    assert any(part.startswith("FAKE") for part in training.command)
    shown = redact.command(training)
    assert shown.endswith("--batch-size 16 --wandb-key ***")
    for p in own(20):
        assert re.sub(r" --wandb-key \*\*\*", "", redact.command(p)).count("***") == 0


def test_the_demos_limits_are_the_users_but_for_the_count():
    """GPU_LIMIT is 1, everything else as set."""
    limits = Limits(gpu_limit=4, max_etime=77, scope=ProcessScope.ALL, ignore=frozenset({"x"}))
    assert demo_limits(limits) == Limits(
        gpu_limit=1, max_etime=77, scope=ProcessScope.ALL, ignore=frozenset({"x"})
    )


def test_the_source_runs_from_its_start():
    """The source's own clock starts the simulation; the wall's stands in the snapshot."""
    ticks = iter([100.0, 100.0, 113.0])
    source = SimulatedSource("u", max_etime=MAX_ETIME, clock=lambda: AT, monotonic=lambda: next(ticks))
    assert source.read() == simulate(0, AT, "u", MAX_ETIME)
    assert source.read() == simulate(13, AT, "u", MAX_ETIME)
    source.close()
    assert "SIMULATED" in LABEL


def test_memory_grows_and_shrinks_with_a_process():
    """A process takes its memory over seconds; before and after it the GPU has less."""
    used = [at(t).gpus[1].memory_used for t in (11, 13, 14, 20, 60, 66)]
    assert all(a < b for a, b in pairwise(used[:4]))
    assert used[0] == used[5] < used[4]
