"""What lies between two incidents, two programs, and a person and their mail."""

from __future__ import annotations

import pytest

from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.model import Presence
from tests.engine.bench import BUSY, CALM, HEAT, Bench, at, with_heat


@pytest.fixture
def hot(tmp_path, monkeypatch):
    """Nobody at the desk, and the rule about heat."""
    with_heat(monkeypatch)
    bench = Bench(tmp_path)
    bench.presence = Presence.AWAY
    yield bench
    bench.close()


@pytest.mark.parametrize("restart", [False, True])
def test_a_worse_incident_does_not_wait_for_the_cooldown_of_a_milder_one(hot, restart):
    """A warning was mailed and is over; within its cooldown the same fires as critical: mailed at once."""
    hot.looks(at(86), times=10)
    assert len(hot.deliver()) == 1
    hot.looks(at(40), times=20)
    hot.deliver()
    if restart:
        hot.restart()
    hot.looks(at(97), times=10)
    assert ["HEAT(97)" in mail.text for mail in hot.deliver()] == [True]
    assert "email queued: severity-rise, critical" in hot.history


def test_an_equal_incident_waits_for_the_cooldown(hot):
    """The same again within the cooldown is not mailed."""
    hot.looks(at(86), times=10)
    hot.deliver()
    hot.looks(at(40), times=20)
    hot.deliver()
    hot.looks(at(86), times=10)
    assert hot.deliver() == []


def test_a_single_run_between_two_loops_is_no_look_of_theirs(hot):
    """A hold that a tray began does not go on over the hours in which only cron looked."""
    hot.looks(at(86), times=6)
    assert hot.store.saved_state().alerts[0].phase_seconds == 25
    hot.restart(in_loop=False, popups=False)
    hot.look(BUSY, 7200)
    hot.restart(in_loop=True, popups=True)
    hot.look(at(86), 5)
    (alert,) = [each for each in hot.store.saved_state().alerts if each.fingerprint == HEAT]
    assert (alert.phase.value, alert.phase_seconds) == ("pending", 0.0)


def test_a_mail_that_waits_does_not_leave_during_a_snooze(hot):
    """What was queued before everything was snoozed goes when the snooze is over."""
    hot.look(BUSY)
    hot.refuse()
    hot.attending.snooze(7200)
    hot.clock.advance(3600)
    assert hot.deliver() == []
    hot.clock.advance(3700)
    assert len(hot.deliver()) == 1


def test_the_summary_leaves_out_what_is_snoozed_and_over(tmp_path):
    """Coming back during a snooze, nothing pops up about what fired and ended under it."""
    bench = Bench(tmp_path)
    bench.attending.snooze(36000)
    bench.presence = Presence.AWAY
    bench.look(BUSY)
    bench.look(CALM, 5)
    bench.presence = Presence.PRESENT
    assert bench.look(CALM, 5).popups == ()
    bench.close()


def test_cron_does_not_write_the_same_reason_at_every_run(tmp_path):
    """The history of an alert that goes on for days keeps its beginning."""
    bench = Bench(tmp_path, in_loop=False, popups=False)
    for _ in range(10):
        bench.look(BUSY, 300)
        bench.deliver()
        bench.restart()
    assert [line for line in bench.history if "waits" in line] == []
    assert bench.history[0].startswith("fired")
    bench.close()


def test_a_gpu_that_was_forgotten_is_not_resolved_by_mail(hot):
    """What the person has said to be gone is not announced as healthy."""
    hot.look(at(40, gpus=2))
    hot.looks(at(40, gpus=1), times=3)
    assert len(hot.deliver()) == 1
    assert hot.store.delivered(Channel.EMAIL.value)
    hot.store.forget_gpu("GPU-0001")
    hot.looks(at(40, gpus=1), times=40)
    assert hot.deliver() == []
