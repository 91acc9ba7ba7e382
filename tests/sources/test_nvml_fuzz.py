"""The NVML source through anything at all: no crash, no gap that looks idle, no alert on what is missing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gpuwatch_tray import rules
from gpuwatch_tray.engine.status import status_of
from gpuwatch_tray.model import Instant, Level, Limits, Missing, ProcessScope
from gpuwatch_tray.rules.verdict import counted
from gpuwatch_tray.sources.nvml import NvmlSource
from tests.driver.scenario import (
    ARGUMENT_VERSION_MISMATCH,
    DRIVER_NOT_LOADED,
    FUNCTION_NOT_FOUND,
    GPU_IS_LOST,
    INVALID_ARGUMENT,
    LIB_RM_VERSION_MISMATCH,
    NO_PERMISSION,
    NOT_FOUND,
    NOT_SUPPORTED,
    OPERATING_SYSTEM,
    RESET_REQUIRED,
    TIMEOUT,
    UNINITIALIZED,
    UNKNOWN,
    FakeEvent,
    FakeGpu,
    FakeMig,
    FakeProcess,
    Scenario,
    loaded,
)

pytestmark = pytest.mark.driver

UNSUPPORTED_CODES = {NOT_SUPPORTED, FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH}
CODES = st.sampled_from(
    [
        *sorted(UNSUPPORTED_CODES),
        UNINITIALIZED,
        INVALID_ARGUMENT,
        NO_PERMISSION,
        NOT_FOUND,
        DRIVER_NOT_LOADED,
        TIMEOUT,
        GPU_IS_LOST,
        RESET_REQUIRED,
        OPERATING_SYSTEM,
        LIB_RM_VERSION_MISMATCH,
        UNKNOWN,
        77,
    ]
)
LISTS = ("compute", "graphics", "mps")
VALUES = ("name", "memory", "utilisation", "temperature", "power", "power_limit", "fan")
MORE_VALUES = (
    "slowdown",
    "clocks",
    "ecc",
    "ecc_corrected",
    "rows",
    "width",
    "width_most",
    "energy",
    "fields",
    "recovery",
)
VERSIONS = ("memory_v2", "temperature_v", "clocks_event", "compute_v3", "mps_v3")
MIG = ("mig_mode", "mig_count", "mig_handle")
OF_GPU = ("handle_by_index", "uuid", "pci", "event_register", *VALUES, *MORE_VALUES, *VERSIONS, *MIG, *LISTS)
OF_MIG = ("mig_handle", "uuid", "name", "memory", *LISTS)
OF_MACHINE = ("init", "shutdown", "count", "nvml_version", "event_create", "event_wait", "event_free")
MANY = 17  # reads within which every value was asked for anew and every slot looked into
NOBODY = st.integers(4_190_000, 4_194_303)  # as good as never the number of a process that runs
TELLS = {"C": "compute", "G": "graphics", "M": "mps"}
KINDS = st.sampled_from(["C", "G", "M", "CG"])


def errors(calls, most):
    return st.dictionaries(st.sampled_from(calls), CODES, max_size=most)


@st.composite
def processes(draw):
    pids = draw(st.lists(NOBODY, unique=True, max_size=3))
    return [FakeProcess(pid, draw(st.none() | st.integers(0, 2**40)), draw(KINDS)) for pid in pids]


@st.composite
def fake_migs(draw, number):
    slots = draw(st.none() | st.lists(st.integers(0, 6), unique=True, max_size=3))
    if slots is None:
        return None
    return [
        FakeMig(slot, f"MIG-{number}-{slot}", processes=draw(processes()), errors=draw(errors(OF_MIG, 2)))
        for slot in slots
    ]


@st.composite
def calm_gpus(draw):
    """GPUs that nobody would be told of, were it not for what cannot be read of them."""
    number = draw(st.integers(0, 3))
    return FakeGpu.numbered(
        number,
        *draw(processes()),
        utilisation=0,
        migs=draw(fake_migs(number)),
        lost=draw(st.integers(0, 9)) == 0,
        errors=draw(errors(OF_GPU, 5)),
    )


@st.composite
def wild_gpus(draw):
    """GPUs with any value that fits into the driver's structs."""
    four, eight = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
    total = draw(eight)
    return replace(
        draw(calm_gpus()),
        memory_total=total,
        memory_used=draw(eight),
        memory_reserved=draw(eight),
        utilisation=draw(four),
        temperature=draw(st.integers(-(2**31), 2**31 - 1)),
        power=draw(four) / 1000,
        power_limit=draw(four) / 1000,
        fan=draw(four),
        energy=draw(eight) / 1000,
        slowdown=draw(four),
        clocks=draw(eight),
        ecc=(draw(eight), draw(eight)),
        rows=(draw(four), draw(four)),
        width=(draw(four), draw(four)),
    )


def scenarios(gpus):
    return st.builds(
        Scenario,
        gpus=st.lists(gpus, max_size=3, unique_by=lambda gpu: gpu.uuid),
        errors=errors(OF_MACHINE, 1),
        stale=st.just(0) | CODES,
    )


class Played:
    """A source that reads one scenario after the other; `now` is moved by `step` after each."""

    def __init__(self, path, step):
        self._path = path
        self._step = step
        self.now = 0.0
        self.source = NvmlSource(
            steady=lambda: self.now,
            event_wait=0.005,
            devices=path.with_name("none"),
            cards=path.with_name("none"),
        )

    def readings(self, scenario):
        """All readings of a scenario: enough of them for everything to be found out."""
        scenario.write(self._path)
        for _ in range(MANY if any(gpu.migs is not None for gpu in scenario.gpus) else 2):
            yield self.source.read()
            self.now += self._step

    def end(self):
        Scenario().write(self._path)
        self.source.close()


@pytest.fixture
def path(tmp_path):
    with loaded(tmp_path / "scenario") as scenario:
        yield scenario


def certain(fake):
    """Return the processes that compute and that nothing hides."""
    broken = {call.split("_v")[0] for call in fake.errors}
    sure = {one.pid for one in fake.processes if computing(one, broken)} if not fake.migs else set()
    for mig in fake.migs or ():
        if not mig.errors.keys() & {"mig_handle", "uuid"}:
            sure |= {one.pid for one in mig.processes if computing(one, broken | mig.errors.keys())}
    return sure


def computing(process, broken):
    return any(TELLS[kind] not in broken for kind in process.kinds if kind != "G")


def holds_back(fake):
    """Whether nothing may be concluded from the processes that a whole GPU does list."""
    compute, mps = (fake.errors.get(kind, 0) for kind in ("compute", "mps"))
    return compute != 0 or mps not in {0, *UNSUPPORTED_CODES}


def test_no_error_of_any_call_ever_looks_like_an_idle_gpu(path):
    """Through any run of failures a read returns, and a GPU without a problem shows just its processes."""

    @settings(max_examples=100, deadline=None)
    @given(st.lists(scenarios(calm_gpus()), min_size=1, max_size=4), st.sampled_from([0.0, 40.0]))
    def holds(run, step):
        played = Played(path, step)
        seen = 0
        for scenario in run:
            for snapshot in played.readings(scenario):
                if snapshot.problem is not None:
                    assert (snapshot.gpus, snapshot.processes) == ((), ())
                    continue
                whole = [gpu for gpu in snapshot.gpus if not gpu.physical]
                assert len(whole) >= max(1, seen)
                # one that never told its UUID may turn out to be none of this session's
                seen = sum(bool(gpu.uuid) for gpu in whole)
                outputs(snapshot)
            if snapshot.problem is None:
                check(snapshot, scenario)
        played.end()

    def outputs(snapshot):
        """With any gap the icon is not green, and no GPU with a gap counts as free."""
        gaps = {gpu.uuid for gpu in snapshot.gpus if gpu.problem or gpu.process_problem}
        verdicts = rules.judge(snapshot, LIMITS)
        shown = status_of(snapshot, {}, counted(snapshot, LIMITS), rules.open_questions(snapshot, verdicts))
        assert not gaps or shown.level is Level.NO_DATA
        assert not gaps & set(snapshot.free_gpus or ())

    def check(snapshot, scenario):
        healthy = [gpu for gpu in snapshot.gpus if gpu.problem is None and not gpu.physical]
        for gpu in healthy:
            fake = next(fake for fake in scenario.gpus if fake.uuid == gpu.uuid)
            found = [one.pid for one in snapshot.processes if one.gpu == gpu.index]
            everything = [*fake.processes, *(one for mig in fake.migs or () for one in mig.processes)]
            assert set(found) <= {one.pid for one in everything}
            if gpu.process_problem is None:
                assert certain(fake) <= set(found)
                assert not certain(fake) or gpu.uuid not in snapshot.free_gpus
                assert fake.migs or not holds_back(fake)
        assert {one.gpu for one in snapshot.processes} <= {gpu.index for gpu in healthy}
        known = {gpu.uuid for gpu in snapshot.gpus}
        assert {one.device for one in snapshot.processes} <= {"", *known}
        on_devices = [(one.pid, one.gpu, one.device) for one in snapshot.processes]
        assert len(on_devices) == len(set(on_devices))

    holds()


def test_nothing_fires_on_what_is_missing(path):
    """Calm GPUs whose calls fail in every way raise no alert but that they cannot be read."""
    honest = {"gpu_lost", "driver_mismatch", "monitor_blind"}

    @settings(max_examples=60, deadline=None)
    @given(st.lists(scenarios(calm_gpus()), min_size=1, max_size=4))
    def holds(run):
        played, memory = Played(path, 30.0), rules.RuleHistory()
        for scenario in run:
            for snapshot in played.readings(scenario):
                now = Instant(1e9 + played.now, played.now, "boot")
                memory = rules.observe(memory, snapshot, now, LIMITS)
                fired = {
                    finding.rule
                    for verdict in rules.judge(snapshot, LIMITS, memory)
                    for finding in verdict.findings
                }
                assert fired <= honest
        played.end()

    holds()


LIMITS = Limits(gpu_limit=9, scope=ProcessScope.ALL)


def test_any_value_goes_through_the_reader_and_the_rules(path):
    """Whatever the driver says of a GPU is judged, not choked on, with errors and events in between."""

    @settings(max_examples=60, deadline=None)
    @given(st.lists(scenarios(wild_gpus()), min_size=1, max_size=3), st.integers(0, 2**32))
    def holds(run, code):
        played, memory = Played(path, 30.0), rules.RuleHistory()
        for number, scenario in enumerate(run, 1):
            events = [FakeEvent(number, gpu.uuid, code) for gpu in scenario.gpus]
            for snapshot in played.readings(replace(scenario, events=events)):
                now = Instant(1e9 + played.now, played.now, "boot")
                memory = rules.observe(memory, snapshot, now, LIMITS)
                rules.judge(snapshot, LIMITS, memory)
                for gpu in snapshot.gpus:
                    assert gpu.problem is None or isinstance(gpu.utilisation, Missing)
        played.end()

    holds()
