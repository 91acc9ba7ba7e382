"""The alert core: one table for the condition, one for the cooldown, and the invariants of both."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gpuwatch_tray import listing
from gpuwatch_tray.alerts import ChangeKind, Reason, due, fingerprint, step
from gpuwatch_tray.model import Finding, Limits, Severity, Verdict
from gpuwatch_tray.rules import judge
from tests.fakes import START, process, snapshot

HOST = "box"
FOUND = Finding("gpu_limit", "", Severity.WARNING, "GPU_COUNT(3) > GPU_LIMIT(2)", 3)
FIRING = Verdict("gpu_limit", (FOUND,))
CLEAR = Verdict("gpu_limit")
OPEN = Verdict("gpu_limit", unknown="GPU 1 is lost")


@pytest.mark.parametrize(
    ("verdicts", "kinds"),
    [
        # nothing found, nothing said
        ([CLEAR], []),
        ([FIRING], ["fired"]),
        # it goes on: the same incident
        ([FIRING, FIRING], ["fired"]),
        ([FIRING, CLEAR], ["fired", "resolved"]),
        # unknown never fires
        ([OPEN], []),
        # unknown never resolves
        ([FIRING, OPEN], ["fired"]),
        # and after it, things go on as they were
        ([FIRING, OPEN, FIRING], ["fired"]),
        ([FIRING, OPEN, CLEAR], ["fired", "resolved"]),
        # a rule that gave no verdict resolves nothing
        ([FIRING, None], ["fired"]),
        # a second incident
        ([FIRING, CLEAR, FIRING], ["fired", "resolved", "fired"]),
    ],
)
def test_condition(verdicts, kinds):
    """A finding fires once, its end resolves once, and unknown data changes nothing."""
    active, seen = {}, []
    for verdict in verdicts:
        active, changes = step(active, [verdict] if verdict else [], START, HOST)
        seen += [change.kind.value for change in changes]
    assert seen == kinds


def test_an_alert_keeps_its_beginning_and_takes_the_new_reason():
    """While it fires, an alert's reason follows the finding and its `since` stays."""
    active, _ = step({}, [FIRING], START, HOST)
    more = Finding("gpu_limit", "", Severity.WARNING, "GPU_COUNT(4) > GPU_LIMIT(2)", 4)
    active, changes = step(active, [Verdict("gpu_limit", (more,))], START + 60, HOST)
    (alert,) = active.values()
    assert (alert.since, alert.reason, changes) == (START, more.reason, ())


def test_only_the_subjects_in_doubt_stay():
    """A verdict that is open about one process resolves the alert of another that is gone."""
    found = tuple(Finding("max_etime", f"b/{pid}/s", Severity.WARNING, "r") for pid in (1, 2))
    active, _ = step({}, [Verdict("max_etime", found)], START, HOST)
    verdict = Verdict("max_etime", unknown="age of 1", unknown_subjects=("b/1/",))
    active, changes = step(active, [verdict], START, HOST)
    assert [alert.subject for alert in active.values()] == ["b/1/s"]
    assert [(c.kind, c.alert.subject) for c in changes] == [(ChangeKind.RESOLVED, "b/2/s")]


@pytest.mark.parametrize(
    ("last", "queued", "now", "expected"),
    [
        # never told: at once
        (None, False, 0, Reason.FIRST),
        # on its way already
        (None, True, 0, None),
        # inside the cooldown
        (0, False, 3599, None),
        # at its end, still firing
        (0, False, 3600, Reason.COOLDOWN_OVER),
        # the clock was set back a little: the cooldown goes on
        (600, False, 0, None),
        # the clock was set back by more than the cooldown: an alert must not be silent for years
        (86400, False, 0, Reason.COOLDOWN_OVER),
    ],
)
def test_cooldown(last, queued, now, expected):
    """An alert is due when it was never told, or was told a cooldown ago, and is not on its way."""
    active, _ = step({}, [FIRING], START, HOST)
    (name,) = active
    sent = {} if last is None else {name: START + last}
    notices = due(active.values(), sent, START + now, 3600, {name} if queued else set())
    assert [notice.reason for notice in notices] == ([expected] if expected else [])


def bash_signature(reasons, output):
    """The Bash tool's identity of an alert: a hash of the reasons and the whole list."""
    return hashlib.sha256(f"{' '.join(reasons)}\n---\n{output}\n".encode()).hexdigest()


def test_the_fingerprint_survives_what_changed_the_bash_tools_hash():
    """Five minutes later the Bash tool's hash differs, so it mailed again; our fingerprint does not."""
    limits = Limits(gpu_limit=0, max_etime=3600)

    def identities(elapsed):
        row = process(elapsed=elapsed)
        active, _ = step({}, judge(snapshot(row), limits), START, HOST)
        reasons = [alert.reason for alert in active.values()]
        return set(active), bash_signature(reasons, listing.own_text((row,), redacted=False))

    ours, theirs = identities(7200.0)
    ours_later, theirs_later = identities(7500.0)
    assert len(ours) == 2
    assert ours == ours_later
    assert theirs != theirs_later  # what a cooldown by that hash would fail on


def test_a_reused_pid_is_another_alert():
    """The same PID with another start is another fingerprint."""
    limits = Limits(max_etime=1)
    names = [
        set(step({}, judge(snapshot(process(7, identity=start)), limits), START, HOST)[0])
        for start in ("a", "b")
    ]
    assert names[0].isdisjoint(names[1])


def test_hosts_do_not_share_fingerprints():
    """The same rule on another host is another alert."""
    assert fingerprint("a", "gpu_limit", "") != fingerprint("b", "gpu_limit", "")


class CooldownMachine(RuleBasedStateMachine):
    """Any order of findings, gaps, failures, restarts and time: at most one delivery a cooldown."""

    COOLDOWN = 600.0

    def __init__(self):
        super().__init__()
        self.now = START
        self.active, self.sent, self.queued = {}, {}, set()
        self.deliveries = []
        self.fired = self.resolved = 0

    @rule(verdict=st.sampled_from([FIRING, CLEAR, OPEN]))
    def poll(self, verdict):
        before = dict(self.active)
        self.active, changes = step(self.active, [verdict], self.now, HOST)
        if verdict is OPEN:
            assert (self.active, changes) == (before, ())
        self.fired += sum(change.kind is ChangeKind.FIRED for change in changes)
        self.resolved += sum(change.kind is ChangeKind.RESOLVED for change in changes)
        for notice in due(self.active.values(), self.sent, self.now, self.COOLDOWN, self.queued):
            self.queued.add(notice.alert.fingerprint)

    @rule()
    def deliver(self):
        for name in self.queued:
            self.deliveries.append(self.now)
            self.sent[name] = self.now
        self.queued.clear()

    @rule(seconds=st.sampled_from([1.0, 300.0, 600.0]))
    def wait(self, seconds):
        self.now += seconds

    @rule()
    def restart(self):
        """What the store keeps is all there is: a restart starts from equal values."""
        self.active, self.sent, self.queued = dict(self.active), dict(self.sent), set(self.queued)

    @invariant()
    def never_twice_in_a_cooldown(self):
        gaps = [b - a for a, b in zip(self.deliveries, self.deliveries[1:], strict=False)]
        assert all(gap >= self.COOLDOWN for gap in gaps)

    @invariant()
    def every_resolution_follows_a_firing(self):
        assert self.fired - self.resolved == len(self.active)


CooldownMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestCooldownMachine = CooldownMachine.TestCase
