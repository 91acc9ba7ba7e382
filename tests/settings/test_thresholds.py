"""The keys of the rules: their units, `off`, `auto`, and what is refused."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import Auto, FaultLimits, HeatLimits, Limits, UseLimits
from gpuwatch_tray.model.schema import SETTINGS, SWITCHES, Unit
from gpuwatch_tray.rules import RULES, switched_on
from gpuwatch_tray.settings.validators import parse
from tests.settings.checkout import DESKTOP_PROGRAMS, WATCH

EVERYTHING = """
GPU_LIMIT=3
MAX_ETIME_MIN=60
HUNG_MIN=20
IDLE_HOLD_MIN=15
IDLE_HOLD_GIB=0.5
IDLE_PCT=3
INTRUDER=no
MEMORY_FULL_PCT=95
MEMORY_FULL_MIN=7
TEMP_LIMIT_C=80
TEMP_MIN=2
TEMP_CRITICAL_C=88
TEMP_CRITICAL_MIN=0
THROTTLE_PCT=25
HW_SLOWDOWN_MIN=4
POWER_CAP_MIN=15
FAN_TEMP_C=60
BLIND_SEC=90
GPU_LOST=off
DRIVER_MISMATCH=off
XID_FATAL=off
XID_APP=off
ECC=off
ECC_CORRECTED=10
ROW_REMAP=off
PCIE_WIDTH_MIN=9
WAKE_GPU=on
ENERGY_PRICE=0.30
"""
MEANT = Limits(
    gpu_limit=3,
    max_etime=3600,
    ignore=DESKTOP_PROGRAMS,
    heat=HeatLimits(80, 120, 88, 0, 0.25, 240, 900, 60),
    faults=FaultLimits(90, False, False, False, False, False, 10, False, 540),
    use=UseLimits(1200, 900, 2**29, 3, 95, 420, False),
)


def test_every_threshold_is_read_in_base_units(house):
    """Each key of a rule comes out at its place: seconds, bytes, degrees, shares."""
    house.write(WATCH, EVERYTHING)
    settings = house.settings()
    assert settings.limits == MEANT
    assert settings.wake_gpu is True
    assert settings.energy_price == 0.3


def test_without_any_the_defaults_are_those_of_the_limits(house):
    """The defaults of the keys and those of the values are the same."""
    assert house.settings().limits == Limits(ignore=DESKTOP_PROGRAMS)
    assert house.settings().wake_gpu is False


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("off", ["off", "OFF", "'off'"])
def test_each_rule_is_switched_off_by_its_key(house, rule, off):
    """`off` for a rule's key takes that rule away, and no other."""
    house.write(WATCH, f"{SWITCHES[rule].key}={off}\n")
    assert switched_on(house.settings().limits) == switched_on(Limits()) - {rule}


@pytest.mark.parametrize("rule", sorted(RULES))
def test_an_empty_value_is_no_off(house, rule):
    """An empty value means the default."""
    house.write(WATCH, f"{SWITCHES[rule].key}=\n")
    assert switched_on(house.settings().limits) == switched_on(Limits())


def test_the_two_that_are_off_are_switched_on_by_a_number(house):
    """memory_full and power_cap need a word."""
    house.write(WATCH, "MEMORY_FULL_PCT=95\nPOWER_CAP_MIN=15\n")
    assert switched_on(house.settings().limits) == set(RULES)


def test_auto_may_be_written(house):
    """`auto` is the default, said aloud."""
    house.write(WATCH, "TEMP_LIMIT_C=AUTO\nTEMP_CRITICAL_C=auto\n")
    heat = house.settings().limits.heat
    assert (heat.warn_at, heat.critical_at) == (Auto.AUTO, Auto.AUTO)


@pytest.mark.parametrize(
    ("key", "value", "part"),
    [
        ("TEMP_LIMIT_C", "hot", "expected degrees C from 1 to 150, got 'hot' (or auto)"),
        ("TEMP_LIMIT_C", "200", "expected degrees C from 1 to 150, got '200' (or auto)"),
        ("FAN_TEMP_C", "0", "expected degrees C from 1 to 150, got '0'"),
        ("FAN_TEMP_C", "auto", "expected degrees C"),
        ("THROTTLE_PCT", "0", "expected a percentage from 1 to 100, got '0'"),
        ("THROTTLE_PCT", "50%", "expected a percentage"),
        ("MEMORY_FULL_PCT", "101", "expected a percentage from 1 to 100, got '101'"),
        ("IDLE_PCT", "off", "expected a percentage"),
        ("IDLE_HOLD_GIB", "2,5", "use a point for decimals"),
        ("IDLE_HOLD_GIB", "2GiB", "expected GiB from 0 to 9999, got '2GiB'"),
        ("IDLE_HOLD_GIB", "10000", "expected GiB from 0 to 9999"),
        ("ECC_CORRECTED", "0", "expected a whole number from 1 to 999999999, got '0'"),
        ("HUNG_MIN", "10m", "expected a whole number >= 0, got '10m'"),
        ("HUNG_MIN", "-1", "expected a whole number >= 0, got '-1'"),
        ("INTRUDER", "maybe", "expected 'on' or 'off', got 'maybe'"),
        ("TEMP_MIN", "off", "expected a whole number >= 0, got 'off'"),
    ],
)
def test_a_wrong_threshold_is_a_problem_and_the_default_holds(house, key, value, part):
    """It is named with its line, and no rule is switched off by a slip of the pen."""
    house.write(WATCH, f"\n{key}={value}\n")
    settings, (problem,) = house.load()
    assert problem.startswith(f"config/gpu-watch.env:2: {key}: ")
    assert part in problem
    assert settings.limits == replace(Limits(), ignore=DESKTOP_PROGRAMS)


@pytest.mark.parametrize(("text", "value"), [("5", 300), ("0", None), ("61", None), ("off", None)])
def test_a_whole_number_keeps_to_the_bounds_of_its_row(text, value):
    """A row of the table that says 1 to 60 takes nothing else."""
    setting = replace(SETTINGS["AWAY_MIN"], bounds=(1, 60))
    if value is not None:
        assert parse(setting, text) == value
        return
    with pytest.raises(ValueError, match=r"expected a whole number (from 1 to 60|>= 0), got"):
        parse(setting, text)


def test_the_keys_are_named_after_their_units():
    """A number's key ends with its unit, as the Bash tool's do."""
    suffixes = {
        Unit.MINUTES: "_MIN",
        Unit.SECONDS: "_SEC",
        Unit.PERCENT: "_PCT",
        Unit.SHARE: "_PCT",
        Unit.DEGREES: "_C",
        Unit.GIB: "_GIB",
    }
    numbers = [setting for setting in SETTINGS.values() if re.fullmatch(r"[0-9]+", setting.default)]
    plain = {setting.key for setting in numbers if setting.unit is Unit.NONE}
    assert plain == {"GPU_LIMIT", "ECC_CORRECTED", "SMTP_PORT", "EXPORT_PROCESSES"}
    united = [setting for setting in SETTINGS.values() if setting.unit is not Unit.NONE]
    assert [s.key for s in united if not s.key.endswith(suffixes[s.unit])] == []
