"""GPUs divided into MIG devices: each is a GPU of its own, and every process is counted once."""

from __future__ import annotations

import pytest

from gpuwatch_tray.model import UNSUPPORTED, Missing, Why
from tests.driver.scenario import (
    GIB,
    GPU_IS_LOST,
    INVALID_ARGUMENT,
    MIB,
    NO_PERMISSION,
    NOT_SUPPORTED,
    UNKNOWN,
    FakeGpu,
    FakeMig,
    FakeProcess,
)

pytestmark = pytest.mark.driver

FIRST = FakeMig(0, "MIG-a", "NVIDIA H100 MIG 1g.10gb", processes=[FakeProcess(11, 700 * MIB)])
SECOND = FakeMig(
    5, "MIG-b", "NVIDIA H100 MIG 3g.40gb", 40 * GIB, processes=[FakeProcess(12), FakeProcess(13)]
)


def divided(*migs, **facts):
    return FakeGpu.numbered(0, migs=migs, name="NVIDIA H100", **facts)


def found(snapshot):
    return [(one.pid, one.gpu, one.device) for one in snapshot.processes]


def test_a_mig_device_is_a_gpu_of_its_own(rig):
    """With its own memory, name and UUID, its GPU's index; what only the whole GPU has is unsupported."""
    rig.play(divided(FIRST, SECOND), FakeGpu.numbered(1))
    whole, first, second, other = rig.read().gpus
    assert [gpu.physical for gpu in (whole, first, second, other)] == ["", whole.uuid, whole.uuid, ""]
    assert [gpu.index for gpu in (whole, first, second, other)] == [0, 0, 0, 1]
    assert (first.uuid, first.name, first.memory_used) == ("MIG-a", "NVIDIA H100 MIG 1g.10gb", GIB)
    assert (second.uuid, second.memory_total) == ("MIG-b", 40 * GIB)
    assert {first.utilisation, first.temperature, first.power, first.ecc_uncorrected} == {UNSUPPORTED}
    assert (first.problem, first.process_problem) == (None, None)


def test_the_divided_gpu_stays_with_what_it_has(rig):
    """Temperature and power are its own, utilisation there is none."""
    rig.play(divided(FIRST, temperature=61, power=200))
    whole = rig.read().gpus[0]
    assert (whole.utilisation, whole.temperature, whole.power) == (UNSUPPORTED, 61, 200)
    assert (whole.problem, whole.process_problem) == (None, None)


def test_a_process_on_a_mig_device_is_counted_once(rig):
    """The GPU's own list has it as well: it is not asked."""
    rig.play(divided(FIRST, SECOND), FakeGpu.numbered(1, FakeProcess(14)))
    snapshot = rig.read()
    assert found(snapshot) == [(11, 0, "MIG-a"), (12, 0, "MIG-b"), (13, 0, "MIG-b"), (14, 1, "")]
    assert snapshot.processes[0].memory == 700 * MIB


def test_a_process_on_two_mig_devices_is_on_both(rig):
    """As a process on two GPUs is on both."""
    rig.play(divided(FIRST, FakeMig(1, "MIG-c", processes=[FakeProcess(11)])))
    assert found(rig.read()) == [(11, 0, "MIG-a"), (11, 0, "MIG-c")]


def test_devices_made_and_removed_while_the_source_lives_are_followed(rig):
    """A new one is there within four reads, one that was removed is no lost GPU."""
    rig.play(divided(FIRST))
    rig.read()
    rig.play(divided(FIRST, SECOND))
    assert any(rig.read().gpus[-1].uuid == "MIG-b" for _ in range(4))
    rig.play(divided(SECOND))
    snapshot = rig.read()
    assert [(gpu.uuid[:5], gpu.problem) for gpu in snapshot.gpus] == [("GPU-0", None), ("MIG-b", None)]
    assert found(snapshot) == [(12, 0, "MIG-b"), (13, 0, "MIG-b")]


def test_another_device_in_the_same_slot_is_another(rig):
    """Its name is asked for anew."""
    rig.play(divided(FIRST))
    rig.read()
    rig.play(divided(FakeMig(0, "MIG-z", "NVIDIA H100 MIG 2g.20gb")))
    assert (rig.read().gpus[1].uuid, rig.read().gpus[1].name) == ("MIG-z", "NVIDIA H100 MIG 2g.20gb")


def test_the_mode_may_be_switched_on_and_off(rig):
    """Within a minute at the default interval; what computes is seen all the while."""
    plain = FakeGpu.numbered(0, FakeProcess(9), migs=(), mig_mode=0)
    rig.play(plain)
    assert found(rig.read()) == [(9, 0, "")]
    rig.play(divided(FIRST))
    for _ in range(24):
        snapshot = rig.read()
        assert [one.pid for one in snapshot.processes] == [11]
    assert [gpu.uuid[:3] for gpu in snapshot.gpus] == ["GPU", "MIG"]
    rig.play(plain)
    for _ in range(24):
        snapshot = rig.read()
        assert found(snapshot) == [(9, 0, "")]
    assert [(gpu.uuid[:3], gpu.utilisation) for gpu in snapshot.gpus] == [("GPU", 12)]


def test_a_divided_gpu_without_devices_is_asked_for_its_own_list(rig):
    """Nothing says that it is empty but the list itself."""
    rig.play(divided(errors={"compute": NO_PERMISSION}))
    assert rig.read().gpus[0].process_problem == "compute processes: Insufficient Permissions"
    rig.play(divided())
    assert rig.read().gpus[0].process_problem is None


def test_where_only_the_gpu_lists_processes_they_are_its_own(rig):
    """As on a host of virtual GPUs: the devices say that they cannot tell, the GPU tells all, each once."""
    dumb = {"compute": NOT_SUPPORTED, "graphics": NOT_SUPPORTED, "mps": NOT_SUPPORTED}
    migs = [FakeMig(0, "MIG-a", processes=[FakeProcess(11)], errors=dumb)]
    rig.play(divided(*migs))
    snapshot = rig.read()
    assert found(snapshot) == [(11, 0, "")]
    assert snapshot.gpus[0].process_problem is None
    assert snapshot.gpus[1].process_problem == "compute processes: Not Supported"


def test_a_process_that_only_one_list_of_its_device_has_is_not_on_the_gpu_as_well(rig):
    """The device's compute list fails, its graphics list has the process, and the GPU's list has it, too."""
    part = FakeMig(0, "MIG-a", processes=[FakeProcess(11, kinds="CG")], errors={"compute": UNKNOWN})
    rig.play(divided(part))
    assert found(rig.read()) == [(11, 0, "MIG-a")]


def test_a_device_whose_list_fails_holds_back_its_gpu(rig):
    """The processes known of the GPU are then not all there are."""
    rig.play(divided(FIRST, FakeMig(1, "MIG-b", errors={"compute": UNKNOWN})))
    whole, first, second = rig.read().gpus
    assert whole.process_problem == "MIG-b: compute processes: Unknown Error"
    assert (first.process_problem, second.process_problem) == (None, "compute processes: Unknown Error")


@pytest.mark.parametrize("call", ["mig_handle", "uuid"])
@pytest.mark.parametrize("code", [UNKNOWN, NO_PERMISSION, INVALID_ARGUMENT])
def test_a_device_that_cannot_be_reached_is_not_an_empty_one(rig, call, code):
    """It stays in the list if it was there before, with what is wrong, and is no lost GPU."""
    rig.play(divided(FIRST, SECOND))
    rig.read()
    rig.play(divided(FakeMig(0, "MIG-a", processes=FIRST.processes, errors={call: code}), SECOND))
    whole, first, _ = rig.read().gpus
    assert whole.process_problem.startswith("MIG device 0: ")
    assert (first.uuid, first.problem) == ("MIG-a", None)
    assert first.process_problem
    assert isinstance(first.memory_used, Missing)


@pytest.mark.parametrize("code", [UNKNOWN, NOT_SUPPORTED])
def test_a_device_that_never_could_be_reached_is_told_at_every_reading(rig, code):
    """Not only at those that look into an empty slot: its processes are missing at each."""
    rig.play(divided(FIRST, FakeMig(3, "MIG-d", errors={"mig_handle": code})))
    for _ in range(9):
        whole, first = rig.read().gpus
        assert whole.process_problem.startswith("MIG device 3: ")
        assert first.process_problem is None
    rig.play(divided(FIRST))
    assert rig.read().gpus[0].process_problem is None


def test_in_a_container_what_is_forbidden_is_missing_by_itself(rig):
    """The whole GPU's memory may not be asked for; the devices, their memory and processes are there."""
    rig.play(divided(FIRST, errors={"memory": NO_PERMISSION, "compute": NO_PERMISSION, "fan": NO_PERMISSION}))
    snapshot = rig.read()
    whole, first = snapshot.gpus
    assert whole.memory_used == Missing(Why.ERROR, "Insufficient Permissions")
    assert (whole.problem, whole.process_problem, first.memory_used) == (None, None, GIB)
    assert found(snapshot) == [(11, 0, "MIG-a")]


def test_memory_that_a_device_keeps_to_itself_is_missing_there(rig):
    """The error is the device's, nobody else's."""
    rig.play(divided(FakeMig(0, "MIG-a", errors={"memory": NO_PERMISSION, "name": UNKNOWN}), SECOND))
    whole, first, second = rig.read().gpus
    assert first.memory_total == Missing(Why.ERROR, "Insufficient Permissions")
    assert first.name == Missing(Why.ERROR, "Unknown Error")
    assert (whole.process_problem, second.memory_total) == (None, 40 * GIB)


@pytest.mark.parametrize("call", ["memory", "compute"])
def test_a_device_that_goes_while_it_is_asked_is_not_read_as_empty(rig, call):
    """Reconfigured between two calls: nothing may be concluded from this reading."""
    rig.play(divided(FakeMig(0, "MIG-a", errors={call: GPU_IS_LOST})))
    rig.read()
    assert rig.read().gpus[1].process_problem


def test_a_divided_gpu_that_is_lost_is_one_lost_gpu(rig):
    """Its devices are gone with it: it is the GPU that has to be mended."""
    rig.play(divided(FIRST, SECOND))
    rig.read()
    rig.play(divided(FIRST, SECOND, lost=True))
    (whole,) = rig.read().gpus
    assert whole.problem.startswith("lost: ")
    assert whole.process_problem


def test_how_many_devices_there_could_be_is_a_question_that_may_fail(rig):
    """The GPU's own list is asked then, and that something is missing is said."""
    rig.play(divided(FIRST, errors={"mig_count": UNKNOWN}))
    snapshot = rig.read()
    assert found(snapshot) == [(11, 0, "")]
    assert snapshot.gpus[0].process_problem == "MIG devices: Unknown Error"


def test_a_slot_that_was_not_reached_is_not_an_empty_one(rig):
    """After a GPU fell off the bus at its first slot and came back, every later slot is still read."""
    rig.play(divided(FakeMig(0, "MIG-x", errors={"mig_handle": GPU_IS_LOST}), SECOND))
    for _read in range(9):
        whole = rig.read().gpus[0]
        assert whole.problem is not None
    rig.play(divided(SECOND))
    assert found(rig.read()) == [(12, 0, "MIG-b"), (13, 0, "MIG-b")]
