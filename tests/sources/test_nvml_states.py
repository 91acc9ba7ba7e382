"""Drivers that do not work, GPUs that are lost, and how the NVML source comes back."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pynvml  # its answers are bent at the edge
import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import Missing, Why
from tests.driver.scenario import (
    DRIVER_NOT_LOADED,
    GPU_IS_LOST,
    LIB_RM_VERSION_MISMATCH,
    NO_PERMISSION,
    NOT_SUPPORTED,
    OPERATING_SYSTEM,
    RESET_REQUIRED,
    UNINITIALIZED,
    UNKNOWN,
    FakeGpu,
    FakeProcess,
    Scenario,
    environment,
    without_driver,
)
from tests.support.timing import PATIENCE, slowness

pytestmark = pytest.mark.driver

VALUES = [
    *("name", "memory", "utilisation", "temperature", "power", "power_limit", "fan"),
    *("slowdown", "clocks", "ecc", "rows", "width", "width_most", "energy", "mig_mode"),
]
ROOT = Path(__file__).parents[2]
READ = """
from gpuwatch_tray.sources.nvml import NvmlSource
source = NvmlSource()
snapshot = source.read()
print(len(snapshot.gpus), snapshot.problem and snapshot.problem.no_driver, snapshot.problem, sep="|")
source.close()
"""


def in_a_child(variables):
    command = [sys.executable, "-c", READ]
    child = subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, check=True)
    assert child.stderr == ""
    return child.stdout.strip().split("|")


# --- the whole driver


@pytest.mark.parametrize(
    ("code", "text", "no_driver"),
    [
        (DRIVER_NOT_LOADED, "the NVIDIA driver is not loaded", True),
        (LIB_RM_VERSION_MISMATCH, "the NVIDIA driver was replaced while running", False),
        (NO_PERMISSION, "no permission to use the NVIDIA driver", False),
        (UNKNOWN, "the NVIDIA driver does not work: Unknown Error (NVML 999)", False),
    ],
)
def test_an_init_that_fails_is_a_problem_with_a_mend(rig, code, text, no_driver):
    """No GPUs and no processes are claimed; only a driver that is not there counts as none."""
    rig.play(init_error=code)
    snapshot = rig.read()
    assert snapshot.problem.text.startswith(text)
    assert snapshot.problem.mend
    assert snapshot.problem.no_driver is no_driver
    assert (snapshot.gpus, snapshot.processes) == ((), ())


def test_a_replaced_driver_is_told_with_both_versions(rig):
    """The library tells its version uninitialised, Linux that of the module; a reboot mends it."""
    rig.module_version.write_text("550.54.14\n")
    rig.play(init_error=LIB_RM_VERSION_MISMATCH, driver_version="550.90.07")
    problem = rig.read().problem
    assert "(library 550.90.07, kernel module 550.54.14)" in problem.text
    assert "reboot" in problem.mend


def test_a_machine_without_the_library_has_no_driver(tmp_path):
    """In a process of its own, since a library once loaded stays."""
    count, no_driver, text = in_a_child(without_driver(tmp_path / "none"))
    assert (count, no_driver) == ("0", "True")
    assert text.startswith("no NVIDIA driver is installed")


def test_a_child_finds_the_test_driver_by_its_environment(tmp_path):
    """The way that whole programs are tested: LD_LIBRARY_PATH, as for the real library."""
    path = Scenario(gpus=[FakeGpu.numbered(0), FakeGpu.numbered(1)]).write(tmp_path / "scenario")
    assert in_a_child(environment(path)) == ["2", "None", "None"]


def test_pynvml_missing_is_told(rig, monkeypatch):
    """One line and the command that mends it; it is no claim about the driver."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    problem = rig.read().problem
    assert "nvidia-ml-py is missing" in problem.text
    assert problem.mend == "pip install nvidia-ml-py"
    assert not problem.no_driver


def test_the_abandoned_package_of_the_same_name_is_told(rig, monkeypatch):
    """Up to 11.5 it is a package, the official one a single file."""
    package = types.ModuleType("pynvml")
    package.__path__ = ["/somewhere/pynvml"]
    package.__file__ = "/somewhere/pynvml/__init__.py"
    monkeypatch.setitem(sys.modules, "pynvml", package)
    problem = rig.read().problem
    assert "/somewhere/pynvml/__init__.py" in problem.text
    assert "pip uninstall pynvml" in problem.mend


def test_a_driver_that_lists_no_gpu_is_not_an_idle_machine(rig):
    """It is a problem, and no sign that there is no driver."""
    rig.play_none()
    snapshot = rig.read()
    assert snapshot.problem.text == "the NVIDIA driver reports no GPU"
    assert not snapshot.problem.no_driver


def test_an_init_that_failed_is_tried_again_and_less_often(rig):
    """At the next read, then after 2, 4, 8, 16 and 30 seconds; in between the problem stays the same."""
    rig.play(init_error=DRIVER_NOT_LOADED)
    tries = []
    for second in range(100):
        rig.steady.now = second
        assert rig.read().problem.no_driver
        tries += [second] * rig.calls()["init"]
    assert tries == [0, 1, 3, 7, 15, 31, 61, 91]


def test_a_driver_that_comes_is_read(rig):
    """After the failure the next read finds the GPUs."""
    rig.play(init_error=DRIVER_NOT_LOADED)
    assert rig.read().problem
    rig.play(FakeGpu(processes=[FakeProcess(11)]))
    snapshot = rig.read()
    assert snapshot.problem is None
    assert [one.pid for one in snapshot.processes] == [11]


def test_a_driver_that_goes_away_is_a_problem_until_it_is_back(rig):
    """The GPUs seen before do not turn into idle ones."""
    rig.play(FakeGpu(processes=[FakeProcess(11)]))
    assert rig.read().problem is None
    rig.play(init_error=DRIVER_NOT_LOADED, errors={"count": DRIVER_NOT_LOADED})
    snapshot = rig.read()
    assert snapshot.problem.no_driver
    assert snapshot.gpus == ()
    rig.play(FakeGpu(processes=[FakeProcess(11)]))
    assert [one.pid for one in rig.read().processes] == [11]


@pytest.mark.parametrize("code", [UNINITIALIZED, UNKNOWN, OPERATING_SYSTEM, DRIVER_NOT_LOADED])
def test_after_a_resume_the_session_is_renewed_within_the_read(rig, code):
    """Every call fails until NVML is initialised again: that is done, and nobody notices."""
    gpus = [FakeGpu.numbered(0, FakeProcess(11)), FakeGpu.numbered(1)]
    rig.play(*gpus)
    before = rig.read()
    rig.calls()
    rig.play(*gpus, stale=code)
    assert rig.read() == before
    calls = rig.calls()
    assert (calls["shutdown"], calls["init"]) == (1, 1)


def test_a_lost_gpu_leaves_its_index_to_the_one_that_has_it_now(rig):
    """A renewed session counts on without it: two GPUs of one number would be taken for one another."""
    first, second, third = (FakeGpu.numbered(n) for n in range(3))
    rig.play(first, second, third)
    rig.read()
    rig.play(first, replace(second, lost=True), third)
    rig.read()
    rig.steady.advance(600)
    rig.play(first, third)
    rig.read()
    found = [(gpu.index, gpu.uuid[-1], gpu.problem is None) for gpu in rig.read().gpus]
    assert found == [(0, "0", True), (1, "2", True), (2, "1", False)]
    rig.steady.advance(600)
    rig.play(first, second, third)
    rig.read()
    assert [(gpu.index, gpu.uuid[-1]) for gpu in rig.read().gpus] == [(0, "0"), (1, "1"), (2, "2")]


def test_gpus_are_known_by_uuid_when_their_order_changes(rig):
    """After a renewal their indexes and order are the driver's new ones, with each GPU's own processes."""
    rig.play(FakeGpu.numbered(0, FakeProcess(10)), FakeGpu.numbered(1, FakeProcess(11)))
    rig.read()
    rig.play(FakeGpu.numbered(1, FakeProcess(11)), FakeGpu.numbered(0, FakeProcess(10)), stale=UNKNOWN)
    snapshot = rig.read()
    assert [(gpu.uuid[-1], gpu.index) for gpu in snapshot.gpus] == [("1", 0), ("0", 1)]
    assert [(one.pid, one.gpu) for one in snapshot.processes] == [(11, 0), (10, 1)]


def test_a_count_that_fails_renews_the_session_and_then_is_a_problem(rig):
    """Where a new session does not mend it, nothing can be read; back-off holds for the sessions, too."""
    rig.read()
    rig.calls()
    rig.play(errors={"count": UNKNOWN})
    tries = []
    for second in range(20):
        rig.steady.now = second
        assert rig.read().problem.text == "the NVIDIA driver does not work: Unknown Error (NVML 999)"
        tries += [second] * rig.calls()["init"]
    assert tries == [0, 1, 3, 7, 15]


def test_a_success_ends_the_back_off(rig):
    """A driver that fails once more, much later, is tried at once and at the next read, as the first time."""
    for start in (0, 100):
        tries = []
        rig.calls()
        rig.play(init_error=DRIVER_NOT_LOADED, errors={"count": DRIVER_NOT_LOADED})
        for second in range(start, start + 10):
            rig.steady.now = second
            assert rig.read().problem
            tries += [second - start] * rig.calls()["init"]
        assert tries == [0, 1, 3, 7]
        rig.steady.now = start + 50
        rig.play()
        assert rig.read().problem is None


def test_a_good_read_ends_the_back_off_of_renewals(rig):
    """Two resumes in a row are each mended within their read."""
    for _ in range(4):
        rig.play()
        assert rig.read().gpus[0].problem is None
        rig.play(stale=UNKNOWN)
        assert rig.read().gpus[0].problem is None


# --- one GPU of several


def test_one_of_two_lost_is_a_problem_of_its_own(rig):
    """It stays in the list with its UUID and name, without values; the other is read as ever."""
    rig.play(FakeGpu.numbered(0, FakeProcess(10)), FakeGpu.numbered(1, FakeProcess(11)))
    rig.read()
    lost = FakeGpu(uuid=FakeGpu.numbered(0).uuid, lost=True)
    rig.play(lost, FakeGpu.numbered(1, FakeProcess(11)))
    for _ in range(3):
        snapshot = rig.read()
        first, second = snapshot.gpus
        assert (first.index, first.uuid[-1], first.name) == (0, "0", "NVIDIA Test 4090")
        assert first.problem.startswith("lost: ")
        assert first.process_problem == first.problem
        assert first.memory_used == Missing(Why.ERROR, "GPU is lost")
        assert (second.problem, second.process_problem, second.utilisation) == (None, None, 12)
        assert [one.pid for one in snapshot.processes] == [11]


def test_a_gpu_lost_before_it_was_seen_still_has_its_place(rig):
    """Its index fails alone: it is listed without UUID and name, and gets them once it answers."""
    rig.play(FakeGpu(uuid=FakeGpu.numbered(0).uuid, lost=True), FakeGpu.numbered(1))
    gone, there = rig.read().gpus
    assert (gone.index, gone.uuid, there.uuid[-1]) == (0, "", "1")
    assert gone.problem.startswith("lost: ")
    rig.play(FakeGpu.numbered(0), FakeGpu.numbered(1))
    found = [(gpu.index, gpu.uuid[-1], gpu.problem) for gpu in rig.read().gpus]
    assert found == [(0, "0", None), (1, "1", None)]


def test_a_gpu_that_the_driver_no_longer_lists_is_not_forgotten(rig):
    """A shorter list would be fewer GPUs in use: the missing UUID is a lost GPU, even when all are."""
    rig.play(FakeGpu.numbered(0), FakeGpu.numbered(1))
    rig.read()
    rig.play(FakeGpu.numbered(1))
    snapshot = rig.read()
    assert [(gpu.uuid[-1], gpu.problem is None) for gpu in snapshot.gpus] == [("1", True), ("0", False)]
    rig.play_none()
    snapshot = rig.read()
    assert snapshot.problem is None
    assert all(gpu.problem for gpu in snapshot.gpus)
    assert len(snapshot.gpus) == 2


def test_a_gpu_that_fails_leaves_no_rings_of_objects(rig):
    """What is kept of an error holds no frame that holds the error: the tray collects garbage seldom."""
    rig.play(FakeGpu(errors={"compute": UNKNOWN}), FakeGpu.numbered(1, lost=True))
    for _ in range(3):
        rig.read()
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            rig.read()
        assert gc.collect() <= 5 * 10  # ctypes leaves a pointer to each handle
    finally:
        gc.enable()


def test_a_gpu_that_returns_is_read_again(rig):
    """Its values and processes are back under the same UUID."""
    rig.play(FakeGpu(), FakeGpu.numbered(1))
    rig.read()
    rig.play(FakeGpu(lost=True), FakeGpu.numbered(1))
    assert rig.read().gpus[0].problem
    rig.play(FakeGpu(processes=[FakeProcess(11)]), FakeGpu.numbered(1))
    snapshot = rig.read()
    assert snapshot.gpus[0].problem is None
    assert [one.gpu for one in snapshot.processes] == [0]


def test_a_gpu_that_is_added_is_read_within_a_minute(rig, bus):
    """An external GPU, or a rescan of the bus: NVML lists those of its nvmlInit, so it is renewed."""
    bus.card(0)
    rig.play(FakeGpu.numbered(0))
    rig.read()
    bus.card(1)
    rig.play(FakeGpu.numbered(0), FakeGpu.numbered(1, FakeProcess(11), temperature=91))
    rig.read()
    rig.steady.advance(60)
    rig.calls()
    snapshot = rig.read()
    assert [one.gpu for one in snapshot.processes] == [1]
    assert snapshot.gpus[1].temperature == 91
    assert rig.calls()["init"] == 1
    for _minute in range(60):
        rig.steady.advance(60)
        rig.read()
    assert rig.calls()["init"] == 0


def test_a_gpu_that_is_added_is_read_where_none_may_sleep_too(rig, bus):
    """WAKE_SLEEPING_GPUS: the bus is looked at all the same."""
    rig.source.wake_sleeping(wake=True)
    bus.card(0)
    rig.play(FakeGpu.numbered(0))
    rig.read()
    bus.card(1)
    rig.play(FakeGpu.numbered(0), FakeGpu.numbered(1))
    rig.steady.advance(60)
    assert len(rig.read().gpus) == 2


def test_a_card_that_the_driver_never_lists_does_not_cost_a_session_each_minute(rig, bus):
    """One that came and is not given to this container: tried again ever more seldom, up to once an hour."""
    bus.card(0)
    rig.play(FakeGpu.numbered(0))
    rig.read()
    bus.card(1)
    rig.calls()
    tries = []
    for minute in range(1, 130):
        rig.steady.advance(60)
        rig.read()
        tries += [minute] * rig.calls()["init"]
    assert tries == [1, 2, 3, 5, 9, 17, 33, 65, 125]


def test_gpus_that_a_cgroup_hides_are_not_lost(rig):
    """Never seen and NO_PERMISSION is somebody else's: left out as by nvidia-smi, and counted for doctor."""
    hidden = {"handle_by_index": NO_PERMISSION}
    rig.play(*(FakeGpu.numbered(n, errors=hidden if n > 1 else {}) for n in range(4)))
    for _read in range(3):
        snapshot = rig.read()
        assert [(gpu.index, gpu.problem) for gpu in snapshot.gpus] == [(0, None), (1, None)]
        assert snapshot.hidden == 2
        assert rig.calls()["init"] <= 1


def test_a_gpu_that_is_given_later_is_no_longer_hidden(rig):
    """With the next session, or as soon as anything is looked for again."""
    rig.play(FakeGpu.numbered(0), FakeGpu.numbered(1, errors={"handle_by_index": NO_PERMISSION}))
    assert rig.read().hidden == 1
    rig.play(FakeGpu.numbered(0, lost=True), FakeGpu.numbered(1))
    rig.read()
    snapshot = rig.read()
    assert (len(snapshot.gpus), snapshot.hidden) == (2, 0)


def test_a_gpu_that_is_taken_away_is_told_with_that_reason(rig):
    """It was readable: no permission any more is not the same as lost."""
    rig.play(FakeGpu.numbered(0), FakeGpu.numbered(1))
    rig.read()
    rig.play(
        FakeGpu.numbered(0),
        FakeGpu.numbered(
            1, errors=dict.fromkeys(["handle_by_index", *VALUES, "compute", "graphics", "mps"], NO_PERMISSION)
        ),
    )
    snapshot = [rig.read() for _read in range(3)][-1]
    assert snapshot.gpus[0].problem is None
    assert "this session no longer has permission" in snapshot.gpus[1].problem


def test_where_every_gpu_is_hidden_nothing_can_be_read(rig):
    """That is no machine without a GPU."""
    rig.play(FakeGpu(errors={"handle_by_index": NO_PERMISSION}))
    assert "no permission" in rig.read().problem.text


def test_a_lost_gpu_does_not_cost_a_new_session_at_each_read(rig):
    """A renewal may take seconds and seldom helps: at once, after 5 s, then twice as long each time."""
    rig.play(FakeGpu(lost=True), FakeGpu.numbered(1))
    rig.read()
    rig.calls()
    tries = []
    for second in range(100):
        rig.steady.now = second
        rig.read()
        tries += [second] * rig.calls()["init"]
    assert tries == [0, 1, 6, 16, 36, 76]


@pytest.mark.parametrize("call", ["fan", "compute", "temperature"])
def test_one_call_that_keeps_failing_does_not_cost_the_session(rig, call):
    """A GPU that answers anything at all is there."""
    rig.play(FakeGpu(errors={call: UNKNOWN}))
    rig.read()
    rig.calls()
    for second in range(30):
        rig.steady.now = second
        assert rig.read().gpus[0].problem is None
    assert rig.calls()["init"] == 0


@pytest.mark.parametrize("code", [UNKNOWN, NO_PERMISSION, RESET_REQUIRED])
def test_a_gpu_that_answers_nothing_cannot_be_read(rig, code):
    """All its calls fail: that is said of the GPU, not of each value alone."""
    dead = dict.fromkeys([*VALUES, "compute", "graphics", "mps"], code)
    rig.play(FakeGpu(errors=dead), FakeGpu.numbered(1))
    first, second = rig.read().gpus
    assert first.problem
    assert first.process_problem
    assert second.problem is None


def test_a_gpu_whose_values_all_fail_still_has_its_processes(rig):
    """An answer of the process lists is an answer."""
    rig.play(FakeGpu(processes=[FakeProcess(11)], errors=dict.fromkeys(VALUES, UNKNOWN)))
    snapshot = rig.read()
    assert (snapshot.gpus[0].problem, snapshot.gpus[0].process_problem) == (None, None)
    assert [one.pid for one in snapshot.processes] == [11]


@pytest.mark.parametrize(("failing", "told"), [("compute", True), ("mps", True), ("graphics", False)])
def test_only_the_lists_that_count_hold_back_the_rules(rig, failing, told):
    """A graphics list that cannot be read hides no process that could count."""
    rig.play(FakeGpu(processes=[FakeProcess(11), FakeProcess(12, kinds="M")], errors={failing: UNKNOWN}))
    snapshot = rig.read()
    assert snapshot.gpus[0].problem is None
    assert bool(snapshot.gpus[0].process_problem) is told
    assert {one.pid for one in snapshot.processes} == {11, 12} - {{"compute": 11, "mps": 12}.get(failing)}


def test_a_lost_gpu_is_asked_nothing_more(rig):
    """Calls to a GPU off the bus may take long."""
    rig.read()
    rig.calls()
    rig.play(FakeGpu(lost=True))
    rig.read()
    calls = rig.calls()
    assert (calls["memory_v2"], calls["power"], calls["compute_v3"]) == (1, 0, 0)


def test_a_handle_that_is_none_is_not_used(rig, monkeypatch):
    """A driver in trouble may hand out NULL, and a call with it would end this process."""
    empty = ctypes.POINTER(ctypes.c_char)()
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda _index: empty)
    gpu = rig.read().gpus[0]
    assert gpu.problem.startswith("lost: ")
    assert rig.calls()["uuid"] == 0


def test_a_gpu_that_does_not_tell_its_uuid_cannot_be_read(rig):
    """Who it is decides which alert is whose; its index may be another's tomorrow."""
    rig.play(FakeGpu(errors={"uuid": NOT_SUPPORTED}), FakeGpu.numbered(1, FakeProcess(11)))
    snapshot = rig.read()
    assert [bool(gpu.problem) for gpu in snapshot.gpus] == [True, False]
    assert [one.gpu for one in snapshot.processes] == [1]


def test_a_gpu_that_is_lost_between_two_calls_is_lost(rig):
    """What it answered before is not shown beside nothing."""
    rig.play(FakeGpu(errors={"graphics": GPU_IS_LOST}))
    gpu = rig.read().gpus[0]
    assert gpu.problem.startswith("lost: ")
    assert gpu.utilisation == Missing(Why.ERROR, "GPU is lost")


# --- a driver that hangs


def test_a_call_that_hangs_blocks_the_read_and_not_the_close(rig):
    """Others watch the time; the source is shut down when the call comes back."""
    rig.read()
    rig.calls()
    rig.play(FakeGpu(hang={"power": 60}))
    reader = threading.Thread(target=rig.read, daemon=True)
    reader.start()
    deadline = time.monotonic() + PATIENCE
    while not rig.calls()["temperature_v"] and time.monotonic() < deadline:
        reader.join(0.01)
    before = time.monotonic()
    rig.source.close()
    assert time.monotonic() - before < 5 * slowness()
    assert reader.is_alive()
    assert rig.calls()["shutdown"] == 0
    rig.play(FakeGpu())
    reader.join(60)
    assert not reader.is_alive()
    assert rig.calls()["shutdown"] == 1
