"""A lab played poll by poll on the pure part of the engine, with the inventory that its commits write."""

from __future__ import annotations

from msgspec.structs import replace

from gpuwatch_tray.alerts import RoutingPolicy
from gpuwatch_tray.engine import Policy
from gpuwatch_tray.engine.evaluation import (
    EvaluationState,
    build_commit,
    ended_alerts,
    evaluate_snapshot,
)
from gpuwatch_tray.engine.lab_rule_book import LabRules
from gpuwatch_tray.engine.reminder_evaluator import ReminderResult
from gpuwatch_tray.lab.host_view import view_of_snapshot
from gpuwatch_tray.model import (
    COMPUTING,
    Gpu,
    GpuProcess,
    HostState,
    HostView,
    Instant,
    LabLimits,
    LabView,
    Limits,
    Presence,
    Snapshot,
)
from gpuwatch_tray.store import SavedState
from gpuwatch_tray.store.incidents import Attention
from gpuwatch_tray.store.store import EvaluationInputs

START = 1_700_000_000.0
STEP = 15.0
LIMITS = Limits(gpu_limit=1, max_etime=3600)
LAB = LabLimits(gpu_limit=3, alertmanager=True, all_alerts=True)


def policy(**lab):
    return Policy(LIMITS, RoutingPolicy(), gap=60.0, lab=replace(LAB, **lab))


class LabWorld:
    """The state from poll to poll; `polls` has each evaluation so far."""

    def __init__(self, **lab):
        self.book, self.policy = LabRules(), policy(**lab)
        self.state = EvaluationState.load(self.book, SavedState((), (), (), None, 0), (), self.policy)
        self.inputs = EvaluationInputs(Attention(), (), {}, {}, {}, (), frozenset())
        self.polls = []
        self.now = START

    def restart(self):
        """Go on as a new process does, from the alerts on file."""
        saved = SavedState(
            tuple(self.state.alerts.values()), (), self.state.raised, self.state.last, self.state.highest,
            tuple(self.state.severities.items()), self.state.last,
        )  # fmt: skip
        self.state = EvaluationState.load(self.book, saved, (), self.policy)

    def forget(self, uuid):
        """As `alerts forget` does."""
        rows = [replace(row, forgotten=True) if row.uuid == uuid else row for row in self.inputs.gpus]
        self.inputs = replace(self.inputs, gpus=tuple(rows))

    def poll(self, view):
        """Evaluate a view, 15 s after the last."""
        self.now += STEP
        now = Instant(self.now, self.now - START, "boot")
        view = replace(view, at=self.now)
        found = evaluate_snapshot(
            self.book, self.state, self.inputs, self.policy, "lab", view, now, Presence.AWAY
        )
        ended = ended_alerts(self.book, self.state, self.inputs, self.policy, found, now)
        commit = build_commit(
            self.book, self.state, self.inputs, self.policy, found, ended, ReminderResult(), (), (), now
        )
        self.state = replace(self.state.after(found, commit), rule_history=found.rule_history)
        rows = {row.uuid: row for row in self.inputs.gpus} | {row.uuid: row for row in commit.gpus}
        self.inputs = replace(self.inputs, gpus=tuple(rows.values()))
        self.polls.append(found)
        return found

    def firing(self):
        """The rule and subject of each alert that fires."""
        return {
            (alert.rule, alert.subject)
            for alert in self.state.alerts.values()
            if alert.phase.value in {"firing", "recovering"}
        }


def counted(name, mine=0, *, gpus=4, expected=4, free=None, **more):
    """A host that is OK, as a Prometheus tells of it."""
    free = max(0, gpus - mine) if free is None else free
    return HostView(
        name, HostState.OK, START, gpus=gpus, expected=expected, free=free, mine=mine, clock=0.0,
        **({"oldest_start": START - 60.0} if mine else {}), **{"firing": (), **more},
    )  # fmt: skip


def detailed(name, busy=0, *, gpus=4, elapsed=60.0, lost=0):
    """A host that is OK, GPU by GPU, with one's own process on the first `busy`."""
    uuids = [f"GPU-{name}-{n}" for n in range(gpus)]
    boards = [
        Gpu(n, uuid, problem="GPU is lost" if n >= gpus - lost else None, utilisation=50, temperature=40)
        for n, uuid in enumerate(uuids)
    ]
    processes = [
        GpuProcess(
            100 + n, n, frozenset(COMPUTING), 2**30, "ada", True, START, elapsed, f"{n}", name="python"
        )
        for n in range(busy)
    ]
    snapshot = Snapshot(f"ssh {name}", START, tuple(boards), tuple(processes))
    return view_of_snapshot(name, snapshot, START, 0.0)


def away(name, state=HostState.DOWN, reason="no answer"):
    """A host of which nothing is known."""
    return HostView(name, state, START, reason)


def lab(*hosts, **more):
    """A view of these hosts."""
    return LabView("test", START, tuple(sorted(hosts, key=lambda host: host.name)), **more)
