"""
The rules: pure functions from a snapshot, the limits and the memory to a verdict.

`RULES` is the one table of them, with their terms; `judge` runs it. A rule reads no clock and keeps no state:
what must be remembered from poll to poll is in `memory`, which `observe` carries on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuwatch_tray.model import Limits, Snapshot, Terms, Verdict
from gpuwatch_tray.rules import clocks, ecc, fan, idleness, intruder, temperature, thermal_throttle, xid
from gpuwatch_tray.rules import gpu_lost as lost
from gpuwatch_tray.rules.driver_mismatch import driver_mismatch
from gpuwatch_tray.rules.gpu_limit import gpu_limit
from gpuwatch_tray.rules.max_etime import max_etime
from gpuwatch_tray.rules.memory import EVENT_RULES, Memory, Occurrence, observe, recalled
from gpuwatch_tray.rules.memory_full import memory_full, memory_full_terms
from gpuwatch_tray.rules.monitor_blind import monitor_blind, monitor_blind_terms
from gpuwatch_tray.rules.pcie_width import pcie_width, pcie_width_terms
from gpuwatch_tray.rules.row_remap import row_remap
from gpuwatch_tray.rules.scope import gaps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "EVENT_RULES",
    "RULES",
    "Memory",
    "Occurrence",
    "Rule",
    "judge",
    "judged",
    "observe",
    "open_questions",
    "recalled",
    "switched_on",
    "terms",
]


def _at_once(_limits: Limits) -> Terms:
    return Terms()


def _always(_limits: Limits) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One rule: how it judges, and for how long its condition must hold and be over.

    `on` is whether the settings want it, `key` the setting that says so. A rule that `remembers` goes by more
    than one look, whatever its terms.
    """

    judge: Callable[[Snapshot, Limits, Memory], Verdict]
    terms: Callable[[Limits], Terms] = _at_once
    on: Callable[[Limits], bool] = _always
    key: str = ""
    remembers: bool = False


def _seen(rule: Callable[[Snapshot, Limits], Verdict]) -> Callable[[Snapshot, Limits, Memory], Verdict]:
    """A rule that needs no memory, as one of the table."""
    return lambda snapshot, limits, _memory: rule(snapshot, limits)


RULES: dict[str, Rule] = {
    "monitor_blind": Rule(
        _seen(monitor_blind),
        monitor_blind_terms,
        lambda limits: limits.faults.blind_hold is not None,
        "BLIND_SEC",
    ),
    "driver_mismatch": Rule(
        _seen(driver_mismatch), on=lambda limits: limits.faults.mismatch, key="DRIVER_MISMATCH"
    ),
    "gpu_lost": Rule(
        _seen(lost.gpu_lost), lambda _limits: lost.TERMS, lambda limits: limits.faults.lost, "GPU_LOST"
    ),
    "gpu_limit": Rule(_seen(gpu_limit), on=lambda limits: limits.gpu_limit is not None, key="GPU_LIMIT"),
    "max_etime": Rule(_seen(max_etime), on=lambda limits: limits.max_etime is not None, key="MAX_ETIME_MIN"),
    "temperature_critical": Rule(
        _seen(temperature.temperature_critical),
        temperature.temperature_critical_terms,
        lambda limits: limits.heat.critical_at is not None,
        "TEMP_CRITICAL_C",
    ),
    "temperature": Rule(
        _seen(temperature.temperature),
        temperature.temperature_terms,
        lambda limits: limits.heat.warn_at is not None,
        "TEMP_LIMIT_C",
    ),
    "thermal_throttle": Rule(
        thermal_throttle.thermal_throttle,
        lambda _limits: thermal_throttle.TERMS,
        lambda limits: limits.heat.throttle_share is not None,
        "THROTTLE_PCT",
        remembers=True,
    ),
    "hw_slowdown": Rule(
        _seen(clocks.hw_slowdown),
        clocks.hw_slowdown_terms,
        lambda limits: limits.heat.slowdown_hold is not None,
        "HW_SLOWDOWN_MIN",
    ),
    "power_cap": Rule(
        _seen(clocks.power_cap),
        clocks.power_cap_terms,
        lambda limits: limits.heat.power_cap_hold is not None,
        "POWER_CAP_MIN",
    ),
    "fan": Rule(
        _seen(fan.fan), lambda _limits: fan.TERMS, lambda limits: limits.heat.fan_at is not None, "FAN_TEMP_C"
    ),
    "xid_fatal": Rule(
        xid.xid_fatal, _at_once, lambda limits: limits.faults.xid_fatal, "XID_FATAL", remembers=True
    ),
    "xid_app": Rule(xid.xid_app, _at_once, lambda limits: limits.faults.xid_app, "XID_APP", remembers=True),
    "ecc": Rule(ecc.ecc, lambda _limits: ecc.TERMS, lambda limits: limits.faults.ecc, "ECC", remembers=True),
    "row_remap": Rule(_seen(row_remap), on=lambda limits: limits.faults.row_remap, key="ROW_REMAP"),
    "pcie_width": Rule(
        pcie_width,
        pcie_width_terms,
        lambda limits: limits.faults.pcie_hold is not None,
        "PCIE_WIDTH_MIN",
        remembers=True,
    ),
    "hung": Rule(
        idleness.hung,
        lambda _limits: idleness.TERMS,
        lambda limits: limits.use.hung_hold is not None,
        "HUNG_MIN",
        remembers=True,
    ),
    "idle_holding": Rule(
        idleness.idle_holding,
        lambda _limits: idleness.TERMS,
        lambda limits: limits.use.idle_hold is not None,
        "IDLE_HOLD_MIN",
        remembers=True,
    ),
    "memory_full": Rule(
        _seen(memory_full),
        memory_full_terms,
        lambda limits: limits.use.memory_full is not None,
        "MEMORY_FULL_PCT",
    ),
    "intruder": Rule(
        _seen(intruder.intruder),
        lambda _limits: intruder.TERMS,
        lambda limits: limits.use.intruder,
        "INTRUDER",
    ),
}


def open_questions(snapshot: Snapshot, verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    """What kept a rule from judging, a line each: what could not be read, else what the rules say."""
    unknown = (verdict.unknown for verdict in verdicts if verdict.unknown is not None)
    return gaps(snapshot) or tuple(dict.fromkeys(unknown))


def terms(limits: Limits) -> dict[str, Terms]:
    """The terms of every rule."""
    return {name: rule.terms(limits) for name, rule in RULES.items()}


def switched_on(limits: Limits) -> frozenset[str]:
    """The names of the rules that the settings want."""
    return frozenset(name for name, rule in RULES.items() if rule.on(limits))


def judged(limits: Limits, *, holds: bool = True) -> frozenset[str]:
    """
    The names of the rules that are judged.

    Without `holds` only those that one look can fire: a hold cannot span the gaps between cron's runs.
    """
    return frozenset(
        name
        for name, rule in RULES.items()
        if rule.on(limits) and (holds or (rule.terms(limits).at_once and not rule.remembers))
    )


def judge(
    snapshot: Snapshot, limits: Limits, memory: Memory | None = None, *, holds: bool = True
) -> tuple[Verdict, ...]:
    """The verdict of every rule that is `judged` on `snapshot`, in the order of the table."""
    names = judged(limits, holds=holds)
    memory = memory or Memory()
    return tuple(rule.judge(snapshot, limits, memory) for name, rule in RULES.items() if name in names)
