"""
The whole table of what it costs, with the goal beside each figure: `make bench`, in some six minutes.

    .venv/bin/python -m tests.bench.table PYTHON_WITH_NVITOP_AND_GPUSTAT [--quick] [--shells]

`--quick` leaves out what takes minutes: the growth over 20,000 polls and the crowded tray. `--shells`
measures that tray on GNOME and KDE too (`make test-desktops` installs them), three minutes each. Of times the
least is taken, for what else the machine does falls on the others; how much that was is told beside. Nothing
is asserted: machines differ.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.bench import compare, crowded_tray, steady, tray_cost
from tests.bench.compare import BARE, OURS

if TYPE_CHECKING:
    from collections.abc import Iterator

WHOLE, NVITOP = f"{OURS}, rules and state", "nvitop take_snapshots"
MB = 1e6


class Figure(NamedTuple):
    """One figure: what it is, its value and its goal, at most or at least so much, and how to write both."""

    what: str
    value: float
    goal: float
    form: str = "{:.2f}"
    at_least: bool = False

    def __str__(self) -> str:
        met = self.value >= self.goal if self.at_least else self.value <= self.goal
        bound = "at least" if self.at_least else "at most"
        goal = f"{bound} {self.form.format(self.goal)}"
        return f"| {self.what} | {self.form.format(self.value)} | {goal} | {'met' if met else 'missed'} |"


class Machine:
    """What the machine did beside the bench: the share of its cores that others had, and that was stolen."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def watched(self, what: str) -> Iterator[None]:
        """Note it for this part, whose processes must have ended by then."""
        before, began = self._times(), time.perf_counter()
        yield
        after, took = self._times(), time.perf_counter() - began
        busy, stolen, own = (late - early for late, early in zip(after, before, strict=True))
        cores = (os.cpu_count() or 1) * took
        others = max(0.0, busy - own) / cores
        shares = f"others {others:.0%} of the cores, stolen {stolen / cores:.0%}"
        self.notes.append(f"{what} {took:.0f} s: {shares}")

    @staticmethod
    def _times() -> tuple[float, float, float]:
        """Seconds in which a core worked, was stolen, and worked for this bench, since the boot."""
        tick = os.sysconf("SC_CLK_TCK")
        first = Path("/proc/stat").read_text().partition("\n")[0]
        seconds = [int(ticks) / tick for ticks in first.split()[1:]]
        user, nice, system, _idle, _wait, interrupt, soft, steal, *_guests = seconds
        own = sum(
            sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        return user + nice + system + interrupt + soft, steal, own


def of_polls(measured: compare.Comparison) -> list[Figure]:
    """How our polls compare with the others'."""
    commands = measured.started
    return [
        Figure("the reading, to the bare calls", measured.to(OURS, BARE), 1.3),
        Figure("the reading with rules, alerts and state, to the bare calls", measured.to(WHOLE, BARE), 1.8),
        Figure(
            "nvitop's `take_snapshots`, to our reading",
            measured.to(NVITOP, OURS),
            18,
            "{:.0f}",
            at_least=True,
        ),
        Figure(
            "`ps --all` (800 rows), to `nvitop -1`",
            min(commands[f"{OURS} ps --all"]) / min(commands["nvitop -1"]),
            0.6,
        ),
    ]


def of_tray(cost: tray_cost.TrayCost) -> list[Figure]:
    """What the tray takes, and the commands beside it."""
    commands = {label.removeprefix("gpuwatch-tray "): min(took) for label, took in cost.commands.items()}
    bare = commands.pop("python3 -c 0")
    times = [
        Figure(f"`{command}` (`python3 -c 0`: {bare:.2f} s)", took, 0.12, "{:.2f} s")
        for command, took in commands.items()
    ]
    return [
        *times,
        Figure("the tray, from exec to the icon", min(cost.starts), 0.2, "{:.2f} s"),
        Figure("the tray, resident", cost.resident / MB, 38, "{:.1f} MB"),
        Figure("the tray, its own (USS)", cost.own / MB, 24, "{:.1f} MB"),
        Figure("the tray, CPU at 5 s, two GPUs", 100 * cost.cpu, 0.1, "{:.2f} %"),
    ]


def of_growth() -> list[Figure]:
    """What 20,000 polls with alerts leave in memory, after their first fifth."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.steady", folder, str(steady.POLLS)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        )
    first, last, _transitions = map(int, done.stdout.split())
    return [Figure(f"growth over {steady.POLLS:,} polls", (last - first) * 1024 / MB, 0.5, "{:.2f} MB")]


def of_crowd(cost: crowded_tray.CrowdedCost) -> list[Figure]:
    """What tray and host use together with 8 x 100 processes."""
    return [
        Figure(
            f"8 x 100 on {cost.desktop}, menu {state}: CPU at 5 s, the host's {share.host:.2%} included",
            100 * share.both,
            1,
            "{:.2f} %",
        )
        for state, share in (("closed", cost.closed), ("open", cost.open))
    ]


def main() -> None:
    """Measure each part in turn, and print the table."""
    options = argparse.ArgumentParser(prog="python -m tests.bench.table")
    options.add_argument("others", help="the Python that has nvitop and gpustat")
    options.add_argument("--quick", action="store_true", help="leave out what takes minutes")
    options.add_argument("--shells", action="store_true", help="the crowded tray on GNOME and KDE too")
    asked = options.parse_args()
    machine = Machine()
    figures: list[Figure] = []
    with machine.watched("polls and commands"):
        compared = compare.measure(asked.others)
    compare.print_tables(compared)
    figures += of_polls(compared)
    with machine.watched("the tray"):
        tray = tray_cost.measure(20.0 if asked.quick else tray_cost.SECONDS)
    print()
    tray_cost.print_table(tray)
    figures += of_tray(tray)
    if not asked.quick:
        with machine.watched("20,000 polls"):
            figures += of_growth()
        for desktop in ("xfce", "gnome", "kde") if asked.shells else ("xfce",):
            with machine.watched(f"8 x 100 on {desktop}"):
                figures += of_crowd(crowded_tray.measure(desktop))
    print("\n| figure | now | goal | |\n|---|---|---|---|")
    print(*figures, sep="\n")
    print("\nThe machine meanwhile:", "; ".join(machine.notes))
    print(f"the icon, median of the starts: {statistics.median(tray.starts):.2f} s")


if __name__ == "__main__":
    main()
