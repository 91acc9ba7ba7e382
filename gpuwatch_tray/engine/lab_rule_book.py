"""The rule book of a lab: a view of it completed by the hosts that are known, and judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray import rules
from gpuwatch_tray.common.text import NAMED
from gpuwatch_tray.engine.inventory import complete_snapshot, new_gpus
from gpuwatch_tray.engine.rule_book import Assessment
from gpuwatch_tray.engine.status import lab_status_of
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.lab.host_view import view_of_snapshot
from gpuwatch_tray.model import HostState, HostView, LabView, Limits, Missing, Snapshot, Terms, Verdict
from gpuwatch_tray.rules import lab_hosts, lab_rules
from gpuwatch_tray.rules.lab_rules import LabFacts, LabHistory
from gpuwatch_tray.store import KnownGpu

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpuwatch_tray.engine.types import Evaluation, Policy
    from gpuwatch_tray.model import Alert, Instant, Status


class LabRules:
    """
    The rules about the hosts of a lab: those of `LAB_RULES`, and of `RULES` host by host.

    The inventory has a row `HOST/` for each host, with the number of GPUs on which one computed there when it
    was last OK for its index, and `HOST/UUID` for each GPU that was seen in detail.
    """

    event_rules = rules.EVENT_RULES
    mark = "L"

    @property
    def names(self) -> tuple[str, ...]:
        """Every rule, those about hosts first."""
        return (*lab_rules.LAB_RULES, *rules.RULES)

    def switched_on(self, policy: Policy) -> frozenset[str]:
        """Return the rules that the settings want."""
        off = set()
        if policy.limits.faults.blind_hold is None:
            off |= {lab_rules.LAB_BLIND, lab_rules.HOST_BLIND}
        if policy.lab.gpu_limit is None:
            off.add(lab_rules.LAB_GPU_LIMIT)
        if not policy.lab.alertmanager:
            off |= {lab_rules.LAB_FEED, lab_rules.REMOTE}
        return (frozenset(lab_rules.LAB_RULES) - off) | rules.switched_on(_limits(policy))

    def judged(self, policy: Policy) -> frozenset[str]:
        """Return the rules that are judged: a lab is only looked at in a loop."""
        return self.switched_on(policy)

    def terms(self, policy: Policy) -> Mapping[str, Terms]:
        """Return the terms of every rule."""
        facts = LabFacts(LabView("", 0.0), _limits(policy), policy.lab)
        lab = {name: rule.terms(facts) for name, rule in lab_rules.LAB_RULES.items()}
        own = rules.terms(_limits(policy))
        if policy.lab.judged_there:  # what is told has held there for long enough, and is over as long
            told = Terms(clear_samples=2)
            own = {name: terms if name in lab_hosts.COUNTED else told for name, terms in own.items()}
        return {**lab, **own}

    def keys(self, name: str) -> tuple[str, ...]:
        """Return the settings of a rule."""
        return (lab_rules.LAB_RULES[name].key,) if name in lab_rules.LAB_RULES else rules.keys(name)

    def threshold(self, name: str, policy: Policy) -> str:
        """Return the condition at which a rule fires, in words."""
        if name in lab_rules.LAB_RULES:
            facts = LabFacts(LabView("", 0.0), _limits(policy), policy.lab)
            return lab_rules.LAB_RULES[name].judge(facts).threshold
        return rules.threshold(name, _limits(policy))

    def recalled(self, alerts: Iterable[Alert]) -> LabHistory:
        """Return the history to begin with."""
        stored = list(alerts)
        by_host: dict[str, list[Alert]] = {}
        for alert in stored:
            if alert.rule in rules.EVENT_RULES:
                host, _slash, subject = alert.subject.partition("/")
                by_host.setdefault(f"{host}/", []).append(replace(alert, subject=subject))
        hosts = {prefix: rules.recalled(of_host) for prefix, of_host in by_host.items()}
        return replace(lab_rules.recalled(stored), hosts=hosts)

    def assess(
        self,
        reading: LabView,
        history: LabHistory,
        inventory: Sequence[KnownGpu],
        policy: Policy,
        now: Instant,
        *,
        gap: float,
        acknowledged: Iterable[tuple[str, str]],
    ) -> Assessment[LabView, LabHistory]:
        """Judge a view; of a host that is not OK nothing is concluded."""
        view = complete_view(reading, inventory)
        facts = LabFacts(view, _limits(policy), policy.lab, _mine(view, inventory), history)
        on = self.switched_on(policy)
        seen = tuple(acknowledged)
        hosts = dict(history.hosts)
        by_rule: dict[str, list[Verdict]] = {name: [] for name in rules.RULES if name in on}
        events: set[tuple[str, str]] = set()
        for host in view.hosts:
            if host.state is not HostState.OK or host.detail is None:
                continue
            prefix = lab_rules.host_prefix(host.name)
            own = [(rule, name.removeprefix(prefix)) for rule, name in seen if name.startswith(prefix)]
            after = rules.observe(
                hosts.get(prefix, rules.RuleHistory()),
                host.detail,
                now,
                facts.limits,
                gap=gap,
                acknowledged=own,
            )
            hosts[prefix] = after
            events |= {
                (rule, prefix + subject)
                for subject, event in after.events.items()
                if event.at == now
                for rule in rules.EVENT_RULES
            }
            told = facts.concerns(host.name)
            for verdict in rules.judge(host.detail, facts.limits, after):
                by_rule[verdict.rule].append(lab_hosts.of_host(host.name, verdict, told=told))
        for rule, verdict in lab_hosts.judge_counts(facts).items():
            if rule in by_rule:
                by_rule[rule].append(verdict)
        verdicts = (
            *(rule.judge(facts) for name, rule in lab_rules.LAB_RULES.items() if name in on),
            *(lab_hosts.together(rule, parts, facts) for rule, parts in by_rule.items()),
        )
        unread = bool(lab_rules.lab_problem(view))
        crowd = history.crowd if unread else lab_rules.crowd(facts)
        remote = lab_rules.remembered(facts, now)
        starts = lab_hosts.oldest_starts(facts)
        after_all = LabHistory(hosts, crowd, remote, lab_rules.seen_with(facts), starts)
        gaps = open_questions(facts)
        return Assessment(view, verdicts, gaps, (), after_all, frozenset(events))

    def newcomers(self, reading: LabView, inventory: Sequence[KnownGpu]) -> tuple[KnownGpu, ...]:
        """Return the hosts, and the GPUs of those that are OK, where the inventory lacks or has others."""
        if reading.simulated or reading.problem is not None:
            return ()
        held = {row.uuid: row.index for row in inventory}
        forgotten = {row.uuid for row in inventory if row.forgotten}
        rows: list[KnownGpu] = []
        for host in reading.hosts:
            prefix = lab_rules.host_prefix(host.name)
            before, known = held.get(prefix, 0), prefix in held
            mine = before if isinstance(host.mine, Missing) else host.mine
            # One that is gone and was forgotten is not in the view; one that is back is missed again.
            if not known or before != mine or prefix in forgotten:
                rows.append(KnownGpu(prefix, mine, host.name, reading.at))
            if host.state is HostState.OK and host.detail is not None:
                own = new_gpus(host.detail, _of_host(prefix, inventory))
                rows += [replace(row, uuid=prefix + row.uuid) for row in own]
        return tuple(rows)

    def without_events(self, reading: LabView) -> LabView:
        """Return the view: none holds events that are not in a detail, which the desk is not told."""
        return reading

    def observed(self, reading: LabView) -> tuple[Snapshot, LabView]:
        """Return no host's snapshot, and the view."""
        return Snapshot(reading.source, reading.at, problem=reading.problem), reading

    def status(self, evaluation: Evaluation[LabView, LabHistory]) -> Status:
        """Return what the lab's first row says."""
        return lab_status_of(evaluation.reading, evaluation.alerts, evaluation.gaps, evaluation.snoozed_until)


def _limits(policy: Policy) -> Limits:
    """Return the limits of the rules host by host, at the pace of the lab."""
    return replace(policy.limits, poll=policy.lab.poll)


def _of_host(prefix: str, inventory: Iterable[KnownGpu]) -> tuple[KnownGpu, ...]:
    return tuple(
        replace(row, uuid=row.uuid.removeprefix(prefix))
        for row in inventory
        if row.uuid.startswith(prefix) and row.uuid != prefix
    )


def _mine(view: LabView, inventory: Iterable[KnownGpu]) -> frozenset[str]:
    """Return the hosts on which one computes, or did when they were last OK."""
    last = {row.name: row.index for row in inventory if row.uuid.endswith("/")}
    now = {host.name: host.mine for host in view.hosts if not isinstance(host.mine, Missing)}
    return frozenset(name for name, count in {**last, **now}.items() if count)


def complete_view(view: LabView, inventory: Sequence[KnownGpu]) -> LabView:
    """Add the hosts and the GPUs that are known and not in the view: a shorter list is no recovery."""
    if view.problem is not None or view.simulated:
        return view
    rows = {row.uuid: row for row in inventory if row.uuid.endswith("/")}
    forgotten = {row.name for row in rows.values() if row.forgotten}
    hosts = {
        host.name: host
        for host in view.hosts
        if host.state is not HostState.GONE or host.name not in forgotten
    }
    for row in rows.values():
        if row.name not in hosts and not row.forgotten:
            hosts[row.name] = HostView(row.name, HostState.GONE)
    return replace(
        view,
        hosts=tuple(_complete_host(host, inventory) for _name, host in sorted(hosts.items())),
    )


def _complete_host(host: HostView, inventory: Sequence[KnownGpu]) -> HostView:
    if host.state is not HostState.OK or host.detail is None:
        return host
    whole = complete_snapshot(host.detail, _of_host(lab_rules.host_prefix(host.name), inventory))
    boards = {gpu.physical or gpu.uuid for gpu in whole.gpus} - {""}
    since = host.detail.at if host.since is None else host.since
    completed = view_of_snapshot(host.name, whole, since, host.clock)
    if isinstance(completed.gpus, Missing):
        return completed
    return replace(completed, expected=len(boards))


# Of what a host no longer tells, that without which nobody looks any more whether it is well.
_ESSENTIAL = {"expected": N_("how many GPUs it should have"), "firing": N_("what its own rules find")}


def _lacking(facts: LabFacts) -> list[str]:
    text = _("{host} no longer tells {what}")
    return [
        text.format(host=host.name, what=_(_ESSENTIAL[name]))
        for host in facts.view.hosts
        for name in host.lacks
        if name in _ESSENTIAL and facts.concerns(host.name)
    ][:NAMED]


def open_questions(facts: LabFacts) -> tuple[str, ...]:
    """Return what keeps the lab from being green, a line each; hosts that concern nobody here do not."""
    view = facts.view
    if problem := lab_rules.lab_problem(view):
        return (problem,)
    unread = [host for host in facts.unread if facts.concerns(host.name)]
    lines = [lab_rules.blind_text(host) for host in unread[:NAMED]]
    if len(unread) > NAMED:
        lines = [_("{count} of {every} hosts do not answer").format(count=len(unread), every=len(view.hosts))]
    lines += _lacking(facts)
    if not any(host.state is HostState.OK for host in view.hosts):
        lines = lines or [_("no host is known to be well")]
    feed = lab_rules.judge_lab_feed(facts)
    lines += [finding.text for finding in feed.findings]
    lines += [feed.unknown] if feed.unknown is not None else []
    # That one's own runs, or a pinned host, are no longer looked at is information, and yet no green.
    own = facts.mine | facts.lab.pins
    lines += [
        lab_rules.blind_text(host) for host in view.hosts if host.state is HostState.GONE and host.name in own
    ][:NAMED]
    return tuple(lines)
