"""The samples' store: what was seen, by the minute and by ten, and nothing that was not."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import sqlite3
from contextlib import closing

import pytest

from gpuwatch_tray.history import sample_store
from gpuwatch_tray.history.sample_reader import UseDetail, read_samples
from gpuwatch_tray.model import (
    MINUTE_SAMPLES_KEPT,
    TEN_MINUTE_SAMPLES_KEPT,
    TEN_MINUTES,
    UNKNOWN,
    GpuSample,
    Minute,
    Missing,
    Severity,
    Span,
    Stretch,
    Why,
)
from gpuwatch_tray.model.units import MINUTE
from gpuwatch_tray.store import StoreError
from tests.store import faults
from tests.support.fakes import alert, process
from tests.support.machine_history import NOON, UUID, Past, gpu

HOUR, DAY = 3600, 86400


@pytest.fixture
def machine(tmp_path, journal):
    running = Past(tmp_path)
    yield running
    running.kill()


def test_a_minute_is_read_as_it_was_seen(machine):
    """Values, owner, name and alerts come back from the file, weighted by time."""
    machine.poll(process(1))
    machine.poll_for(process(1), seconds=30, gpus=(gpu(temperature=60),))
    machine.poll_for(process(1), seconds=30, gpus=(gpu(temperature=80),), alerts=(alert(subject=UUID),))
    machine.poll(process(1))
    found = machine.history()
    (sample,) = [each for each in found.samples[UUID] if each.at == NOON]
    assert (sample.temperature.low, sample.temperature.high) == (60, 80)
    assert sample.temperature.mean == pytest.approx((30 * 60 + 25 * 80) / 55, rel=1e-4)
    assert sample.level is Severity.WARNING
    assert (sample.seconds, sample.covered) == (MINUTE, 55)
    (run,) = found.runs
    assert (run.user, run.name, run.computes, run.uuid) == ("ada", "python", True, UUID)
    (use,) = [each for each in found.processes if each.at == NOON]
    assert (use.who, use.seconds_in_use) == (run.key, 55)


def test_ten_minutes_come_from_the_minutes(machine):
    """Past 48 h, or where it is asked for, the same time comes in ten-minute values with the same sums."""
    machine.poll_for(process(1), seconds=3600)
    fine, coarse = machine.history(), machine.history(finest=TEN_MINUTES)
    assert {sample.seconds for sample in coarse.samples[UUID]} == {TEN_MINUTES}
    for name in ("covered", "seconds_in_use", "energy"):
        sums = [sum(getattr(each, name) for each in found.samples[UUID]) for found in (fine, coarse)]
        assert sums[0] == pytest.approx(sums[1], rel=1e-3)


def test_unknown_is_none_and_a_time_without_a_look_has_no_sample(machine):
    """Neither an error nor an absence is ever a 0, by the minute and by ten."""
    machine.poll_for(
        seconds=600, gpus=(gpu(power=Missing(Why.ERROR, "x"), temperature=Missing(Why.ERROR, "x")),)
    )
    machine.clock.advance(1800)
    machine.poll_for(seconds=600)
    for finest in (MINUTE, TEN_MINUTES):
        before, after = [], []
        for sample in machine.history(finest=finest).samples[UUID]:
            (before if sample.at < NOON + 600 else after).append(sample)
        assert {(sample.power, sample.temperature, sample.energy) for sample in before} == {
            (None, None, None)
        }
        assert min(sample.at for sample in after) == NOON + 2400


def minute(at) -> Minute:
    """Make a minute that is unlike those around it."""
    heat = float(at // MINUTE % 7 * 10)
    span = Span(heat, heat, heat, 60.0)
    sample = GpuSample(UUID, at, MINUTE, 60.0, 12, temperature=span, energy=float(at // MINUTE % 997))
    return Minute(Stretch(at, MINUTE, (sample,)))


def busy(number=0):
    """Return a GPU that does something else each time."""
    return (gpu(utilisation=30 + number * 17 % 50),)


def rows(machine, table="minutes") -> int:
    with closing(sqlite3.connect(machine.store.path)) as found:
        return found.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_nothing_is_written_while_nothing_changes(machine):
    """Eight hours of a GPU at rest are a write in half an hour, and come back minute by minute."""
    machine.poll_for(seconds=35 * MINUTE, gpus=(gpu(utilisation=0, power=8.0),))
    written = machine.store.path.stat().st_mtime_ns
    before = rows(machine)
    machine.poll_for(seconds=20 * MINUTE, gpus=(gpu(utilisation=0, power=8.0),))
    assert (rows(machine), machine.store.path.stat().st_mtime_ns) == (before, written)
    machine.poll_for(seconds=8 * HOUR, gpus=(gpu(utilisation=0, power=8.0),))
    assert rows(machine) <= 2 + 2 * 10
    samples = machine.history().samples[UUID]
    assert {sample.seconds for sample in samples} == {MINUTE}
    assert sum(sample.covered for sample in samples) == pytest.approx(8 * HOUR + 54 * MINUTE, abs=60)
    assert [b.at - a.at for a, b in itertools.pairwise(samples)] == [MINUTE] * (len(samples) - 1)


def test_what_was_seen_before_a_crash_is_there_after_it(machine):
    """Kill -9 costs the minute that is open, and its ten minutes are folded by whoever comes next."""
    for number in range(26 * 12 - 6):
        machine.poll(process(1), gpus=busy(number))
    machine.kill()
    machine.clock.advance(30)
    machine.open()
    for number in range(30 * 12):
        machine.poll(process(1), gpus=busy(number))
    for finest in (MINUTE, TEN_MINUTES):
        found = machine.history(finest=finest)
        assert sum(use.seconds_in_use for use in found.users) == pytest.approx(54 * MINUTE, abs=MINUTE)
        assert [(run.first, run.last >= NOON + 55 * MINUTE) for run in found.runs] == [(NOON + 10, True)]


def test_a_restart_within_a_minute_doubles_nothing(machine):
    """The two parts of it are one sample, by the minute and by ten."""
    machine.poll_for(seconds=3 * MINUTE + 20)
    machine.restart(seconds=10.0)
    machine.poll_for(seconds=20 * MINUTE)
    for finest in (MINUTE, TEN_MINUTES):
        samples = machine.history(finest=finest).samples[UUID]
        assert len({sample.at for sample in samples}) == len(samples)
        assert sum(sample.covered for sample in samples) == pytest.approx(23 * MINUTE, abs=MINUTE)


def test_a_clock_that_was_set_back_loses_nothing(machine):
    """What is seen twice at a wall time is in one sample with both, also where it was folded before."""
    machine.poll_for(process(1), seconds=HOUR)
    machine.clock.jump(-HOUR)
    machine.poll_for(process(1), seconds=HOUR)
    machine.poll_for(process(1), seconds=HOUR)
    for finest in (MINUTE, TEN_MINUTES):
        found = machine.history(NOON - HOUR, NOON + DAY, finest=finest)
        samples = found.samples[UUID]
        assert len({sample.at for sample in samples}) == len(samples)
        assert sum(sample.covered for sample in samples) == pytest.approx(3 * HOUR, rel=0.01)
        assert sum(use.seconds_in_use for use in found.users) == pytest.approx(3 * HOUR, rel=0.01)


def test_minutes_go_after_two_days_and_tens_after_thirty(machine):
    """What is dropped as a minute is there as ten; what is older than a month is gone."""
    now = int(NOON)
    for day in range(33):
        for number in range(12):
            machine.store.add(minute(now + day * DAY + number * MINUTE))
    end = now + 32 * DAY + 12 * MINUTE
    with closing(sqlite3.connect(machine.store.path)) as found:
        (oldest,) = found.execute("SELECT min(at) FROM minutes").fetchone()
        (first,) = found.execute("SELECT min(at) FROM tens").fetchone()
    assert end - 9 * DAY < oldest <= end - MINUTE_SAMPLES_KEPT
    assert end - TEN_MINUTE_SAMPLES_KEPT - 7 * DAY < first <= end - 29 * DAY
    machine.clock.now = end
    samples = machine.history(now + 10 * DAY, end).samples[UUID]
    assert {sample.seconds for sample in samples if sample.at < end - MINUTE_SAMPLES_KEPT - TEN_MINUTES} == {
        TEN_MINUTES
    }
    assert sum(sample.energy for sample in samples) == pytest.approx(
        sum(
            float((now + day * DAY + n * MINUTE) // MINUTE % 997) for day in range(10, 33) for n in range(12)
        ),
        rel=1e-3,
    )


def test_a_wrong_clock_for_a_while_does_not_cost_the_past(machine):
    """A clock that is years ahead for half an hour prunes nothing."""
    for number in range(120):
        machine.store.add(minute(int(NOON) + number * MINUTE))
    for number in range(30):
        machine.store.add(minute(int(NOON) + 20 * 365 * DAY + number * MINUTE))
    for number in range(120, 240):
        machine.store.add(minute(int(NOON) + number * MINUTE))
    machine.clock.now = NOON + 240 * MINUTE
    assert len(machine.history().samples[UUID]) == 240


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_READONLY])
def test_a_full_disk_costs_nothing_but_the_oldest_minutes(machine, monkeypatch, code):
    """What could not be written is written with the next that can: ten minutes of it are kept."""
    disk = faults.install(monkeypatch, machine.store.path)
    machine.store.add(minute(int(NOON)))
    with disk.failing(code, "INSERT INTO minutes"):
        for number in range(1, 6):
            with pytest.raises(StoreError, match="samples cannot be written"):
                machine.store.add(minute(int(NOON) + number * MINUTE))
    machine.store.add(minute(int(NOON) + 6 * MINUTE))
    machine.clock.now = NOON + HOUR
    assert len(machine.history().samples[UUID]) == 7


def test_a_damaged_file_is_set_aside_and_begun_anew(machine, caplog):
    """The samples are lost, and said to be so once; recording goes on."""
    machine.poll_for(process(1), seconds=10 * MINUTE)
    machine.stop()
    machine.store.path.write_bytes(b"SQLite format 3\0" + b"rubbish" * 1000)
    machine.open()
    with caplog.at_level(logging.WARNING):
        machine.poll_for(process(1), seconds=10 * MINUTE)
    assert len([line for line in caplog.messages if "damaged" in line]) == 1
    found = machine.history()
    assert {sample.at for sample in found.samples[UUID]} == {NOON + n * MINUTE for n in range(10, 19)}
    assert [run.user for run in found.runs] == ["ada"]
    assert machine.store.path.with_name(f"{machine.store.path.name}.damaged").exists()


def test_a_row_that_makes_no_sense_is_a_gap(machine):
    """One damaged row is not the end of all others, neither for a reader nor for the folding."""
    machine.poll_for(process(1), seconds=9 * MINUTE)
    with closing(sqlite3.connect(machine.store.path)) as found:
        found.execute("UPDATE minutes SET body = x'00' WHERE at = ?", (int(NOON) + 4 * MINUTE,))
        found.commit()
    machine.poll_for(process(1), seconds=11 * MINUTE)
    seconds_in_use = {
        finest: sum(use.seconds_in_use for use in machine.history(finest=finest).users)
        for finest in (MINUTE, TEN_MINUTES)
    }
    assert (
        seconds_in_use[MINUTE] == seconds_in_use[TEN_MINUTES] == pytest.approx(19 * MINUTE - 10, abs=MINUTE)
    )


def test_a_file_that_was_deleted_is_made_again(machine):
    """The processes are in the new one by name, though they were known to the old."""
    machine.poll_for(process(1), seconds=3 * MINUTE)
    for path in machine.folder.iterdir():
        path.unlink()
    machine.poll_for(process(1), process(2), seconds=3 * MINUTE)
    found = machine.history()
    assert len(found.samples[UUID]) == 3
    assert sorted(run.pid for run in found.runs) == [1, 2]


def test_a_newer_versions_file_is_left_alone(machine):
    """Neither written nor read, and what mends it is said."""
    machine.store.add(minute(int(NOON)))
    machine.kill()
    with closing(sqlite3.connect(machine.store.path)) as found:
        found.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer gpuwatch-tray"):
        machine.store.add(minute(int(NOON) + MINUTE))
    with pytest.raises(StoreError, match="newer gpuwatch-tray"):
        machine.history()


def test_without_a_file_there_is_no_history(tmp_path):
    """A machine on which nothing was recorded is no error, and nothing is made there by asking."""
    found = read_samples(tmp_path / "none", "box", 0.0, NOON, NOON)
    assert (found.gpus, found.samples, found.runs) == ((), {}, ())
    assert not (tmp_path / "none").exists()


def test_the_file_is_private(machine):
    """Who computed what is nobody else's business."""
    machine.store.add(minute(int(NOON)))
    if os.name == "posix":
        assert {path.stat().st_mode & 0o777 for path in machine.folder.iterdir()} == {0o600}


def _read(folder, answers) -> None:
    found = read_samples(folder, "box", NOON, NOON + HOUR, NOON + HOUR)
    answers.put(sum(sample.covered for sample in found.samples[UUID]))


def test_another_process_reads_while_one_writes(machine):
    """Without a lock that either would wait for, and without changing the file."""
    machine.poll_for(seconds=20 * MINUTE)
    machine.store.flush()
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    child = context.Process(target=_read, args=(machine.folder, answers))
    child.start()
    assert answers.get(timeout=60) == pytest.approx(19 * MINUTE - 5, abs=MINUTE / 2)
    child.join(60)
    machine.poll_for(seconds=MINUTE)


def test_short_jobs_do_not_fill_the_disk(machine, monkeypatch):
    """Of a stretch the longest processes are kept, of all the latest; the sums of users have them all."""
    monkeypatch.setattr(sample_store, "MOST_PROCESSES", 8)
    monkeypatch.setattr(sample_store, "MOST_RUNS", 100)
    for number in range(90):
        batch = [process(1000 * number + n) for n in range(20)]
        machine.poll_for(*batch, seconds=MINUTE)
    found = machine.history()
    assert rows(machine, "runs") <= 100 + 10 * 20
    assert sum(use.seconds_in_use for use in found.users) == pytest.approx(89 * MINUTE - 5, abs=5)
    assert (
        max(sum(use.at == at for use in found.processes) for at in {use.at for use in found.processes}) <= 8
    )


def test_a_writer_of_short_jobs_does_not_grow(machine):
    """What it knows of processes that are over is forgotten once in ten minutes: it runs for months."""
    sizes = []
    for number in range(100):
        machine.poll_for(*[process(1000 * number + n) for n in range(50)], seconds=MINUTE)
        sizes.append(len(machine.store._names._runs) if machine.store._names else 0)
    assert max(sizes) <= 12 * 50


def test_a_later_word_completes_what_is_known_of_a_process(machine):
    """An owner that could not be told at first has a name from when it could; what was known stays known."""
    machine.poll_for(process(1, user=UNKNOWN, mine=None, kinds="G"), seconds=2 * MINUTE)
    machine.poll_for(process(1), seconds=15 * MINUTE)
    machine.poll_for(process(1, user=UNKNOWN, mine=None), seconds=15 * MINUTE)
    (run,) = machine.history().runs
    assert (run.user, run.mine, run.computes) == ("ada", True, True)


def test_the_size_is_bounded(tmp_path):
    """8 GPUs and 100 processes of which nothing repeats stay under 30 MB in a month, by what a row takes."""
    machine = Past(tmp_path, every=20.0, gap=60.0)
    spread = range(7, 10**6, 104_729)
    for number in range(10 * 3):
        jitter = [(number * 7919 + step) % 1000 for step in spread]
        gpus = tuple(
            gpu(
                n,
                memory_used=jitter[n] * 12_345_678,
                utilisation=jitter[n] % 101,
                temperature=30 + jitter[n] % 60,
                power=jitter[n] / 3,
            )
            for n in range(8)
        )
        processes = [
            process(n, n % 8, user=f"user{n % 5}", memory=jitter[n % 9] * (9_876_543 + n)) for n in range(100)
        ]
        machine.poll(*processes, gpus=gpus)
    machine.stop()
    with closing(sqlite3.connect(machine.store.path)) as found:
        (row,) = found.execute("SELECT avg(length(body) + length(processes)) FROM minutes").fetchone()
    month = (MINUTE_SAMPLES_KEPT // MINUTE + TEN_MINUTE_SAMPLES_KEPT // TEN_MINUTES) * (row + 100)
    assert 5_000_000 < month < 25_000_000


@pytest.mark.parametrize("finest", [MINUTE, TEN_MINUTES])
@pytest.mark.parametrize("shift", [0, 60, 90, 700])
def test_a_sum_of_uses_is_cut_where_the_uses_are(machine, finest, shift):
    """Half an hour that was told as one stretch is counted from the window on in which the time begins."""
    machine.poll_for(process(1), process(2, memory=UNKNOWN), seconds=2 * HOUR)
    asked = {"start": NOON + shift, "end": NOON + 5000 + shift, "finest": finest}
    each = machine.history(**asked).processes
    summed = machine.history(processes=UseDetail.SUMMED, **asked).processes
    assert len({use.who for use in each}) == len(summed) == 2
    for use in summed:
        mine = [one for one in each if one.who == use.who]
        assert use.seconds_in_use == pytest.approx(sum(one.seconds_in_use for one in mine))
        assert (use.memory is None) == all(one.memory is None for one in mine)
    assert machine.history(processes=UseDetail.NONE, **asked).processes == ()
