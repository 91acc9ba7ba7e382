"""The test driver itself: sound under the sanitizers of gcc, as strict as the real one about its handles."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.driver.build import CHECKED, sanitizer
from tests.driver.scenario import (
    NOT_SUPPORTED,
    UNKNOWN,
    FakeEvent,
    FakeGpu,
    FakeMig,
    FakeProcess,
    Scenario,
    environment,
    loaded,
)

pytestmark = pytest.mark.driver

# Everything that the source asks, through changing scenarios, and what it never asks.
EVERY_CALL = """
import pathlib, sys, time
import pynvml
from gpuwatch_tray.sources.nvml import NvmlSource
from tests.driver import test_soundness
path = pathlib.Path(sys.argv[1])
source = NvmlSource(event_wait=0.02)
events = []
for scenario in test_soundness.scenarios():
    scenario.write(path)
    for _ in range(15):
        events += source.read().events
    time.sleep(0.05)
source.close()
pynvml.nvmlInit()
print(pynvml.nvmlSystemGetDriverVersion(), len(events) > 0)
test_soundness.misuse()
"""


def scenarios():
    """Long lists and long names, lost GPUs, MIG devices, events, errors of every kind of call."""
    pids = [FakeProcess(1000 + n, kinds="CGM"[n % 3]) for n in range(500)]
    full = FakeGpu.numbered(0, *pids, name="N" * 95, clocks=2**64 - 1, ecc=(2**63, 1))
    migs = [FakeMig(n, f"MIG-{n}", processes=[FakeProcess(n + 1)]) for n in range(7)]
    divided = FakeGpu.numbered(1, migs=migs, pci=(0xFFFFFFFF, 0xFFFF, 0xFF))
    broken = FakeGpu.numbered(2, lost=True)
    odd = FakeGpu.numbered(3, temperature=-40, errors=dict.fromkeys(["memory", "compute", "rows"], UNKNOWN))
    events = [FakeEvent(n, full.uuid, 79) for n in range(1, 60)]
    many = [FakeGpu.numbered(n) for n in range(32)]
    yield Scenario([full, divided, broken, odd])
    yield Scenario([full, divided, broken, odd], events=events)
    yield Scenario([odd, FakeGpu.numbered(1, migs=migs[2:4]), full], stale=UNKNOWN)
    yield Scenario(many, errors={"event_wait": UNKNOWN, "temperature_v": NOT_SUPPORTED})
    yield Scenario([full, divided], records=32)
    yield Scenario([full, divided], records=16)
    yield Scenario([], errors={"shutdown": UNKNOWN})
    yield Scenario(many)


def misuse():
    """Check that handles and sets that were never given out, or of a session that is over, are refused."""
    import ctypes

    import pynvml  # the real binding is what is driven

    gpu, events = pynvml.nvmlDeviceGetHandleByIndex(0), pynvml.nvmlEventSetCreate()
    made_up = ctypes.cast(0x7_0003, type(gpu))
    pynvml.nvmlDeviceRegisterEvents(gpu, pynvml.nvmlEventTypeXidCriticalError, events)
    while True:
        try:
            pynvml.nvmlShutdown()
        except pynvml.NVMLError:
            break
    pynvml.nvmlInit()
    for call in (
        lambda: pynvml.nvmlDeviceGetName(gpu),
        lambda: pynvml.nvmlDeviceGetPciInfo(made_up),
        lambda: pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0),
        lambda: pynvml.nvmlEventSetWait_v2(events, 0),
        lambda: pynvml.nvmlEventSetFree(events),
        lambda: pynvml.nvmlEventSetFree(ctypes.cast(0x9_0001, type(events))),
        lambda: pynvml.nvmlDeviceGetHandleByUUID("GPU-nobody"),
        lambda: pynvml.nvmlDeviceGetHandleByPciBusId("no address"),
        lambda: pynvml.nvmlDeviceGetHandleByIndex(99),
    ):
        try:
            call()
        except pynvml.NVMLError:
            continue
        raise AssertionError("the test driver took what it never gave out")
    pynvml.nvmlShutdown()


def test_the_test_driver_is_sound(tmp_path):
    """Built with the address and the undefined-behaviour sanitizer, it goes through everything in silence."""
    path = Scenario().write(tmp_path / "scenario")
    variables = environment(path, flags=CHECKED) | {
        "LD_PRELOAD": sanitizer(),
        # Python itself ends without freeing all it has, and takes memory in its own way.
        "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1:detect_stack_use_after_return=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "PYTHONMALLOC": "malloc",
    }
    child = subprocess.run(
        [sys.executable, "-c", EVERY_CALL, str(path)],
        env=variables,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert (child.returncode, child.stderr, child.stdout) == (0, "", "550.54.14 True\n")


def test_the_sanitizers_see_what_is_wrong(tmp_path):
    """The proof above can fail: a program that writes past its end, built alike, is stopped."""
    source = tmp_path / "wrong.c"
    source.write_text("int main(int n, char **v) { char a[4]; (void)v; a[n + 3] = 1; return a[0]; }\n")
    program = tmp_path / "wrong"
    subprocess.run(["cc", *CHECKED, "-o", program, source], check=True)
    child = subprocess.run([program], capture_output=True, text=True, check=False)
    assert child.returncode != 0
    assert "wrong.c" in child.stderr


def test_what_was_never_given_out_is_refused(tmp_path):
    """As by the real driver, with a code, in a process like any other."""
    with loaded(Scenario().write(tmp_path / "scenario")):
        import pynvml  # the real binding is what is driven

        pynvml.nvmlInit()
        misuse()
