"""
What a poll costs: this program, the bare driver calls through pynvml, nvitop and gpustat, in one run.

    make bench        (installs nvitop and gpustat into a virtual environment of their own)
    .venv/bin/python -m tests.bench.compare PYTHON_WITH_NVITOP_AND_GPUSTAT [POLLS]

All read the same made-up driver: 8 GPUs with the same 100 real processes on each. Each tool has a process of
its own. Ratios are to ours; machines differ and are noisy, so nothing is asserted.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.driver import scenario as driver
from tests.driver.scenario import FakeGpu, FakeProcess, Scenario, calls_in
from tests.workers import workers

GPUS, PROCESSES = 8, 100
MIB = 2**20
POLLS = 20
STARTS = 5
TOOLS = Path(__file__).with_name("tools.py")
OURS, BARE = "gpuwatch-tray", "bare calls"
READERS = {OURS: "ours", BARE: "bare", "nvitop take_snapshots": "nvitop", "gpustat new_query": "gpustat"}
COMMANDS = {
    OURS: ["-P", "-m", "gpuwatch_tray", "ps", "--all"],
    "nvitop -1": ["-P", "-m", "nvitop", "-1"],
    "gpustat": ["-P", "-m", "gpustat"],
}


def main() -> None:
    """Measure and print."""
    others = sys.argv[1]
    polls = int(sys.argv[2]) if len(sys.argv) > 2 else POLLS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        calls = folder / "calls"
        with workers(folder, *([f"w{n}.py"] for n in range(PROCESSES))) as held:
            rows = [FakeProcess(worker.pid, 300 * MIB) for worker in held]
            played = Scenario(gpus=[FakeGpu.numbered(n, *rows) for n in range(GPUS)], calls=calls)
            environment = driver.environment(played.write(folder / "scenario"))
            print(f"{GPUS} GPUs, {PROCESSES} processes on each; {polls} steady polls, medians\n")
            read = {
                label: _read(_python(what, others), what, environment, calls, polls)
                for label, what in READERS.items()
            }
            _print_polls(read)
            started = {
                label: _start(sys.executable if label == OURS else others, words, environment)
                for label, words in COMMANDS.items()
            }
    _print_starts(started)


def _python(what: str, others: str) -> str:
    return others if what in {"nvitop", "gpustat"} else sys.executable


def _read(python: str, what: str, environment: dict[str, str], calls: Path, polls: int) -> dict[str, Any]:
    """One tool's polls, in a process of its own; the driver counts its calls."""
    child = subprocess.Popen(
        [python, str(TOOLS), what, str(polls)],
        env=environment | {"PYTHONPATH": str(TOOLS.parents[2])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    warm = json.loads(child.stdout.readline())  # it has polled twice by now
    before = sum(calls_in(calls).values())
    child.stdin.write("\n")
    child.stdin.flush()
    found: dict[str, Any] = warm | json.loads(child.stdout.readline())
    found["calls"] = (sum(calls_in(calls).values()) - before) / polls
    child.stdin.close()
    child.wait(30)
    return found


def _start(python: str, words: list[str], environment: dict[str, str]) -> float:
    """Seconds of a whole run of the command line, median."""
    took = []
    for _ in range(STARTS):
        began = time.perf_counter()
        subprocess.run(
            [python, *words],
            env=environment | {"TERM": "dumb"},
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=60,
        )
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def _print_polls(read: dict[str, dict[str, Any]]) -> None:
    ours = read[OURS]
    head = ("", "wall", "to ours", "CPU", "to ours", "calls", "RSS", "import")
    print(
        f"{head[0]:24}{head[1]:>10}{head[2]:>9}{head[3]:>10}{head[4]:>9}{head[5]:>8}{head[6]:>9}{head[7]:>9}"
    )
    for label, one in read.items():
        print(
            f"{label:24}{1000 * one['wall']:7.1f} ms{one['wall'] / ours['wall']:8.1f}x"
            f"{1000 * one['cpu']:7.1f} ms{one['cpu'] / max(ours['cpu'], 1e-6):8.1f}x"
            f"{one['calls']:8.0f}{one['rss'] / 1e6:6.1f} MB{1000 * one['import']:6.0f} ms"
        )


def _print_starts(started: dict[str, float]) -> None:
    print(f"\n{'one run of the command':24}{'wall':>10}{'to ours':>9}")
    for label, wall in started.items():
        print(f"{label:24}{1000 * wall:7.0f} ms{wall / started[OURS]:8.1f}x")


if __name__ == "__main__":
    main()
