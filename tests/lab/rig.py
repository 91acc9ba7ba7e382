"""A real Prometheus that scrapes a made-up fleet each second, a real Alertmanager, and a desk."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from msgspec.structs import replace

from gpuwatch_tray.lab.prometheus import PrometheusLab
from gpuwatch_tray.lab.silences_made import SilencesMade
from gpuwatch_tray.settings import LabSettings
from tests.lab.scripted import GivenSecret
from tests.support.fleet import Fleet, FleetHost
from tests.support.prometheus import Alertmanager, Prometheus
from tests.support.timing import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.model import HostView, LabView

RULES = """
groups:
- name: lab
  rules:
  - {alert: Watchdog, expr: vector(1), labels: {severity: none}}
  - alert: GpuLost
    expr: gpuwatch_gpus_expected > gpuwatch_gpus_visible
    for: 1s
    labels: {severity: critical}
    annotations: {summary: 'a GPU of {{ $labels.instance }} is lost, token=hunter2secret'}
"""


def fleet() -> list[FleetHost]:
    """Eight hosts: one with runs of ada's, one with a lost GPU, the rest idle."""
    hosts = {name: FleetHost(name) for name in ("h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8")}
    hosts["h1"].users = {0: ["ada"], 1: ["ada", "bob"]}
    hosts["h2"].lost = {3}
    return list(hosts.values())


class Rig:
    """All of it, from `with` to its end."""

    def __init__(self, *hosts: FleetHost, **prometheus: Any) -> None:
        self._hosts = hosts or fleet()
        self._prometheus = prometheus

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self.manager = stack.enter_context(Alertmanager())
            self.fleet = stack.enter_context(Fleet(*self._hosts))
            options = {"alertmanagers": [self.manager.port], "rules": RULES} | self._prometheus
            self.prometheus = stack.enter_context(Prometheus(**options))
            self.prometheus.scrape(self.fleet.targets())
            self._open = stack.enter_context(ExitStack())
            self.settings = LabSettings(
                prometheus=(self.prometheus.url,), alertmanager=(self.manager.url,), me="ada", silence=True
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def desk(self, speed: float = 1.0, **settings: Any) -> PrometheusLab:
        """What a desk reads both servers with; its clock, from now on, may be so many times faster."""
        start = time.time()
        made = SilencesMade(self.folder / "silences.json")

        def clock() -> float:
            return start + speed * (time.time() - start)

        lab = PrometheusLab(replace(self.settings, **settings), GivenSecret(), made, clock=clock)
        self._open.callback(lab.close)
        return lab

    def settled(self) -> LabView:
        """Wait until all hosts are known, and the alert of h2 is told."""
        lab = self.desk()
        return read_until(
            lab,
            lambda view: list(states(view).values()) == ["ok"] * len(self._hosts) and view.alerts,
            "all hosts and the alert",
        )


def read_until(lab: PrometheusLab, fact: Callable[[LabView], Any], what: str) -> LabView:
    """Poll until `fact` is true of a view, and return that one."""
    seen: list[LabView] = []

    def look() -> Any:
        seen[:] = [lab.read()]
        return fact(seen[0])

    try:
        wait_until(look, what, pause=0.2)
    except AssertionError as error:
        raise AssertionError(f"{error}: {seen}") from None
    return seen[0]


def hosts(view: LabView) -> dict[str, HostView]:
    """The hosts by name."""
    return {host.name: host for host in view.hosts}


def states(view: LabView) -> dict[str, str]:
    """The hosts' states by name."""
    return {host.name: host.state.value for host in view.hosts}
