"""Clocks that something keeps down: the hardware in distress, or the power limit."""

from __future__ import annotations

from gpuwatch_tray.language import N_, _, ngettext
from gpuwatch_tray.model import ClockLimit, Limits, Severity, Snapshot, Terms, Verdict
from gpuwatch_tray.rules.devices import gpu_label, gpu_name
from gpuwatch_tray.rules.tally import VerdictBuilder

HW_SLOWDOWN_RULE, POWER_CAP_RULE = "hw_slowdown", "power_cap"
SLOWED = ClockLimit.HW_SLOWDOWN | ClockLimit.HW_POWER_BRAKE
CLOCKS_CLEAR = 60.0  # seconds


def judge_hw_slowdown(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Warn of each GPU whose hardware has slowed it down for HW_SLOWDOWN_MIN minutes.

    Default 1 minute: the bit also blips when the GPU changes its state. It is over when there was none for a
    minute. NVML's clock event reasons 0x08 (slowdown) and 0x80 (power brake). Source: NVIDIA's nvml.h.
    """
    if limits.heat.slowdown_hold is None:
        return Verdict(HW_SLOWDOWN_RULE)
    texts = (
        _("{gpu} is slowed down by its hardware (heat, its power supply, or the mains)"),
        _("a GPU is slowed down by its hardware (heat, its power supply, or the mains)"),
    )
    return _judge_clock_limit(VerdictBuilder(HW_SLOWDOWN_RULE, snapshot), SLOWED, Severity.WARNING, texts)


def hw_slowdown_terms(limits: Limits) -> Terms:
    """For HW_SLOWDOWN_MIN minutes."""
    return Terms(hold=limits.heat.slowdown_hold or 0.0, clear=CLOCKS_CLEAR)


def judge_power_cap(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Tell of each GPU that its power limit has kept down for POWER_CAP_MIN minutes.

    Off by default: under load that is normal. It is over when there was none for a minute. NVML's clock event
    reason 0x04. Source: NVIDIA's nvml.h.
    """
    if limits.heat.power_cap_hold is None:
        return Verdict(POWER_CAP_RULE)
    texts = _("{gpu} is kept down by its power limit"), _("a GPU is kept down by its power limit")
    return _judge_clock_limit(
        VerdictBuilder(POWER_CAP_RULE, snapshot), ClockLimit.POWER_CAP, Severity.INFO, texts
    )


def power_cap_terms(limits: Limits) -> Terms:
    """For POWER_CAP_MIN minutes."""
    return Terms(hold=limits.heat.power_cap_hold or 0.0, clear=CLOCKS_CLEAR)


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
        said = _("no GPU is kept down so")
        if limited:
            said = ngettext("{count} GPU is kept down so", "{count} GPUs are kept down so", limited)
        builder.measure(limited, said.format(count=limited))
    return builder.build(threshold)
