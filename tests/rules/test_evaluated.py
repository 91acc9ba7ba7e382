"""The rules through a real evaluator and store: what is told, what outlives a restart, what is explained."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.engine import mail_now
from gpuwatch_tray.model import (
    UNSUPPORTED,
    ClockLimit,
    EmailWhen,
    HeatLimits,
    Instant,
    Level,
    Limits,
    Phase,
    Presence,
    Problem,
    UseLimits,
    Xid,
)
from gpuwatch_tray.store import StoreError
from tests.engine.bench import HEAD, POLICY, Bench, changed
from tests.rules.readings import GIB, WELL, gpu
from tests.support.fakes import START, process, snapshot

DAY = 86400.0
JOB = process(7, 0, memory=12 * GIB)
CALM = snapshot(gpus=(WELL,))
FALLEN = snapshot(gpus=(WELL,), events=(Xid("GPU-0000", 79, START),))
STILL = snapshot(JOB, gpus=(gpu(utilisation=0),))
SHARED = snapshot(JOB, process(8, 0, mine=False), gpus=(WELL,))


@pytest.fixture
def absent(tmp_path):
    """Provide a person away from the desk, under the default limits."""
    made = Bench(tmp_path, limits=Limits(), resolved_popup=True)
    made.presence = Presence.AWAY
    yield made
    made.close()


def firing(absent) -> list[tuple[str, str]]:
    """Return what fires, as it is stored."""
    return [
        (each.rule, each.subject) for each in absent.store.saved_state().alerts if each.phase is Phase.FIRING
    ]


def test_an_xid_is_told_once_and_stays_until_it_is_acknowledged(absent):
    """One mail, no repeat within the cooldown, and after the acknowledgement nothing fires or is mailed."""
    outcome = absent.look(FALLEN)
    (mail,) = outcome.mails
    assert "Triggered:\n- XID(GPU 0: 79) :: the GPU has fallen off the bus\n" in mail.text
    assert outcome.status.level is Level.CRITICAL
    absent.deliver()
    assert not any(outcome.mails for outcome in absent.looks(CALM, times=20))
    assert firing(absent) == [("xid_fatal", "GPU-0000/79")]
    absent.attending.acknowledge("1")
    outcomes = absent.looks(CALM, times=3)
    assert firing(absent) == []
    assert outcomes[-1].status.level is Level.OK
    assert not any(outcome.mails for outcome in outcomes)
    assert [popup.key for outcome in outcomes for popup, _ in outcome.popups] == []


def test_the_next_xid_after_that_is_news(absent):
    """An acknowledged event does not hide the next one."""
    absent.look(FALLEN)
    absent.deliver()
    absent.attending.acknowledge("1")
    absent.look(CALM, 5)
    absent.look(FALLEN, 3700)
    assert firing(absent) == [("xid_fatal", "GPU-0000/79")]
    assert len(absent.deliver()) == 1


def test_an_xid_outlives_a_restart_and_ends_after_a_day(absent):
    """The event is recalled from its alert, and is as old as that."""
    absent.look(FALLEN)
    absent.restart()
    absent.look(CALM, 20)
    assert firing(absent) == [("xid_fatal", "GPU-0000/79")]
    absent.clock.reboot(100)
    absent.restart()
    absent.look(CALM, DAY - 200)
    assert firing(absent) == [("xid_fatal", "GPU-0000/79")]
    absent.look(CALM, 200)
    assert firing(absent) == []


def test_an_xid_is_not_lost_while_nothing_can_be_written(absent, monkeypatch):
    """The disk is full at the moment of the event: it is told when it can be."""

    def full(_step):
        raise StoreError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(absent.store, "commit", full)
        assert absent.look(FALLEN).trouble == "disk full"
    assert absent.look(CALM, 5).mails
    assert firing(absent) == [("xid_fatal", "GPU-0000/79")]


def test_explaining_an_event_does_not_count_it(absent):
    """`alerts explain` may look at the last reading as often as it likes."""
    absent.look(FALLEN)
    for _ in range(5):
        absent.evaluator.explain(FALLEN)
    absent.look(CALM, 5)
    assert absent.store.saved_state().alerts[0].value == 1


def test_a_hang_goes_on_over_a_restart(absent):
    """The new process has not seen the job work: it says neither that it hangs anew nor that all is well."""
    absent.looks(snapshot(JOB, gpus=(WELL,)), times=2)
    absent.looks(STILL, times=122)
    assert [rule for rule, _ in firing(absent)] == ["hung"]
    assert len(absent.deliver()) == 1
    absent.restart()
    outcomes = absent.looks(STILL, times=200)
    assert [rule for rule, _ in firing(absent)] == ["hung"]
    assert not any(outcome.mails for outcome in outcomes)
    absent.looks(snapshot(JOB, gpus=(WELL,)), times=15)
    assert firing(absent) == []
    (over,) = absent.deliver()
    assert over.subject.startswith("[GPU Watchdog] resolved")


def test_what_only_informs_pops_up_and_leaves_the_icon_green(absent):
    """Someone else on my GPU: one popup, no mail even though nobody is there, and no colour."""
    outcomes = absent.looks(SHARED, times=4)
    popups = [popup for outcome in outcomes for popup, _ in outcome.popups]
    assert [popup.title for popup in popups] == ["Someone else is on your GPU"]
    assert not any(outcome.mails for outcome in outcomes)
    assert outcomes[-1].status.level is Level.OK
    assert outcomes[-1].status.headline.startswith("bob uses GPU 0, which you use too")
    assert "email waits: info-only" in absent.history


def test_with_email_always_it_is_mailed_too(tmp_path):
    """EMAIL_WHEN=always means every alert."""
    absent = Bench(tmp_path, limits=Limits(), email_when=EmailWhen.ALWAYS)
    outcomes = absent.looks(SHARED, times=3)
    assert ["INTRUDER(GPU 0: bob)" in mail.text for outcome in outcomes for mail in outcome.mails] == [True]
    absent.close()


def test_a_dry_run_leaves_out_what_would_not_be_mailed():
    """`check --dry-run` shows the mail that would go."""
    limits = Limits(use=UseLimits(memory_full=95, memory_full_hold=0))
    full = snapshot(gpus=(gpu(memory_used=24 * GIB),))
    for when, count in ((EmailWhen.AWAY, 0), (EmailWhen.ALWAYS, 1)):
        told, _, _ = mail_now(full, changed(POLICY, limits=limits, email_when=when), HEAD, Instant(START))
        assert len(told) == count


def test_a_mail_about_several_gpus_names_each(absent):
    """Only the processes over MAX_ETIME are told by the longest; every hot GPU is under Triggered."""
    hot = snapshot(gpus=(gpu(0, temperature=91), gpu(1, temperature=92)))
    mails = [mail for outcome in absent.looks(hot, times=14) for mail in outcome.mails]
    assert [
        "Triggered:\n- TEMPERATURE_CRITICAL(GPU 0: 91C) >= LIMIT(90C)\n"
        "- TEMPERATURE_CRITICAL(GPU 1: 92C) >= LIMIT(90C)\n" in mail.text
        for mail in mails
    ] == [True]


def test_a_critical_temperature_mutes_its_warning(absent):
    """Of a GPU that is dangerously hot nobody needs to hear that it is hot."""
    absent.looks(snapshot(gpus=(gpu(temperature=95),)), times=80)
    assert sorted(firing(absent)) == [("temperature", "GPU-0000"), ("temperature_critical", "GPU-0000")]
    assert [mail.text.count("TEMPERATURE(") for mail in absent.deliver()] == [0]


def test_a_rule_that_is_switched_off_ends_its_alerts_silently(absent):
    """After INTRUDER=off and a restart, nothing fires and nobody is told that it ended."""
    absent.looks(SHARED, times=3)
    assert len(firing(absent)) == 1
    absent.restart(limits=Limits(use=UseLimits(intruder=False)))
    outcome = absent.look(SHARED, 5)
    assert firing(absent) == []
    assert (outcome.mails, outcome.popups) == ((), ())


def test_explain_says_what_is_off_and_what_cannot_fire(absent):
    """Each rule has its line: off and by which key, not possible here and why, or what it measured."""
    absent.restart(limits=Limits(heat=HeatLimits(fan_at=None)))
    lines = absent.evaluator.explain(snapshot(JOB, gpus=(replace(WELL, pcie_width=UNSUPPORTED), gpu(1))))
    assert "fan: switched off by FAN_TEMP_C" in lines
    assert "memory_full: switched off by MEMORY_FULL_PCT" in lines
    at = next(n for n, line in enumerate(lines) if line.startswith("pcie_width: GPU 1 uses 16 of 16 lanes"))
    assert lines[at + 2] == "  It cannot fire on every GPU: GPU 0 does not report the PCIe lanes"


def test_explain_names_the_limit_of_each_gpu(absent):
    """Where it follows from the GPU's own slowdown temperature, the numbers are this GPU's."""
    hot = snapshot(gpus=(gpu(0, temperature=71), gpu(1, slowdown_at=80), gpu(2, slowdown_at=UNSUPPORTED)))
    lines = absent.evaluator.explain(hot)
    at = lines.index("temperature: GPU 0 is the hottest, at 71 °C")
    assert lines[at + 1 : at + 5] == (
        (
            "  It fires when a GPU reaches its limit (85 °C, or 5 °C below the temperature at which it"
            " slows itself down), for 5 min. It clears 3 min after that ends. Set by TEMP_LIMIT_C."
        ),
        "  GPU 0: 71 °C, fires at 85 °C, over at 80 °C",
        "  GPU 1: 60 °C, fires at 75 °C, over at 70 °C",
        "  GPU 2: 60 °C, fires at 85 °C, over at 80 °C",
    )
    at = lines.index("temperature_critical: GPU 0 is the hottest, at 71 °C")
    assert [line.split(", ")[1] for line in lines[at + 2 : at + 5]] == [
        "fires at 90 °C",
        "fires at 77 °C",
        "fires at 90 °C",
    ]


def test_explain_says_where_a_rule_cannot_fire_at_all(absent):
    """A process list knows nothing of heat."""
    lines = absent.evaluator.explain(snapshot(JOB))
    assert "temperature: cannot fire here: this source does not report the temperature" in lines


def test_a_replaced_driver_is_told_before_the_blindness(absent):
    """The popup says what to do, at once; the monitor's blindness follows after its minute."""
    gone = replace(CALM, gpus=(), problem=Problem("the driver was replaced", "reboot needed", mismatch=True))
    outcome = absent.look(gone)
    assert [popup.title for popup, _ in outcome.popups] == ["Reboot needed: driver was replaced"]
    assert "- DRIVER_MISMATCH: the driver was replaced (reboot needed)\n" in outcome.mails[0].text


@pytest.mark.parametrize(
    ("rule", "hot", "silent"),
    [
        ("temperature_critical", {"temperature": 99}, {"temperature": UNSUPPORTED}),
        ("hw_slowdown", {"limited_by": ClockLimit.HW_SLOWDOWN}, {"limited_by": UNSUPPORTED}),
        ("fan", {"fan": 0, "temperature": 80}, {"fan": UNSUPPORTED, "temperature": 80}),
    ],
)
def test_nobody_is_told_that_it_is_over_because_the_driver_falls_silent(absent, rule, hot, silent):
    """An hour without the value resolves nothing; its return in order does."""
    absent.looks(snapshot(gpus=(gpu(**hot),)), times=40)
    assert (rule, "GPU-0000") in firing(absent)
    absent.looks(snapshot(gpus=(gpu(**silent),)), times=720)
    assert (rule, "GPU-0000") in firing(absent)
    absent.looks(CALM, times=60)
    assert firing(absent) == []
