"""
A lab as Prometheus and its Alertmanager would tell of it, in which losses happen, and are mended. Pure.

It keeps what the real programs were seen to do (tests/lab/test_traps.py): samples are served for five minutes
unless a failed scrape ends their series; a server that restarts goes on with what it has stored; alerts whose
series vanish are resolved; an Alertmanager that nobody feeds answers with an empty list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpuwatch_tray.lab.alertmanager import AlertsRead
from gpuwatch_tray.lab.answers import AlertEntry
from gpuwatch_tray.lab.exporters import GPUWATCH
from gpuwatch_tray.lab.host_states import LabAnswers
from gpuwatch_tray.lab.lab_error import LabError, LabFailure
from gpuwatch_tray.lab.prometheus_poll import PrometheusPoll
from gpuwatch_tray.lab.promql import LASTING, roomy_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.model import HostAlert, RoomWanted

INTERVAL = 15.0
LOOKBACK = 300.0
GPUS, FREE, MINE = 4, 1, 2  # of each host, for ever
PORT = 9836
EVALUATION, HOLD = 60.0, 300.0  # seconds between evaluations of the rules, and that each must hold
WATCHDOG = ("Watchdog", "")


def unreachable() -> LabError:
    return LabError(LabFailure.UNREACHABLE, "nobody answers")


@dataclass
class WorldHost:
    """What a host goes on doing, and what Prometheus has of it."""

    name: str
    lost: int = 0  # GPUs, from the beginning on
    target: bool = True
    asked: bool = True  # by Prometheus, though it is a target
    answers: bool = True
    reads: bool = True  # its driver
    moves: bool = True  # its readings are new ones
    ours: bool = True  # its exporter has our metrics
    users: bool = True
    counts: bool = True
    expects: bool = True
    reading: float = 0.0
    up: tuple[float, float] | None = None  # time and value of the last sample
    seen: tuple[float, dict[str, float]] | None = None  # time and values of the last metrics
    told: set[str] = field(default_factory=set)  # the names of all values within the last hours

    @property
    def instance(self) -> str:
        return f"{self.name}:{PORT}"

    def scrape(self, now: float) -> None:
        if not self.answers:
            self.up, self.seen = (now, 0.0), None
            return
        if self.moves:
            self.reading = now
        self.up = now, 1.0
        values = {"reading": self.reading, "gpus": GPUS - self.lost, "expected": GPUS, "free": FREE}
        if self.users:
            values["mine"] = MINE
        if not self.expects:
            del values["expected"]
        if not self.counts:
            values = {"reading": self.reading}
        if not self.reads:
            values = {"blind": 0.0}
        self.seen = now, values if self.ours else {}
        self.told |= self.seen[1].keys() & LASTING.keys()


@dataclass
class LostWorld:
    """The servers and hosts; `advance` lets time pass, `mend` ends what the other methods each have lost."""

    hosts: dict[str, WorldHost]
    now: float
    running: bool = True
    scraping: bool = True
    fed: bool = True
    manager: bool = True
    rules: bool = True
    refused: set[str] = field(default_factory=set)
    active: dict[tuple[str, str], float] = field(default_factory=dict)  # since when the rules find what
    evaluated: float = 0.0

    def __post_init__(self) -> None:
        lost = (host for host in self.hosts.values() if host.lost)
        self.active = {("GpuLost", host.instance): self.now - HOLD for host in lost}
        self.evaluated = self.now

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            step = min(INTERVAL, end - self.now)
            self.now += step
            if self.running and self.scraping:
                for host in self.hosts.values():
                    if host.target and host.asked:
                        host.scrape(self.now)
            if self.running and self.now - self.evaluated >= EVALUATION:
                self.evaluated = self.now
                self.active = {alert: self.active.get(alert, self.now) for alert in self.found()}

    def mend(self, _name: str) -> None:
        """Everything works again, but for the GPUs that are lost; a server that was away has no memory."""
        if not self.running:
            self.active, self.evaluated = {}, self.now
        self.running = self.scraping = self.fed = self.manager = self.rules = True
        self.refused = set()
        for host in self.hosts.values():
            host.target = host.asked = host.answers = host.reads = host.moves = True
            host.ours = host.users = host.counts = host.expects = True

    # --- losses

    def hang(self, name: str) -> None:
        self.hosts[name].answers = False

    def pass_over(self, name: str) -> None:
        self.hosts[name].asked = False

    def go_blind(self, name: str) -> None:
        self.hosts[name].reads = False

    def stand_still(self, name: str) -> None:
        self.hosts[name].moves = False

    def become_another(self, name: str) -> None:
        self.hosts[name].ours = False

    def hide_gpus(self, name: str) -> None:
        self.hosts[name].counts = False

    def hide_expected(self, name: str) -> None:
        """The host's own inventory cannot be read: a lost GPU looks as if it had never been there."""
        self.hosts[name].expects = False

    def lose_rules(self, _name: str) -> None:
        """Its rule files are not found at a restart, which it takes for none."""
        self.rules = False

    def hide_users(self, name: str) -> None:
        self.hosts[name].users = False

    def leave(self, name: str) -> None:
        host = self.hosts[name]
        host.target, host.up, host.seen = False, None, None

    def restart_without_targets(self, _name: str) -> None:
        self.scraping = False

    def begin_anew(self, _name: str) -> None:
        """An empty disk, and no targets."""
        self.scraping = False
        for host in self.hosts.values():
            host.up, host.seen, host.told = None, None, set()

    def stop_prometheus(self, _name: str) -> None:
        self.running = False

    def stop_alertmanager(self, _name: str) -> None:
        self.manager = False

    def stop_feeding(self, _name: str) -> None:
        self.fed = False

    def refuse_counts(self, _name: str) -> None:
        self.refused |= {"free", "mine"}

    def refuse_hosts(self, _name: str) -> None:
        self.refused.add("gpus")

    def refuse_alerts(self, _name: str) -> None:
        self.refused.add("alerts")

    # --- what is told

    def firing(self) -> set[tuple[str, str]]:
        """The alerts that fire, by name and instance; without its series one is over at once."""
        held = {alert for alert, since in self.active.items() if self.now - since >= HOLD}
        return {WATCHDOG, *(held & self.found())} if self.rules else set()

    def found(self) -> set[tuple[str, str]]:
        """What the rules would find now."""
        if not self.rules:
            return set()
        return {
            ("GpuLost", host.instance)
            for host in self.hosts.values()
            if host.seen
            and self._served(host.seen[0])
            and host.seen[1].get("gpus", GPUS) < host.seen[1].get("expected", 0)
        }

    def _served(self, at: float) -> bool:
        return self.now - at <= LOOKBACK

    def poll(self, _end: float, wanted: Sequence[RoomWanted] = (), *, first: bool = False) -> PrometheusPoll:
        if not self.running or "gpus" in self.refused:
            raise unreachable()
        targets = [host for host in self.hosts.values() if host.up and self._served(host.up[0])]
        values: dict[str, dict[str, float]] = {}
        for host in targets:
            if host.seen and self._served(host.seen[0]):
                for name, value in host.seen[1].items():
                    if name not in self.refused:
                        values.setdefault(name, {})[host.instance] = value
                        if name == "free":
                            for room in wanted:
                                asked = roomy_name(room.memory, looks=False)
                                values.setdefault(asked, {})[host.instance] = value
        lacking = {
            host.instance: frozenset(name for name in host.told if host.instance not in values.get(name, {}))
            for host in self.hosts.values()
        }
        firing: dict[str, tuple[HostAlert, ...]] = dict.fromkeys(values.get("reading", {}), ())
        known = None if "alerts" in self.refused else self.firing()
        return PrometheusPoll(
            LabAnswers(
                self.now,
                {host.instance: host.up[0] for host in targets},
                {host.instance: 0.0 for host in targets if host.up[1] == 0},
                {host.instance: 1.0 for host in self.hosts.values() if not host.target},
                values,
                firing,
                room=tuple(room.memory for room in wanted),
                lacking=lacking if first else {},
            ),
            INTERVAL,
            (GPUWATCH,),
            None if known is None else frozenset(known),
            None if known is None else frozenset(self.active.keys() - known),
            None if known is None else frozenset() if self.rules else frozenset({WATCHDOG}),
            None,
            0,
        )

    def read(self, _end: float) -> AlertsRead:
        """What the Alertmanager answers; at once without what it is not told any more, which is the worst."""
        if not self.manager:
            return AlertsRead((), {}, (unreachable(),), answered=False)
        there = self.firing() if self.fed and self.running else set()
        entries = [
            AlertEntry(
                f"{name}{instance.partition(':')[0]}",
                {
                    "alertname": name,
                    "instance": instance,
                    "severity": "critical" if instance else "none",
                },
                "a GPU is lost",
                self.now,
                (),
                inhibited=False,
            )
            for name, instance in there
        ]
        return AlertsRead(tuple(entries), {}, (), answered=True)


LOSSES = (
    LostWorld.hang,
    LostWorld.pass_over,
    LostWorld.go_blind,
    LostWorld.stand_still,
    LostWorld.become_another,
    LostWorld.hide_users,
    LostWorld.hide_gpus,
    LostWorld.hide_expected,
    LostWorld.lose_rules,
    LostWorld.leave,
    LostWorld.restart_without_targets,
    LostWorld.begin_anew,
    LostWorld.stop_prometheus,
    LostWorld.stop_alertmanager,
    LostWorld.stop_feeding,
    LostWorld.refuse_counts,
    LostWorld.refuse_hosts,
    LostWorld.refuse_alerts,
)
