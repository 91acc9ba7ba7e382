"""The driver's lines: pynvml's packages, the versions, each GPU with its rules, the Xid errors."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.doctor import CheckState
from gpuwatch_tray.doctor.environment import check_driver, check_pynvml
from gpuwatch_tray.model import UNSUPPORTED, ClockLimit, Gpu, Limits, Problem
from gpuwatch_tray.sources.nvml.session import driver_versions
from tests.driver.scenario import NOT_SUPPORTED, FakeGpu, loaded
from tests.sources.nvml_rig import Rig
from tests.support.fakes import snapshot


@pytest.mark.parametrize(
    ("found", "states"),
    [
        # NVIDIA's own alone
        ({"nvidia-ml-py": "13.580.65"}, ["ok"]),
        # the later pynvml only brings tools, and needs the official one
        ({"nvidia-ml-py": "13.580.65", "pynvml": "13.0.1"}, ["ok", "ok"]),
        # up to 11.5.3 it brought a module that hides the official one
        ({"nvidia-ml-py": "13.580.65", "pynvml": "11.5.3"}, ["ok", "problem"]),
        ({"pynvml": "8.0.4"}, ["problem", "problem"]),
        ({}, ["problem"]),
    ],
)
def test_which_package_gives_pynvml(found, states):
    """An abandoned package that hides NVIDIA's is a problem with both commands that mend it."""
    lines = list(check_pynvml(lambda name: found.get(name, "")))
    assert [line.state.value for line in lines] == states
    assert all(line.mend.startswith("pip ") for line in lines if line.state is CheckState.PROBLEM)


class Source:
    """A source that reads the same again and again."""

    name = "nvml"

    def __init__(self, *readings):
        self.readings = list(readings)
        self.closed = False

    def read(self):
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]

    def close(self):
        self.closed = True


def look(*readings, limits=None):
    source = Source(*(replace(each, source="nvml") for each in readings))
    lines = list(check_driver(source, lambda: "library 550.54.14", limits or Limits(), lambda _: None))
    assert source.closed
    return lines


def full(index=0, **facts):
    """A GPU that reports everything that a rule asks for."""
    base = {
        "name": "Test GPU",
        "memory_used": 1,
        "memory_total": 2,
        "utilisation": 0,
        "temperature": 40,
        "power": 1.0,
        "power_limit": 2.0,
        "fan": 30,
        "slowdown_at": 95,
        "limited_by": ClockLimit(0),
        "ecc_corrected": 0,
        "ecc_uncorrected": 0,
        "rows_pending": False,
        "rows_failed": False,
        "pcie_width": 16,
        "pcie_width_most": 16,
    }
    return Gpu(index, f"GPU-{index:04d}", **(base | facts))


def test_a_gpu_that_reports_all_lets_every_rule_fire():
    """The line counts the rules that are switched on; the driver's has the versions."""
    first, gpu, events = look(snapshot(gpus=(full(),)))
    assert (first.topic, first.text) == ("driver", "library 550.54.14, 1 GPU")
    assert gpu.text == "Test GPU: 18 of 18 rules can fire"
    assert (events.state, events.text) == (CheckState.OK, "received")


def test_mig_devices_are_counted_by_themselves():
    """They are parts of a GPU, not further ones."""
    parts = [replace(full(), uuid=f"MIG-{n}", physical="GPU-0000") for n in "ab"]
    assert look(snapshot(gpus=(full(), *parts)))[0].text == "library 550.54.14, 1 GPU, 2 MIG devices"


def test_each_gpu_has_its_own_rules():
    """What one GPU does not report is said of it alone, rule by rule."""
    lines = look(snapshot(gpus=(full(), full(1, fan=UNSUPPORTED))))
    one, other = (line for line in lines if line.topic.startswith("GPU"))
    assert "not:" not in one.text
    assert "17 of 18 rules can fire; cannot fire: fan (" in other.text


def test_no_events_are_said_once():
    """A driver without events costs the two Xid rules, which the GPU's line and one of its own say."""
    lines = look(
        snapshot(gpus=(full(),)), snapshot(gpus=(full(),), no_events="this GPU reports no Xid errors")
    )
    (events,) = (line for line in lines if line.topic == "Xid errors")
    assert events.state is CheckState.WARNING
    assert events.text.startswith("this GPU reports no Xid errors: the rules xid_fatal and xid_app")


def test_what_cannot_be_read_is_no_silence():
    """A driver that fails, a GPU that is lost, and a process list that fails: each with its line."""
    (failed,) = look(snapshot(problem=Problem("driver not loaded", "modprobe nvidia")))
    assert (failed.state, failed.text, failed.mend) == (
        CheckState.PROBLEM,
        "driver not loaded",
        "modprobe nvidia",
    )
    lines = look(snapshot(gpus=(full(problem="lost"), full(1, process_problem="no permission"))))
    by_topic = {line.topic: line for line in lines if line.state is not CheckState.OK}
    assert by_topic["GPU 0"].state is CheckState.PROBLEM
    assert "its processes cannot be read: no permission" in by_topic["GPU 1"].text


def test_a_sleeping_gpu_is_left_asleep():
    """It says so instead of counting rules."""
    lines = look(snapshot(gpus=(Gpu(0, "GPU-0", "Laptop GPU", asleep=True),)))
    assert "suspended by the system" in lines[1].text


@pytest.mark.driver
def test_on_a_real_driver(tmp_path):
    """The library's version without CUDA's, the kernel module's, and a GPU without a fan."""
    with loaded(tmp_path / "scenario") as path:
        _on_a_real_driver(Rig(path))


def _on_a_real_driver(rig):
    rig.module_version.write_text("550.54.14\n")
    rig.play(FakeGpu(errors={"fan": NOT_SUPPORTED}))
    lines = list(
        check_driver(rig.source, lambda: driver_versions(rig.module_version), Limits(), lambda _: None)
    )
    assert lines[0].text == "library 550.54.14, kernel module 550.54.14, 1 GPU"
    assert "cannot fire: fan (" in lines[1].text
    assert lines[-1].topic == "Xid errors"


@pytest.mark.parametrize(
    ("hidden", "text"),
    [
        (0, "1 GPU"),
        (1, "1 GPU, 1 more is not available to this session"),
        (2, "1 GPU, 2 more are not available to this session"),
    ],
)
def test_gpus_that_are_not_given_to_this_session_are_counted(hidden, text):
    """A cgroup of Slurm or of a container hides them: a word about it, and nothing is wrong."""
    line = look(snapshot(gpus=(Gpu(0, "a"),), hidden=hidden))[0]
    assert (line.state, line.text) == (CheckState.OK, f"library 550.54.14, {text}")
