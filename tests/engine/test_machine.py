"""Any order of faults, time, restarts, deliveries and answers: the invariants of the alert core."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gpuwatch_tray.model import UNKNOWN, EmailWhen, Level, MessageKind, Presence
from tests.engine.bench import Bench, core_only, with_heat
from tests.engine.world import Moment, World
from tests.support.fakes import Clock
from tests.support.folders import memory_folder

POLLS = st.sampled_from(
    [(0, 0), (1, 1), (1, 15), (2, 5), (8, 5), (14, 5), (14, 10)]
)  # how many, how far apart
CHANGES = [
    *(("warm", gpu, warmth) for gpu in (0, 1) for warmth in (40, 82, 90, 90, 97, UNKNOWN)),
    *(("second", state) for state in ("there", "there", "lost", "anonymous", "vanished")),
    *(("driver", works) for works in (True, True, False)),
    *(("begins", pid, gpu, age) for pid in (1, 2) for gpu in (0, 1) for age in (0, 3590, 3700)),
    *(("ends", pid) for pid in (1, 1, 2, 2)),
]
BYPASSES = {"email": {"severity-rise", "snooze-over"}, "popup": {"severity-rise", "snooze-over", "flapping"}}
COOLDOWN = 900.0
TELLING = {MessageKind.ALERT, MessageKind.DIGEST}


class Twin(Bench):
    """A bench that writes down what it says, on a clock and for a person that it shares."""

    def __init__(self, folder, clock, **policy) -> None:
        self.shared = clock
        self.steps = []
        super().__init__(folder, **policy)

    def open(self) -> None:
        self.clock = self.shared
        super().open()
        commit = self.store.commit
        self.store.commit = lambda step: (commit(step), self.steps.append(step))

    def say(self, reading):
        """One poll; what it came to, in words that do not depend on numbers, keys and their order."""
        self.steps.clear()
        outcome = self.look(reading)
        changes = sorted((change.kind.value, change.alert.fingerprint) for change in outcome.changes)
        mails = [(mail.message.kind, set(mail.fingerprints)) for step in self.steps for mail in step.mails]
        popups = sorted((p.severity, sorted(names)) for p, names in outcome.popups if p.key != "away")
        status = outcome.status
        shown = (status.level, status.headline, [(a.fingerprint, a.phase, a.severity) for a in status.alerts])
        return outcome, (changes, mails, popups, shown)


class AlertMachine(RuleBasedStateMachine):
    """Two evaluators see the same world; one of them is restarted at will."""

    def __init__(self) -> None:
        super().__init__()
        self.root = memory_folder()
        self.patch = pytest.MonkeyPatch()
        core_only(self.patch)
        with_heat(self.patch)
        self.world, self.clock = World(), Clock()
        self.shift = self.true = 0.0
        self.last = {}  # (channel, fingerprint) -> when it was last delivered
        self.names_of = {}  # Message-ID -> fingerprints
        self.mails_out = {}  # fingerprint -> the reason of the mail on its way
        self.told = set()  # fingerprints whose present or last incident a mail has told
        self.silences, self.acknowledged = [], set()
        self.firing = {}

    @initialize(
        popups=st.sampled_from([True, True, False]),
        when=st.sampled_from([EmailWhen.AWAY, EmailWhen.AWAY, EmailWhen.ALWAYS]),
    )
    def begin(self, popups, when):
        policy = {"popups": popups, "email_when": when, "cooldown": COOLDOWN, "resolved_popup": True}
        self.steady = Twin(self.root / "steady", self.clock, **policy)
        self.twin = Twin(self.root / "twin", self.clock, **policy)
        self.both = (self.steady, self.twin)
        self.poll(5)  # both GPUs are known from now on

    def teardown(self):
        self.patch.undo()
        for each in getattr(self, "both", ()):
            each.close()
        shutil.rmtree(self.root)

    # --- the world --------------------------------------------------------------------------------------

    @rule(change=st.sampled_from(CHANGES), looks=POLLS)
    def the_world_changes(self, change, looks):
        what, *values = change
        if what == "warm":
            self.world.warmth[values[0]] = values[1]
        elif what == "second":
            self.world.second = values[0]
        elif what == "driver":
            self.world.driver = values[0]
        elif what == "ends":
            self.world.born.pop(values[0], None)
        else:
            pid, gpu, age = values
            self.world.begin(pid, gpu, self.clock.up - age)
        self.look(looks)

    @rule(looks=POLLS)
    def all_is_well(self, looks):
        self.world = World()
        self.look(looks)

    # --- time -------------------------------------------------------------------------------------------

    def pass_(self, seconds):
        self.clock.advance(seconds)
        self.true += seconds

    @rule(seconds=st.sampled_from([60, 600, 900, 3600, 100_000]), looks=POLLS)
    def suspend(self, seconds, looks):
        self.pass_(seconds)
        self.look(looks)

    @rule(seconds=st.sampled_from([-100_000, -3700, -10, 10, 3700, 100_000]), looks=POLLS)
    def set_the_clock(self, seconds, looks):
        self.clock.jump(seconds)
        self.shift += seconds
        self.look(looks)

    @rule(looks=POLLS)
    def reboot(self, looks):
        self.clock.reboot(40)
        self.true += 40
        self.world.born.clear()
        for each in self.both:
            each.restart()
        self.look(looks)

    @rule(looks=POLLS)
    def restart(self, looks):
        self.twin.restart()
        self.look(looks)

    @precondition(lambda self: self.firing)
    @rule(restarts=st.booleans(), looks=POLLS)
    def the_cooldown_passes(self, restarts, looks):
        self.pass_(COOLDOWN)
        if restarts:
            self.twin.restart()
        self.look(looks)

    def moment(self):
        return Moment(self.true, self.clock.boots, self.shift)

    # --- the person, the desktop and the network --------------------------------------------------------

    @rule(presence=st.sampled_from(Presence), screen=st.booleans(), looks=POLLS)
    def the_desk_changes(self, presence, screen, looks):
        for each in self.both:
            each.presence, each.screen = presence, screen
        self.look(looks)

    @precondition(lambda self: self.firing)
    @rule(data=st.data(), looks=POLLS)
    def acknowledge(self, data, looks):
        name = data.draw(st.sampled_from(sorted(self.firing)))
        for each in self.both:
            each.attending.acknowledge(name)
        self.acknowledged.add(name)
        self.look(looks)

    @precondition(lambda self: self.firing)
    @rule(
        data=st.data(), scope=st.integers(0, 2), seconds=st.sampled_from([30.0, 600.0, 7200.0]), looks=POLLS
    )
    def snooze(self, data, scope, seconds, looks):
        name = data.draw(st.sampled_from(sorted(self.firing)))
        names = [(), (name.split("/")[1],), (name,)][scope]
        for each in self.both:
            each.attending.snooze(seconds, *names)
        kept = [silence for silence in self.silences if silence[0] != names]
        self.silences = [*kept, (names, self.moment(), seconds)]
        self.look(looks)

    @precondition(lambda self: self.silences)
    @rule(looks=POLLS)
    def resume(self, looks):
        for each in self.both:
            each.attending.resume()
        self.silences.clear()
        self.look(looks)

    @precondition(lambda self: self.names_of)
    @rule(works=st.booleans(), looks=POLLS)
    def the_mail_leaves(self, works, looks):
        if works:
            self.deliver()
        else:
            for each in self.both:
                each.refuse()
        self.look(looks)

    def deliver(self):
        now = self.moment()
        sent = [each.deliver() for each in self.both]
        assert [mail.kind for mail in sent[0]] == [mail.kind for mail in sent[1]]
        for mail in sent[0]:
            names = self.names_of.pop(mail.message_id)
            if mail.kind in TELLING:
                for name in names:
                    self.delivered("email", name, self.mails_out.pop(name), now)
                    self.told.add(name)

    # --- the looks --------------------------------------------------------------------------------------

    def look(self, looks):
        times, seconds = looks
        for _ in range(times):
            self.poll(seconds)

    def poll(self, seconds):
        self.pass_(seconds)
        before = self.firing
        reading = self.world.read(self.clock)
        outcome, said = self.steady.say(reading)
        # A restart between any two steps gives the same events as none.
        assert self.twin.say(reading)[1] == said
        changes, mails, popups, shown = said
        self.watch_the_conditions(before, outcome, changes)
        self.watch_what_is_told(mails, popups)
        # Green never with gaps.
        assert not (outcome.gaps or reading.problem) or shown[0] not in {Level.OK, Level.SNOOZED}

    def watch_the_conditions(self, before, outcome, changes):
        alerts = {alert.fingerprint: alert for alert in outcome.status.alerts}
        for kind, name in changes:
            _, rule_, *rest = name.split("/", 2)
            # Unknown never changes a condition; what is known to be over its limit may fire all the same.
            known = kind == "fired" and self.world.driver and rule_ in {"max_etime", "gpu_limit"}
            assert known or not self.world.dark(rule_, "/".join(rest)), (kind, name)
            if kind == "fired":
                assert name not in before
                self.told.discard(name)
            if kind in {"fired", "resolved", "severity rose"}:
                self.acknowledged.discard(name)
        for name, alert in before.items():
            if self.world.dark(alert.rule, alert.subject):
                assert (alerts[name].phase, alerts[name].severity) == (alert.phase, alert.severity)
        # A GPU that is not there is never a recovery.
        if self.world.second != "there":
            assert not [name for kind, name in changes if "gpu_lost" in name and kind == "recovering"]
        self.firing = alerts

    def reasons(self):
        """Why the mails of this look were queued, by fingerprint, as the history has it."""
        found = {}
        for step in self.steady.steps:
            numbers = {alert.id: alert.fingerprint for alert in step.alerts}
            for line in step.transitions:
                if line.what == "email queued":
                    found[numbers[line.incident]] = line.why.partition(",")[0]
            self.names_of |= {m.message.message_id: m.fingerprints for m in step.mails if not m.held}
        return found

    def watch_what_is_told(self, mails, popups):
        now, reasons = self.moment(), self.reasons()
        for kind, names in mails:
            for name in names:
                if kind is MessageKind.RESOLVED:
                    # Every "resolved" follows a delivered "firing", and only one does.
                    assert name in self.told, name
                    self.told.remove(name)
                elif name in reasons:
                    assert name not in self.mails_out or reasons[name] == "severity-rise"
                    self.mails_out[name] = reasons[name]
                self.not_silenced(name, now, ended=kind is MessageKind.RESOLVED)
        for _, names in popups:
            for name in names:
                self.not_silenced(name, now, ended=False)
                if self.steady.screen:
                    self.delivered("popup", name, self.popup_reason(name), now)

    def popup_reason(self, name):
        number = self.firing[name].id
        lines = self.steady.store.history(0)[1]
        return next(
            each.why for each in reversed(lines) if each.incident == number and each.what == "popup shown"
        )

    def not_silenced(self, name, now, *, ended):
        """Nothing is sent while it is snoozed, on any channel, or acknowledged."""
        rule_ = name.split("/")[1]
        for names, began, seconds in self.silences:
            since = now.since(began)
            if since is not None and since < seconds:
                assert names not in {(), (rule_,), (name,)}, (name, names)
        assert ended or name not in self.acknowledged

    def delivered(self, channel, name, reason, now):
        """At most one delivery per cooldown, fingerprint and channel, unless by a named bypass."""
        last = self.last.get((channel, name))
        since = None if last is None else now.since(last)
        if since is not None and reason not in BYPASSES[channel]:
            assert since >= COOLDOWN, (channel, name, reason, since)
        self.last[channel, name] = now


AlertMachine.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestAlertMachine = AlertMachine.TestCase
