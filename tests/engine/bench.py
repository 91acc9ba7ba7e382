"""A real evaluator on a real store, with a clock, a person and a desktop that the tests move."""

from __future__ import annotations

import inspect

from msgspec.structs import replace

from gpuwatch_tray import rules
from gpuwatch_tray.alerts import RoutingPolicy
from gpuwatch_tray.engine import Engine, HostRules, Policy
from gpuwatch_tray.engine.operations import AlertOperations
from gpuwatch_tray.model import (
    Finding,
    Gpu,
    Limits,
    Missing,
    Presence,
    PresenceResult,
    Problem,
    Severity,
    Snapshot,
    Terms,
    Verdict,
)
from gpuwatch_tray.notify.render import MailIdentity
from gpuwatch_tray.rules import RULES, Rule
from gpuwatch_tray.store import Store
from tests.support.fakes import START, Clock, process, snapshot

HEAD = MailIdentity("box", "ada", "/etc/gpu-watch.env")
LIMITS = Limits(gpu_limit=1, max_etime=3600)
POLICY = Policy(LIMITS, RoutingPolicy(3600.0, mails=True, popups=True))
ROUTING = set(RoutingPolicy.__struct_fields__)


def changed(policy, **values):
    """`policy` with other values, of its routing too."""
    routing = {name: values.pop(name) for name in ROUTING & set(values)}
    return replace(policy, routing=replace(policy.routing, **routing), **values)


BUSY = snapshot(process(1, 0), process(2, 1))
CALM = snapshot(process(1, 0))
DARK = Snapshot("test", START, problem=Problem("driver not loaded"))
HEAT = "box/heat/GPU-0000"


def heat(reading: Snapshot, *_limits_and_memory) -> Verdict:
    """A rule with all that a rule may have: a hold, a band, two severities, and subjects in doubt."""
    if reading.problem is not None:
        return Verdict("heat", unknown=str(reading.problem))
    known = [gpu for gpu in reading.gpus if not isinstance(gpu.temperature, Missing)]
    open_ = tuple(gpu.uuid for gpu in reading.gpus if isinstance(gpu.temperature, Missing))
    found = tuple(
        Finding(
            "heat",
            gpu.uuid,
            Severity.CRITICAL if gpu.temperature >= 95 else Severity.WARNING,
            f"HEAT({gpu.temperature}) of {gpu.uuid}",
            gpu.temperature,
        )
        for gpu in known
        if gpu.temperature >= 85
    )
    band = frozenset(gpu.uuid for gpu in known if 80 <= gpu.temperature < 85)
    return Verdict("heat", found, "no temperature" if open_ else None, open_, band, "heat", "85 degrees")


HEAT_RULE = Rule("heat", heat, lambda _limits: Terms(hold=30, hold_samples=2, clear=60, clear_samples=2))

CORE = ("monitor_blind", "gpu_lost", "gpu_limit", "max_etime")


def core_only(monkeypatch) -> None:
    """Leave of the rules those that the alert core itself is about; undone, they stand in their order."""
    _ask_at_each_poll(monkeypatch)
    every = dict(RULES)
    for name in reversed(every):
        monkeypatch.delitem(RULES, name)
    for name in CORE:
        monkeypatch.setitem(RULES, name, every[name])


def _ask_at_each_poll(monkeypatch) -> None:
    """Have the engine ask the table of rules at each poll: the program's own never changes."""
    monkeypatch.setattr(rules, "judged", inspect.unwrap(rules.judged))


def with_heat(monkeypatch) -> None:
    """Have that rule among them."""
    _ask_at_each_poll(monkeypatch)
    monkeypatch.setitem(RULES, "heat", HEAT_RULE)


def at(temperature, *processes, gpus=2) -> Snapshot:
    """A reading of GPUs, the first of this temperature (or Missing)."""
    warm = (temperature, *(40 for _ in range(gpus - 1)))
    described = (Gpu(n, f"GPU-{n:04d}", f"GPU {n}", temperature=each) for n, each in enumerate(warm))
    return snapshot(*processes, gpus=tuple(described))


class Bench:
    """`look` is one poll with its popups, `deliver` one delivery."""

    def __init__(self, folder, **policy) -> None:
        self.folder = folder
        self.clock = Clock()
        self.presence = Presence.PRESENT
        self.screen = True  # whether popups can be shown
        self.policy = changed(POLICY, **policy)
        self.store = None
        self.open()

    def open(self) -> None:
        self.store = Store(self.folder, "box", self.clock.uptime)
        self.attending = AlertOperations(self.store, self.clock.instant)
        self.evaluator = Engine(
            HostRules(), self.store, self.policy, HEAD, self.clock.instant, self._sighting
        )

    def close(self) -> None:
        self.store.close()

    def restart(self, **policy) -> None:
        """Another process goes on."""
        self.close()
        self.policy = changed(self.policy, **policy)
        self.open()

    def _sighting(self) -> PresenceResult:
        return PresenceResult(self.presence, "test")

    def look(self, reading, seconds=0.0):
        """One poll after `seconds`; its popups are shown, or are not."""
        self.clock.advance(seconds)
        outcome = self.evaluator.evaluate(reading)
        for _, members in outcome.popups:
            if members:
                self.evaluator.record_popup(members, shown=self.screen)
        return outcome

    def looks(self, reading, *, times, every=5.0):
        """So many polls in a row; their outcomes."""
        return [self.look(reading, every) for _ in range(times)]

    def deliver(self):
        """What is due is sent; the mails."""
        rows = self.store.lease_due(self.clock.now, 60.0)
        for row in rows:
            self.store.mark_sent(row.id, self.clock.now, "250")
        return [row.message for row in rows]

    def refuse(self):
        """What is due cannot be sent, for a minute."""
        for row in self.store.lease_due(self.clock.now, 60.0):
            self.store.mark_retry(row.id, self.clock.now + 60.0, "no network")

    @property
    def history(self):
        """What happened, as `alerts` shows it."""
        return [f"{each.what}: {each.why}" if each.why else each.what for each in self.store.history()[1]]
