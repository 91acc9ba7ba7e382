"""Rules about heat: temperature, throttling, clocks that the hardware keeps down, and fans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.i18n import N_, _, ngettext
from gpuwatch_tray.model import (
    Auto,
    ClockLimit,
    Limits,
    Missing,
    Severity,
    Snapshot,
    Verdict,
    Why,
    known,
)
from gpuwatch_tray.rules.rule_history import THERMAL, BoardHistory, RuleHistory, throttle_window
from gpuwatch_tray.rules.verdict import VerdictBuilder, gpu_label, gpu_name

if TYPE_CHECKING:
    from collections.abc import Callable


TEMPERATURE_RULE, CRITICAL_RULE = "temperature", "temperature_critical"
WARN_AT, WARN_BELOW = 85, 5  # degrees C; degrees below the GPU's own slowdown temperature
CRITICAL_AT, CRITICAL_BELOW = 90, 3
TEMPERATURE_CLEAR = 5  # degrees below the limit at which it is over


def judge_temperature(snapshot: Snapshot, limits: Limits) -> Verdict:
    """Warn of each GPU that has been at TEMP_LIMIT_C or above for TEMP_MIN minutes."""
    # `auto`: 85 degrees C, or 5 below the GPU's slowdown temperature where that is lower. Source: Netdata's
    # dcgm.conf, public DCGM rules.
    automatic = _(
        "a GPU reaches its limit ({at} °C, or {below} °C below the temperature at which it slows itself down)"
    ).format(at=WARN_AT, below=WARN_BELOW)
    builder = VerdictBuilder(TEMPERATURE_RULE, snapshot)
    return _judge_temperature(builder, limits.heat.warn_at, warning_at, Severity.WARNING, automatic)


def warning_at(slowdown_at: int | None, limit: int | Auto) -> int:
    """Return the temperature (degrees C) at which `temperature` warns of a GPU."""
    if not isinstance(limit, Auto):
        return limit
    return WARN_AT if slowdown_at is None else min(WARN_AT, slowdown_at - WARN_BELOW)


def judge_temperature_critical(snapshot: Snapshot, limits: Limits) -> Verdict:
    """Critical: a GPU has been at TEMP_CRITICAL_C or above for TEMP_CRITICAL_MIN minutes."""
    # `auto`: 3 degrees below the GPU's slowdown temperature, else 90 degrees C. Source: as for `temperature`.
    automatic = _(
        "a GPU reaches its limit ({below} °C below the temperature at which it slows itself down,"
        " else {at} °C)"
    ).format(at=CRITICAL_AT, below=CRITICAL_BELOW)
    builder = VerdictBuilder(CRITICAL_RULE, snapshot)
    return _judge_temperature(builder, limits.heat.critical_at, critical_at, Severity.CRITICAL, automatic)


def critical_at(slowdown_at: int | None, limit: int | Auto) -> int:
    """Return the temperature (degrees C) at which `temperature_critical` fires for a GPU."""
    if not isinstance(limit, Auto):
        return limit
    return CRITICAL_AT if slowdown_at is None else slowdown_at - CRITICAL_BELOW


def _judge_temperature(
    builder: VerdictBuilder,
    at: int | Auto | None,
    limit: Callable[[int | None, int | Auto], int],
    severity: Severity,
    automatic: str,
) -> Verdict:
    if at is None:
        return Verdict(builder.rule)
    for name, gpu in builder.boards():
        degrees = builder.read(gpu, N_("the temperature"), gpu.temperature, name)
        if degrees is None:
            continue
        most = limit(known(gpu.slowdown_at), at)
        measured = _("{gpu} is the hottest, at {degrees} °C")
        builder.measure(degrees, measured.format(gpu=gpu_name(gpu), degrees=degrees))
        line = _("{gpu}: {degrees} °C, fires at {limit} °C, over at {clear} °C")
        builder.add_gpu_line(
            line.format(gpu=gpu_name(gpu), degrees=degrees, limit=most, clear=most - TEMPERATURE_CLEAR)
        )
        if degrees >= most:
            reason = f"{builder.rule.upper()}({gpu_label(gpu)}: {degrees}C) >= LIMIT({most}C)"
            text = _("{gpu} is at {degrees} °C; the limit is {limit} °C").format(
                gpu=gpu_name(gpu), degrees=degrees, limit=most
            )
            builder.fire(name, severity, reason, text, degrees)
        elif degrees > most - TEMPERATURE_CLEAR:
            builder.in_band(name)
    fixed = _("a GPU reaches {degrees} °C").format(degrees=at)
    return builder.build(automatic if isinstance(at, Auto) else fixed)


HW_SLOWDOWN_RULE, POWER_CAP_RULE = "hw_slowdown", "power_cap"
SLOWED = ClockLimit.HW_SLOWDOWN | ClockLimit.HW_POWER_BRAKE


def judge_hw_slowdown(snapshot: Snapshot, limits: Limits) -> Verdict:
    """Warn of each GPU whose hardware has slowed it down for HW_SLOWDOWN_MIN minutes."""
    # The bit also blips when the GPU changes its state. Clock event reasons 0x08 (slowdown) and 0x80 (power
    # brake) of NVIDIA's nvml.h.
    if limits.heat.slowdown_hold is None:
        return Verdict(HW_SLOWDOWN_RULE)
    texts = (
        _("{gpu} is slowed down by its hardware (heat or power supply)"),
        _("a GPU is slowed down by its hardware (heat or power supply)"),
    )
    return _judge_clock_limit(VerdictBuilder(HW_SLOWDOWN_RULE, snapshot), SLOWED, Severity.WARNING, texts)


def judge_power_cap(snapshot: Snapshot, limits: Limits) -> Verdict:
    """Tell of each GPU that its power limit has kept down for POWER_CAP_MIN minutes."""
    # Off by default: under load that is normal. Clock event reason 0x04 of NVIDIA's nvml.h.
    if limits.heat.power_cap_hold is None:
        return Verdict(POWER_CAP_RULE)
    texts = _("{gpu} is held back by its power limit"), _("a GPU is held back by its power limit")
    return _judge_clock_limit(
        VerdictBuilder(POWER_CAP_RULE, snapshot), ClockLimit.POWER_CAP, Severity.INFO, texts
    )


def _judge_clock_limit(
    builder: VerdictBuilder, bits: ClockLimit, severity: Severity, texts: tuple[str, str]
) -> Verdict:
    """`texts` are what is said of a `{gpu}`, and when it fires."""
    text, threshold = texts
    limited = 0
    for name, gpu in builder.boards():
        reasons = builder.read(gpu, N_("the limit on the clocks"), gpu.limited_by, name)
        if reasons is None:
            continue
        if reasons & bits:
            limited += 1
            reason = f"{builder.rule.upper()}({gpu_label(gpu)}: {reasons & bits:#04x})"
            builder.fire(name, severity, reason, text.format(gpu=gpu_name(gpu)))
        measured = _("no GPU is limited in this way")
        if limited:
            measured = ngettext(
                "{count} GPU is limited in this way", "{count} GPUs are limited in this way", limited
            )
        builder.measure(limited, measured.format(count=limited))
    return builder.build(threshold)


FAN_RULE = "fan"
FAN_CLEAR = 5  # degrees C below the limit at which it is over


def judge_fan(snapshot: Snapshot, limits: Limits) -> Verdict:
    """Warn of each GPU above FAN_TEMP_C whose fan is at 0 %, or fails to answer, for 2 minutes."""
    # Many fans stop on purpose when it is cool. Source: Netdata's dcgm.conf.
    at = limits.heat.fan_at
    if at is None:
        return Verdict(FAN_RULE)
    builder = VerdictBuilder(FAN_RULE, snapshot)
    for name, gpu in builder.boards():
        if isinstance(gpu.fan, Missing) and gpu.fan.why is not Why.ERROR:
            builder.read(gpu, N_("the fan"), gpu.fan, name)
            continue
        degrees = builder.read(gpu, N_("the temperature"), gpu.temperature, name)
        if degrees is None:
            continue
        speed = _("cannot be read") if isinstance(gpu.fan, Missing) else f"{gpu.fan} %"
        measured = _("the fan of {gpu}, at {degrees} °C: {speed}")
        builder.measure(degrees, measured.format(gpu=gpu_name(gpu), degrees=degrees, speed=speed))
        if not isinstance(gpu.fan, Missing) and gpu.fan > 0:
            continue
        if degrees > at:
            speed = "cannot be read" if isinstance(gpu.fan, Missing) else f"{gpu.fan}%"
            reason = f"FAN({gpu_label(gpu)}: {speed}) AT({degrees}C) > LIMIT({at}C)"
            text = _("The fan of {gpu} has stopped at {degrees} °C")
            if isinstance(gpu.fan, Missing):
                text = _("The fan of {gpu} cannot be read at {degrees} °C")
            text = text.format(gpu=gpu_name(gpu), degrees=degrees)
            builder.fire(name, Severity.WARNING, reason, text, degrees)
        elif degrees > at - FAN_CLEAR:
            builder.in_band(name)
    threshold = _("a fan stops or fails, and its GPU is above {degrees} °C")
    return builder.build(threshold.format(degrees=at))


THERMAL_THROTTLE_RULE = "thermal_throttle"


def judge_thermal_throttle(snapshot: Snapshot, limits: Limits, history: RuleHistory) -> Verdict:
    """Warn of each GPU that was throttled by heat in THROTTLE_PCT of the last 5 minutes (or 6 polls)."""
    # Time that nobody looked at is time without throttling. Clock event reasons 0x20 (software) and 0x40
    # (hardware thermal slowdown) of NVIDIA's nvml.h. Source: public DCGM rules.
    share = limits.heat.throttle_share
    if share is None:
        return Verdict(THERMAL_THROTTLE_RULE)
    builder = VerdictBuilder(THERMAL_THROTTLE_RULE, snapshot)
    length = throttle_window(limits)
    for name, gpu in builder.boards():
        reasons = builder.read(gpu, N_("the limit on the clocks"), gpu.limited_by, name)
        if reasons is None:
            continue
        part = history.boards.get(name, BoardHistory()).throttled.total(history.clock, length) / length
        percent = min(100, round(100 * part))
        measured = _("{gpu} was slowed down by heat in {percent} % of the last minutes")
        builder.measure(part, measured.format(gpu=gpu_name(gpu), percent=percent))
        if part >= share:
            reason = f"THERMAL_THROTTLE({gpu_label(gpu)}: {percent}%) >= LIMIT({share:.0%})"
            text = _("{gpu} was slowed down by heat in {percent} % of the last {minutes:.0f} minutes").format(
                gpu=gpu_name(gpu), percent=percent, minutes=length / 60
            )
            builder.fire(name, Severity.WARNING, reason, text, part)
        elif reasons & THERMAL:
            builder.in_band(name)
    threshold = _("heat has slowed a GPU down in {percent:.0f} % of the last {minutes:.0f} minutes")
    return builder.build(threshold.format(percent=100 * share, minutes=length / 60))
