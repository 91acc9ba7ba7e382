"""
What the tray costs on this machine: start to icon, memory, CPU. Prints a table; asserts nothing.

    .venv/bin/python -m tests.bench.tray_cost [SECONDS]

Two simulated GPUs with five real processes, the default interval, xfce4-panel and dunst under Xvfb.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil  # measures the program from outside

from tests.driver.scenario import FakeGpu, FakeProcess, Scenario
from tests.e2e import rig
from tests.support.installed import MIB, Installed
from tests.support.workers import workers

STARTS = 5


def start(installed: Installed, desk: rig.Desktop) -> tuple[subprocess.Popen[bytes], float]:
    """The running tray, and the seconds from exec to the icon's registration."""
    began = time.perf_counter()
    tray = subprocess.Popen([installed.script], env=desk.environment | installed.environment)
    while not any(item.startswith(":") for item in registered(desk)):
        time.sleep(0.002)
    return tray, time.perf_counter() - began


def registered(desk: rig.Desktop) -> list[str]:
    """The items that the panel's watcher knows."""
    watcher = (rig.WATCHER, "/StatusNotifierWatcher", rig.WATCHER)
    return list(desk.client.get_all(watcher).get("RegisteredStatusNotifierItems", []))


def stop(tray: subprocess.Popen[bytes], desk: rig.Desktop) -> float:
    """Seconds from SIGTERM to the end."""
    began = time.perf_counter()
    tray.terminate()
    tray.wait(10)
    ended = time.perf_counter() - began
    while registered(desk):
        time.sleep(0.01)
    return ended


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        installed = Installed(folder)
        with rig.desktop(folder / "desk") as desk, workers(folder, *([f"w{n}.py"] for n in range(5))) as held:
            rows = [FakeProcess(worker.pid, 900 * MIB) for worker in held]
            installed.configure(GPU_LIMIT=2)
            installed.play(Scenario(gpus=[FakeGpu.numbered(0, *rows[:3]), FakeGpu.numbered(1, *rows[3:])]))
            starts, ends = [], []
            for _ in range(STARTS):
                tray, took = start(installed, desk)
                starts.append(took)
                time.sleep(1)
                ends.append(stop(tray, desk))
            tray, _ = start(installed, desk)
            time.sleep(10)
            seen = psutil.Process(tray.pid)
            before, cpu = time.perf_counter(), sum(seen.cpu_times()[:2])
            time.sleep(seconds)
            cpu = (sum(seen.cpu_times()[:2]) - cpu) / (time.perf_counter() - before)
            memory = seen.memory_full_info()
            stop(tray, desk)
    spread = f"median of {STARTS}, {min(starts):.2f} to {max(starts):.2f}"
    sizes = f"{memory.pss / 1e6:.1f} MB PSS, {memory.uss / 1e6:.1f} MB USS"
    print(f"start to icon   {statistics.median(starts):6.2f} s  ({spread})")
    print(f"SIGTERM to end  {statistics.median(ends):6.2f} s  (median of {STARTS})")
    print(f"memory          {memory.rss / 1e6:6.1f} MB RSS, {sizes}")
    print(f"CPU             {100 * cpu:6.2f} % of one core over {seconds:g} s at the default interval")


if __name__ == "__main__":
    main()
