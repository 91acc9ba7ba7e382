"""Rules about heat: temperature, throttling, clocks that the hardware keeps down, and fans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import Auto, Gpu, Limits, Missing, Severity, Snapshot, Terms, Verdict, known
from gpuwatch_tray.rules.devices import gpu_label, gpu_name
from gpuwatch_tray.rules.tally import VerdictBuilder

if TYPE_CHECKING:
    from collections.abc import Callable

TEMPERATURE_RULE, CRITICAL_RULE = "temperature", "temperature_critical"
WARN_AT, WARN_BELOW = 85, 5  # degrees C; degrees below the GPU's own slowdown temperature
CRITICAL_AT, CRITICAL_BELOW = 90, 3
TEMPERATURE_CLEAR = 5  # degrees below the limit at which it is over
TEMPERATURE_CLEAR_HOLD = 3 * 60.0  # seconds


def judge_temperature(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Warn of each GPU that has been at TEMP_LIMIT_C or above for TEMP_MIN minutes.

    `auto`, the default, is 85 degrees C, or 5 below the GPU's slowdown temperature where that is lower; for
    5 minutes. It is over at 5 degrees less for 3 minutes. Source: Netdata's dcgm.conf, public DCGM rules.
    """
    at = limits.heat.warn_at
    if at is None:
        return Verdict(TEMPERATURE_RULE)

    def limit(gpu: Gpu) -> int:
        return warning_at(known(gpu.slowdown_at), at)

    said = _("a GPU reaches {degrees} °C").format(degrees=at)
    if at is Auto.AUTO:
        said = _(
            "a GPU reaches its limit ({at} °C,"
            " or {below} °C below the temperature at which it slows itself down)"
        ).format(at=WARN_AT, below=WARN_BELOW)
    return _judge_temperature(VerdictBuilder(TEMPERATURE_RULE, snapshot), limit, Severity.WARNING, said)


def warning_at(slowdown_at: int | None, limit: int | Auto) -> int:
    """Return the temperature (degrees C) at which `temperature` warns of a GPU."""
    if not isinstance(limit, Auto):
        return limit
    return WARN_AT if slowdown_at is None else min(WARN_AT, slowdown_at - WARN_BELOW)


def temperature_terms(limits: Limits) -> Terms:
    """For TEMP_MIN minutes."""
    return Terms(hold=limits.heat.warn_hold, clear=TEMPERATURE_CLEAR_HOLD)


def judge_temperature_critical(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Critical: a GPU has been at TEMP_CRITICAL_C or above for TEMP_CRITICAL_MIN minutes.

    `auto`, the default, is 3 degrees below the GPU's slowdown temperature, where it tells that, else 90
    degrees C; for 1 minute. It is over at 5 degrees less for 3 minutes. Source: as for `temperature`.
    """
    at = limits.heat.critical_at

    def limit(gpu: Gpu) -> int:
        if not isinstance(at, int):
            own = gpu.slowdown_at
            return CRITICAL_AT if isinstance(own, Missing) else own - CRITICAL_BELOW
        return at

    said = _("a GPU reaches {degrees} °C").format(degrees=at)
    if at is Auto.AUTO:
        said = _(
            "a GPU reaches its limit ({below} °C below the temperature at which it slows itself down,"
            " else {at} °C)"
        ).format(at=CRITICAL_AT, below=CRITICAL_BELOW)
    return (
        Verdict(CRITICAL_RULE)
        if at is None
        else _judge_temperature(VerdictBuilder(CRITICAL_RULE, snapshot), limit, Severity.CRITICAL, said)
    )


def temperature_critical_terms(limits: Limits) -> Terms:
    """For TEMP_CRITICAL_MIN minutes."""
    return Terms(hold=limits.heat.critical_hold, clear=TEMPERATURE_CLEAR_HOLD)


def _judge_temperature(
    builder: VerdictBuilder, limit: Callable[[Gpu], int], severity: Severity, threshold: str
) -> Verdict:
    for name, gpu in builder.boards():
        degrees = builder.read(gpu, N_("the temperature"), gpu.temperature, name)
        if degrees is None:
            continue
        most = limit(gpu)
        said = _("{gpu} is the hottest with {degrees} °C")
        builder.measure(degrees, said.format(gpu=gpu_name(gpu), degrees=degrees))
        line = _("{gpu}: {degrees} °C, fires at {limit} °C, over at {clear} °C")
        builder.add_gpu_line(
            line.format(gpu=gpu_name(gpu), degrees=degrees, limit=most, clear=most - TEMPERATURE_CLEAR)
        )
        if degrees >= most:
            reason = f"{builder.rule.upper()}({gpu_label(gpu)}: {degrees}C) >= LIMIT({most}C)"
            text = _("{gpu} is at {degrees} °C, the limit is {limit} °C").format(
                gpu=gpu_name(gpu), degrees=degrees, limit=most
            )
            builder.fire(name, severity, reason, text, degrees)
        elif degrees > most - TEMPERATURE_CLEAR:
            builder.in_band(name)
    return builder.build(threshold)
