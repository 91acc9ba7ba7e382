"""The rules that one look decides: what raises, what lies between, what clears, what is missing, and off."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import (
    UNKNOWN,
    UNSUPPORTED,
    ClockLimit,
    FaultLimits,
    HeatLimits,
    Limits,
    Problem,
    Severity,
    Snapshot,
    Terms,
    UseLimits,
)
from gpuwatch_tray.model.schema import SWITCHES
from gpuwatch_tray.rules import RULES, RuleHistory, judge, judged, switched_on, terms
from tests.rules.readings import ALL_ON, FAILED, GIB, WELL, Readings, gpu
from tests.rules.readings import judged as verdict_of
from tests.support.fakes import process

MINE = process(7, 0)
EXPLICIT = replace(ALL_ON, heat=HeatLimits(warn_at=70, critical_at=75, power_cap_hold=900.0))

# rule, what is odd about the GPU, the reason or None, whether it lies between the thresholds
LOOKS = [
    # the lower of 85 and five below the slowdown temperature
    ("temperature", {"temperature": 85}, "TEMPERATURE(GPU 0: 85C) >= LIMIT(85C)", False),
    ("temperature", {"temperature": 84}, None, True),
    ("temperature", {"temperature": 81}, None, True),
    ("temperature", {"temperature": 80}, None, False),
    ("temperature", {"temperature": 83, "slowdown_at": 88}, "TEMPERATURE(GPU 0: 83C) >= LIMIT(83C)", False),
    ("temperature", {"temperature": 85, "slowdown_at": UNSUPPORTED},
     "TEMPERATURE(GPU 0: 85C) >= LIMIT(85C)", False),
    # three below the slowdown temperature, else 90
    ("temperature_critical", {"temperature": 90}, "TEMPERATURE_CRITICAL(GPU 0: 90C) >= LIMIT(90C)", False),
    ("temperature_critical", {"temperature": 86}, None, True),
    ("temperature_critical", {"temperature": 85}, None, False),
    ("temperature_critical", {"temperature": 94, "slowdown_at": 98}, None, True),
    ("temperature_critical", {"temperature": 95, "slowdown_at": 98},
     "TEMPERATURE_CRITICAL(GPU 0: 95C) >= LIMIT(95C)", False),
    ("temperature_critical", {"temperature": 90, "slowdown_at": FAILED},
     "TEMPERATURE_CRITICAL(GPU 0: 90C) >= LIMIT(90C)", False),
    ("hw_slowdown", {"limited_by": ClockLimit.HW_SLOWDOWN}, "HW_SLOWDOWN(GPU 0: 0x08)", False),
    ("hw_slowdown", {"limited_by": ClockLimit.HW_POWER_BRAKE | ClockLimit.IDLE},
     "HW_SLOWDOWN(GPU 0: 0x80)", False),
    ("hw_slowdown", {"limited_by": ClockLimit.SW_THERMAL | ClockLimit.POWER_CAP}, None, False),
    ("power_cap", {"limited_by": ClockLimit.POWER_CAP}, "POWER_CAP(GPU 0: 0x04)", False),
    ("power_cap", {"limited_by": ClockLimit.HW_SLOWDOWN}, None, False),
    # a fan that fails to answer is as bad as one that stands still, on a warm GPU
    ("fan", {"fan": 0, "temperature": 71}, "FAN(GPU 0: 0%) AT(71C) > LIMIT(70C)", False),
    ("fan", {"fan": FAILED, "temperature": 71}, "FAN(GPU 0: cannot be read) AT(71C) > LIMIT(70C)", False),
    ("fan", {"fan": 0, "temperature": 70}, None, True),
    ("fan", {"fan": 0, "temperature": 65}, None, False),
    ("fan", {"fan": 30, "temperature": 90}, None, False),
    ("row_remap", {"rows_pending": True}, "ROW_REMAP(GPU 0: pending)", False),
    ("row_remap", {"rows_failed": True, "rows_pending": True}, "ROW_REMAP(GPU 0: failed)", False),
    ("row_remap", {"rows_failed": True, "rows_pending": FAILED}, "ROW_REMAP(GPU 0: failed)", False),
    ("row_remap", {}, None, False),
    ("pcie_width", {"pcie_width": 4}, "PCIE_WIDTH(GPU 0: x4) < MAXIMUM(x16)", False),
    ("pcie_width", {"pcie_width": 16}, None, False),
    ("memory_full", {"memory_used": 24 * GIB}, "MEMORY_FULL(GPU 0: 100%) > LIMIT(95%)", False),
    ("memory_full", {"memory_used": 95, "memory_total": 100}, None, True),
    ("memory_full", {"memory_used": 90, "memory_total": 100}, None, False),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "facts", "reason", "between"), LOOKS)
def test_a_look_raises_lies_between_or_clears(rule, facts, reason, between):
    """Each threshold is where the table says, and what is past the one that clears is no recovery."""
    found = verdict_of(rule, gpu(**facts), processes=[MINE])
    assert [finding.reason for finding in found.findings] == ([reason] if reason else [])
    assert found.band == ({"GPU-0000"} if between else set())
    assert {finding.subject for finding in found.findings} <= {"GPU-0000"}


@pytest.mark.parametrize(
    ("rule", "severity"),
    [
        ("temperature", Severity.WARNING),
        ("temperature_critical", Severity.CRITICAL),
        ("hw_slowdown", Severity.WARNING),
        ("power_cap", Severity.INFO),
        ("fan", Severity.WARNING),
        ("pcie_width", Severity.WARNING),
        ("memory_full", Severity.INFO),
    ],
)
def test_each_has_its_severity_and_a_sentence(rule, severity):
    """What a rule finds is as urgent as the table says, and told in words without a key."""
    facts = next(facts for name, facts, reason, _ in LOOKS if name == rule and reason)
    (finding,) = verdict_of(rule, gpu(**facts), processes=[MINE]).findings
    assert finding.severity is severity
    assert "GPU 0" in finding.text
    assert "LIMIT" not in finding.text


def test_worn_rows_warn_and_lost_ones_are_critical():
    """A row that waits for a reset is a warning, one that cannot be remapped is critical."""
    severities = [
        verdict_of("row_remap", gpu(**{which: True})).findings[0].severity
        for which in ("rows_pending", "rows_failed")
    ]
    assert severities == [Severity.WARNING, Severity.CRITICAL]


@pytest.mark.parametrize(("rule", "degrees"), [("temperature", 70), ("temperature_critical", 75)])
def test_a_temperature_of_ones_own_goes_before_the_gpus(rule, degrees):
    """TEMP_LIMIT_C and TEMP_CRITICAL_C as numbers are taken as they are."""
    assert verdict_of(rule, gpu(temperature=degrees), limits=EXPLICIT).findings
    assert not verdict_of(rule, gpu(temperature=degrees - 1), limits=EXPLICIT).findings


FIELDS = {
    "temperature": "temperature",
    "temperature_critical": "temperature",
    "thermal_throttle": "limited_by",
    "hw_slowdown": "limited_by",
    "power_cap": "limited_by",
    "ecc": "ecc_corrected",
    "row_remap": "rows_failed",
    "pcie_width": "pcie_width",
    "memory_full": "memory_used",
}


@pytest.mark.parametrize("rule", FIELDS)
def test_a_value_that_fails_leaves_its_gpu_open_and_no_other(rule):
    """An error neither fires nor clears, names itself, and says nothing of the other GPU."""
    found = verdict_of(rule, gpu(0, **{FIELDS[rule]: FAILED}), gpu(1))
    assert found.findings == ()
    assert "of GPU 0 cannot be read: Unknown Error" in found.unknown
    assert found.cannot_tell("GPU-0000")
    assert not found.cannot_tell("GPU-0001")
    assert found.cannot == ()


@pytest.mark.parametrize("rule", [*FIELDS, "fan"])
@pytest.mark.parametrize(
    ("missing", "line"), [(UNSUPPORTED, "GPU 0 does not report "), (UNKNOWN, "this source does not report ")]
)
def test_a_value_that_is_never_given_is_said_and_is_no_doubt(rule, missing, line):
    """Where a rule cannot fire it says so, and the icon may be green all the same."""
    found = verdict_of(rule, gpu(0, **{FIELDS.get(rule, rule): missing}), gpu(1))
    assert (found.findings, found.unknown) == ((), None)
    assert [each for each in found.cannot if each.startswith(line)]


@pytest.mark.parametrize("rule", [*(name for name in FIELDS if name != "ecc"), "fan"])
def test_a_value_that_is_given_no_more_is_no_recovery(rule):
    """An alert about it does not end by the driver's silence, as when a GPU is divided meanwhile."""
    found = verdict_of(rule, gpu(0, **{FIELDS.get(rule, rule): UNSUPPORTED}), gpu(1))
    assert found.band == {"GPU-0000"}


@pytest.mark.parametrize(
    "rule", sorted(set(RULES) - {"monitor_blind", "driver_mismatch", "xid_fatal", "xid_app"})
)
def test_when_nothing_can_be_read_all_is_open(rule):
    """A reading that failed clears nothing, whatever fires."""
    reading = Snapshot("nvml", 1.0, problem=Problem("driver not loaded"))
    found = RULES[rule].judge(reading, ALL_ON, RuleHistory())
    assert (found.findings, found.unknown, found.cannot_tell("GPU-0000")) == ((), "driver not loaded", True)


@pytest.mark.parametrize("rule", sorted(FIELDS))
def test_a_lost_gpu_is_open_and_the_others_are_judged(rule):
    """What a GPU was when it was lost, it is until it is back."""
    found = verdict_of(rule, gpu(0), gpu(1, problem="GPU is lost", process_problem="GPU is lost"))
    assert found.unknown == "GPU 1 cannot be read: GPU is lost"
    assert found.cannot_tell("GPU-0001")
    assert not found.cannot_tell("GPU-0000")


@pytest.mark.parametrize("rule", sorted(FIELDS))
def test_a_gpu_that_sleeps_is_no_doubt(rule):
    """A suspended GPU is neither hot nor unreadable; worn rows stay worn."""
    asleep = replace(WELL, asleep=True, temperature=UNKNOWN, limited_by=UNKNOWN, rows_failed=UNKNOWN)
    found = verdict_of(rule, asleep)
    assert (found.findings, found.unknown, found.cannot) == ((), None, ())
    assert found.band == ({"GPU-0000"} if rule in {"row_remap", "ecc"} else set())


def test_narrow_lanes_of_a_gpu_at_rest_are_no_fault():
    """Without a process a GPU may have let lanes go: no alarm, and no recovery either."""
    found = verdict_of("pcie_width", gpu(pcie_width=4))
    assert (found.findings, found.band) == ((), {"GPU-0000"})


def test_lanes_let_go_by_a_gpu_that_rests_under_a_process_are_no_fault():
    """A notebook that sleeps for a minute keeps the GPU from being judged, and its dips do not."""
    readings = Readings()
    readings.read_for(MINE, seconds=60, gpus=(gpu(utilisation=0, pcie_width=4),))
    assert len(readings.found("pcie_width")) == 1
    readings.read_for(MINE, seconds=10, gpus=(gpu(utilisation=0, pcie_width=4),))
    assert (readings.found("pcie_width"), readings.judge("pcie_width").band) == ([], {"GPU-0000"})


def test_mig_devices_share_the_heat_of_their_board():
    """One alert for the board, with the board's UUID, listed itself or not; the memory is each device's."""
    parts = [
        replace(WELL, uuid=f"MIG-{n}", physical="GPU-0000", temperature=95, memory_used=24 * GIB)
        for n in "ab"
    ]
    for gpus in (parts, [*parts, gpu(temperature=95)]):
        assert [f.subject for f in verdict_of("temperature", *gpus).findings] == ["GPU-0000"]
        assert {"MIG-a", "MIG-b"} <= {f.subject for f in verdict_of("memory_full", *gpus).findings}


def test_a_gpu_without_a_uuid_goes_by_its_index():
    """The index is the last resort."""
    assert [f.subject for f in verdict_of("temperature", gpu(2, temperature=99)).findings] == ["GPU-0002"]
    nameless = replace(gpu(2, temperature=99), uuid="")
    assert [f.subject for f in verdict_of("temperature", nameless).findings] == ["2"]


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (None, None),
        (Problem("the driver was replaced", "reboot needed", mismatch=True),
         "DRIVER_MISMATCH: the driver was replaced (reboot needed)"),
    ],
)  # fmt: skip
def test_a_replaced_driver_is_told_at_once(problem, reason):
    """A mismatch is a warning of its own; when the driver answers, it is over."""
    found = RULES["driver_mismatch"].judge(Snapshot("nvml", 1.0, problem=problem), ALL_ON, RuleHistory())
    assert [(f.reason, f.severity) for f in found.findings] == (
        [(reason, Severity.WARNING)] if reason else []
    )
    assert found.unknown is None


def test_another_failure_does_not_say_that_the_mismatch_is_over():
    """Whether the two versions fit is not known while the driver is not loaded."""
    reading = Snapshot("nvml", 1.0, problem=Problem("not loaded", no_driver=True))
    assert RULES["driver_mismatch"].judge(reading, ALL_ON, RuleHistory()).cannot_tell("")


OFF = Limits(
    gpu_limit=None,
    max_etime=None,
    heat=HeatLimits(warn_at=None, critical_at=None, throttle_share=None, slowdown_hold=None, fan_at=None),
    faults=FaultLimits(None, lost=False, mismatch=False, xid_fatal=False, xid_app=False, ecc=False,
                       row_remap=False, pcie_hold=None),
    use=UseLimits(hung_hold=None, idle_hold=None, intruder=False),
)  # fmt: skip


def test_every_rule_can_be_switched_off():
    """With every key off nothing is judged, and no rule finds anything even if asked."""
    assert switched_on(OFF) == judged(OFF) == set()
    assert judge(snapshot_of_trouble(), OFF) == ()
    for rule in RULES.values():
        assert rule.judge(snapshot_of_trouble(), OFF, RuleHistory()).findings == ()


def snapshot_of_trouble() -> Snapshot:
    """Make a reading on which most rules fire."""
    bad = gpu(temperature=99, fan=0, limited_by=ClockLimit(0xFF), rows_failed=True, pcie_width=1)
    rows = (process(1, 0, 9e9), process(2, 0, mine=False))
    return Snapshot("test", 1.0, (bad, gpu(1, problem="GPU is lost")), rows)


def test_what_is_off_by_default_is_what_frameworks_and_load_bring_about():
    """memory_full and power_cap are off, all others are on."""
    assert set(RULES) - switched_on(Limits()) == {"memory_full", "power_cap"}
    assert switched_on(ALL_ON) == set(RULES)


def test_every_rule_names_the_key_that_switches_it():
    """`alerts explain` can say where a rule was switched off."""
    assert set(SWITCHES) == set(RULES)


def test_a_check_judges_only_what_one_look_can_tell():
    """Cron's runs judge what needs neither a hold nor a memory."""
    assert judged(Limits(), in_loop=False) == {"gpu_limit", "max_etime", "driver_mismatch", "row_remap"}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("temperature", Terms(hold=300.0, clear=180.0)),
        ("temperature_critical", Terms(hold=60.0, clear=180.0)),
        ("thermal_throttle", Terms(clear=600.0)),
        ("hw_slowdown", Terms(hold=60.0, clear=60.0)),
        ("power_cap", Terms(hold=900.0, clear=60.0)),
        ("fan", Terms(hold=120.0, clear=120.0)),
        ("pcie_width", Terms(hold=300.0, hold_samples=2, clear=60.0)),
        ("memory_full", Terms(hold=600.0, clear=60.0)),
        ("intruder", Terms(hold_samples=2, clear=300.0)),
        ("row_remap", Terms()),
        ("xid_fatal", Terms()),
        ("ecc", Terms(clear=600.0)),
        ("hung", Terms(clear=60.0, clear_samples=2)),
        ("idle_holding", Terms(clear=60.0, clear_samples=2)),
    ],
)
def test_the_holds_are_those_of_the_table(rule, expected):
    """For how long each condition must hold, and be over."""
    assert terms(ALL_ON)[rule] == expected
