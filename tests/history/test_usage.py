"""Who used what: the sums over samples."""

from __future__ import annotations

import pytest

from gpuwatch_tray.history.usage import GroupBy, usage
from gpuwatch_tray.model import GpuFacts, GpuSample, History, ProcessRun, Span, Use

GIB, KWH = 2**30, 3.6e6


def span(value, seconds=3600.0) -> Span:
    return Span(value, value, value, seconds)


def sample(uuid="GPU-a", at=0, **facts) -> GpuSample:
    base = {
        "covered": 3600.0,
        "readings": 60,
        "energy": KWH,
        "seconds_in_use": 1800.0,
        "utilisation": span(40.0),
    }
    return GpuSample(uuid, at, 3600, **(base | facts))


def use(who="ada", uuid="GPU-a", seconds_in_use=1800.0, **facts) -> Use:
    base = {
        "memory": span(2 * GIB, seconds_in_use),
        "utilisation": span(80.0, seconds_in_use),
        "energy": KWH / 4,
    }
    return Use(who, uuid, 0, 3600, seconds_in_use, **(base | facts))


def run(key, *, computes=True) -> ProcessRun:
    return ProcessRun(key, 1, "GPU-a", "ada", True, "python", 0.0, computes, 0.0, 3600.0)


def history(**parts) -> History:
    base = {"gpus": (GpuFacts("GPU-a", 0),), "samples": {"GPU-a": (sample(),)}}
    return History(0.0, 3600.0, **(base | parts))


def test_users_come_by_their_hours_and_the_unknown_last():
    """Each with GPU-hours, GiB-hours, mean utilisation, idle hours and energy."""
    users = (use("bob", seconds_in_use=600.0), use(None), use("ada", idle=900.0), use("ada", "GPU-b"))
    found = usage(history(users=users), GroupBy.USER)
    assert [row.who for row in found.rows] == ["ada", "bob", None]
    ada = found.rows[0].sums
    assert (ada.hours, ada.memory, ada.utilisation, ada.idle, ada.energy) == (1.0, 2.0, 80.0, 0.25, 0.5)


def test_what_nothing_computes_for_is_nobodys():
    """The energy of the GPUs less what was shared out, never below nothing."""
    assert usage(history(users=(use(),)), GroupBy.USER).unattributed == pytest.approx(0.75)
    assert usage(history(users=(use(energy=2 * KWH),)), GroupBy.USER).unattributed == 0.0


def test_what_is_unknown_is_in_no_sum_and_is_no_nought():
    """Neither memory, utilisation nor energy that nobody knows makes a 0."""
    unknown = history(
        samples={"GPU-a": (sample(energy=None, utilisation=None, memory=None),)},
        users=(use(memory=None, utilisation=None, energy=None),),
    )
    for by in (GroupBy.USER, GroupBy.GPU):
        found = usage(unknown, by)
        (row,) = found.rows
        assert (row.sums.memory, row.sums.utilisation, row.sums.energy) == (None, None, None)
        assert (found.whole.energy, found.unattributed) == (None, None)


def test_processes_are_those_that_computed():
    """The desktop's are none of them."""
    processes = (use("a"), use("b"))
    found = usage(history(processes=processes, runs=(run("a"), run("b", computes=False))), GroupBy.PROCESS)
    assert [row.who for row in found.rows] == ["a"]


def test_a_divided_gpu_is_counted_by_its_parts():
    """The hours are those of the MIG devices, the energy is the board's."""
    gpus = (
        GpuFacts("GPU-a", 0),
        GpuFacts("MIG-1", 0, physical="GPU-a"),
        GpuFacts("MIG-2", 0, physical="GPU-a"),
    )
    parts = {uuid: (sample(uuid, energy=None),) for uuid in ("MIG-1", "MIG-2")}
    whole = usage(
        history(gpus=gpus, samples={"GPU-a": (sample(seconds_in_use=3600.0),), **parts}), GroupBy.GPU
    ).whole
    assert (whole.hours, whole.energy) == (1.0, 1.0)


def test_a_gpu_that_was_divided_once_is_counted_whole_since():
    """Its own hours count again from when it has no parts: the store knows the parts for good."""
    gpus = (GpuFacts("GPU-a", 0), GpuFacts("MIG-1", 0, physical="GPU-a"))
    board = (sample(seconds_in_use=3600.0), sample(at=3600, seconds_in_use=3600.0, utilisation=span(90.0)))
    parts = (sample("MIG-1", energy=None, utilisation=None),)
    whole = usage(history(gpus=gpus, samples={"GPU-a": board, "MIG-1": parts}), GroupBy.GPU).whole
    assert (whole.hours, whole.utilisation) == (1.5, 90.0)


def test_the_memory_of_a_divided_gpu_is_in_the_total_once():
    """The board's is that of its parts."""
    gpus = (GpuFacts("GPU-a", 0), GpuFacts("MIG-1", 0, physical="GPU-a"))
    samples = {uuid: (sample(uuid, memory=span(4 * GIB)),) for uuid in ("GPU-a", "MIG-1")}
    assert usage(history(gpus=gpus, samples=samples), GroupBy.GPU).whole.memory == 4.0


def test_a_gpu_that_no_source_told_is_held_all_the_same():
    """`GPU=?` of the command source."""
    assert usage(history(users=(use(uuid=""),)), GroupBy.USER).whole.hours == 1.0


def test_nothing_recorded_is_no_usage():
    """No rows, and nothing in the total."""
    found = usage(History(0.0, 3600.0), GroupBy.USER)
    assert (found.rows, found.whole.hours, found.whole.energy, found.observed_hours) == ((), 0, None, {})
