"""What the engine asks of a kind of reading: the rules about it, and what they make of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol

from msgspec import Struct
from msgspec.structs import replace

from gpuwatch_tray import rules
from gpuwatch_tray.engine.inventory import complete_snapshot, new_gpus
from gpuwatch_tray.engine.status import status_of
from gpuwatch_tray.engine.types import H, R
from gpuwatch_tray.rules.verdict import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpuwatch_tray.engine.types import Evaluation, Policy
    from gpuwatch_tray.model import Alert, GpuProcess, Instant, LabView, Snapshot, Status, Terms, Verdict
    from gpuwatch_tray.store import KnownGpu


class Assessment(Struct, Generic[R, H], frozen=True):
    """
    A reading, completed by what is known to be missing from it, and what the rules make of it.

    `gaps` name what kept a rule from judging; this very reading tells of the `events` (rule, subject).
    """

    reading: R
    verdicts: tuple[Verdict, ...]
    gaps: tuple[str, ...]
    processes: tuple[GpuProcess, ...]
    history: H
    events: frozenset[tuple[str, str]] = frozenset()


class RuleBook(Protocol[R, H]):
    """The rules about one kind of reading. Pure."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every rule, in the order in which they are shown."""

    @property
    def event_rules(self) -> frozenset[str]:
        """The rules whose alerts are about an event, which has no end."""

    @property
    def mark(self) -> str:
        """What stands before the numbers of its alerts, by which a person names them."""

    def switched_on(self, policy: Policy) -> frozenset[str]:
        """Return the rules that the settings want."""

    def judged(self, policy: Policy) -> frozenset[str]:
        """Return the rules that are judged: in a single run those that one poll can fire."""

    def terms(self, policy: Policy) -> Mapping[str, Terms]:
        """Return the terms of every rule."""

    def keys(self, name: str) -> tuple[str, ...]:
        """Return the settings of a rule, the one that switches it first; empty where it has none."""

    def threshold(self, name: str, policy: Policy) -> str:
        """Return the condition at which a rule that is on fires, in words."""

    def recalled(self, alerts: Iterable[Alert]) -> H:
        """Return the history to begin with, from the alerts on file."""

    def assess(
        self,
        reading: R,
        history: H,
        inventory: Sequence[KnownGpu],
        policy: Policy,
        now: Instant,
        *,
        gap: float,
        acknowledged: Iterable[tuple[str, str]],
    ) -> Assessment[R, H]:
        """Judge a reading; after `gap` seconds without one, spans begin anew."""

    def newcomers(self, reading: R, inventory: Sequence[KnownGpu]) -> tuple[KnownGpu, ...]:
        """Return what the inventory lacks."""

    def without_events(self, reading: R) -> R:
        """Return the reading without the events in it, which were judged already."""

    def observed(self, reading: R) -> tuple[Snapshot, LabView | None]:
        """Return what the reminders look at."""

    def status(self, evaluation: Evaluation[R, H]) -> Status:
        """Return what the icon and the first row say."""


class HostRules:
    """The rules about the GPUs of one host: those of `rules.RULES`."""

    event_rules = rules.EVENT_RULES
    mark = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Every rule, in the order of the table."""
        return tuple(rules.RULES)

    def switched_on(self, policy: Policy) -> frozenset[str]:
        """Return the rules that the settings want."""
        return rules.switched_on(policy.limits)

    def judged(self, policy: Policy) -> frozenset[str]:
        """Return the rules that are judged."""
        return rules.judged(policy.limits, in_loop=policy.in_loop)

    def terms(self, policy: Policy) -> Mapping[str, Terms]:
        """Return the terms of every rule."""
        return rules.terms(policy.limits)

    def keys(self, name: str) -> tuple[str, ...]:
        """Return the settings of a rule."""
        return rules.keys(name)

    def threshold(self, name: str, policy: Policy) -> str:
        """Return the condition at which a rule fires, in words."""
        return rules.threshold(name, policy.limits)

    def recalled(self, alerts: Iterable[Alert]) -> rules.RuleHistory:
        """Return the history to begin with."""
        return rules.recalled(alerts)

    def assess(
        self,
        reading: Snapshot,
        history: rules.RuleHistory,
        inventory: Sequence[KnownGpu],
        policy: Policy,
        now: Instant,
        *,
        gap: float,
        acknowledged: Iterable[tuple[str, str]],
    ) -> Assessment[Snapshot, rules.RuleHistory]:
        """Judge a snapshot."""
        snapshot, limits = complete_snapshot(reading, inventory), policy.limits
        after = rules.observe(history, snapshot, now, limits, gap=gap, acknowledged=acknowledged)
        verdicts = rules.judge(snapshot, limits, after, in_loop=policy.in_loop)
        events = frozenset(
            (rule, subject)
            for subject, event in after.events.items()
            if event.at == now
            for rule in rules.EVENT_RULES
        )
        gaps = rules.open_questions(snapshot, verdicts)
        return Assessment(snapshot, verdicts, gaps, counted(snapshot, limits), after, events)

    def newcomers(self, reading: Snapshot, inventory: Sequence[KnownGpu]) -> tuple[KnownGpu, ...]:
        """Return the GPUs that the inventory lacks."""
        return new_gpus(reading, inventory)

    def without_events(self, reading: Snapshot) -> Snapshot:
        """Return the snapshot without its events."""
        return replace(reading, events=())

    def observed(self, reading: Snapshot) -> tuple[Snapshot, None]:
        """Return the snapshot, of no lab."""
        return reading, None

    def status(self, evaluation: Evaluation[Snapshot, rules.RuleHistory]) -> Status:
        """Return what the icon and the first row say."""
        return status_of(
            evaluation.reading,
            evaluation.alerts,
            evaluation.processes,
            evaluation.gaps,
            evaluation.snoozed_until,
        )
