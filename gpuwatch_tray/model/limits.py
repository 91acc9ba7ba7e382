"""The thresholds of the rules, already in base units."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gpuwatch_tray.units import GIB


class Scope(Enum):
    """Whose processes the rules judge (PROCESS_SCOPE)."""

    MINE = "mine"
    ALL = "all"


class Auto(Enum):
    """A threshold that each GPU's own limits give."""

    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class HeatLimits:
    """
    The thresholds about heat, clocks and fans. None switches a rule off.

    Temperatures are in degrees C. A `..._hold` is for how many seconds something must go on.
    """

    warn_at: int | Auto | None = Auto.AUTO
    warn_hold: float = 5 * 60.0
    critical_at: int | Auto | None = Auto.AUTO
    critical_hold: float = 60.0
    throttle_share: float | None = 0.5  # of the last minutes
    slowdown_hold: float | None = 60.0
    power_cap_hold: float | None = None
    fan_at: int | None = 70


@dataclass(frozen=True, slots=True)
class FaultLimits:
    """The thresholds about what is broken. None, and False, switch a rule off."""

    blind_hold: float | None = 60.0  # seconds
    lost: bool = True
    mismatch: bool = True
    xid_fatal: bool = True
    xid_app: bool = True
    ecc: bool = True
    ecc_corrected: int | None = 100  # errors in ten minutes; None counts the uncorrected ones alone
    row_remap: bool = True
    pcie_hold: float | None = 5 * 60.0  # seconds


@dataclass(frozen=True, slots=True)
class UseLimits:
    """The thresholds about how the GPUs are used. None, and False, switch a rule off."""

    hung_hold: float | None = 10 * 60.0  # seconds
    idle_hold: float | None = 30 * 60.0  # seconds
    idle_memory: int = 2 * GIB  # bytes
    idle_below: int = 5  # % of utilisation from which on a GPU is busy
    memory_full: int | None = None  # %
    memory_full_hold: float = 10 * 60.0  # seconds
    intruder: bool = True


HEAT, FAULTS, USE = HeatLimits(), FaultLimits(), UseLimits()


@dataclass(frozen=True, slots=True)
class Limits:
    """The thresholds of the rules, already in base units. None switches a rule off."""

    gpu_limit: int | None = 2
    max_etime: int | None = 360 * 60  # seconds
    scope: Scope = Scope.MINE
    ignore: frozenset[str] = frozenset()  # program names, lower case
    poll: float = 5.0  # seconds between two looks
    heat: HeatLimits = HEAT
    faults: FaultLimits = FAULTS
    use: UseLimits = USE


@dataclass(frozen=True, slots=True)
class Terms:
    """
    For how long a rule's condition must hold before it fires, and be over before it is resolved.

    `hold` and `clear` are seconds, `hold_samples` and `clear_samples` polls in a row; both must be met.
    `critical_after` is for how many seconds an alert may fire before it becomes critical.
    """

    hold: float = 0.0
    hold_samples: int = 1
    clear: float = 0.0
    clear_samples: int = 1
    critical_after: float | None = None

    @property
    def at_once(self) -> bool:
        """Whether one look is enough to fire."""
        return self.hold <= 0 and self.hold_samples <= 1
