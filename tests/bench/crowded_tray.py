"""
What the tray and its host use on a crowded machine: 8 GPUs, the same 100 processes on each, polled every 5 s.

    .venv/bin/python -m tests.bench.crowded_tray [SECONDS [xfce|gnome|kde ...]]

With the menu closed and with the processes of a GPU open in it, for SECONDS (60) each; the memory of each
process changes from poll to poll, and with it the order of the rows. The real tray, and a real panel, which
draws in software; of GNOME and KDE their rigs say what the shell is. Prints a line for each; asserts nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil  # measures the programs from outside

from tests.driver.scenario import FakeGpu, FakeProcess, Scenario
from tests.e2e import rig
from tests.e2e.client import DAEMON
from tests.e2e.gnome import gnome
from tests.e2e.kde import kde
from tests.e2e.shell_tests import OK, SMALL_X11
from tests.e2e.whole_desktop import WholeDesktop
from tests.support.installed import MIB, Installed
from tests.support.workers import workers

if TYPE_CHECKING:
    from collections.abc import Iterable

GPUS, PROCESSES = 8, 100
SECONDS = 60.0
CALM = 20.0  # seconds in which tray and shell finish what they do after their start
POLL = 5.0  # the default interval


class Share(NamedTuple):
    """Of one core, the share that the tray used, and its host."""

    tray: float
    host: float

    @property
    def both(self) -> float:
        return self.tray + self.host


class CrowdedCost(NamedTuple):
    """What was used on one desktop."""

    desktop: str
    closed: Share
    open: Share


def _crowd(pids: list[int], turn: int) -> Scenario:
    def memory(gpu: int, place: int) -> int:
        return MIB * (100 + (7919 * (place + 1) * (turn + 1) + 31 * gpu) % 97)

    return Scenario(
        gpus=[
            FakeGpu.numbered(gpu, *(FakeProcess(pid, memory(gpu, place)) for place, pid in enumerate(pids)))
            for gpu in range(GPUS)
        ]
    )


def _cpu(pids: list[int]) -> float:
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def _host_of(desk: rig.Desktop) -> list[int]:
    """The processes of the panel, or of the shell."""
    if isinstance(desk, WholeDesktop):
        return desk.shell_processes()
    (panel,) = desk.client.call(DAEMON, "GetConnectionUnixProcessID", "s", rig.WATCHER)
    return [panel, *(child.pid for child in psutil.Process(panel).children(recursive=True))]


def _open_list(desk: rig.Desktop) -> None:
    """Open the menu and in it the processes of the first GPU."""
    if isinstance(desk, WholeDesktop):
        desk.open_menu(OK)
        desk.open_row(f"{GPUS} GPUs \u00b7")
        desk.open_row("GPU 0")
        return
    desk.right_click(desk.icon_position(OK))
    rig.settle(1.0)
    row = _unfold(desk, desk.menu(), f"{GPUS} GPUs \u00b7", 1)
    _unfold(desk, row.children, "GPU 0", 0)  # the first of a list that is unfolded is chosen already


def _unfold(desk: rig.Desktop, rows: Iterable[rig.MenuRow], start: str, before: int) -> rig.MenuRow:
    """Press keys up to the row whose label starts so, and the one that opens what is below it."""
    reachable = [row for row in rows if row.enabled and not row.separator]
    place = next(place for place, row in enumerate(reachable) if row.label.startswith(start))
    desk.key(*["Down"] * (place + before), "Right")
    rig.settle(1.0)
    return reachable[place]


def measure(kind: str = "xfce", seconds: float = SECONDS) -> CrowdedCost:
    """Run the tray on a desktop of this kind, and watch it with its menu closed and open."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        installed = Installed(folder)
        held = stack.enter_context(workers(folder, *([f"w{n}.py"] for n in range(PROCESSES))))
        pids = [worker.pid for worker in held]
        desk: rig.Desktop
        if kind == "xfce":
            desk = stack.enter_context(rig.desktop(folder / "desk"))
        else:
            desk = stack.enter_context({"gnome": gnome, "kde": kde}[kind](folder / "desk", SMALL_X11))
        installed.configure(GPU_LIMIT=GPUS)
        installed.met()
        installed.play(_crowd(pids, 0))
        tray = subprocess.Popen([installed.script], env=desk.environment | installed.environment)
        stack.callback(tray.wait, 20)
        stack.callback(tray.terminate)
        desk.icon_position(OK, 30)
        rig.settle(CALM)

        def watched(turns: int, first: int) -> Share:
            before, host_before, began = _cpu([tray.pid]), _cpu(_host_of(desk)), time.perf_counter()
            for turn in range(turns):
                installed.play(_crowd(pids, first + turn))
                time.sleep(POLL)
            took = time.perf_counter() - began
            return Share((_cpu([tray.pid]) - before) / took, (_cpu(_host_of(desk)) - host_before) / took)

        turns = max(1, round(seconds / POLL))
        closed = watched(turns, 1)
        _open_list(desk)
        shown = watched(turns, 1 + turns)
        if not any("python" in label for label in desk.labels()):
            raise AssertionError(f"the list of processes was not open: {desk.labels()[:20]}")
        desk.close_menu()
    return CrowdedCost(kind, closed, shown)


def print_line(cost: CrowdedCost) -> None:
    """Print what was measured on one desktop."""
    shares = [
        f"{what} {100 * share.tray:5.2f} % + {100 * share.host:5.2f} %"
        for what, share in (("menu closed", cost.closed), ("menu open", cost.open))
    ]
    print(f"{cost.desktop:6} tray + host, of one core: {', '.join(shares)}", flush=True)


def main() -> None:
    """Measure and print, one desktop after the other."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    for kind in sys.argv[2:] or ["xfce"]:
        print_line(measure(kind, seconds))


if __name__ == "__main__":
    main()
