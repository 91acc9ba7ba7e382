"""A month through the real store, against what is known to have been."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from gpuwatch_tray.history.aggregate import LONGEST_STRETCH
from gpuwatch_tray.history.sample_reader import UseDetail, read_samples
from gpuwatch_tray.history.usage import GroupBy, usage
from gpuwatch_tray.model import MINUTE_SAMPLES_KEPT, TEN_MINUTES
from gpuwatch_tray.model.units import MINUTE
from tests.history.use_month import DAY, EVENTS, HOUR, STEP, USERS, Month
from tests.support.machine_history import NOON

PERCENT = 0.01


def all_of(month, **asked):
    """Everything, what a wrong clock put into the next year too."""
    return read_samples(month.folder, "box", NOON - 2 * HOUR, NOON + 500 * DAY, month.clock.now, **asked)


def test_a_month_is_told_as_it_was(tmp_path):
    """Every sum to a hundredth; one test, as the month is lived through once."""
    month = Month(tmp_path)
    month.run()
    history = all_of(month)
    for check in (users, gpus, processes, sums, what_nobody_saw, ten_minutes):
        check(month, history)
    size(month)


def users(month, history):
    """Over folding, restarts, kills, suspends, reboots, steps of the clock and a silent driver."""
    rows = {row.who: row.sums for row in usage(history, GroupBy.USER).rows}
    assert set(rows) == set(USERS)
    for user, sums in rows.items():
        for name, value in (
            ("hours", sums.hours),
            ("memory", sums.memory),
            ("energy", sums.energy),
            ("idle", sums.idle),
        ):
            assert value == pytest.approx(month.truth.of_user(user, name), rel=PERCENT), (user, name)


def gpus(month, history):
    """By its meter, by its power, by a meter alone, and by a meter that is seldom read."""
    rows = {row.who: row.sums for row in usage(history, GroupBy.GPU).rows}
    for index in range(4):
        sums = rows[f"GPU-{index:04d}"]
        assert sums.hours == pytest.approx(month.truth.hours["gpu", index], rel=PERCENT)
        assert sums.idle == pytest.approx(month.truth.idle["gpu", index], rel=PERCENT)
        assert sums.energy == pytest.approx(month.truth.energy["gpu", index], rel=PERCENT)


def processes(month, history):
    """To two readings; one during which the program was killed may lack the minutes that were held back."""
    keys = {run.key: run for run in history.runs}
    found = {}
    for row in usage(history, GroupBy.PROCESS).rows:
        found.setdefault(keys[row.who].pid, []).append(row.sums.hours)
    assert len(found) > 100
    kills = [hour * HOUR for hour, what, _ in EVENTS if what == "kill"]
    for job in month.jobs:
        truth, told = month.truth.hours["run", job.pid], sum(found.get(job.pid, [0.0]))
        killed = any(job.start < at < job.end + LONGEST_STRETCH for at in kills)
        assert told == pytest.approx(
            truth, abs=2 * STEP / HOUR + 0.02 * truth + killed * LONGEST_STRETCH / HOUR
        ), job


def sums(month, history):
    """Check that each process's sums are those of its uses, by the minute and by ten."""
    for finest in (MINUTE, TEN_MINUTES):
        each = usage(all_of(month, finest=finest), GroupBy.PROCESS)
        summed = usage(all_of(month, finest=finest, processes=UseDetail.SUMMED), GroupBy.PROCESS)
        assert [row.who for row in summed.rows] == [row.who for row in each.rows]
        for one, other in zip(summed.rows, each.rows, strict=True):
            for name in ("hours", "memory", "utilisation", "idle", "energy"):
                assert getattr(one.sums, name) == pytest.approx(getattr(other.sums, name)), (one, other)


def what_nobody_saw(month, history):
    """Check that the observed hours are those in which somebody watched, not those of the month."""
    whole = usage(history, GroupBy.GPU)
    seen = month.truth.seen / HOUR
    assert seen < 29 * 24 - 25
    for hours in whole.observed_hours.values():
        assert hours == pytest.approx(seen, rel=PERCENT)
    assert whole.unattributed == pytest.approx(
        sum(value for who, value in month.truth.energy.items() if who[0] == "gpu")
        - sum(value for who, value in month.truth.energy.items() if who[0] == "user"),
        rel=2 * PERCENT,
    )


def ten_minutes(month, history):
    """Check that minutes and folded values agree."""
    coarse = all_of(month, finest=TEN_MINUTES)
    one, other = (usage(found, GroupBy.USER).whole for found in (history, coarse))
    assert (one.hours, one.energy, one.idle) == pytest.approx(
        (other.hours, other.energy, other.idle), rel=1e-4
    )


def size(month):
    """Check that samples older than two days are ten-minute ones only, and the file has a few megabytes."""
    path = month.store.path
    with closing(sqlite3.connect(path)) as found:
        (minutes,) = found.execute(
            "SELECT count(*) FROM minutes WHERE at < ?", (month.clock.now + DAY,)
        ).fetchone()
        (oldest,) = found.execute("SELECT min(at) FROM minutes").fetchone()
    assert minutes < 79 * 60
    assert oldest > month.clock.now - MINUTE_SAMPLES_KEPT - 60 * LONGEST_STRETCH
    assert path.stat().st_size < 8_000_000
