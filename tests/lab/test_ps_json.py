"""The process list of another machine: what is read back is what it knew, and nothing foreign breaks it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.common.proclist import listing_json
from gpuwatch_tray.lab.host_view import view_of_snapshot
from gpuwatch_tray.lab.ps_json import NotAListingError, parse_ps_json
from gpuwatch_tray.model import (
    COMPUTING,
    UNKNOWN,
    UNSUPPORTED,
    ClockLimit,
    Gpu,
    GpuProcess,
    HostState,
    Missing,
    Problem,
    Snapshot,
    Why,
)

GPUS = (
    Gpu(
        0, "GPU-a", "NVIDIA A", 2**30, 2**33, 97, 61, 250.5, 300.0, UNSUPPORTED, slowdown_at=95,
        limited_by=ClockLimit.POWER_CAP | ClockLimit.SW_THERMAL, ecc_corrected=3, rows_failed=False,
        pcie_width=8, pcie_width_most=16,
    ),
    Gpu(1, "GPU-b", "NVIDIA A", problem="GPU is lost", process_problem="GPU is lost"),
    Gpu(2, "GPU-c", asleep=True, temperature=Missing(Why.ERROR, "timed out")),
)  # fmt: skip
PROCESSES = (
    GpuProcess(7, 0, frozenset(COMPUTING), 2**29, "ada", True, 1_700_000_000.0, 60.0, "", "/home/ada",
        ("python", "train.py"), "python"),
    GpuProcess(8, None, frozenset(COMPUTING), user=UNKNOWN, mine=None),
)  # fmt: skip
SNAPSHOT = Snapshot("nvml", 1_700_000_060.0, GPUS, PROCESSES)


def written(snapshot):
    return json.dumps(listing_json(snapshot, snapshot.processes, with_users=True))


def test_what_is_read_back_is_what_it_knew():
    """All that `ps --all --json` tells, with the ways in which values are missing."""
    read = parse_ps_json(written(SNAPSHOT))
    assert read.at == SNAPSHOT.at
    assert read.gpus == GPUS
    assert read.processes == PROCESSES


def test_what_it_could_not_read_is_a_problem_here_too():
    """With its words, and no empty list that looks like idle GPUs."""
    blind = Snapshot("nvml", 1.0, problem=Problem("no driver", "install one"))
    read = parse_ps_json(written(blind))
    assert str(read.problem) == "no driver (install one)"
    view = view_of_snapshot("gpu1", read, 1.0)
    assert (view.state, view.free) == (HostState.BLIND, UNKNOWN)


def test_what_it_says_is_wrong_shows_no_secret():
    """The reason goes into menus and mails here, whatever the program over there has let through."""
    secret = "cannot run train --api-key=geheim-4711"
    blind = written(Snapshot("nvml", 1.0, problem=Problem("no driver", "no driver")))
    told = str(parse_ps_json(blind.replace("no driver", secret)).problem)
    assert ("--api-key" in told, "geheim-4711" in told) == (True, False)
    gap = parse_ps_json(written(SNAPSHOT).replace("timed out", secret)).gpus[2].temperature
    assert "geheim-4711" not in gap.detail


def test_a_gap_leaves_the_counts_open():
    """A lost GPU, or a process on a GPU that is not known: nothing is free, and no count of one's own."""
    view = view_of_snapshot("gpu1", parse_ps_json(written(SNAPSHOT)), 1.0)
    assert isinstance(view.free, Missing)
    assert isinstance(view.mine, Missing)
    assert view.gpus == 2
    well = Snapshot("nvml", 1.0, (GPUS[0], GPUS[2]), PROCESSES[:1])
    view = view_of_snapshot("gpu1", parse_ps_json(written(well)), 1.0)
    assert (view.free, view.mine, view.oldest_start) == (1, 1, 1_700_000_000.0)


def test_names_are_made_visible_and_cut():
    """A name with characters that turn the line, or of a mile, does no harm on the screen."""
    odd = Gpu(0, "GPU-a", "NVIDIA \u202eX\x1b[31m" + "y" * 9000)
    (gpu,) = parse_ps_json(written(Snapshot("nvml", 1.0, (odd,)))).gpus
    assert "\u202e" not in gpu.name
    assert "\x1b" not in gpu.name
    assert len(gpu.name) < 1000


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", "{}", '{"schema": 2}', "Welcome!", "[" * 100_000,
        written(SNAPSHOT).replace('"schema": 1', '"schema": 2'),
        written(SNAPSHOT).replace('"index": 0', '"index": "0"'),
        written(SNAPSHOT).replace('"index": 0', '"index": -1'),
        written(SNAPSHOT).replace('"elapsed_s": 60.0', '"elapsed_s": NaN'),
        written(SNAPSHOT).replace('"utilisation_percent": 97', '"utilisation_percent": 970'),
        written(SNAPSHOT).replace('"pid": 7', '"pid": true'),
    ],
)  # fmt: skip
def test_what_is_none_is_refused_as_a_whole(text):
    """A part of it would be a shorter list, in which GPUs look free."""
    with pytest.raises(NotAListingError):
        parse_ps_json(text)


anything = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        -1,
        2**70,
        0.5,
        float("nan"),
        float("inf"),
        "",
        "x",
        "C+G",
        [],
        [1],
        ["a"],
        {},
        {"a": 1},
    ]
)
places = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40), anything), min_size=1, max_size=3)


@given(places)
def test_foreign_values_never_break_it(changes):
    """Whatever stands in the place of a value: a snapshot, or one kind of error."""
    record = json.loads(written(SNAPSHOT))
    parts = [record, *record["gpus"], *record["processes"]]
    for part, key, value in changes:
        names = sorted(parts[part])
        parts[part][names[key % len(names)]] = value
    try:
        read = parse_ps_json(json.dumps(record))
    except NotAListingError:
        return
    view_of_snapshot("gpu1", read, 1.0)
