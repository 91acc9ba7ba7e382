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
from typing import NamedTuple

import psutil  # measures the program from outside

from tests.bench.compare import run_in_turn
from tests.driver.scenario import FakeGpu, FakeProcess, Scenario
from tests.e2e import rig
from tests.support.installed import MIB, Installed
from tests.support.workers import workers

STARTS = 5
SECONDS = 60.0


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


class TrayCost(NamedTuple):
    """
    What the tray and the commands took: seconds, bytes, and of one core the share.

    `commands` are whole runs beside the tray, with the same five processes.
    """

    starts: list[float]
    ends: list[float]
    resident: int
    own: int
    cpu: float
    seconds: float
    commands: dict[str, list[float]]


def measure(seconds: float = SECONDS) -> TrayCost:
    """Start it a few times, and watch it for so many seconds at the default interval."""
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
            script = str(installed.script)
            commands = {
                "python3 -c 0": [sys.executable, "-c", "0"],
                "gpuwatch-tray --version": [script, "--version"],
                "gpuwatch-tray status": [script, "status"],
                "gpuwatch-tray ps": [script, "ps"],
            }
            took_each = run_in_turn(commands, desk.environment | installed.environment)
            stop(tray, desk)
    return TrayCost(starts, ends, memory.rss, memory.uss, cpu, seconds, took_each)


def print_table(cost: TrayCost) -> None:
    """Print what was measured."""
    spread = f"median of {len(cost.starts)}, {min(cost.starts):.2f} to {max(cost.starts):.2f}"
    print(f"start to icon   {statistics.median(cost.starts):6.2f} s  ({spread})")
    print(f"SIGTERM to end  {statistics.median(cost.ends):6.2f} s  (median of {len(cost.ends)})")
    print(f"memory          {cost.resident / 1e6:6.1f} MB RSS, {cost.own / 1e6:.1f} MB of its own (USS)")
    print(
        f"CPU             {100 * cost.cpu:6.2f} % of one core over {cost.seconds:g} s at the default interval"
    )
    for label, took in cost.commands.items():
        print(f"{label:24} {min(took):.3f} s least, {statistics.median(took):.3f} s median")


def main() -> None:
    """Measure and print."""
    print_table(measure(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS))


if __name__ == "__main__":
    main()
