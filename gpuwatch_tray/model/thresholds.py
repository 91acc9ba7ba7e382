"""The thresholds of the rules in base units, with the defaults of the table of settings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from operator import attrgetter

from gpuwatch_tray.model import schema


class ProcessScope(Enum):
    """Whose processes the rules judge (PROCESS_SCOPE)."""

    MINE = "mine"
    ALL = "all"


_SCOPE = ProcessScope(schema.PROCESS_SCOPE.default)


@dataclass(frozen=True, slots=True)
class HeatLimits:
    """Thresholds about heat (degrees C), clocks and fans; None switches a rule off. A hold is in seconds."""

    warn_at: int | schema.Auto | None = schema.TEMP_LIMIT_C.base
    warn_hold: float = schema.TEMP_MIN.base
    critical_at: int | schema.Auto | None = schema.TEMP_CRITICAL_C.base
    critical_hold: float = schema.TEMP_CRITICAL_MIN.base
    throttle_share: float | None = schema.THROTTLE_PCT.base  # of the last minutes, from 0 to 1
    slowdown_hold: float | None = schema.HW_SLOWDOWN_MIN.base
    power_cap_hold: float | None = schema.POWER_CAP_MIN.base
    fan_at: int | None = schema.FAN_TEMP_C.base


@dataclass(frozen=True, slots=True)
class FaultLimits:
    """The thresholds about what is broken. None, and False, switch a rule off."""

    blind_hold: float | None = schema.BLIND_SEC.base  # seconds
    lost: bool = schema.GPU_LOST.base
    mismatch: bool = schema.DRIVER_MISMATCH.base
    xid_fatal: bool = schema.XID_FATAL.base
    xid_app: bool = schema.XID_APP.base
    ecc: bool = schema.ECC.base
    ecc_corrected: int | None = schema.ECC_CORRECTED.base  # errors in 10 minutes; None: only uncorrected ones
    row_remap: bool = schema.ROW_REMAP.base
    pcie_hold: float | None = schema.PCIE_WIDTH_MIN.base  # seconds


@dataclass(frozen=True, slots=True)
class UseLimits:
    """The thresholds about how the GPUs are used. None, and False, switch a rule off."""

    hung_hold: float | None = schema.HUNG_MIN.base  # seconds
    idle_hold: float | None = schema.IDLE_HOLD_MIN.base  # seconds
    idle_memory: int = schema.IDLE_HOLD_GIB.base  # bytes
    idle_below: int = schema.IDLE_PCT.base  # % of utilisation from which on a GPU is busy
    memory_full: int | None = schema.MEMORY_FULL_PCT.base  # %
    memory_full_hold: float = schema.MEMORY_FULL_MIN.base  # seconds
    intruder: bool = schema.INTRUDER.base


HEAT, FAULTS, USE = HeatLimits(), FaultLimits(), UseLimits()


@dataclass(frozen=True, slots=True)
class Limits:
    """The thresholds of the rules, in base units. None switches a rule off."""

    gpu_limit: int | None = schema.GPU_LIMIT.base
    max_etime: int | None = schema.MAX_ETIME_MIN.base  # seconds
    scope: ProcessScope = _SCOPE
    ignore: frozenset[str] = frozenset()  # programs in lower case; the settings name those of a desktop
    poll: float = schema.POLL_SEC.base  # seconds between two polls
    heat: HeatLimits = HEAT
    faults: FaultLimits = FAULTS
    use: UseLimits = USE

    def get(self, setting: schema.Setting) -> object:
        """Return the value of a setting that is kept here, such as `limits.heat.fan_at`."""
        return attrgetter(setting.kept.removeprefix("limits."))(self)


@dataclass(frozen=True, slots=True)
class Terms:
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
