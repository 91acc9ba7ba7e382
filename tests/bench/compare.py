"""
What a poll costs: this program, the bare driver calls through pynvml, nvitop and gpustat, in one run.

    .venv/bin/python -m tests.bench.compare PYTHON_WITH_NVITOP_AND_GPUSTAT [ROUNDS]

`make bench` does this and more (`table`), and installs nvitop and gpustat where they are alone.

All read the same made-up driver: 8 GPUs with the same 100 real processes on each. Each tool has a process of
its own, which lives throughout; they poll in turn, a few polls a round, so that what else the machine does
falls on all alike. Shown are medians, and the least, which the rest of the machine disturbs least. Ratios are
to the poll of ours in that column; machines differ, so nothing is asserted.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self

from msgspec.structs import replace

from tests.driver import scenario as driver
from tests.driver.scenario import FakeGpu, FakeProcess, Scenario, calls_in
from tests.support.workers import workers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GPUS, PROCESSES = 8, 100
MIB = 2**20
ROUNDS = 12
STARTS = 7  # runs of each command
COUNTED = 12  # polls whose calls are counted: with them every value that hardly changes is asked once
TOOLS = Path(__file__).with_name("tools.py")
OURS, BARE = "gpuwatch-tray", "bare calls"
# The tool of tools.py, and how often it polls in a round.
READERS = {
    BARE: ("bare", 10),
    OURS: ("ours", 10),
    f"{OURS}, rules and state": ("whole", 10),
    "nvitop take_snapshots": ("nvitop", 2),
    "gpustat new_query": ("gpustat", 1),
}
COMMANDS = {
    "python3 -c 0": ["-c", "0"],
    f"{BARE}, read once": [str(TOOLS), "bare", "once"],
    f"{OURS} ps --all": ["-P", "-m", "gpuwatch_tray", "ps", "--all"],
    "nvitop -1": ["-P", "-m", "nvitop", "-1"],
    "gpustat": ["-P", "-m", "gpustat"],
}


@dataclass
class Reader:
    """One tool's living process, and what it measured."""

    child: subprocess.Popen[str]
    imported: float = 0.0
    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    rss: int = 0
    calls: float = 0.0

    @classmethod
    def begun(cls, python: str, tool: str, environment: dict[str, str]) -> Self:
        """A warm one."""
        child = subprocess.Popen(
            [python, str(TOOLS), tool],
            env=environment | {"PYTHONPATH": str(TOOLS.parents[2])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=_errors(python),
            text=True,
        )
        reader = cls(child)
        reader.imported = json.loads(_open(child.stdout).readline())["import"]
        return reader

    def poll(self, times: int) -> None:
        """Poll so many times, and keep what it took."""
        found = self._asked(times)
        self.walls += found["walls"]
        self.cpus += found["cpus"]
        self.rss = found["rss"]

    def count(self, calls: Path) -> None:
        """How many calls of the driver a poll makes, without the waits for events on a thread beside it."""
        calls.unlink(missing_ok=True)
        self._asked(COUNTED)
        made = {name: n for name, n in calls_in(calls).items() if " " not in name}
        self.calls = sum(n for name, n in made.items() if not name.startswith("event_")) / COUNTED

    def end(self) -> None:
        """It ends with its input."""
        _open(self.child.stdin).close()
        self.child.wait(30)

    def _asked(self, times: int) -> dict[str, Any]:
        to, back = _open(self.child.stdin), _open(self.child.stdout)
        to.write(f"{times}\n")
        to.flush()
        answer: dict[str, Any] = json.loads(back.readline())
        return answer


def _errors(python: str) -> int | None:
    """Where the tool's errors go: nvitop has a page about each call that the made-up driver does not know."""
    return None if python == sys.executable else subprocess.DEVNULL


def _open(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


class Comparison(NamedTuple):
    """The readers with what they measured, and by command line the seconds of each whole run."""

    readers: dict[str, Reader]
    started: dict[str, list[float]]

    def to(self, label: str, other: str) -> float:
        """How many times the CPU time of `other` a poll of `label` takes, by the least of each."""
        return min(self.readers[label].cpus) / min(self.readers[other].cpus)


def measure(others: str, rounds: int = ROUNDS) -> Comparison:
    """Have all of them poll in turn, and then run each command a few times."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        held = stack.enter_context(workers(folder, *([f"w{n}.py"] for n in range(PROCESSES))))
        rows = [FakeProcess(worker.pid, 300 * MIB) for worker in held]
        played = Scenario(gpus=[FakeGpu.numbered(n, *rows) for n in range(GPUS)])
        path = played.write(folder / "scenario")
        environment = driver.environment(path) | {"BENCH": name, "TERM": "dumb"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a program that is installed has been compiled
        readers = {
            label: Reader.begun(_python(label, others), tool, environment)
            for label, (tool, _) in READERS.items()
        }
        for reader in readers.values():
            stack.callback(reader.end)
        for _ in range(rounds):
            for label, reader in readers.items():
                reader.poll(READERS[label][1])
        calls = folder / "calls"
        replace(played, calls=calls).write(path)  # only now: to write the calls down takes time
        for reader in readers.values():
            reader.count(calls)
        played.write(path)
        started = run_in_turn(
            {label: [_python(label, others), *words] for label, words in COMMANDS.items()}, environment
        )
    return Comparison(readers, started)


def _python(label: str, others: str) -> str:
    return others if label.startswith(("nvitop", "gpustat")) else sys.executable


def run_in_turn(
    commands: Mapping[str, Sequence[str]], environment: Mapping[str, str]
) -> dict[str, list[float]]:
    """Seconds of whole runs of these command lines, in turn."""
    took: dict[str, list[float]] = {label: [] for label in commands}
    for _ in range(STARTS):
        for label, words in commands.items():
            began = time.perf_counter()
            running = subprocess.Popen(
                words, env=environment, stdout=subprocess.DEVNULL, stderr=_errors(words[0])
            )
            # `wait` with a time limit looks every 0.05 s, which is half of what is measured here.
            limit = threading.Timer(60, running.kill)
            limit.start()
            code = running.wait()
            took[label].append(time.perf_counter() - began)
            limit.cancel()
            if code:
                raise subprocess.CalledProcessError(code, words)
    return took


def print_tables(measured: Comparison) -> None:
    """Print what was measured, for docs/cost.md too."""
    readers = measured.readers
    ours = readers[OURS]
    print(f"{GPUS} GPUs, {PROCESSES} processes on each; {len(ours.walls)} steady polls in turn")
    print("\n| a steady poll | wall, least | median | to ours | CPU | calls | memory |")
    print("|---|---|---|---|---|---|---|")
    for label, one in readers.items():
        middle, least, cpu = 1000 * statistics.median(one.walls), 1000 * min(one.walls), 1000 * min(one.cpus)
        ratio = min(one.walls) / min(ours.walls)
        print(
            f"| {label} | {least:.1f} ms | {middle:.1f} ms | {ratio:.2f} | {cpu:.1f} ms | {one.calls:.0f} |"
            f" {one.rss / 1e6:.0f} MB |"
        )
    print("\n| one run of the command | wall, least | median | to ours |\n|---|---|---|---|")
    own = min(measured.started[f"{OURS} ps --all"])
    for label, took in measured.started.items():
        print(f"| `{label}` | {min(took):.2f} s | {statistics.median(took):.2f} s | {min(took) / own:.2f} |")


def main() -> None:
    """Measure and print."""
    print_tables(measure(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS))


if __name__ == "__main__":
    main()
