"""
The rules: pure functions from a snapshot, the thresholds and the history to a verdict.

`RULES` is the table of them; `judge` runs it. A rule reads no clock and keeps no state: what it must
remember from poll to poll is in `RuleHistory`, which `observe` carries on.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.common.reading_gaps import gaps
from gpuwatch_tray.i18n import N_
from gpuwatch_tray.model import Limits, Severity, Snapshot, Terms, Verdict
from gpuwatch_tray.model.schema import SETTINGS, SWITCHES
from gpuwatch_tray.model.units import MINUTE
from gpuwatch_tray.rules import availability, hardware, temperature
from gpuwatch_tray.rules import gpu_use as use
from gpuwatch_tray.rules.rule_history import EVENT_RULES, RuleEvent, RuleHistory, observe, recalled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


__all__ = [
    "EVENT_RULES",
    "RULES",
    "Rule",
    "RuleEvent",
    "RuleHistory",
    "is_on",
    "judge",
    "judged",
    "keys",
    "observe",
    "open_questions",
    "recalled",
    "switched_on",
    "terms",
    "threshold",
]

AT_ONCE, IDLENESS = Terms(), Terms(clear=MINUTE, clear_samples=2)
INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL


class Rule(Struct, frozen=True):
    """
    One rule: its title, how it judges, and for how long its condition must hold and be over.

    `remembers`: it goes by more than one poll, whatever its terms, so that only a running tray or `watch` can
    judge it. `severities` are those of its findings; `fires` and `clears` are what docs/ says of it.
    """

    title: str
    judge: Callable[[Snapshot, Limits, RuleHistory], Verdict]
    terms: Terms | Callable[[Limits], Terms] = AT_ONCE
    severities: tuple[Severity, ...] = ()
    fires: str = ""
    clears: str = ""
    remembers: bool = False

    def terms_for(self, limits: Limits) -> Terms:
        """Return its terms under these thresholds."""
        return self.terms if isinstance(self.terms, Terms) else self.terms(limits)


def _stateless(
    rule: Callable[[Snapshot, Limits], Verdict],
) -> Callable[[Snapshot, Limits, RuleHistory], Verdict]:
    """Wrap a rule that needs no history for the table."""
    return lambda snapshot, limits, _history: rule(snapshot, limits)


# fmt: off
RULES: dict[str, Rule] = {
    "monitor_blind": Rule(N_("The GPUs cannot be read"),
        _stateless(availability.judge_monitor_blind), availability.monitor_blind_terms, (WARNING, CRITICAL),
        fires="no good reading for `BLIND_SEC` seconds and 3 polls; critical after 10 min",
        clears="two good readings"),
    "driver_mismatch": Rule(N_("Reboot needed: driver was replaced"),
        _stateless(availability.judge_driver_mismatch), AT_ONCE, (WARNING,),
        fires="the driver was replaced while it runs (an upgrade): reboot needed",
        clears="it answers, and fits"),
    "gpu_lost": Rule(N_("A GPU is lost"),
        _stateless(availability.judge_gpu_lost),
        Terms(hold_samples=2, clear=2 * MINUTE, clear_samples=2), (CRITICAL,),
        fires="a GPU that was there does not answer in 2 polls",
        clears="healthy for 2 min"),
    "gpu_limit": Rule(N_("More GPUs in use than the limit"),
        _stateless(use.judge_gpu_limit), AT_ONCE, (WARNING,),
        fires="your compute processes are on more than `GPU_LIMIT` GPUs",
        clears="they are on fewer again"),
    "max_etime": Rule(N_("A process has run for too long"),
        _stateless(use.judge_max_etime), AT_ONCE, (WARNING,),
        fires="a process has run for longer than `MAX_ETIME_MIN` minutes",
        clears="it has ended"),
    "temperature_critical": Rule(N_("A GPU is dangerously hot"),
        _stateless(temperature.judge_temperature_critical),
        lambda limits: Terms(hold=limits.heat.critical_hold, clear=3 * MINUTE), (CRITICAL,),
        fires="a GPU is at `TEMP_CRITICAL_C` for `TEMP_CRITICAL_MIN` minutes",
        clears="5 °C lower for 3 min"),
    "temperature": Rule(N_("A GPU is hot"),
        _stateless(temperature.judge_temperature),
        lambda limits: Terms(hold=limits.heat.warn_hold, clear=3 * MINUTE), (WARNING,),
        fires="a GPU is at `TEMP_LIMIT_C` for `TEMP_MIN` minutes",
        clears="5 °C lower for 3 min"),
    "thermal_throttle": Rule(N_("A GPU is slowed by heat"),
        temperature.judge_thermal_throttle, Terms(clear=10 * MINUTE), (WARNING,),
        fires="slowed by heat in `THROTTLE_PCT` percent of the last 5 min",
        clears="none for 10 min", remembers=True),
    "hw_slowdown": Rule(N_("A GPU is slowed by its hardware"),
        _stateless(temperature.judge_hw_slowdown),
        lambda limits: Terms(hold=limits.heat.slowdown_hold or 0.0, clear=MINUTE), (WARNING,),
        fires="slowed by the hardware for `HW_SLOWDOWN_MIN` minutes",
        clears="none for 1 min"),
    "power_cap": Rule(N_("A GPU is at its power limit"),
        _stateless(temperature.judge_power_cap),
        lambda limits: Terms(hold=limits.heat.power_cap_hold or 0.0, clear=MINUTE), (INFO,),
        fires="kept down by the power limit for `POWER_CAP_MIN` minutes (off by default)",
        clears="none for 1 min"),
    "fan": Rule(N_("A fan has stopped"),
        _stateless(temperature.judge_fan), Terms(hold=2 * MINUTE, clear=2 * MINUTE), (WARNING,),
        fires="a fan stops or fails above `FAN_TEMP_C` for 2 min",
        clears="turns, or 5 °C lower, for 2 min"),
    "xid_fatal": Rule(N_("A GPU has failed"),
        hardware.judge_xid_fatal, AT_ONCE, (CRITICAL,),
        fires="the driver reports an Xid after which the GPU needs a reset",
        clears="acknowledged, or 24 h", remembers=True),
    "xid_app": Rule(N_("The driver reported an error"),
        hardware.judge_xid_app, AT_ONCE, (INFO, WARNING),
        fires="the driver reports another Xid; a warning where the code is not known",
        clears="acknowledged, or 24 h", remembers=True),
    "ecc": Rule(N_("Memory errors on a GPU"),
        hardware.judge_ecc, Terms(clear=10 * MINUTE), (WARNING, CRITICAL),
        fires="an uncorrected memory error more: critical; `ECC_CORRECTED` corrected in 10 min",
        clears="acknowledged or 24 h; half as many", remembers=True),
    "row_remap": Rule(N_("Worn memory on a GPU"),
        _stateless(hardware.judge_row_remap), AT_ONCE, (WARNING, CRITICAL),
        fires="worn memory rows failed (critical) or wait for a reset",
        clears="the GPU is reset"),
    "pcie_width": Rule(N_("A GPU uses too few PCIe lanes"),
        hardware.judge_pcie_width,
        lambda limits: Terms(hold=limits.faults.pcie_hold or 0.0, hold_samples=2, clear=MINUTE), (WARNING,),
        fires="fewer lanes than possible for `PCIE_WIDTH_MIN` minutes of work",
        clears="full width for 1 min", remembers=True),
    "hung": Rule(N_("A process seems to hang"),
        use.judge_hung, IDLENESS, (WARNING,),
        fires="your process was busy, and its GPUs do nothing for `HUNG_MIN` minutes",
        clears="`IDLE_PCT` or more for 1 min, or gone", remembers=True),
    "idle_holding": Rule(N_("GPU memory is held idle"),
        use.judge_idle_holding, IDLENESS, (INFO,),
        fires="your process holds `IDLE_HOLD_GIB` of an idle GPU for `IDLE_HOLD_MIN` minutes",
        clears="it works, or lets go", remembers=True),
    "memory_full": Rule(N_("GPU memory is nearly full"),
        _stateless(use.judge_memory_full),
        lambda limits: Terms(hold=limits.use.memory_full_hold, clear=MINUTE), (INFO,),
        fires="memory fuller than `MEMORY_FULL_PCT` for `MEMORY_FULL_MIN` minutes (off by default)",
        clears="5 % less for 1 min"),
    "intruder": Rule(N_("Someone else is on your GPU"),
        _stateless(use.judge_intruder), Terms(hold_samples=2, clear=5 * MINUTE), (INFO,),
        fires="another user computes on a GPU that you compute on",
        clears="gone for 5 min"),
}

# fmt: on


def keys(name: str) -> tuple[str, ...]:
    """Return the settings of a rule: the one that switches it, then those that tune it."""
    tuning = tuple(setting.key for setting in SETTINGS.values() if name in setting.tunes)
    return (SWITCHES[name].key, *tuning) if name in SWITCHES else tuning


def is_on(name: str, limits: Limits) -> bool:
    """Tell whether the settings want this rule."""
    if name not in SWITCHES:
        return True
    value = limits.get(SWITCHES[name])
    return value is not None and value is not False


def open_questions(snapshot: Snapshot, verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    """Return what kept rules from judging, a line each: what could not be read, else what the rules say."""
    unknown = (verdict.unknown for verdict in verdicts if verdict.unknown is not None)
    return gaps(snapshot) or tuple(dict.fromkeys(unknown))


def terms(limits: Limits) -> dict[str, Terms]:
    """Return the terms of every rule."""
    return {name: rule.terms_for(limits) for name, rule in RULES.items()}


def threshold(name: str, limits: Limits) -> str:
    """Return the condition at which a rule that is on fires, in words: the same whatever is read."""
    return RULES[name].judge(Snapshot("", 0.0), limits, RuleHistory()).threshold


def switched_on(limits: Limits) -> frozenset[str]:
    """Return the names of the rules that the settings want."""
    return frozenset(name for name in RULES if is_on(name, limits))


@lru_cache(maxsize=16)  # asked at each poll, by settings that stay the same
def judged(limits: Limits, *, in_loop: bool = True) -> frozenset[str]:
    """Return the names of the rules that are judged; without `in_loop` those that one poll can fire."""
    # A hold cannot span the gaps between cron's runs.
    return frozenset(
        name
        for name, rule in RULES.items()
        if is_on(name, limits) and (in_loop or (rule.terms_for(limits).at_once and not rule.remembers))
    )


def judge(
    snapshot: Snapshot, limits: Limits, history: RuleHistory | None = None, *, in_loop: bool = True
) -> tuple[Verdict, ...]:
    """Return the verdict of every rule that is `judged` on `snapshot`, in the order of the table."""
    names = judged(limits, in_loop=in_loop)
    history = history or RuleHistory()
    return tuple(rule.judge(snapshot, limits, history) for name, rule in RULES.items() if name in names)
