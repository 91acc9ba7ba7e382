"""Settings that change under the alerts."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import Phase
from tests.engine.bench import BUSY, CALM, HEAD, LIMITS, at, changed, with_heat

HOT = at(90)


def adopt(bench, **policy):
    bench.policy = changed(bench.policy, **policy)
    bench.evaluator.reconfigure(bench.policy, HEAD)


@pytest.fixture
def pending(away, monkeypatch):
    """An alert that has waited for 20 of its 30 seconds."""
    with_heat(monkeypatch)
    away.looks(HOT, times=5)
    return away


def test_a_pending_alert_goes_on_waiting(pending):
    """A reload in the middle of its hold neither begins it anew nor ends it: it fires when due, once."""
    adopt(pending, limits=replace(LIMITS, gpu_limit=7))
    early = pending.look(HOT, 5)
    assert [each.phase for each in early.status.alerts] == []
    outcomes = pending.looks(HOT, times=20)
    fired = [change for outcome in outcomes for change in outcome.changes if change.kind.value == "fired"]
    assert len(fired) == 1
    assert [mail.kind.value for mail in pending.deliver()] == ["alert"]
    assert outcomes[0].status.alerts[0].phase is Phase.FIRING


def test_a_firing_alert_is_not_told_again(away):
    """Its number, its cooldown and its popup stay what they were over a reload, and over many."""
    (before,) = away.look(BUSY).status.alerts
    away.deliver()
    for poll in (0.2, 5.0, 60.0):
        adopt(away, limits=replace(LIMITS, poll=poll), gap=max(15.0, 3 * poll))
        after = away.look(BUSY, 5)
        assert [each.id for each in after.status.alerts] == [before.id]
        assert after.popups == ()
    assert away.deliver() == []


def test_a_new_threshold_counts_at_the_next_poll(away):
    """What was within the limit fires, and what fired is over, each told as usual."""
    adopt(away, limits=replace(LIMITS, gpu_limit=5))
    assert away.look(BUSY).status.alerts == ()
    adopt(away, limits=LIMITS)
    assert [each.rule for each in away.look(BUSY, 5).status.alerts] == ["gpu_limit"]
    away.deliver()
    adopt(away, limits=replace(LIMITS, gpu_limit=5))
    assert away.look(BUSY, 5).status.alerts == ()
    assert [mail.kind.value for mail in away.deliver()] == ["resolved"]


def test_an_alert_of_a_rule_that_is_switched_off_is_over(away):
    """It leaves the menu and the state, its popup is closed, and nobody is told of an end."""
    first = away.look(BUSY)
    away.deliver()
    adopt(away, limits=replace(LIMITS, gpu_limit=None))
    outcome = away.look(BUSY, 5)
    assert outcome.status.alerts == ()
    assert outcome.closed_popups == (first.popups[0][0].key,)
    assert away.deliver() == []
    away.restart()
    assert away.store.saved_state().alerts == ()


def test_a_rule_that_comes_back_fires_as_a_new_incident(away):
    """Off and on again within a moment: a new number, and one mail more than before at the most."""
    (before,) = away.look(BUSY).status.alerts
    adopt(away, limits=replace(LIMITS, gpu_limit=None))
    away.look(BUSY, 5)
    adopt(away, limits=LIMITS)
    (after,) = away.look(BUSY, 5).status.alerts
    assert after.id > before.id


def test_a_crash_between_the_reload_and_the_next_look_loses_nothing(pending):
    """A restart right after the reload goes on from the same hold."""
    adopt(pending, limits=replace(LIMITS, gpu_limit=7))
    pending.restart()
    outcomes = pending.looks(HOT, times=20)
    fired = [change for outcome in outcomes for change in outcome.changes if change.kind.value == "fired"]
    assert len(fired) == 1
    assert len(pending.deliver()) == 1


def test_a_recipient_that_comes_later_is_mailed(away):
    """TO_EMAIL set while an alert fires: it is mailed at the next look, once."""
    adopt(away, mails=False)
    away.look(BUSY)
    assert away.deliver() == []
    adopt(away, mails=True)
    away.looks(BUSY, times=3)
    assert [mail.kind.value for mail in away.deliver()] == ["alert"]
    away.look(CALM, 5)
