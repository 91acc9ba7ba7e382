"""The thresholds of the rules in base units, with the defaults of the table of settings."""

from __future__ import annotations

from enum import Enum
from operator import attrgetter

from msgspec import Struct

from gpuwatch_tray.model import schema


class ProcessScope(Enum):
    """Whose processes the rules judge (PROCESS_SCOPE)."""

    MINE = "mine"
    ALL = "all"


_SCOPE = ProcessScope(schema.PROCESS_SCOPE.default)


SLOW_READINGS = 2  # times the last interval: a reading may take twice as long as the one before


def longest_pause(usual: float, interval: float) -> float:
    """Return the seconds between two readings up to which it was watched; `interval` is the last one's."""
    return usual if interval <= usual else SLOW_READINGS * interval


class HeatLimits(Struct, frozen=True):
    """Thresholds about heat (degrees C), clocks and fans; None switches a rule off. A hold is in seconds."""

    warn_at: int | schema.Auto | None = schema.TEMP_LIMIT_C.default_value
    warn_hold: float = schema.TEMP_MIN.default_value
    critical_at: int | schema.Auto | None = schema.TEMP_CRITICAL_C.default_value
    critical_hold: float = schema.TEMP_CRITICAL_MIN.default_value
    throttle_share: float | None = schema.THROTTLE_PCT.default_value  # of the last minutes, from 0 to 1
    slowdown_hold: float | None = schema.HW_SLOWDOWN_MIN.default_value
    power_cap_hold: float | None = schema.POWER_CAP_MIN.default_value
    fan_at: int | None = schema.FAN_TEMP_C.default_value


class FaultLimits(Struct, frozen=True):
    """The thresholds about what is broken. None, and False, switch a rule off."""

    blind_hold: float | None = schema.BLIND_SEC.default_value  # seconds
    lost: bool = schema.GPU_LOST.default_value
    mismatch: bool = schema.DRIVER_MISMATCH.default_value
    xid_fatal: bool = schema.XID_FATAL.default_value
    xid_app: bool = schema.XID_APP.default_value
    ecc: bool = schema.ECC.default_value
    ecc_corrected: int | None = (
        schema.ECC_CORRECTED.default_value
    )  # errors in 10 minutes; None: only uncorrected ones
    row_remap: bool = schema.ROW_REMAP.default_value
    pcie_hold: float | None = schema.PCIE_WIDTH_MIN.default_value  # seconds


class UseLimits(Struct, frozen=True):
    """The thresholds about how the GPUs are used. None, and False, switch a rule off."""

    hung_hold: float | None = schema.HUNG_MIN.default_value  # seconds
    idle_hold: float | None = schema.IDLE_HOLD_MIN.default_value  # seconds
    idle_memory: int = schema.IDLE_HOLD_GIB.default_value  # bytes
    idle_below: int = schema.IDLE_PCT.default_value  # % of utilisation from which on a GPU is busy
    memory_full: int | None = schema.MEMORY_FULL_PCT.default_value  # %
    memory_full_hold: float = schema.MEMORY_FULL_MIN.default_value  # seconds
    intruder: bool = schema.INTRUDER.default_value


HEAT, FAULTS, USE = HeatLimits(), FaultLimits(), UseLimits()


class Limits(Struct, frozen=True):
    """The thresholds of the rules, in base units. None switches a rule off."""

    gpu_limit: int | None = schema.GPU_LIMIT.default_value
    max_etime: int | None = schema.MAX_ETIME_MIN.default_value  # seconds
    scope: ProcessScope = _SCOPE
    ignore: frozenset[str] = frozenset()  # programs in lower case; the settings name those of a desktop
    poll: float = schema.POLL_SEC.default_value  # seconds between two polls
    heat: HeatLimits = HEAT
    faults: FaultLimits = FAULTS
    use: UseLimits = USE

    def get(self, setting: schema.Setting) -> object:
        """Return the value of a setting that is kept here, such as `limits.heat.fan_at`."""
        return attrgetter(setting.field_path.removeprefix("limits."))(self)


class LabLimits(Struct, frozen=True):
    """
    The thresholds over the hosts of a lab; None switches a rule off.

    `every_host`: what happens to any host is told, not only to those of one's own runs and the `pins`;
    `all_alerts`: so are the Alertmanager's alerts that are not one's own.
    """

    gpu_limit: int | None = None
    every_host: bool = True
    all_alerts: bool = False
    pins: frozenset[str] = frozenset()
    alertmanager: bool = False  # whether there is one
    judged_there: bool = False  # whether the hosts' own rules tell what they have found, holds included
    poll: float = schema.LAB_POLL_SEC.default_value  # seconds


class Terms(Struct, frozen=True):
    """For how long a rule's condition must hold before it fires, and be over before it is resolved."""

    hold: float = 0.0  # seconds; and the polls in a row must be met too
    hold_samples: int = 1
    clear: float = 0.0
    clear_samples: int = 1
    critical_after: float | None = None  # seconds of firing after which an alert becomes critical

    @property
    def at_once(self) -> bool:
        """Whether one poll is enough to fire."""
        return self.hold <= 0 and self.hold_samples <= 1
