"""A GPU that lowers its clocks again and again because it is hot."""

from __future__ import annotations

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import Limits, Severity, Snapshot, Terms, Verdict
from gpuwatch_tray.rules.devices import gpu_label, gpu_name
from gpuwatch_tray.rules.memory import THERMAL, BoardHistory, RuleHistory, throttle_window
from gpuwatch_tray.rules.tally import VerdictBuilder

THERMAL_THROTTLE_RULE = "thermal_throttle"
THERMAL_THROTTLE_TERMS = Terms(clear=10 * 60.0)


def judge_thermal_throttle(snapshot: Snapshot, limits: Limits, history: RuleHistory) -> Verdict:
    """
    Warn of each GPU that was throttled by heat in THROTTLE_PCT of the last 5 minutes (or 6 polls).

    Default 50 %, without a further hold; time that nobody looked at is time without throttling. It is over
    when there has been none for 10 minutes. NVML's clock event reasons 0x20 (software) and 0x40 (hardware
    thermal slowdown). Source: NVIDIA's nvml.h, public DCGM rules.
    """
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
        said = _("{gpu} was throttled by heat in {percent} % of the last minutes")
        builder.measure(part, said.format(gpu=gpu_name(gpu), percent=percent))
        if part >= share:
            reason = f"THERMAL_THROTTLE({gpu_label(gpu)}: {percent}%) >= LIMIT({share:.0%})"
            text = _("{gpu} was slowed down by heat in {percent} % of the last {minutes:.0f} minutes").format(
                gpu=gpu_name(gpu), percent=percent, minutes=length / 60
            )
            builder.fire(name, Severity.WARNING, reason, text, part)
        elif reasons & THERMAL:
            builder.in_band(name)
    threshold = _("heat has slowed a GPU down in {share:.0%} of the last {minutes:.0f} minutes")
    return builder.build(threshold.format(share=share, minutes=length / 60))
