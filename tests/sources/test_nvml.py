"""What the NVML source reads from a driver that works: values, the process lists, the cost."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import sys
from pathlib import Path

import pynvml  # its answers are bent at the edge
import pytest

from gpuwatch_tray.model import UNSUPPORTED, ClockLimit, Gpu, Missing, ProcessKind, Why
from tests.driver.build import OLD
from tests.driver.scenario import (
    ARGUMENT_VERSION_MISMATCH,
    FUNCTION_NOT_FOUND,
    GIB,
    INVALID_ARGUMENT,
    MIB,
    NO_PERMISSION,
    NOT_SUPPORTED,
    UNKNOWN,
    FakeGpu,
    FakeMig,
    FakeProcess,
    Scenario,
    environment,
)

pytestmark = pytest.mark.driver

FIELDS = {
    "name": ["name"],
    "memory": ["memory_used", "memory_total"],
    "utilisation": ["utilisation"],
    "temperature": ["temperature"],
    "power": ["power"],
    "power_limit": ["power_limit"],
    "fan": ["fan"],
    "slowdown": ["slowdown_at"],
    "clocks": ["limited_by"],
    "ecc": ["ecc_corrected", "ecc_uncorrected"],
    "ecc_uncorrected": ["ecc_uncorrected"],
    "rows": ["rows_pending", "rows_failed"],
    "width": ["pcie_width"],
    "width_most": ["pcie_width_most"],
    "energy": ["energy"],
    "fields": ["recovery"],
}
C, G, M = ProcessKind.COMPUTE, ProcessKind.GRAPHICS, ProcessKind.MPS


def test_each_value_arrives_in_the_units_of_the_model(rig):
    """Bytes, %, degrees C, W and J, through the real binding and its structs."""
    fake = FakeGpu(
        uuid="GPU-7",
        name="NVIDIA RTX 6000",
        memory_total=48 * GIB,
        memory_used=3 * GIB,
        utilisation=98,
        temperature=71,
        power=288.25,
        power_limit=300,
        fan=44,
        slowdown=89,
        clocks=0x44,
        ecc=(12, 3),
        rows=(1, 0),
        width=(4, 8),
        recovery=4,
        energy=98_765_432.125,
    )
    rig.play(FakeGpu.numbered(0), fake)
    snapshot = rig.read()
    assert snapshot.problem is None
    assert snapshot.at == rig.clock.now
    assert snapshot.gpus[1] == Gpu(
        1,
        "GPU-7",
        "NVIDIA RTX 6000",
        memory_used=3 * GIB,
        memory_total=48 * GIB,
        utilisation=98,
        temperature=71,
        power=288.25,
        power_limit=300.0,
        fan=44,
        slowdown_at=89,
        limited_by=ClockLimit.POWER_CAP | ClockLimit.HW_THERMAL,
        ecc_corrected=12,
        ecc_uncorrected=3,
        rows_pending=True,
        rows_failed=False,
        pcie_width=4,
        pcie_width_most=8,
        energy=98_765_432.125,
        recovery=4,
    )


@pytest.mark.parametrize("errors", [{}, {"temperature_v": FUNCTION_NOT_FOUND}])
def test_a_temperature_below_zero_stays_below_zero(rig, errors):
    """The older of the two calls has no sign to give."""
    rig.play(FakeGpu(temperature=-5, errors=errors))
    assert rig.read().gpus[0].temperature == -5


@pytest.mark.parametrize("call", FIELDS)
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (NOT_SUPPORTED, UNSUPPORTED),
        (FUNCTION_NOT_FOUND, UNSUPPORTED),
        (UNKNOWN, Missing(Why.ERROR, "Unknown Error")),
        (NO_PERMISSION, Missing(Why.ERROR, "Insufficient Permissions")),
    ],
)
def test_a_field_is_missing_by_itself_and_says_how(rig, call, code, expected):
    """Unsupported is not an error, an error is not unsupported, and every other value is still there."""
    rig.play(FakeGpu(errors={call: code}))
    gpu = rig.read().gpus[0]
    missing = {name for names in FIELDS.values() for name in names if isinstance(getattr(gpu, name), Missing)}
    assert missing == set(FIELDS[call])
    assert all(getattr(gpu, name) == expected for name in missing)
    assert (gpu.problem, gpu.process_problem) == (None, None)


@pytest.mark.parametrize("code", [FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH, NOT_SUPPORTED])
def test_an_older_driver_is_asked_by_its_own_calls(rig, code):
    """Memory by the first version, which counts the reserved memory as used; temperature by the old call."""
    errors = {"memory_v2": code, "temperature_v": code, "clocks_event": code}
    rig.play(FakeGpu(memory_used=GIB, memory_reserved=512 * MIB, temperature=66, clocks=4, errors=errors))
    gpu = rig.read().gpus[0]
    assert (gpu.memory_used, gpu.temperature, gpu.limited_by) == (GIB + 512 * MIB, 66, ClockLimit.POWER_CAP)


def test_an_older_driver_is_not_asked_for_the_newer_calls_again(rig):
    """What it lacks it lacks for good: a steady read is as short as on a new one."""
    errors = dict.fromkeys(("memory_v2", "temperature_v", "clocks_event", "mps_v3"), FUNCTION_NOT_FOUND)
    rig.play(FakeGpu(errors=errors))
    rig.read()
    rig.calls()
    rig.read()
    calls = rig.calls()
    assert [calls[name] for name in errors] == [0, 0, 0, 0]
    assert [calls[name] for name in ("memory_v1", "temperature_v1", "clocks_throttle", "mps_v2")] == [1] * 4


def test_bits_that_nobody_knows_do_not_disturb_the_known_ones(rig):
    """A newer driver may have more reasons for low clocks than the model."""
    rig.play(FakeGpu(clocks=0x8000_0000_0000_0620))
    assert rig.read().gpus[0].limited_by == ClockLimit.SW_THERMAL


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("nvmlDeviceGetRemappedRows", "rows_failed"),
        ("nvmlDeviceGetTotalEccErrors", "ecc_uncorrected"),
        ("nvmlDeviceGetTemperatureThreshold", "slowdown_at"),
        ("nvmlDeviceGetMaxPcieLinkWidth", "pcie_width_most"),
        ("nvmlDeviceGetCurrPcieLinkWidth", "pcie_width"),
        ("nvmlDeviceGetTotalEnergyConsumption", "energy"),
        ("NVML_VOLATILE_ECC", "ecc_corrected"),
    ],
)
def test_a_binding_from_before_a_call_leaves_its_value_unsupported(rig, monkeypatch, name, field):
    """An old pynvml has neither function nor number: an AttributeError that nobody sees."""
    monkeypatch.delattr(pynvml, name)
    gpu = rig.read().gpus[0]
    assert getattr(gpu, field) == UNSUPPORTED
    assert (gpu.problem, gpu.process_problem, gpu.temperature) == (None, None, 45)


@pytest.mark.parametrize("name", ["nvmlDeviceGetMigMode", "nvmlDeviceGetPciInfo", "nvmlEventSetCreate"])
def test_a_binding_without_mig_bus_or_events_reads_the_gpu_all_the_same(rig, monkeypatch, name):
    """What needs them is left out."""
    monkeypatch.delattr(pynvml, name)
    for _ in range(2):
        gpu = rig.read().gpus[0]
    assert (gpu.problem, gpu.process_problem, gpu.utilisation) == (None, None, 12)


def test_memory_that_fails_once_does_not_change_its_meaning(rig):
    """After an error of the second version the first one, which counts otherwise, is not asked."""
    rig.play(FakeGpu(errors={"memory_v2": UNKNOWN}))
    assert rig.read().gpus[0].memory_used == Missing(Why.ERROR, "Unknown Error")


def test_a_gpu_without_memory_of_its_own_has_none_to_show(rig):
    """A total of 0, as GPUs that share the machine's memory answer, is "unsupported", not full."""
    rig.play(FakeGpu(memory_total=0, memory_used=0, memory_reserved=0))
    gpu = rig.read().gpus[0]
    assert (gpu.memory_used, gpu.memory_total) == (UNSUPPORTED, UNSUPPORTED)


def test_a_name_that_is_not_utf_8_is_shown_as_far_as_it_is(rig):
    """The binding decodes strictly; the bytes that are no text become the sign for that."""
    rig.play(FakeGpu(name="NVIDIA \udcff 1"))
    assert rig.read().gpus[0].name == "NVIDIA \ufffd 1"


def test_a_process_carries_what_the_system_knows_of_it(rig):
    """A PID of the driver is described by the facts of the process that has it."""
    (process,) = rig.processes(FakeProcess(os.getpid(), 2828 * MIB))
    assert (process.pid, process.gpu, process.memory) == (os.getpid(), 0, 2828 * MIB)
    assert process.mine is True
    assert process.identity
    assert process.cwd == os.getcwd()  # noqa: PTH109


def test_a_pid_that_is_nobodys_here_has_no_owner(rig, namespace):
    """In a container the host's PIDs map to nothing: the process is listed, its owner unknown, not mine."""
    namespace("pid:[4026532000]")
    (process,) = rig.processes(FakeProcess(4_194_304))
    assert process.mine is None
    assert isinstance(process.user, Missing)
    assert isinstance(process.elapsed, Missing)
    assert process.identity == ""


def test_in_a_container_nobody_is_taken_for_a_process_of_the_machine(rig, namespace):
    """Where one number maps to nothing, one that maps to my process is not mine: no "End process" for it."""
    namespace("pid:[4026532000]")
    found = rig.processes(FakeProcess(4_194_304), FakeProcess(os.getpid()))
    assert [(one.mine, one.identity, isinstance(one.user, Missing)) for one in found] == [
        (None, "", True)
    ] * 2


def test_the_lists_are_merged_by_pid_and_memory_is_never_summed(rig):
    """A process in several lists is one, of all their kinds, with the largest memory."""
    found = rig.processes(
        FakeProcess(11, 100, "C"),
        FakeProcess(11, 120, "G"),
        FakeProcess(11, None, "M"),
        FakeProcess(12, 50, "G"),
    )
    assert [(one.pid, one.kinds, one.memory) for one in found] == [(11, {C, G, M}, 120), (12, {G}, 50)]


def test_the_order_is_the_drivers_with_the_compute_list_first(rig):
    """By GPU, then the compute list's order, then what only the other lists have."""
    first = FakeGpu.numbered(
        0,
        FakeProcess(30, kinds="G"),
        FakeProcess(21, kinds="M"),
        FakeProcess(29),
        FakeProcess(20),
        FakeProcess(20, kinds="G"),
    )
    rig.play(first, FakeGpu.numbered(1, FakeProcess(1), FakeProcess(29)))
    found = [(one.gpu, one.pid) for one in rig.read().processes]
    assert found == [(0, 29), (0, 20), (0, 30), (0, 21), (1, 1), (1, 29)]


def test_memory_that_the_driver_does_not_give_is_unsupported(rig):
    """As under WDDM: not 0, and not a number of 2^64 - 1."""
    (process,) = rig.processes(FakeProcess(11, None, "C"))
    assert process.memory == UNSUPPORTED


@pytest.mark.parametrize("pid", [0, 4_194_305, 4_294_967_295])
@pytest.mark.parametrize("kinds", ["C", "M"])
def test_an_impossible_pid_is_a_problem_and_never_a_shorter_list(rig, pid, kinds):
    """It is the trace of a list that was misread; what can be a process is listed all the same."""
    found = rig.processes(FakeProcess(pid, kinds=kinds), FakeProcess(11, kinds=kinds))
    assert [one.pid for one in found] == [11]
    assert f"impossible process numbers ({pid})" in rig.read().gpus[0].process_problem


def test_an_impossible_pid_that_only_draws_is_no_problem(rig):
    """No rule counts what is in the graphics list alone."""
    assert rig.processes(FakeProcess(0, kinds="G")) == ()
    assert rig.read().gpus[0].process_problem is None


@pytest.mark.parametrize("records", [16, 24, 32])
@pytest.mark.parametrize("count", [1, 2, 3, 64, 300])
def test_lists_are_read_whatever_the_width_of_their_records(rig, records, count):
    """
    Drivers 535.43 to 535.86 write 32 bytes for each process under the third version's name, 550 at times 16.

    All PIDs with their memory, also where a memory is all ones, and no problem.
    """
    fakes = [
        FakeProcess(1000 + n, None if n == count - 1 else n * GIB, kinds="CGM"[n % 3]) for n in range(count)
    ]
    rig.play(FakeGpu(processes=fakes, memory_total=512 * GIB), records=records)
    snapshot = rig.read()
    found = {one.pid: one.memory for one in snapshot.processes}
    assert found == {fake.pid: UNSUPPORTED if fake.memory is None else fake.memory for fake in fakes}
    assert snapshot.gpus[0].process_problem is None


def write_records(monkeypatch, records, behind=b""):
    """Have the compute list be these records of 64-bit words, and leave `behind` after them."""

    def answer(_handle, count, room):
        count._obj.value = len(records)
        content = b"".join(struct.pack(f"={len(record)}Q", *record) for record in records) + behind
        ctypes.memmove(room, content, len(content))
        return 0

    monkeypatch.setattr(pynvml.nvmlLib, "nvmlDeviceGetComputeRunningProcesses_v3", answer)


@pytest.mark.parametrize("width", [3, 4])
def test_a_driver_that_writes_behind_its_list_is_read_by_what_is_possible(rig, monkeypatch, width):
    """Then the last byte written does not tell the width; a width that makes a PID impossible is not it."""
    rig.read()
    write_records(monkeypatch, [(11, GIB, 0, 0)[:width], (12, GIB, 0, 0)[:width]], behind=bytes(24))
    assert [one.pid for one in rig.read().processes] == [11, 12]


def test_records_of_no_known_width_are_a_problem(rig, monkeypatch):
    """Forty bytes each: no process is made up of their parts."""
    rig.read()
    write_records(monkeypatch, [(11, GIB, 0, 0, 0), (12, GIB, 0, 0, 0), (13, GIB, 0, 0, 0)])
    snapshot = rig.read()
    assert snapshot.processes == ()
    assert "records of unknown size" in snapshot.gpus[0].process_problem


def test_a_list_longer_than_its_room_is_a_problem(rig, monkeypatch):
    """A driver that reports more than it was given room for, and success, cannot have written them."""
    rig.read()

    def answer(_handle, count, _room):
        count._obj.value = 1000
        return 0

    monkeypatch.setattr(pynvml.nvmlLib, "nvmlDeviceGetComputeRunningProcesses_v3", answer)
    assert "records of unknown size" in rig.read().gpus[0].process_problem


def test_a_driver_with_the_first_lists_alone_is_read(rig):
    """Driver 440 and older: PID and memory, no list of MPS; later reads ask for nothing else."""
    older = {
        f"{kind}_v{version}": FUNCTION_NOT_FOUND
        for kind in ("compute", "graphics", "mps")
        for version in (2, 3)
    }
    fakes = FakeProcess(11, 3 * GIB, "CG"), FakeProcess(12, None)
    found = rig.processes(*fakes, errors=older)
    assert [(one.pid, one.memory, one.kinds) for one in found] == [
        (11, 3 * GIB, {C, G}),
        (12, UNSUPPORTED, {C}),
    ]
    assert rig.read().gpus[0].process_problem is None
    rig.calls()
    rig.read()
    assert {call for call in rig.calls() if "_v" in call and " " not in call} >= {"compute_v1", "graphics_v1"}
    rig.read()
    assert not {"compute_v2", "compute_v3"} & set(rig.calls())


def test_a_long_list_arrives_whole(rig):
    """With too little room the driver only tells how much it takes; the room is kept for the next read."""
    pids = range(1000, 1300)
    assert [one.pid for one in rig.processes(*map(FakeProcess, pids))] == list(pids)
    rig.calls()
    assert len(rig.read().processes) == 300
    assert rig.calls()["compute_v3"] == 1


def test_a_list_without_end_is_an_error_and_not_all_the_memory(rig, monkeypatch):
    """A driver gone astray that names millions of processes is not believed."""
    rig.read()
    answer = pynvml.nvmlLib.nvmlDeviceGetComputeRunningProcesses_v3

    def astray(_handle, count, _room):
        count._obj.value = 2**31
        return 7  # NVML_ERROR_INSUFFICIENT_SIZE

    monkeypatch.setattr(pynvml.nvmlLib, "nvmlDeviceGetComputeRunningProcesses_v3", astray)
    assert "compute processes: " in rig.read().gpus[0].process_problem
    monkeypatch.setattr(pynvml.nvmlLib, "nvmlDeviceGetComputeRunningProcesses_v3", answer)
    assert rig.read().gpus[0].process_problem is None


@pytest.mark.parametrize("kind", ["graphics", "mps"])
@pytest.mark.parametrize("code", [NOT_SUPPORTED, FUNCTION_NOT_FOUND])
def test_a_gpu_without_graphics_or_mps_has_no_such_processes(rig, kind, code):
    """The list that does not exist is empty: nothing is wrong."""
    rig.play(FakeGpu(processes=[FakeProcess(11)], errors={kind: code}))
    snapshot = rig.read()
    assert snapshot.gpus[0].process_problem is None
    assert [one.pid for one in snapshot.processes] == [11]


@pytest.mark.parametrize("kind", ["compute", "mps"])
@pytest.mark.parametrize("code", [UNKNOWN, NO_PERMISSION])
def test_a_list_that_fails_is_a_problem_beside_the_processes_known(rig, kind, code):
    """What the other lists have is still shown, and the GPU says that it is not all."""
    rig.play(FakeGpu(processes=[FakeProcess(11, kinds="CGM")], errors={kind: code}))
    snapshot = rig.read()
    assert snapshot.gpus[0].problem is None
    assert snapshot.gpus[0].process_problem.lower().startswith(f"{kind} processes: ")
    assert len(snapshot.processes[0].kinds) == 2


def test_no_compute_list_at_all_is_not_an_idle_gpu(rig):
    """Where the driver has no such list, nothing can be concluded from its being empty."""
    rig.play(FakeGpu(errors={"compute": NOT_SUPPORTED}))
    assert rig.read().gpus[0].process_problem == "compute processes: Not Supported"


def test_a_driver_without_the_third_version_of_the_lists_is_asked_for_the_second(rig):
    """Drivers before 510 have it; pynvml reports the lack by an error that is none of NVML's."""
    old = {"compute_v3": FUNCTION_NOT_FOUND, "graphics_v3": FUNCTION_NOT_FOUND, "mps_v3": FUNCTION_NOT_FOUND}
    rig.play(FakeGpu(processes=[FakeProcess(11, 7, "CG")], errors=old))
    snapshot = rig.read()
    assert snapshot.gpus[0].process_problem is None
    assert [(one.pid, one.memory, one.kinds) for one in snapshot.processes] == [(11, 7, {C, G})]


def test_the_scenario_changes_while_the_source_lives(rig):
    """A process that begins and one that ends are seen at the next read."""
    assert rig.processes() == ()
    assert [one.pid for one in rig.processes(FakeProcess(11))] == [11]
    assert rig.processes() == ()


def test_nvml_is_initialised_once_and_static_values_are_asked_once(rig):
    """Later reads neither initialise nor ask for handle, UUID and name."""
    rig.read()
    assert rig.calls()["init"] == 1
    for _ in range(5):
        rig.read()
    calls = rig.calls()
    assert {
        name: calls[name] for name in ("init", "shutdown", "handle_by_index", "uuid", "name")
    } == dict.fromkeys(("init", "shutdown", "handle_by_index", "uuid", "name"), 0)
    assert calls["compute_v3"] == 5


SLOW = ("fan", "power_limit", "ecc_corrected", "ecc_uncorrected", "rows", "width", "mig_mode", "energy")
STATIC = ("name", "uuid", "pci", "slowdown", "width_most")


def test_what_hardly_changes_is_asked_every_twelfth_time(rig):
    """It is kept in between; what never changes is asked once."""
    rig.play(FakeGpu(migs=(), mig_mode=0))
    for _ in range(24):
        gpu = rig.read().gpus[0]
        assert (gpu.fan, gpu.power_limit, gpu.slowdown_at, gpu.pcie_width) == (30, 450, 93, 16)
    calls = rig.calls()
    assert {name: calls[name] for name in SLOW} == dict.fromkeys(SLOW, 2)
    assert {name: calls[name] for name in STATIC} == dict.fromkeys(STATIC, 1)
    assert calls["power"] == 24


def test_a_steady_read_asks_seven_things_of_a_gpu_at_most_and_each_list_once(rig):
    """Whatever the lists hold, be a slow value due or not; beside that only the number of GPUs is asked."""
    lists = [FakeProcess(1000 + n, kinds="CGM") for n in range(100)]
    rig.play(FakeGpu.numbered(0, *lists), FakeGpu.numbered(1, migs=(), mig_mode=0), FakeGpu.numbered(2))
    rig.read()
    rig.read()
    rig.calls()
    costs = []
    for _ in range(24):
        rig.read()
        calls = {name: n for name, n in rig.calls().items() if not name.startswith("event_")}
        assert calls.pop("count") == 1
        on_gpus = {name: n for name, n in calls.items() if " " in name}
        for uuid in (FakeGpu.numbered(n).uuid for n in range(3)):
            own = [name for name in on_gpus if name.endswith(uuid)]
            assert {name.split("_v3")[0] for name in own if "_v3" in name} == {"compute", "graphics", "mps"}
            assert max(on_gpus[name] for name in own) == 1
            costs.append(len(own) - 3)
        assert sum(calls.values()) == 2 * sum(on_gpus.values())  # nothing else is called
    assert max(costs) <= 7
    assert (min(costs), max(costs)) == (5, 6)


def test_mig_devices_are_read_within_the_same_cost(rig):
    """Seven things and three lists for each GPU of the reading: the divided one and each of its parts."""
    for number in (0, 1, 7):
        migs = [FakeMig(slot, f"MIG-{slot}", processes=[FakeProcess(1000 + slot)]) for slot in range(number)]
        rig.play(FakeGpu(migs=migs))
        rig.steady.advance(1000)
        for _ in range(14):
            rig.read()
        rig.calls()
        for _ in range(24):
            assert len(rig.read().gpus) == number + 1
            calls = {name: n for name, n in rig.calls().items() if not name.startswith(("event_", "count"))}
            assert sum(n for name, n in calls.items() if " " in name) <= (7 + 3) * (number + 1)


@pytest.mark.parametrize("degrees", [0, 1000, 2**32 - 2])
def test_a_threshold_that_is_no_temperature_is_none(rig, degrees):
    """0 would make every GPU too hot, and a negative one without its sign would make none."""
    rig.play(FakeGpu(slowdown=degrees))
    assert rig.read().gpus[0].slowdown_at == UNSUPPORTED


def test_a_slow_value_that_failed_is_asked_again_at_once(rig):
    """An error is not kept for a minute, "unsupported" and "forbidden" are."""
    rig.play(FakeGpu(errors={"fan": UNKNOWN, "power_limit": NOT_SUPPORTED, "ecc": NO_PERMISSION}))
    rig.read()
    rig.play(FakeGpu(fan=55))
    gpu = rig.read().gpus[0]
    assert (gpu.fan, gpu.power_limit) == (55, UNSUPPORTED)
    assert gpu.ecc_corrected == Missing(Why.ERROR, "Insufficient Permissions")


def test_a_static_value_that_was_forbidden_is_asked_again_later(rig):
    """After twelve reads: rights may come with a device file's group."""
    rig.play(FakeGpu(errors={"slowdown": NO_PERMISSION}))
    rig.read()
    rig.play(FakeGpu())
    told = [rig.read().gpus[0].slowdown_at for _ in range(24)]
    assert isinstance(told[10], Missing)
    assert told[-1] == 93


def test_close_shuts_nvml_down(rig):
    """The driver's count of users returns to what it was; a later read is a problem, not an empty list."""
    rig.read()
    rig.source.close()
    assert rig.calls()["shutdown"] == 1
    assert "closed" in rig.read().problem.text
    assert rig.calls()["init"] == 0


READ = """
from gpuwatch_tray.sources.nvml import NvmlSource
source = NvmlSource()
for _ in range(3):
    snapshot = source.read()
gpu, = snapshot.gpus
print(gpu.process_problem, gpu.memory_used, int(gpu.limited_by), [one.pid for one in snapshot.processes])
source.close()
"""


def test_a_library_from_before_the_newer_functions_is_read_by_the_older_ones(tmp_path):
    """The symbols are not there at all, which is an error of another kind than a code."""
    gpu = FakeGpu(clocks=4, processes=[FakeProcess(11, kinds="CG")])
    path = Scenario(gpus=[gpu]).write(tmp_path / "scenario")
    child = subprocess.run(
        [sys.executable, "-c", READ],
        env=environment(path, flags=OLD),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert child.stdout == f"None {GIB} 4 [11]\n"
    assert child.stderr == ""


@pytest.mark.parametrize(
    ("facts", "fields"),
    [
        ({"power": 4_294_967.295}, ["power"]),
        ({"power": 961.0, "power_limit": 320}, ["power"]),  # more than three times its limit
        ({"power_limit": 4_294_967.295}, ["power_limit"]),
        ({"temperature": 510}, ["temperature"]),
        ({"temperature": -60}, ["temperature"]),
        ({"utilisation": 101}, ["utilisation"]),
        ({"memory_used": 24 * GIB + 1}, ["memory_used", "memory_total"]),
        ({"memory_total": 2**63}, ["memory_used", "memory_total"]),
        ({"fan": 2**32 - 1}, ["fan"]),
        ({"energy": (2**64 - 1) / 1000}, ["energy"]),
        ({"ecc": (2**64 - 1, 0)}, ["ecc_corrected"]),
        ({"ecc": (0, 2**64 - 1)}, ["ecc_uncorrected"]),
        ({"rows": (7, 0)}, ["rows_pending", "rows_failed"]),
        ({"width": (2**32 - 1, 16)}, ["pcie_width"]),
        ({"width": (16, 255)}, ["pcie_width_most"]),
    ],
)
def test_a_value_that_cannot_be_is_unknown_and_says_so(rig, facts, fields):
    """Success with garbage: that value is missing with the reading as its reason, and the GPU is not lost."""
    rig.play(FakeGpu(**facts))
    for _read in range(3):
        gpu = rig.read().gpus[0]
        missing = [
            name for names in FIELDS.values() for name in names if isinstance(getattr(gpu, name), Missing)
        ]
        assert set(missing) == set(fields)
        for name in fields:
            value = getattr(gpu, name)
            assert value.why is Why.ERROR
            assert value.detail.startswith("impossible reading: ")
        assert gpu.problem is None


def test_an_impossible_value_is_gone_with_its_reading(rig):
    """510 degrees for one reading: the next one is as good as ever."""
    rig.play(FakeGpu(temperature=510))
    rig.read()
    rig.play(FakeGpu(temperature=71))
    assert rig.read().gpus[0].temperature == 71


def test_more_memory_than_the_gpu_has_is_not_a_process_s(rig):
    """Its memory is unknown; the process is listed."""
    found = rig.processes(FakeProcess(11, 2**50), FakeProcess(12, GIB))
    assert [(one.pid, isinstance(one.memory, Missing)) for one in found] == [(11, True), (12, False)]


@pytest.mark.parametrize(
    ("code", "expected"), [(INVALID_ARGUMENT, UNSUPPORTED), (UNKNOWN, Missing(Why.ERROR, "Unknown Error"))]
)
def test_the_recovery_action_has_a_code_of_its_own(rig, code, expected):
    """The call is older than the field: a driver that does not know the field has no such argument."""
    rig.play(FakeGpu(errors={"recovery": code}))
    assert rig.read().gpus[0].recovery == expected
