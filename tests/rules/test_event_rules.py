"""Throttling, memory errors and Xids: shares and counts over time, and what happens once and has no state."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import UNSUPPORTED, ClockLimit, FaultLimits, Instant, Phase, Problem, Severity, Xid
from gpuwatch_tray.rules import RuleEvent, RuleHistory, recalled
from gpuwatch_tray.rules.hardware import APP_XIDS, FATAL_XIDS, IGNORED_XIDS
from gpuwatch_tray.rules.rule_history import MOST_EVENTS
from tests.rules.readings import ALL_ON, FAILED, Readings, gpu
from tests.support.fakes import START, alert

DAY = 86400
HOT = gpu(limited_by=ClockLimit.SW_THERMAL)
COOL = gpu()
DARK = {"gpus": (), "problem": Problem("driver not loaded")}


def xid(code, uuid="GPU-0000"):
    return {"events": (Xid(uuid, code, START),)}


def test_half_of_five_minutes_throttled_is_a_warning(readings):
    """Every other look throttled by heat for five minutes; at less than that none."""
    readings.read()
    for _ in range(28):
        readings.read(gpus=(HOT,))
        readings.read(gpus=(COOL,))
    assert readings.found("thermal_throttle") == []
    readings.read_for(seconds=10, gpus=(HOT,))
    (finding,) = readings.judge("thermal_throttle").findings
    assert (finding.subject, finding.severity) == ("GPU-0000", Severity.WARNING)
    assert finding.reason == "THERMAL_THROTTLE(GPU 0: 50%) >= LIMIT(50%)"


@pytest.mark.parametrize("bits", [ClockLimit.SW_THERMAL, ClockLimit.HW_THERMAL | ClockLimit.HW_SLOWDOWN])
def test_both_kinds_of_heat_count(readings, bits):
    """Software and hardware thermal slowdown are one."""
    readings.read_for(seconds=160, gpus=(gpu(limited_by=bits),))
    assert len(readings.found("thermal_throttle")) == 1


def test_it_is_over_only_when_no_look_is_throttled(readings):
    """Below the share, but throttled now: between the thresholds."""
    readings.read_for(seconds=160, gpus=(HOT,))
    readings.read_for(seconds=250, gpus=(COOL,))
    found = readings.judge("thermal_throttle")
    assert (found.findings, found.band) == ((), set())
    readings.read(gpus=(HOT,))
    assert readings.judge("thermal_throttle").band == {"GPU-0000"}


@pytest.mark.parametrize(
    "gap",
    [
        lambda readings: readings.read(seconds=280, gpus=(HOT,)),
        lambda readings: readings.read_for(seconds=280, **DARK),
        lambda readings: readings.read_for(seconds=280, gpus=(gpu(limited_by=FAILED),)),
    ],
)
def test_time_that_nobody_looked_at_is_not_throttled(readings, gap):
    """Throttled before and after a gap is not throttled throughout it."""
    readings.read_for(seconds=15, gpus=(HOT,))
    gap(readings)
    readings.read_for(seconds=15, gpus=(HOT,))
    assert readings.found("thermal_throttle") == []


def test_a_slow_poll_takes_a_longer_span():
    """With a look each five minutes, one throttled look is no share of anything."""
    readings = Readings(replace(ALL_ON, poll=300.0))
    readings.read(gpus=(COOL,))
    readings.read(seconds=300, gpus=(HOT,))
    assert readings.found("thermal_throttle") == []


def test_a_hundred_corrected_errors_in_ten_minutes_warn(readings):
    """Not the counter counts but how fast it grows, and it is over at half of that."""
    readings.read(gpus=(gpu(ecc_corrected=10_000),))
    readings.read_for(seconds=300, gpus=(gpu(ecc_corrected=10_099),))
    found = readings.judge("ecc")
    assert (found.findings, found.band) == ((), {"GPU-0000"})
    readings.read(gpus=(gpu(ecc_corrected=10_100),))
    (finding,) = readings.judge("ecc").findings
    assert finding.severity is Severity.WARNING
    assert finding.reason == "ECC(GPU 0: 100 CORRECTED in 10 min) >= LIMIT(100)"
    readings.read_for(seconds=900, gpus=(gpu(ecc_corrected=10_100),))
    assert (readings.found("ecc"), readings.judge("ecc").band) == ([], set())


def test_a_counter_that_was_reset_counts_from_nothing(readings):
    """A reset is no error, and what the counter has reached since is."""
    readings.read(gpus=(gpu(ecc_corrected=500, ecc_uncorrected=3),))
    readings.read(gpus=(gpu(ecc_corrected=40, ecc_uncorrected=0),))
    assert readings.found("ecc") == []
    readings.read(gpus=(gpu(ecc_corrected=120, ecc_uncorrected=0),))
    assert readings.found("ecc") == ["ECC(GPU 0: 120 CORRECTED in 10 min) >= LIMIT(100)"]


def test_corrected_errors_over_a_gap_are_spread_over_nobody_knows_what(readings):
    """Hours of suspend may hold a hundred errors; that is no burst."""
    readings.read(gpus=(gpu(ecc_corrected=0),))
    readings.read(seconds=7200, gpus=(gpu(ecc_corrected=5000),))
    assert readings.found("ecc") == []


def test_an_uncorrected_error_is_critical_for_a_day_or_until_it_is_seen(readings):
    """One more than before, over a gap too; the count at the first sight is nobody's news."""
    readings.read(gpus=(gpu(ecc_uncorrected=2),))
    assert readings.found("ecc") == []
    readings.read(seconds=7200, gpus=(gpu(ecc_uncorrected=4),))
    (finding,) = readings.judge("ecc").findings
    assert (finding.reason, finding.severity) == ("ECC(GPU 0: 2 UNCORRECTED)", Severity.CRITICAL)
    readings.read(seconds=DAY - 10, gpus=(gpu(ecc_uncorrected=4),))
    assert len(readings.found("ecc")) == 1
    readings.read(seconds=20, gpus=(gpu(ecc_uncorrected=4),))
    assert readings.found("ecc") == []
    readings.read(gpus=(gpu(ecc_uncorrected=5),))
    readings.read(gpus=(gpu(ecc_uncorrected=5),), seen=[("ecc", "GPU-0000")])
    assert readings.found("ecc") == []


def test_corrected_errors_can_be_left_out_alone(readings):
    """ECC_CORRECTED=off goes on to tell of uncorrected ones."""
    readings.limits = replace(ALL_ON, faults=FaultLimits(ecc_corrected=None))
    readings.read()
    readings.read(gpus=(gpu(ecc_corrected=9999),))
    assert readings.found("ecc") == []
    readings.read(gpus=(gpu(ecc_corrected=9999, ecc_uncorrected=1),))
    assert len(readings.found("ecc")) == 1


def test_a_card_without_ecc_cannot_fire(readings):
    """A GeForce tells of no memory errors: said, and no doubt."""
    readings.read(gpus=(gpu(ecc_corrected=UNSUPPORTED, ecc_uncorrected=UNSUPPORTED),))
    found = readings.judge("ecc")
    assert (found.unknown, found.value, len(found.cannot)) == (None, "", 2)


@pytest.mark.parametrize(
    ("code", "rule", "severity"),
    [
        *((code, "xid_fatal", Severity.CRITICAL) for code in FATAL_XIDS),
        *((code, "xid_app", Severity.INFO) for code in APP_XIDS),
        (69, "xid_app", Severity.WARNING),
        *((code, None, None) for code in IGNORED_XIDS),
    ],
)
def test_each_xid_has_its_rule_and_severity(readings, code, rule, severity):
    """Fatal codes are critical, those of programs inform, unknown ones warn, some are left out."""
    readings.read(**xid(code))
    found = {f.rule: f for name in ("xid_fatal", "xid_app") for f in readings.judge(name).findings}
    assert set(found) == ({rule} if rule else set())
    for finding in found.values():
        assert (finding.subject, finding.severity) == (f"GPU-0000/{code}", severity)
        assert finding.reason.startswith(f"XID(GPU 0: {code}) :: ")


def test_the_codes_of_the_table_are_all_there():
    """The fatal codes are those of the rule table."""
    table = {46, 48, 62, 64, 74, 79, 95, 109, 110, 119, 120, 136, 140, 143, 154, 155, 156, 158}
    assert set(FATAL_XIDS) == table
    assert (set(APP_XIDS), IGNORED_XIDS) == ({8, 13, 31, 45, 94}, {43, 63, 92})


def test_an_xid_stays_for_a_day_after_the_last_and_counts(readings):
    """An event has no state to look at: it stays, is counted, and is over a day after the last one."""
    readings.read(**xid(79))
    readings.read(seconds=DAY - 10)
    assert readings.found("xid_fatal") == ["XID(GPU 0: 79) :: the GPU has fallen off the bus"]
    readings.read(**xid(79))
    assert readings.found("xid_fatal") == ["XID(GPU 0: 79) 2 TIMES :: the GPU has fallen off the bus"]
    readings.read(seconds=DAY - 10)
    assert len(readings.found("xid_fatal")) == 1
    readings.read(seconds=20)
    assert readings.found("xid_fatal") == []


def test_an_xid_that_was_seen_is_over_and_may_come_again(readings):
    """Acknowledged, it closes; the next one is news."""
    readings.read(events=(Xid("GPU-0000", 79, START), Xid("GPU-0001", 79, START)), gpus=(gpu(), gpu(1)))
    readings.read(seen=[("xid_fatal", "GPU-0000/79")], gpus=(gpu(), gpu(1)))
    assert [f.subject for f in readings.judge("xid_fatal").findings] == ["GPU-0001/79"]
    readings.read(**xid(79))
    assert len(readings.judge("xid_fatal").findings) == 2


def test_an_xid_stays_while_nothing_can_be_read(readings):
    """The event that kills the driver is told when the driver is dead; nothing is in doubt about it."""
    readings.read(**xid(79))
    readings.read_for(seconds=60, **DARK)
    found = readings.judge("xid_fatal")
    assert [f.reason for f in found.findings] == ["XID(GPU-0000: 79) :: the GPU has fallen off the bus"]
    assert found.unknown is None


def test_a_storm_of_xids_is_bounded(readings):
    """However many codes come, the newest few are remembered."""
    for code in range(1000, 1200):
        readings.read(**xid(code))
    assert len(readings.history.events) == MOST_EVENTS
    assert "GPU-0000/1199" in readings.history.events


def test_a_source_without_events_says_so(readings):
    """Where no Xid can come, the rule says that it cannot fire."""
    readings.read(no_events="this driver has no events")
    assert readings.judge("xid_fatal").cannot == ("this driver has no events",)
    readings.read(gpus=(gpu(),))
    assert readings.judge("xid_fatal").cannot == ()


def test_events_are_recalled_from_the_alerts_on_file():
    """After a restart an event is as old as its alert; corrected errors, and what never fired, are none."""
    at = Instant(START, 100.0, "boot")
    memory = recalled(
        [
            alert("xid_fatal", "GPU-0000/79", Severity.CRITICAL, fired=at, value=3.0),
            alert("ecc", "GPU-0000", Severity.CRITICAL, fired=at, value=1.0),
            alert("ecc", "GPU-0001", Severity.WARNING, fired=at, value=150.0),
            alert("xid_app", "GPU-0000/31", fired=None, phase=Phase.PENDING),
            alert("temperature", "GPU-0000", fired=at),
        ]
    )
    assert {name: (each.at, each.count) for name, each in memory.events.items()} == {
        "GPU-0000/79": (at, 3),
        "GPU-0000": (at, 1),
    }


def test_an_xid_of_a_gpu_that_the_driver_does_not_name_is_told(readings):
    """An alert without a name is better than none."""
    readings.read(**xid(79, uuid=""))
    (finding,) = readings.judge("xid_fatal").findings
    assert (finding.subject, finding.severity) == ("/79", Severity.CRITICAL)
    assert finding.text == "The driver reported Xid 79 on GPU ?: the GPU has fallen off the bus"


def test_errors_of_a_gpu_without_a_uuid_are_no_xid(readings):
    """Its subject is its index, a number like that of an Xid."""
    readings.read(gpus=(replace(COOL, uuid=""),))
    readings.read(gpus=(replace(COOL, uuid="", ecc_uncorrected=1),))
    assert list(readings.history.events) == ["0"]
    assert readings.judge("xid_app").findings == ()


def test_where_ecc_was_switched_off_an_event_that_is_seen_is_over(readings):
    """The counters are gone for good: an acknowledged alert must not stay for ever."""
    readings.read()
    readings.read(gpus=(gpu(ecc_uncorrected=1),))
    readings.read(
        gpus=(gpu(ecc_uncorrected=UNSUPPORTED, ecc_corrected=UNSUPPORTED),), seen=[("ecc", "GPU-0000")]
    )
    found = readings.judge("ecc")
    assert (found.findings, found.band, found.unknown) == ((), set(), None)


def test_a_clock_that_comes_up_in_the_past_ends_no_event(readings):
    """After a reboot with a flat battery the Xid from before is still to be seen; a day later it is over."""
    before = RuleEvent(Instant(START + 3 * DAY, 50_000.0, "the boot before"))
    readings = Readings(history=RuleHistory(events={"GPU-0000/79": before}))
    readings.read()
    assert len(readings.found("xid_fatal")) == 1
    readings.read(seconds=4 * DAY)
    assert readings.found("xid_fatal") == []


def test_xid_154_is_judged_by_the_recovery_action(readings):
    """It reports any change of the action, also back to none; the driver tells the action itself."""
    readings.read(gpus=(gpu(recovery=0),))
    readings.read(gpus=(gpu(recovery=1),), **xid(154))
    assert readings.found("xid_fatal") == ["XID(GPU 0: 154) :: it must be reset"]
    readings.read(gpus=(gpu(recovery=2),))
    assert readings.found("xid_fatal") == ["XID(GPU 0: 154) :: the machine must be rebooted"]
    readings.read(gpus=(gpu(recovery=0),), **xid(154))
    assert readings.found("xid_fatal") == []


def test_a_gpu_that_needs_a_recovery_at_the_start_is_told(readings):
    """Its Xid was before this program; told once, and again only where the action changes."""
    readings.read(gpus=(gpu(recovery=4),))
    assert readings.found("xid_fatal") == ["XID(GPU 0: 154) :: its programs must end, and it must be reset"]
    readings.read(gpus=(gpu(recovery=4),), seen=[("xid_fatal", "GPU-0000/154")])
    readings.read(gpus=(gpu(recovery=4),))
    assert readings.found("xid_fatal") == []


def test_xid_154_of_a_driver_that_tells_no_action_is_told_as_it_is(readings):
    """The recovery may be none; nobody can know."""
    readings.read(gpus=(gpu(recovery=UNSUPPORTED),), **xid(154))
    assert readings.found("xid_fatal") == [
        "XID(GPU 0: 154) :: the GPU needs a different recovery than before"
    ]
