"""What a snapshot means to what is known already: decided here, written and told elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray import alerts, rules
from gpuwatch_tray.alerts import ChangeKind, Channel, DeliveryState, Tick
from gpuwatch_tray.alerts.condition import FLAP_WINDOW
from gpuwatch_tray.evaluator.chronicle import unshown
from gpuwatch_tray.evaluator.policy import Evaluation, Policy
from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import Alert, Gpu, Instant, Phase, Presence, Reason, Severity, Snapshot, known
from gpuwatch_tray.rules.scope import counted
from gpuwatch_tray.store import KnownGpu, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuwatch_tray.alerts import Silence
    from gpuwatch_tray.store import Commit, Store

MISSING = N_(
    "the driver does not report it any more"
    " (if it was taken out on purpose: gpuwatch-tray alerts forget {uuid})"
)


class Assessor:
    """
    The memory of an evaluator: what it was left by the last evaluation, and the store's latest word.

    `assess` changes nothing but that word; `take` moves on. While the store cannot be read, its last word
    counts and `trouble` says so.
    """

    def __init__(self, store: Store, policy: Policy, host: str) -> None:
        self._store = store
        self._policy = policy
        self._host = host
        memory = store.memory()
        # An alert that only a loop can judge rests on file until one does: here it would fire, and mute
        # others, for ever.
        judged = rules.judged(policy.limits, holds=policy.holds)
        self._alerts = {each.fingerprint: each for each in memory.alerts if each.rule in judged}
        self._resting = len(self._alerts) < len(memory.alerts)
        self.orphans = _orphans(memory.alerts, policy)
        self._memory = rules.recalled(self._alerts.values())
        self.ended = {each.fingerprint: each for each in memory.ended}
        self._raised = list(memory.raised)
        # What single runs write says nothing of how long a loop has looked.
        self._last = memory.loop if policy.holds else memory.last
        self._severities = dict(memory.severities)
        self._highest = memory.highest
        self._around = store.evaluation_inputs()
        self._unrecorded: dict[str, Instant] = {}  # popups that were shown while nothing could be written
        numbers = unshown(store.history(0)[1])
        self._no_popup = {name for name, each in self._alerts.items() if each.id in numbers}
        self.trouble: str | None = None

    def adopt(self, policy: Policy) -> None:
        """Go by `policy` from now on; the alerts stay, save those that nobody judges any more."""
        self._policy = policy
        gone = _orphans(self._alerts.values(), policy)
        self.orphans += gone
        over = {each.fingerprint for each in gone}
        self._alerts = {name: each for name, each in self._alerts.items() if name not in over}

    @property
    def names(self) -> dict[int, str]:
        """The fingerprints of the alerts that are not over, by number."""
        return {alert.id: name for name, alert in self._alerts.items()}

    @property
    def queued(self) -> dict[str, float]:
        """The fingerprints of which a mail is on its way, and since when (wall time)."""
        return self._around.queued

    def delivered(self, channel: Channel) -> dict[str, Instant]:
        """When each fingerprint was last told on `channel`."""
        found = self._around.delivered.get(channel.value, {})
        return found | self._unrecorded if channel is Channel.DESKTOP else found

    def assess(self, snapshot: Snapshot, now: Instant, presence: Presence) -> Evaluation:
        """Judge `snapshot`, take the step in thought, and decide what is told."""
        self._look_around()
        limits, attention = self._policy.limits, self._around.attention
        snapshot = self._complete(snapshot)
        memory = rules.observe(
            self._memory, snapshot, now, limits, gap=self._policy.gap, seen=self._acknowledged()
        )
        verdicts = rules.judge(snapshot, limits, memory, holds=self._policy.holds)
        stepped, changes = alerts.step(
            self._alerts,
            verdicts,
            self._tick(now),
            self._host,
            rules.terms(limits),
            self._raises(now),
            self._severities,
        )
        numbered = self._numbered(stepped)
        changes = tuple(
            replace(each, alert=replace(each.alert, id=numbered[each.alert.fingerprint].id))
            if each.alert.fingerprint in numbered
            else each
            for each in changes
        )
        voided = {each.alert.id for each in changes if each.kind is ChangeKind.ROSE}
        voided |= {
            alert.id
            for alert in numbered.values()
            if alert.rule in rules.EVENT_RULES and _happened(memory.events.get(alert.subject), now)
        }  # what was acknowledged is the event before
        active = alerts.apply_silences(numbered, attention.silences, attention.acknowledged - voided, now)
        ways = self._policy.ways(presence)
        decisions = tuple(
            alerts.decide(alert, channel, self._told(alert, channel), ways, now)
            for alert in active.values()
            for channel in Channel
        )
        return Evaluation(
            snapshot,
            verdicts,
            rules.open_questions(snapshot, verdicts),
            counted(snapshot, limits),
            active,
            changes,
            decisions,
            alerts.snoozed_until(attention.silences, now),
            memory,
            tuple(voided & attention.acknowledged),
        )

    def noted(self, found: Evaluation) -> None:
        """It has been looked at, whether what follows can be written or not."""
        self._memory = found.memory

    def take(self, step: Commit, found: Evaluation) -> None:
        """The step is written, or needed no writing: go on from it."""
        self._alerts = found.alerts
        self.ended = {alert.fingerprint: alert for alert in step.ended}
        self.orphans = ()
        self._last = step.at
        self._highest = max([self._highest, *(alert.id for alert in found.alerts.values())])
        fired = [each.alert for each in found.changes if each.kind is ChangeKind.FIRED]
        self._raised = [each for each in self._raised if abs(step.at.since(each[1])) < FLAP_WINDOW]
        self._raised += [(alert.fingerprint, step.at) for alert in fired]
        told = [*found.alerts.values(), *(each.alert for each in found.changes)]
        self._severities |= {alert.fingerprint: alert.severity for alert in told if alert.fired is not None}
        self._no_popup &= set(found.alerts)

    def changed(self, found: Evaluation) -> bool:
        """Whether the alerts differ from those on file in more than their numbers, or count time there."""
        if {name: _essence(alert) for name, alert in self._alerts.items()} != {
            name: _essence(alert) for name, alert in found.alerts.items()
        }:
            return True
        terms = rules.terms(self._policy.limits)
        return any(
            alert.phase is not Phase.FIRING
            or (terms[alert.rule].critical_after is not None and alert.severity < Severity.CRITICAL)
            for alert in found.alerts.values()
        )

    def forgotten(self, alert: Alert) -> bool:
        """Whether it is about a GPU that the person has said to be gone for good."""
        gone = [each.uuid for each in self._around.gpus if each.forgotten]
        return any(alert.subject == uuid or alert.subject.startswith(f"{uuid}/") for uuid in gone)

    def silenced(self, alert: Alert, now: Instant) -> bool:
        """Whether a snooze covers this alert now, be it over or not."""
        return any(each.covers(alert) and each.left(now) for each in self._around.attention.silences)

    def run_out(self, now: Instant) -> tuple[Silence, ...]:
        """The snoozes that are over; what a single run cannot judge may still have to tell of their end."""
        if not self._policy.holds and self._resting:
            return ()
        return tuple(each for each in self._around.attention.silences if not each.left(now))

    def new_gpus(self, snapshot: Snapshot) -> tuple[KnownGpu, ...]:
        """The GPUs that the inventory does not have, or not so."""
        if snapshot.simulated or snapshot.problem is not None:
            return ()
        held = {each.uuid: (each.index, each.name) for each in self._around.gpus if not each.forgotten}
        seen = [
            KnownGpu(gpu.uuid, gpu.index, known(gpu.name) or "", snapshot.at)
            for gpu in snapshot.gpus
            if gpu.uuid
            and gpu.problem is None
            and not gpu.physical  # MIG devices go when they are divided anew
        ]
        return tuple(each for each in seen if held.get(each.uuid) != (each.index, each.name))

    def shown(self, name: str, now: Instant) -> None:
        """A popup about it was shown; until that is on file it is remembered here."""
        self._unrecorded[name] = now
        self._no_popup.discard(name)

    def recorded(self, name: str) -> None:
        """It is on file."""
        self._unrecorded.pop(name, None)

    def not_shown(self, name: str) -> bool:
        """No popup about it could be shown; whether that is new."""
        new = name not in self._no_popup
        self._no_popup.add(name)
        return new

    def number(self, name: str) -> int:
        """The number of the alert with this fingerprint; 0 where it is over."""
        return self._alerts[name].id if name in self._alerts else 0

    def _look_around(self) -> None:
        try:
            self._around = self._store.evaluation_inputs()
        except StoreError as error:
            self.trouble = str(error)
        else:
            self.trouble = None

    def _complete(self, snapshot: Snapshot) -> Snapshot:
        """With the GPUs of the inventory that this reading does not have: a shorter list is no recovery."""
        if snapshot.problem is not None or snapshot.simulated:
            return snapshot
        gone = {each.uuid for each in self._around.gpus if each.forgotten}
        kept = tuple(gpu for gpu in snapshot.gpus if gpu.problem is None or gpu.uuid not in gone)
        snapshot = replace(snapshot, gpus=kept)
        if any(not gpu.uuid and gpu.problem is None and not gpu.asleep for gpu in snapshot.gpus):
            return snapshot  # a process list names no devices
        there = {gpu.uuid for gpu in snapshot.gpus}
        missing = [each for each in self._around.gpus if each.uuid not in there and not each.forgotten]
        gpus = []
        for gpu in snapshot.gpus:
            # One that has not answered since the start does not say who it is: most likely who was there.
            same = None if gpu.uuid else next((each for each in missing if each.index == gpu.index), None)
            if same is not None:
                missing.remove(same)
                gpu = replace(gpu, uuid=same.uuid, name=same.name or gpu.name)  # noqa: PLW2901
            gpus.append(gpu)
        taken = {gpu.index for gpu in gpus}  # a MIG device has its GPU's
        for each in missing:
            index = next(n for n in (each.index, *range(len(taken) + 1)) if n not in taken)
            taken.add(index)
            problem = _(MISSING).format(uuid=each.uuid)
            gpus.append(Gpu(index, each.uuid, each.name or each.uuid, problem=problem))
        return replace(snapshot, gpus=tuple(gpus))

    def _acknowledged(self) -> tuple[tuple[str, str], ...]:
        """The rules and subjects of which the person has said that they have seen the alert."""
        seen = self._around.attention.acknowledged
        return tuple((each.rule, each.subject) for each in self._alerts.values() if each.id in seen)

    def _tick(self, now: Instant) -> Tick:
        if self._last is None:
            return Tick(now)
        elapsed = now.since(self._last)
        # Between two runs of cron there is always a gap, which then says nothing.
        gap = self._policy.holds and not 0 <= elapsed <= self._policy.gap
        return Tick(now, max(0.0, elapsed), gap)

    def _raises(self, now: Instant) -> dict[str, int]:
        counts: dict[str, int] = {}
        for name, at in self._raised:
            if 0 <= now.since(at) < FLAP_WINDOW:
                counts[name] = counts.get(name, 0) + 1
        return counts

    def _numbered(self, active: dict[str, Alert]) -> dict[str, Alert]:
        """New alerts get the next numbers."""
        highest = self._highest
        numbered = {}
        for name, alert in active.items():
            if not alert.id:
                highest += 1
            numbered[name] = alert if alert.id else replace(alert, id=highest)
        return numbered

    def _told(self, alert: Alert, channel: Channel) -> DeliveryState:
        name = alert.fingerprint
        since = self._around.queued.get(name)
        refused = self._around.given_up.get(name) if channel is Channel.EMAIL else None
        risen = alert.news is not None and alert.news[0] is Reason.SEVERITY_RISE
        news = alert.news[1].wall if risen and alert.news is not None else None
        return DeliveryState(
            self.delivered(channel).get(name),
            queued=since is not None,
            outdated=since is not None and news is not None and news > since,
            no_popup=name in self._no_popup,
            given_up=None if refused is None else Instant(refused),
        )


def _orphans(found: Iterable[Alert], policy: Policy) -> tuple[Alert, ...]:
    """Those that nobody judges any more, over: their rule is off, or went with an older version."""
    on = rules.switched_on(policy.limits)
    return tuple(replace(each, phase=Phase.RESOLVED) for each in found if each.rule not in on)


def _happened(event: rules.Occurrence | None, now: Instant) -> bool:
    """Whether it is this very look that tells of the event."""
    return event is not None and event.at == now


def _essence(alert: Alert) -> tuple[object, ...]:
    """What of an alert has to be on file."""
    return alert.id, alert.phase, alert.severity, alert.fired, alert.news, alert.covered
