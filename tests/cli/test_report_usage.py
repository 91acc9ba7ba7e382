"""`report usage` and `report samples`: through the installed script, and as tables, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import os
import time

import pytest
from msgspec.structs import replace

from gpuwatch_tray.cli.report_samples import SAMPLE_FIELDS, sample_records
from gpuwatch_tray.cli.report_usage import usage_json, usage_lines
from gpuwatch_tray.history.usage import GroupBy, usage
from gpuwatch_tray.model import GpuFacts, GpuSample, History, ProcessRun, Span, Use
from tests.driver.scenario import MIB, FakeGpu, FakeProcess, Scenario

GIB, KWH = 2**30, 3.6e6
HOSTILE = "=cmd|'/c calc'!A1,\"<script>\""


def history() -> History:
    """Ten hours of one GPU with a user, an unknown owner, and a process of an odd name."""
    span = Span(10 * GIB, 10 * GIB, 10 * GIB, 36000.0)
    busy = Span(0.0, 41.6, 100.0, 36000.0)
    uses = [Use(who, "GPU-a", 0, 600, 18000.0, span, busy, 3600.0, KWH) for who in ("ada", None)]
    process = Use("key", "GPU-a", 0, 600, 18000.0, span, busy, 3600.0, KWH)
    sample = GpuSample(
        "GPU-a", 0, 600, 36000.0, 120, memory=span, utilisation=busy, energy=3 * KWH, seconds_in_use=36000.0
    )
    run = ProcessRun("key", 42, "GPU-a", "ada", True, HOSTILE, 1.0, True, 0.0, 18000.0)
    return History(
        0.0, 36000.0, (GpuFacts("GPU-a", 0, "RTX"),), {"GPU-a": (sample,)}, (run,), tuple(uses), (process,)
    )


def table(by, price=None) -> list[str]:
    found = history()
    return usage_lines(usage_json(usage(found, by), found, price), by)


def test_the_table_is_aligned_and_names_the_unknown_and_nobody():
    """Names to the left, numbers to the right, a cost where there is a price, and how much was seen."""
    found = table(GroupBy.USER, 0.5)
    assert found[:5] == [
        "USER     GPU-HOURS  GIB-HOURS  BUSY  IDLE-HELD   KWH  COST",
        "ada           5.00     100.00  42 %       1.00  1.00  0.50",
        "unknown       5.00     100.00  42 %       1.00  1.00  0.50",
        "nobody        0.00          ?     ?       0.00  1.00  0.50",
        "total        10.00     200.00  42 %       0.00  3.00  1.50",
    ]
    assert "10.0 of 10.0 GPU-hours were recorded" in found[5]


@pytest.mark.parametrize("by", GroupBy)
def test_without_a_price_there_is_no_cost(by):
    """And every row has as many columns as the head."""
    assert "COST" not in table(by)[0]
    assert len({len(line) for line in table(by)[:3]}) == 1


def test_what_is_unknown_is_null_in_json():
    """An unknown owner is a kind of its own, and no user's name."""
    found = history()
    rows = usage_json(usage(found, GroupBy.USER), found, None)["rows"]
    assert [(row["kind"], row["user"], row["cost"]) for row in rows] == [
        ("user", "ada", None),
        ("unknown", None, None),
        ("nobody", None, None),
    ]


def test_every_sample_is_a_record_with_all_fields():
    """An unknown value is None and no 0; an odd name comes back from CSV as it was."""
    found = list(sample_records(history()))
    assert [each["kind"] for each in found] == ["gpu", "user", "user", "process"]
    assert all(tuple(each) == SAMPLE_FIELDS for each in found)
    assert (found[0]["temperature_mean"], found[0]["level"], found[2]["user"]) == (None, None, None)
    out = io.StringIO()
    writer = csv.DictWriter(out, SAMPLE_FIELDS)
    writer.writeheader()
    writer.writerows(found)
    assert list(csv.DictReader(io.StringIO(out.getvalue())))[3]["name"] == HOSTILE


def test_nothing_recorded_is_said(installed):
    """Exit code 0, and no file is made by asking."""
    done = installed.run("report", "usage")
    assert (done.returncode, "nothing was recorded" in done.stdout) == (0, True)
    assert not list(installed.state.glob("samples-*"))


@pytest.mark.parametrize("length", ["tomorrow", "x", "", "0h", "-5", "400d"])
def test_what_is_no_time_until_now_ends_with_2(installed, length):
    """A time to come, none, and no time at all: the line names none of them as right."""
    done = installed.run("report", "usage", f"--since={length}")
    assert done.returncode == 2
    assert f"--since: expected a duration such as 12h or 7d, got {length!r}" in done.stderr


def test_samples_in_no_format_end_with_2(installed):
    """Nobody wants them by accident."""
    assert installed.run("report", "samples").returncode == 2


@pytest.mark.driver
def test_what_a_watcher_saw_is_told(installed):
    """A `watch` records until it ends, its last minute too; `check` records nothing."""
    gpus = [FakeGpu.numbered(0, FakeProcess(os.getpid(), 2048 * MIB), utilisation=50), FakeGpu.numbered(1)]
    installed.play(Scenario(gpus=gpus))
    installed.configure(POLL_SEC=0.2, ENERGY_PRICE="0.5", TO_EMAIL="")
    installed.run("check", "--dry-run")
    assert not list(installed.state.glob("samples-*"))
    with installed.watching():
        time.sleep(2.5)
    answer = json.loads(installed.run("report", "usage", "--json").stdout)
    (row,) = [row for row in answer["rows"] if row["kind"] != "nobody"]
    assert 0.5 / 3600 < row["gpu_hours"] < 10 / 3600
    assert row["utilisation_percent"] == 50
    assert row["gib_hours"] == pytest.approx(2 * row["gpu_hours"], abs=3e-4)
    samples = json.loads(installed.run("report", "samples", "--json").stdout)
    assert {each["kind"] for each in samples} == {"gpu", "user", "process"}
    by_process = installed.run("report", "usage", "--by", "process", "--csv").stdout
    assert str(os.getpid()) in by_process


def test_hours_without_known_energy_are_told():
    """The table says of how many hours the energy is missing, where it is more than a hundredth."""
    found = history()
    ((gpu, (sample,)),) = found.samples.items()
    dark = replace(sample, at=600, covered=1800.0, energy=None)
    for covered, told in ((1800.0, True), (60.0, False)):
        mixed = replace(found, samples={gpu: (sample, replace(dark, covered=covered))})
        answer = usage_json(usage(mixed, GroupBy.GPU), mixed, None)
        assert answer["energy_unknown_hours"] == pytest.approx(covered / 3600, abs=1e-4)
        assert (
            any("energy is missing for 0.5 of them" in line for line in usage_lines(answer, GroupBy.GPU))
            is told
        )


@pytest.mark.driver
def test_impossible_power_and_energy_add_up_to_nothing(installed):
    """4,294,967 W, a counter that runs backwards and one that leaps are in no sum, and the table says why."""
    gpu = FakeGpu.numbered(
        0, FakeProcess(os.getpid(), 2048 * MIB), utilisation=50, power=0xFFFFFFFF / 1000, energy=5000
    )
    installed.play(Scenario(gpus=[gpu]))
    installed.configure(POLL_SEC=0.2, ENERGY_PRICE="0.5", TO_EMAIL="")
    with installed.watching():
        for counter in (5000, 100, 1e12):
            installed.play(Scenario(gpus=[replace(gpu, energy=counter)]))
            time.sleep(1)
    answer = json.loads(installed.run("report", "usage", "--json").stdout)
    assert answer["total"]["gpu_hours"] > 0.5 / 3600
    for row in (*answer["rows"], answer["total"]):
        assert (row["energy_kwh"], row["cost"]) == (None, None)
    assert answer["energy_unknown_hours"] == pytest.approx(sum(answer["seen_hours"].values()), abs=1e-3)
    (sample,) = [
        row for row in json.loads(installed.run("report", "samples", "--json").stdout) if row["kind"] == "gpu"
    ][:1]
    assert (sample["energy"], sample["power_high"]) == (None, None)
    told = installed.run("report", "usage").stdout
    assert "no energy is known: the driver reported no power, or only impossible readings" in told
