"""
What the tray itself costs beside a lab of 500 hosts, on a real panel.

    .venv/bin/python -m tests.bench.lab_tray [SECONDS [xfce|gnome]]

The made-up fleet of `lab_cost`, a real Prometheus and Alertmanager, and the installed tray with one GPU of
its own, all at their default paces. Watched for SECONDS (60) each: with the menu closed, and with hosts that
have free GPUs open in it. Shown are CPU times of the tray and its panel, which a busy machine disturbs less
than the clock, and memory. Asserts nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psutil  # measures the programs from outside

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level
from tests.bench.crowded_tray import _cpu, _host_of, _unfold
from tests.bench.lab_cost import HOSTS, RULES, _open, start
from tests.driver.scenario import FakeGpu, Scenario
from tests.e2e import rig
from tests.e2e.gnome import gnome
from tests.e2e.shell_tests import SMALL_X11
from tests.e2e.whole_desktop import WholeDesktop
from tests.support.installed import Installed
from tests.support.prometheus import Alertmanager, Prometheus
from tests.support.timing import wait_until

CALM = 40.0  # seconds in which the tray finishes what it does after its start
RED = drawing.COLOURS[Level.CRITICAL]


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    kind = sys.argv[2] if len(sys.argv) > 2 else "xfce"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fleet = start("fleet", str(HOSTS))
        stack.callback(fleet.wait, 30)
        stack.callback(_open(fleet.stdin).close)
        targets = json.loads(_open(fleet.stdout).readline())
        manager = stack.enter_context(Alertmanager())
        prometheus = stack.enter_context(
            Prometheus(interval="15s", timeout="5s", alertmanagers=[manager.port], rules=RULES)
        )
        prometheus.scrape(targets)
        wait_until(lambda: len(prometheus.ask("up")) == HOSTS, "all hosts were scraped", 180.0, 1.0)
        desk: rig.Desktop
        if kind == "gnome":
            desk = stack.enter_context(gnome(folder / "desk", SMALL_X11))
        else:
            desk = stack.enter_context(rig.desktop(folder / "desk"))
        tray = _tray(stack, folder, desk, prometheus.url, manager.url)
        place = desk.icon_position(RED, 120)
        wait_until(lambda: any(label.startswith("Free: ") for label in desk.labels()), "the lab", 60, 1.0)
        time.sleep(CALM)
        closed = _watch(seconds, tray, desk)
        if isinstance(desk, WholeDesktop):
            desk.open_menu(RED)
            desk.open_row("Free: ")
        else:
            desk.right_click(place)
            rig.settle(1.0)
            _unfold(desk, desk.menu(), "Free: ", 1)
        print(f"{len(desk.labels())} rows are served")
        shown = _watch(seconds, tray, desk)
        memory = psutil.Process(tray.pid).memory_full_info()
        print(f"{kind}, {HOSTS} hosts; tray + panel, of one core:")
        for what, (own, host) in (("menu closed", closed), ("menu open", shown)):
            print(f"  {what:12} {100 * own:5.2f} % + {100 * host:5.2f} %")
        print(f"memory of the tray: {memory.rss / 1e6:.1f} MB RSS, {memory.uss / 1e6:.1f} MB of its own")


def _tray(
    stack: ExitStack, folder: Path, desk: rig.Desktop, prometheus: str, manager: str
) -> subprocess.Popen[bytes]:
    installed = Installed(folder)
    installed.configure()
    installed.write("notify.env", "EMAIL_WHEN=never\n")
    installed.write(
        "lab.env",
        f"LAB_PROMETHEUS={prometheus}\nLAB_ALERTMANAGER={manager}\nLAB_ME=ada\nLAB_ALERTS=all\n",
    )
    installed.met()
    installed.play(Scenario(gpus=[FakeGpu.numbered(0)]))
    tray = subprocess.Popen([installed.script], env=desk.environment | installed.environment)
    stack.callback(tray.wait, 20)
    stack.callback(tray.terminate)
    return tray


def _watch(seconds: float, tray: subprocess.Popen[bytes], desk: rig.Desktop) -> tuple[float, float]:
    """Return the shares of a core that the tray and its panel use over so many seconds."""
    own, host, began = _cpu([tray.pid]), _cpu(_host_of(desk)), time.perf_counter()
    time.sleep(seconds)
    took = time.perf_counter() - began
    return (_cpu([tray.pid]) - own) / took, (_cpu(_host_of(desk)) - host) / took


if __name__ == "__main__":
    main()
