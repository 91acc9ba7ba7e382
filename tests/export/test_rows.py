"""A snapshot as metrics: what is told, what is not, and that nothing unknown looks known."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gpuwatch_tray.common.redact import pseudonym
from gpuwatch_tray.export.metrics import GPU, METRICS
from gpuwatch_tray.export.prometheus_files import list_rules
from gpuwatch_tray.export.reading_tally import ReadingTally
from gpuwatch_tray.export.rows import LONGEST, FiringAlert, build_rows
from gpuwatch_tray.model import (
    UNKNOWN,
    ExportSettings,
    ExportUsers,
    Gpu,
    Limits,
    Missing,
    Problem,
    Severity,
    Why,
    Xid,
)
from tests.support.documentation import read
from tests.support.fakes import MIB, START, process, snapshot

FULL = Gpu(
    0,
    "GPU-a",
    "Test GPU",
    memory_used=MIB,
    memory_total=4 * MIB,
    utilisation=50,
    temperature=61,
    power=200.5,
    power_limit=300.0,
    fan=25,
    energy=1e6,
    ecc_uncorrected=2,
)
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, what turns text round, halves of characters, line ends
PARTS = ("MIG-a", "MIG-b")


def rows(reading, export=None, firing=(), tally=None, limits=None):
    tally = tally or ReadingTally(START - 100)
    tally.add(reading)
    return build_rows(reading, tally, limits or Limits(), export or ExportSettings(), firing)


def value(found, name, *labels):
    return found[name][labels]


def test_the_units_are_those_of_prometheus():
    """Bytes, a share of 1, degrees C, W and J, whatever unit the driver has."""
    found = rows(snapshot(gpus=(FULL,)))
    told = {name: entry["0", "GPU-a"] for name, entry in found.items() if ("0", "GPU-a") in entry}
    assert told == {
        "gpu_free": 1,
        "gpu_healthy": 1,
        "gpu_list_complete": 1,
        "gpu_memory_used_bytes": MIB,
        "gpu_memory_total_bytes": 4 * MIB,
        "gpu_utilization_ratio": 0.5,
        "gpu_fan_ratio": 0.25,
        "gpu_temperature_celsius": 61,
        "gpu_power_watts": 200.5,
        "gpu_power_limit_watts": 300,
        "gpu_energy_joules_total": 1e6,
        "gpu_ecc_uncorrected_total": 2,
        "gpu_processes": 0,
        "gpu_processes_omitted": 0,
    }
    assert value(found, "gpu_info", "0", "GPU-a", "Test GPU", "gpu") == 1
    assert value(found, "last_reading_timestamp_seconds") == START


def test_what_is_not_known_has_no_row():
    """A GPU that tells nothing has no number: neither 0 nor that of the reading before."""
    tally = ReadingTally(START)
    rows(snapshot(gpus=(FULL,)), tally=tally)
    found = rows(snapshot(gpus=(Gpu(0, "GPU-a", temperature=Missing(Why.ERROR, "timeout")),)), tally=tally)
    named = {name for name, entry in found.items() if ("0", "GPU-a") in entry}
    assert named == {"gpu_free", "gpu_healthy", "gpu_list_complete", "gpu_processes", "gpu_processes_omitted"}


def test_nothing_of_a_gpu_is_told_while_nothing_can_be_read():
    """There is reading_ok 0, the time of the last good reading, and the alerts that go on."""
    tally = ReadingTally(START)
    rows(snapshot(process(1), gpus=(FULL,)), tally=tally)
    blind = replace(snapshot(gpus=(FULL,), at=START + 60), problem=Problem("hangs"))
    assert rows(blind, tally=tally, firing=[FiringAlert("gpu_lost", Severity.CRITICAL, (0,))]) == {
        "reading_ok": {(): 0},
        "last_reading_timestamp_seconds": {(): START},
        "alerts_evaluated": {(): 1},
        "alert": {("gpu_lost", "critical", "0"): 1},
    }
    assert build_rows(None, ReadingTally(START), Limits(), ExportSettings(), None) == {
        "reading_ok": {(): 0},
        "alerts_evaluated": {(): 0},
    }


def test_a_lost_gpu_counts_as_expected_and_has_no_values():
    """Of it there is what it is, that it is not healthy, and that its processes are not known."""
    found = rows(snapshot(gpus=(replace(FULL, index=1, uuid="GPU-b"), replace(FULL, problem="lost"))))
    assert value(found, "gpus_visible") == 1
    assert value(found, "gpus_expected") == 2
    named = {name for name, entry in found.items() if ("0", "GPU-a") in entry}
    assert named == {"gpu_healthy", "gpu_list_complete"}
    assert value(found, "gpu_healthy", "0", "GPU-a") == 0
    assert value(found, "user_list_complete") == 0


@pytest.mark.parametrize(
    ("gpu", "processes", "free"),
    [
        (Gpu(0, "GPU-a"), (), 1),
        (Gpu(0, "GPU-a"), (process(1, kinds="G"),), 1),
        (Gpu(0, "GPU-a"), (process(1),), 0),
        (Gpu(0, "GPU-a", asleep=True), (), 1),
        (Gpu(0, "GPU-a", process_problem="no permission"), (), None),  # nobody knows
        (Gpu(0, "GPU-a", process_problem="no permission"), (process(1),), 0),  # one is enough
        (Gpu(0, "GPU-a", problem="lost"), (), None),
        (Gpu(0, "GPU-a"), (process(1, None),), None),  # it may be on this one
        (Gpu(0, ""), (), None),  # a process list names no idle GPU
    ],
)
def test_a_gpu_is_free_only_where_that_is_known(gpu, processes, free):
    """As for `when free`: what cannot be told has no row."""
    found = rows(snapshot(*processes, gpus=(gpu,)))
    assert found.get("gpu_free", {}).get((str(gpu.index), gpu.uuid)) == free


@pytest.mark.parametrize("listed", [(), (process(1, 0), process(2, 3))])
def test_a_process_list_says_neither_how_many_gpus_there_are_nor_who_else_computes(listed):
    """It may be of one user, and names no idle GPU; an empty one is no machine without GPUs."""
    gpus = tuple(Gpu(each.gpu, "") for each in listed)
    found = rows(snapshot(*listed, gpus=gpus))
    assert value(found, "reading_ok") == 1
    assert value(found, "user_list_complete") == 0
    assert not {"gpus_visible", "gpus_expected", "gpu_healthy", "gpu_processes"} & found.keys()
    assert {*found.get("gpu_free", {}).values(), *found.get("gpu_list_complete", {}).values()} <= {0}


def test_a_gpu_with_mig_devices_is_free_with_all_of_them():
    """Free GPUs can be summed up: a MIG device is none of its own. Its processes are under its UUID."""
    parts = tuple(Gpu(0, uuid, physical="GPU-a") for uuid in PARTS)
    found = rows(snapshot(process(1, device="MIG-a"), process(1, device="MIG-b"), gpus=(FULL, *parts)))
    assert found["gpu_free"] == {("0", "GPU-a"): 0}
    assert found["gpus_expected"] == {(): 1}
    assert found["gpu_processes"] == {("0", "GPU-a"): 0, ("0", "MIG-a"): 1, ("0", "MIG-b"): 1}
    assert len(found["process_memory_bytes"]) == 2
    assert value(found, "user_gpus", "ada") == 1


def test_a_gpu_is_not_healthy_when_it_says_so_or_a_critical_alert_does():
    """Broken memory, a reset that it wants, and a critical alert about it; a warning is none."""
    gpus = (
        Gpu(0, "GPU-0", rows_failed=True),
        Gpu(1, "GPU-1", recovery=2),
        Gpu(2, "GPU-2", recovery=0, rows_failed=False),
        Gpu(3, "GPU-3"),
    )
    firing = [FiringAlert("ecc", Severity.CRITICAL, (3,)), FiringAlert("temp", Severity.WARNING, (2,))]
    assert [*rows(snapshot(gpus=gpus), firing=firing)["gpu_healthy"].values()] == [0, 0, 1, 0]


def test_the_processes_with_the_most_memory_are_told():
    """EXPORT_PROCESSES of each GPU; the others are counted. At 0 there is none."""
    running = [process(pid, memory=pid * MIB) for pid in (5, 1, 9, 3)]
    found = rows(snapshot(*running, gpus=(FULL,)), ExportSettings(processes=2))
    assert sorted(labels[2] for labels in found["process_memory_bytes"]) == ["5", "9"]
    assert value(found, "gpu_processes", "0", "GPU-a") == 4
    assert value(found, "gpu_processes_omitted", "0", "GPU-a") == 2
    found = rows(snapshot(*running, gpus=(FULL,)), ExportSettings(processes=0))
    assert "process_memory_bytes" not in found
    assert value(found, "gpu_processes_omitted", "0", "GPU-a") == 4
    assert value(found, "user_memory_bytes", "ada") == 18 * MIB


def test_what_a_user_has_is_what_the_rules_count():
    """GPUs with a compute context, without ignored programs; memory only where all of it is known."""
    reading = snapshot(
        process(1, 0, started=START - 500),
        process(2, 1, memory=UNKNOWN),
        process(3, 2, kinds="G"),
        process(4, 3, name="xmrig"),
        process(5, 3, mine=False, started=UNKNOWN),
    )
    found = rows(reading, limits=Limits(ignore=frozenset({"xmrig"})))
    assert found["user_gpus"] == {("ada",): 2, ("bob",): 1}
    assert found["user_memory_bytes"] == {("bob",): 2828 * MIB}
    assert found["user_oldest_start_timestamp_seconds"] == {("ada",): START - 500}
    assert value(found, "user_list_complete") == 1


def test_an_unknown_owner_leaves_the_users_incomplete():
    """The process is told without a name; nobody else's counts say that they are all."""
    found = rows(snapshot(process(1), process(2, user=UNKNOWN, mine=None)))
    assert found["user_gpus"] == {("ada",): 1}
    assert value(found, "user_list_complete") == 0
    assert {labels[3] for labels in found["process_memory_bytes"]} == {"ada", ""}


@pytest.mark.parametrize(
    ("users", "named"),
    [(ExportUsers.NAMES, {"ada"}), (ExportUsers.HASHED, {pseudonym("ada")}), (ExportUsers.NONE, set())],
)
def test_users_are_named_as_the_setting_says(users, named):
    """By name, by what is the same on every machine and is not the name, or not at all."""
    found = rows(snapshot(process(1)), ExportSettings(users=users))
    assert {labels[0] for labels in found.get("user_gpus", {})} == named
    assert {labels[3] for labels in found["process_memory_bytes"]} == (named or {""})
    assert value(found, "user_list_complete") == (users is not ExportUsers.NONE)
    assert pseudonym("ada") == "user-fdee430d40bd"


def test_xids_are_counted_from_the_start():
    """They only rise, while each reading has those since the one before; a lost GPU's go on."""
    tally = ReadingTally(START)
    event = Xid("GPU-a", 79, START)
    rows(snapshot(gpus=(FULL,), events=(event, event)), tally=tally)
    found = rows(snapshot(gpus=(replace(FULL, problem="lost"),), events=(event,)), tally=tally)
    assert found["gpu_xid_total"] == {("0", "GPU-a", "79"): 3}


def test_no_command_no_folder_and_no_secret_is_told():
    """Of a process there are its number, owner, program and type; a title with a token in it is redacted."""
    canary = "hf_canary0123456789abcdefghijkl"
    running = process(
        1,
        name=f"python --token {canary}",
        command=("python", "/home/ada/secret-project/train.py", "--token", canary),
        cwd="/home/ada/secret-project",
    )
    text = repr(rows(snapshot(running)))
    assert "python" in text
    for part in (canary, "secret-project", "train.py", running.identity):
        assert part not in text


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_label_shows_and_ends(user, name):
    """Whatever an owner or a program is called: no control or turned text, and never more than the limit."""
    reading = snapshot(process(1, user=user, name=name), gpus=(replace(FULL, name=name, uuid="GPU-a"),))
    for entry in rows(reading).values():
        for labels in entry:
            assert all(len(label) <= LONGEST for label in labels)
            assert not UNSEEN & {unicodedata.category(char) for label in labels for char in label}


def test_every_row_is_in_the_table():
    """Each name is in the table of metrics, and has as many labels as there."""
    idle = replace(FULL, index=1, uuid="GPU-b")
    reading = snapshot(process(1), gpus=(FULL, idle), events=(Xid("GPU-a", 31, START),))
    found = rows(reading, firing=[FiringAlert("gpu_limit", Severity.WARNING)])
    assert set(METRICS) - set(found) == {"build_info", "host_clock_timestamp_seconds"}
    for name, entry in found.items():
        assert {len(labels) for labels in entry} == {len(METRICS[name].labels)}


@pytest.mark.parametrize("page", ["docs/export.md", "docs/export.zh-CN.md"])
def test_the_page_has_every_metric(page):
    """Each is in its table, with its labels, and so is each alert of the rules; the table has no other."""
    table = {}
    for names, labels in re.findall(r"^\| (`[a-z].*?`) \| ?([a-z, ]*) ?\|", read(page), re.MULTILINE):
        for name in re.findall(r"`(\w+)`", names):
            table[name] = tuple(label for label in labels.strip().split(", ") if label)
    assert table == {name: metric.labels for name, metric in METRICS.items()}
    rules = list_rules("gpuwatch", stale=60, gpu_limit=2, max_etime=60, lab_gpu_limit=3)
    assert {*re.findall(r"^\| `(Gpuwatch\w+)` \|", read(page), re.MULTILINE)} == {
        rule.alert for rule in rules
    }


def losses(reading):
    """Ways in which a part of what is known of a reading gets lost."""
    gpu = st.integers(0, len(reading.gpus) - 1)
    which = st.integers(0, max(0, len(reading.processes) - 1))

    def change(at, **facts):
        gpus = [replace(each, **facts) if n == at else each for n, each in enumerate(reading.gpus)]
        return replace(reading, gpus=tuple(gpus))

    def forget(at, **facts):
        kept = [replace(each, **facts) if n == at else each for n, each in enumerate(reading.processes)]
        return replace(reading, processes=tuple(kept))

    def unlist(at):
        lost = change(at, process_problem="no permission")
        return replace(lost, processes=tuple(p for p in reading.processes if p.gpu != at))

    def drop(at):
        lost = change(at, problem="lost", **dict.fromkeys(("memory_used", "temperature"), UNKNOWN))
        return replace(lost, processes=tuple(p for p in reading.processes if p.gpu != at))

    return st.one_of(
        gpu.map(unlist),
        gpu.map(drop),
        which.map(lambda at: forget(at, gpu=None)),
        which.map(lambda at: forget(at, user=UNKNOWN, mine=None)),
        which.map(lambda at: forget(at, memory=UNKNOWN, started=UNKNOWN)),
        st.just(replace(reading, problem=Problem("hangs"), gpus=(), processes=())),
    )


@given(st.data())
def test_no_loss_looks_free_or_idle(data):
    """No GPU is free that was not, and no user has less without it being said that more may be open."""
    where = st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=8)
    running = [
        process(pid, gpu, mine=mine, memory=pid * MIB) for pid, (gpu, mine) in enumerate(data.draw(where), 1)
    ]
    gpus = tuple(replace(FULL, index=n, uuid=f"GPU-{n}") for n in range(4))
    reading = whole = snapshot(*running, gpus=gpus)
    before = rows(whole)
    for _step in range(data.draw(st.integers(1, 4))):
        if reading.problem is None and reading.processes:
            reading = data.draw(losses(reading))
    after = rows(reading)
    for name in ("gpu_free", "gpu_healthy", "gpu_list_complete"):
        assert {at for at, is_so in after.get(name, {}).items() if is_so} <= {
            at for at, is_so in before[name].items() if is_so
        }
    if after["reading_ok"] == {(): 0}:
        assert after.keys() <= {
            "reading_ok", "alerts_evaluated", "last_reading_timestamp_seconds", "alert",
        }  # fmt: skip
        return
    assert after["gpus_expected"] == before["gpus_expected"]
    for (user,), count in before.get("user_gpus", {}).items():
        less = after.get("user_gpus", {}).get((user,), 0) < count
        assert not (less and after["user_list_complete"][()])
    measured = {name for name, metric in METRICS.items() if metric.labels == GPU} - {
        "gpu_processes",
        "gpu_processes_omitted",
    }
    for name in measured - {"gpu_free", "gpu_healthy", "gpu_list_complete"}:  # no number changes by a loss
        assert after.get(name, {}).items() <= before[name].items()
