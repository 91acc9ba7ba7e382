"""What a restart, a full disk, cron beside a tray, and a GPU that vanishes do to an evaluation."""

from __future__ import annotations

import pytest

from gpuwatch_tray.model import Gpu, Level, MessageKind, Phase, Presence
from gpuwatch_tray.store import StoreError
from tests.engine.bench import BUSY, CALM, DARK, Bench, at, with_heat
from tests.support.fakes import process, snapshot

ONE, TWO = Gpu(0, "GPU-aaaa", "One"), Gpu(1, "GPU-bbbb", "Two")
LOST_TWO = "box/gpu_lost/GPU-bbbb"


def phases(outcome):
    return {alert.fingerprint: alert.phase for alert in outcome.status.alerts}


def kinds(outcome):
    return [change.kind.value for change in outcome.changes]


def test_a_restart_within_the_cooldown_says_nothing_again(away):
    """What was mailed and shown before a restart is not repeated after it."""
    away.look(BUSY)
    away.deliver()
    away.restart()
    again = away.look(BUSY, 60)
    assert (again.mails, again.popups, again.changes) == ((), (), ())
    assert again.status.level is Level.WARNING


def test_an_end_under_a_snooze_is_silent_after_a_restart_too(away):
    """The snooze that began, or was on file, when the alert ended keeps its end from being mailed."""
    away.look(BUSY)
    away.deliver()
    away.attending.snooze(3600.0)
    away.look(BUSY, 5)
    away.restart()
    assert not away.look(CALM, 5).mails


def test_an_end_just_after_a_snooze_began_is_silent(away):
    """The snooze counts from the moment it was asked for, not from the next look on."""
    away.look(BUSY)
    away.deliver()
    away.attending.snooze(3600.0)
    assert not away.look(CALM, 5).mails


def test_an_end_that_waits_for_its_mail_is_silent_under_a_snooze(away):
    """An end that is owed is not told while everything is snoozed."""
    away.look(BUSY)
    away.refuse()
    away.look(CALM, 5)
    away.clock.advance(60)
    away.deliver()
    away.attending.snooze(3600.0)
    assert not away.look(CALM, 5).mails
    assert not away.look(CALM, 3600).mails


def test_nothing_is_lost_while_the_disk_is_full(away, monkeypatch):
    """While the state cannot be written the alert is shown once and said so, and mailed when it can."""
    real = away.store.commit

    def full(*_args, **_kwargs):
        raise StoreError("state: the disk is full")

    monkeypatch.setattr(away.store, "commit", full)
    monkeypatch.setattr(away.store, "record_delivery", full)
    outcome = away.look(BUSY)
    assert (outcome.trouble, outcome.status.level) == ("state: the disk is full", Level.WARNING)
    assert len(outcome.popups) == 1
    assert away.look(BUSY, 5).popups == ()
    monkeypatch.setattr(away.store, "commit", real)
    assert away.look(BUSY, 5).mails
    assert away.store.outbox_summary(away.clock.now).count == 1


def test_an_end_under_a_snooze_pops_up_nothing(folder):
    """With `popup` in TELL_RESOLVED too, a snooze silences the end on the desktop."""
    bench = Bench(folder, resolved_popup=True)
    bench.look(BUSY)
    bench.attending.snooze(3600.0)
    assert bench.look(CALM, 5).popups == ()
    bench.close()


def test_the_end_is_popped_up_once_on_a_full_disk(folder, monkeypatch):
    """A step that cannot be written is taken again at each poll, and not told at each."""
    bench = Bench(folder, resolved_popup=True)
    bench.look(BUSY)
    real = bench.store.commit

    def full(*_args, **_kwargs):
        raise StoreError("state: the disk is full")

    monkeypatch.setattr(bench.store, "commit", full)
    while_full = [popup for outcome in bench.looks(CALM, times=5) for popup in outcome.popups]
    monkeypatch.setattr(bench.store, "commit", real)
    after = [popup.key for popup, _ in bench.look(CALM, 5).popups]
    assert (while_full, after) == ([], ["resolved"])
    bench.close()


def test_the_state_is_not_written_while_nothing_changes(bench, monkeypatch):
    """A poll that changes nothing leaves the disk alone."""
    bench.look(BUSY)
    writes = []
    real = bench.store.commit
    monkeypatch.setattr(bench.store, "commit", lambda step: (writes.append(step), real(step)))
    bench.look(snapshot(process(1, 0, 65.0), process(2, 1, 65.0)), 5)
    assert writes == []
    bench.look(CALM, 5)
    assert len(writes) == 1


def test_the_dark_is_written_until_it_is_critical_and_then_no_more(bench, monkeypatch):
    """Time that counts is kept on file, time that does not is not: a driver may be gone for weeks."""
    bench.looks(DARK, times=200)
    writes = []
    monkeypatch.setattr(bench.store, "commit", writes.append)
    bench.looks(DARK, times=100)
    assert writes == []


def test_a_hold_goes_on_after_a_restart(bench):
    """A restart within three polls of the last is no gap: what was pending goes on."""
    bench.looks(DARK, times=6, every=10)
    bench.restart()
    assert kinds(bench.look(DARK, 10)) == ["fired"]


@pytest.mark.parametrize("pause", ["suspend", "reboot", "clock set back and rebooted"])
def test_a_hold_starts_again_after_a_gap(bench, pause):
    """Nobody knows what was while nobody looked, on whatever clock."""
    bench.looks(DARK, times=6, every=10)
    if pause == "suspend":
        bench.clock.advance(7200)
    else:
        bench.clock.reboot(-7200 if "back" in pause else 60)
        bench.restart()
    assert kinds(bench.look(DARK, 10)) == []
    assert [kinds(outcome) for outcome in bench.looks(DARK, times=6, every=10)][-2:] == [[], ["fired"]]


@pytest.mark.parametrize("jump", [86400.0, -86400.0])
def test_a_wall_clock_that_is_set_is_no_gap(bench, jump):
    """Set ahead or back by a day between two polls, a hold goes on and a cooldown does not end."""
    bench.look(BUSY)
    bench.looks(DARK, times=6, every=10)
    bench.clock.jump(jump)
    assert kinds(bench.look(DARK, 10)) == ["fired"]
    bench.looks(CALM, times=2)
    assert bench.look(BUSY, 5).popups == ()


# --- cron beside a tray -------------------------------------------------------------------------------------


def test_what_only_a_loop_can_judge_rests_while_cron_checks(away):
    """Blind when the tray ended: cron's checks are not muted for ever, and the tray finds it as it was."""
    away.looks(DARK, times=20)
    assert phases(away.look(DARK, 5)) == {"box/monitor_blind": Phase.FIRING}
    away.deliver()
    away.restart(in_loop=False)
    checked = away.look(BUSY, 300)
    assert phases(checked) == {"box/gpu_limit": Phase.FIRING}
    assert len(checked.mails) == 1
    away.restart(in_loop=True)
    assert phases(away.look(BUSY, 300))["box/monitor_blind"] is Phase.RECOVERING
    assert kinds(away.look(BUSY, 5)) == ["resolved"]


def test_a_flapping_alert_ends_under_cron(folder):
    """Cron's runs are far apart, which is no gap there: what flapped is resolved by a later run."""
    bench = Bench(folder, in_loop=False, popups=False)
    bench.presence = Presence.AWAY
    for _ in range(4):
        bench.look(BUSY, 300)
        bench.look(CALM, 300)
    assert phases(bench.look(CALM, 300)) == {}
    bench.close()


# --- the inventory ------------------------------------------------------------------------------------------


def read(*gpus):
    return snapshot(gpus=gpus)


VANISHED = [
    pytest.param(read(ONE), id="it is not listed"),
    pytest.param(read(ONE, Gpu(1, "GPU-bbbb", problem="GPU is lost")), id="it is listed as lost"),
    pytest.param(read(ONE, Gpu(1, "", problem="GPU is lost")), id="it does not say who it is"),
]


@pytest.mark.parametrize("gone", VANISHED)
@pytest.mark.parametrize("restarts", [False, True])
def test_a_gpu_that_vanishes_is_lost_and_never_recovered(away, gone, restarts):
    """Whatever the driver says of it, before or after a restart, it is one alert until it is back."""
    away.look(read(ONE, TWO))
    if restarts:
        away.restart()
    outcomes = away.looks(gone, times=2)
    assert [kinds(outcome) for outcome in outcomes] == [["pending"], ["fired"]]
    assert outcomes[-1].status.level is Level.CRITICAL
    for reading in (gone, read(ONE), read(ONE, Gpu(1, "", problem="x"))):
        away.restart()
        (outcome,) = away.looks(reading, times=1)
        assert (phases(outcome), kinds(outcome)) == ({LOST_TWO: Phase.FIRING}, [])
    healthy = away.looks(read(ONE, TWO), times=26)
    assert [kind for outcome in healthy for kind in kinds(outcome)] == ["recovering", "resolved"]


@pytest.mark.parametrize(
    "gone",
    [read(), read(Gpu(0, "", problem="GPU is lost"))],
    ids=["no GPU at all", "it does not say who it is"],
)
def test_the_only_gpu_of_a_machine_does_not_recover_by_vanishing(away, gone):
    """Where no GPU is left that answers, the one that was there is lost, also over a restart."""
    away.look(read(ONE))
    away.looks(gone, times=2)
    away.deliver()
    away.restart()
    outcomes = away.looks(gone, times=100)
    assert phases(outcomes[-1]) == {"box/gpu_lost/GPU-aaaa": Phase.FIRING}
    assert not [kind for outcome in outcomes for kind in kinds(outcome)]
    assert not [mail for outcome in outcomes for mail in outcome.mails]
    assert outcomes[-1].status.level is not Level.OK


def test_a_gpu_that_was_taken_out_can_be_forgotten(away):
    """Forgotten, a GPU is not missing any more, and nobody is told so before its two minutes are over."""
    away.look(read(ONE, TWO))
    away.looks(read(ONE), times=2)
    assert away.store.forget_gpu("GPU-bbbb")
    outcomes = away.looks(read(ONE), times=26)
    assert [kind for outcome in outcomes for kind in kinds(outcome)] == ["recovering", "resolved"]
    away.restart()
    assert away.look(read(ONE), 5).status.level is Level.OK


def test_a_gpu_that_moves_to_another_slot_is_the_same(away):
    """After a reboot in another order nothing is lost: the UUID counts."""
    away.look(read(ONE, TWO))
    away.clock.reboot()
    away.restart()
    moved = (Gpu(0, "GPU-bbbb", "Two"), Gpu(1, "GPU-aaaa", "One"))
    assert phases(away.looks(read(*moved), times=5)[-1]) == {}
    assert [(each.index, each.uuid) for each in away.store.gpus()] == [(0, "GPU-bbbb"), (1, "GPU-aaaa")]


def test_a_lost_gpu_mutes_what_is_said_of_it(away, monkeypatch):
    """A temperature that was told before the GPU fell off the bus is not told again while it is lost."""
    with_heat(monkeypatch)
    away.restart()
    away.looks(at(90), times=7)
    away.deliver()
    gone = snapshot(gpus=(Gpu(0, "GPU-0000", problem="GPU is lost"), Gpu(1, "GPU-0001", temperature=40)))
    away.looks(gone, times=2)
    muted = {alert.rule: alert.inhibited_by for alert in away.look(gone, 5).status.alerts}
    assert muted == {"gpu_lost": "", "heat": "gpu_lost"}
    away.deliver()
    (mail,) = away.look(gone, 3700).mails
    assert (mail.kind, "GPU_LOST" in mail.text, "HEAT" in mail.text) == (MessageKind.ALERT, True, False)


def test_a_process_list_knows_no_inventory(bench):
    """The command source names no GPUs: none of them is ever lost."""
    outcomes = bench.looks(snapshot(process(1, 0), gpus=(Gpu(0, ""),)), times=3)
    outcomes += bench.looks(snapshot(gpus=()), times=3)
    assert bench.store.gpus() == ()
    assert phases(outcomes[-1]) == {}


def test_simulated_gpus_stay_out_of_the_inventory(bench):
    """A demo leaves nothing behind that could be missed."""
    bench.look(snapshot(simulated=True))
    assert bench.store.gpus() == ()
