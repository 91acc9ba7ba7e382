"""The keys of the rules, in the units that people write, and the thresholds that they come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuwatch_tray.model import Auto, FaultLimits, HeatLimits, UseLimits
from gpuwatch_tray.settings import checks, measures
from gpuwatch_tray.settings.key import WATCH, Key
from gpuwatch_tray.units import GIB, MINUTE

if TYPE_CHECKING:
    from gpuwatch_tray.settings.reading import Reading


_whole_or_off = measures.or_off(checks.whole)
_degrees_or_off = measures.or_off(measures.auto_or_degrees)
_percent_or_off = measures.or_off(measures.percent)

GPU_LIMIT: Key[int | None] = Key("GPU_LIMIT", WATCH, _whole_or_off, 2)
MAX_ETIME_MIN: Key[int | None] = Key("MAX_ETIME_MIN", WATCH, _whole_or_off, 360)

HUNG_MIN: Key[int | None] = Key("HUNG_MIN", WATCH, _whole_or_off, 10)
IDLE_HOLD_MIN: Key[int | None] = Key("IDLE_HOLD_MIN", WATCH, _whole_or_off, 30)
IDLE_HOLD_GIB = Key("IDLE_HOLD_GIB", WATCH, measures.gib, 2 * GIB)
IDLE_PCT = Key("IDLE_PCT", WATCH, measures.percent, 5)
INTRUDER = Key("INTRUDER", WATCH, checks.switch, default=True)
MEMORY_FULL_PCT: Key[int | None] = Key("MEMORY_FULL_PCT", WATCH, _percent_or_off, None)
MEMORY_FULL_MIN = Key("MEMORY_FULL_MIN", WATCH, checks.whole, 10)

TEMP_LIMIT_C: Key[int | Auto | None] = Key("TEMP_LIMIT_C", WATCH, _degrees_or_off, Auto.AUTO)
TEMP_MIN = Key("TEMP_MIN", WATCH, checks.whole, 5)
TEMP_CRITICAL_C: Key[int | Auto | None] = Key("TEMP_CRITICAL_C", WATCH, _degrees_or_off, Auto.AUTO)
TEMP_CRITICAL_MIN = Key("TEMP_CRITICAL_MIN", WATCH, checks.whole, 1)
THROTTLE_PCT: Key[int | None] = Key("THROTTLE_PCT", WATCH, _percent_or_off, 50)
HW_SLOWDOWN_MIN: Key[int | None] = Key("HW_SLOWDOWN_MIN", WATCH, _whole_or_off, 1)
POWER_CAP_MIN: Key[int | None] = Key("POWER_CAP_MIN", WATCH, _whole_or_off, None)
FAN_TEMP_C: Key[int | None] = Key("FAN_TEMP_C", WATCH, measures.or_off(measures.degrees), 70)

BLIND_SEC: Key[int | None] = Key("BLIND_SEC", WATCH, _whole_or_off, 60)
GPU_LOST = Key("GPU_LOST", WATCH, checks.switch, default=True)
DRIVER_MISMATCH = Key("DRIVER_MISMATCH", WATCH, checks.switch, default=True)
XID_FATAL = Key("XID_FATAL", WATCH, checks.switch, default=True)
XID_APP = Key("XID_APP", WATCH, checks.switch, default=True)
ECC = Key("ECC", WATCH, checks.switch, default=True)
ECC_CORRECTED: Key[int | None] = Key("ECC_CORRECTED", WATCH, measures.or_off(measures.count), 100)
ROW_REMAP = Key("ROW_REMAP", WATCH, checks.switch, default=True)
PCIE_WIDTH_MIN: Key[int | None] = Key("PCIE_WIDTH_MIN", WATCH, _whole_or_off, 5)

THRESHOLDS: tuple[Key[Any], ...] = (
    GPU_LIMIT,
    MAX_ETIME_MIN,
    HUNG_MIN,
    IDLE_HOLD_MIN,
    IDLE_HOLD_GIB,
    IDLE_PCT,
    INTRUDER,
    MEMORY_FULL_PCT,
    MEMORY_FULL_MIN,
    TEMP_LIMIT_C,
    TEMP_MIN,
    TEMP_CRITICAL_C,
    TEMP_CRITICAL_MIN,
    THROTTLE_PCT,
    HW_SLOWDOWN_MIN,
    POWER_CAP_MIN,
    FAN_TEMP_C,
    BLIND_SEC,
    GPU_LOST,
    DRIVER_MISMATCH,
    XID_FATAL,
    XID_APP,
    ECC,
    ECC_CORRECTED,
    ROW_REMAP,
    PCIE_WIDTH_MIN,
)


def heat(reading: Reading) -> HeatLimits:
    """The thresholds about heat, clocks and fans."""
    share = reading.value(THROTTLE_PCT)
    return HeatLimits(
        warn_at=reading.value(TEMP_LIMIT_C),
        warn_hold=reading.value(TEMP_MIN) * MINUTE,
        critical_at=reading.value(TEMP_CRITICAL_C),
        critical_hold=reading.value(TEMP_CRITICAL_MIN) * MINUTE,
        throttle_share=None if share is None else share / 100,
        slowdown_hold=seconds(reading.value(HW_SLOWDOWN_MIN)),
        power_cap_hold=seconds(reading.value(POWER_CAP_MIN)),
        fan_at=reading.value(FAN_TEMP_C),
    )


def faults(reading: Reading) -> FaultLimits:
    """The thresholds about what is broken."""
    return FaultLimits(
        blind_hold=reading.value(BLIND_SEC),
        lost=reading.value(GPU_LOST),
        mismatch=reading.value(DRIVER_MISMATCH),
        xid_fatal=reading.value(XID_FATAL),
        xid_app=reading.value(XID_APP),
        ecc=reading.value(ECC),
        ecc_corrected=reading.value(ECC_CORRECTED),
        row_remap=reading.value(ROW_REMAP),
        pcie_hold=seconds(reading.value(PCIE_WIDTH_MIN)),
    )


def use(reading: Reading) -> UseLimits:
    """The thresholds about how the GPUs are used."""
    return UseLimits(
        hung_hold=seconds(reading.value(HUNG_MIN)),
        idle_hold=seconds(reading.value(IDLE_HOLD_MIN)),
        idle_memory=reading.value(IDLE_HOLD_GIB),
        idle_below=reading.value(IDLE_PCT),
        memory_full=reading.value(MEMORY_FULL_PCT),
        memory_full_hold=reading.value(MEMORY_FULL_MIN) * MINUTE,
        intruder=reading.value(INTRUDER),
    )


def seconds(minutes: int | None) -> int | None:
    """Of a rule that may be off."""
    return None if minutes is None else minutes * MINUTE
