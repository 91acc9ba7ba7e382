"""What holds of every rule, whatever the driver says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from gpuwatch_tray.model import (
    UNKNOWN,
    UNSUPPORTED,
    ClockLimit,
    Gpu,
    GpuProcess,
    Missing,
    Problem,
    Snapshot,
    Xid,
)
from gpuwatch_tray.rules import RULES, judge
from tests.rules.readings import ALL_ON, FAILED, WELL, Readings, gpu
from tests.support.fakes import BOOT, process, snapshot

MISSING = st.sampled_from([UNKNOWN, UNSUPPORTED, FAILED])
MEASURED = [
    name
    for name in Gpu.__struct_fields__
    if name not in {"index", "uuid", "problem", "process_problem", "physical", "asleep"}
]
FIELDS = [name for name, value in asdict(GpuProcess(1, 0, frozenset())).items() if isinstance(value, Missing)]


def numbers(most):
    return st.integers(0, most) | MISSING


GPUS = st.builds(
    lambda **facts: replace(WELL, **facts),
    uuid=st.sampled_from(["", "GPU"]),
    name=st.text(max_size=3) | MISSING,
    memory_used=numbers(2**40),
    memory_total=numbers(2**40),
    utilisation=numbers(100),
    temperature=numbers(200),
    fan=numbers(200),
    problem=st.none() | st.just("GPU is lost"),
    process_problem=st.none() | st.just("Unknown Error"),
    physical=st.sampled_from(["", "GPU-0"]),
    asleep=st.booleans(),
    slowdown_at=numbers(200),
    limited_by=st.integers(0, 0x1FF).map(ClockLimit) | MISSING,
    ecc_corrected=numbers(10**6),
    ecc_uncorrected=numbers(3),
    rows_pending=st.booleans() | MISSING,
    rows_failed=st.booleans() | MISSING,
    pcie_width=numbers(16),
    pcie_width_most=numbers(16),
)
PROCESSES = st.builds(
    lambda pid, gpu, kinds, **facts: replace(process(pid, gpu, kinds=kinds), **facts),
    st.integers(1, 4),
    st.none() | st.integers(0, 3),
    st.sampled_from(["C", "G", "C+G", "M"]),
    memory=numbers(2**40),
    user=st.sampled_from(["ada", "bob"]) | MISSING,
    mine=st.none() | st.booleans(),
    elapsed=st.floats(0, 1e7) | MISSING,
    identity=st.sampled_from(["", "a", "b"]),
    name=st.text(max_size=3) | MISSING,
    device=st.sampled_from(["", "GPU-1", "gone"]),
)
READINGS = st.builds(
    lambda gpus, rows, events, problem: Snapshot(
        "test",
        1.0,
        () if problem else numbered(gpus),
        () if problem else tuple(rows),
        problem,
        BOOT,
        events=tuple(events),
    ),
    st.lists(GPUS, max_size=3),
    st.lists(PROCESSES, max_size=5),
    st.lists(
        st.builds(Xid, st.sampled_from(["GPU-0", "GPU-9", ""]), st.integers(0, 200), st.just(1.0)), max_size=2
    ),
    st.none() | st.just(Problem("driver not loaded")),
)


def numbered(gpus) -> tuple[Gpu, ...]:
    """No two GPUs have the same index or UUID."""
    return tuple(replace(gpu, index=n, uuid=gpu.uuid and f"GPU-{n}") for n, gpu in enumerate(gpus))


def play(readings, gaps) -> Readings:
    """Show the rules these readings, each some seconds after the one before."""
    played = Readings()
    for reading, seconds in zip(readings, gaps, strict=False):
        facts = {"problem": reading.problem, "events": reading.events}
        played.read(*reading.processes, gpus=reading.gpus, seconds=seconds, **facts)
    return played


@given(
    st.lists(READINGS, min_size=1, max_size=5),
    st.lists(st.sampled_from([0.0, 5.0, 400.0, 90000.0]), min_size=5, max_size=5),
)
def test_no_reading_breaks_a_rule(readings, gaps):
    """Any values in any order: each rule gives a verdict that explains itself, with subjects of its own."""
    played = play(readings, gaps)
    for verdict in judge(played.last, ALL_ON, played.history):
        subjects = [finding.subject for finding in verdict.findings]
        assert len(subjects) == len(set(subjects))
        assert not verdict.band & set(subjects)
        assert verdict.unknown or verdict.cannot or (verdict.value and verdict.threshold), verdict
        assert all(finding.reason and finding.text for finding in verdict.findings)
        assert {finding.severity for finding in verdict.findings} <= set(RULES[verdict.rule].severities)


@given(st.lists(st.lists(MISSING, min_size=20, max_size=20), min_size=1, max_size=4), st.booleans())
def test_no_rule_fires_where_every_value_is_missing(kinds, mine):
    """Missing data is neither hot, nor idle, nor full, nor broken, however long it stays missing."""
    readings = Readings()
    for missing in kinds:
        values = dict(zip(MEASURED, missing, strict=False))
        row = replace(process(1, 0, mine=mine), **dict.fromkeys(FIELDS, missing[0]))
        for _ in range(3):
            readings.read(row, gpus=(Gpu(0, "GPU-0000", **values),), seconds=1000)
            assert [f for v in judge(readings.last, ALL_ON, readings.history) for f in v.findings] == []


@given(st.permutations(range(3)), st.permutations(range(4)))
def test_the_order_of_gpus_and_processes_does_not_matter(gpus, rows):
    """The same machine, listed otherwise, is judged the same."""
    there = [
        gpu(0, temperature=99, limited_by=ClockLimit(0xFF), pcie_width=1),
        gpu(1, fan=0, temperature=80, rows_failed=True, ecc_corrected=FAILED),
        gpu(2, utilisation=0, memory_used=UNKNOWN),
    ]
    running = [process(1, 0), process(2, 1, 9e9), process(3, 0, mine=False), process(4, 2, memory=9 * 2**30)]
    one, other = Readings(), Readings()
    one.read(*running, gpus=there)
    one.read(*running, gpus=there)
    other.history, other.now = one.history, one.now
    one.read(*running, gpus=there)
    other.read(*(running[n] for n in rows), gpus=[there[n] for n in gpus])
    for name, rule in RULES.items():
        verdicts = [rule.judge(each.last, ALL_ON, each.history) for each in (one, other)]
        assert {f.subject: f.severity for f in verdicts[0].findings} == {
            f.subject: f.severity for f in verdicts[1].findings
        }, name
        assert verdicts[0].band == verdicts[1].band, name
        assert set(verdicts[0].unknown_subjects) == set(verdicts[1].unknown_subjects), name


HARMS = st.fixed_dictionaries(
    {
        "temperature": st.integers(99, 150),
        "memory_used": st.integers(960, 1000),
        "fan": st.just(0) | st.just(FAILED),
        "limited_by": st.integers(0, 0x1FF).map(lambda bits: ClockLimit(bits | 0x8C)),
        "rows_failed": st.just(value=True),
        "pcie_width": st.integers(1, 8),
    }
)


@given(HARMS, HARMS, st.integers(1, 10**9), st.integers(1, 10**9))
def test_no_value_is_part_of_a_subject(one, other, memory, more):
    """The fingerprints stay as they are while temperatures, sizes and counts change."""
    names = []
    for facts, held in ((one, memory), (other, more)):
        rows = [process(1, 0, held), process(2, 0, held, mine=False, memory=held)]
        reading = snapshot(*rows, gpus=(gpu(memory_total=1000, **facts),))
        names.append(
            {(f.rule, f.subject) for v in judge(reading, ALL_ON) for f in v.findings if f.rule != "max_etime"}
        )
    assert names[0] == names[1]
    assert {rule for rule, _ in names[0]} >= {
        "temperature",
        "memory_full",
        "fan",
        "hw_slowdown",
        "row_remap",
        "intruder",
    }


def test_what_would_fire_is_said_also_where_nothing_can_be_read():
    """`alerts explain` names the threshold of every rule, on a good reading and on none."""
    blind = replace(snapshot(), problem=Problem("driver not loaded", "load it"))
    for reading in (snapshot(process()), blind):
        assert [verdict.rule for verdict in judge(reading, ALL_ON) if not verdict.threshold] == []
