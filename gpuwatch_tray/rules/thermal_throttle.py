"""A GPU that lowers its clocks again and again because it is hot."""

from __future__ import annotations

from gpuwatch_tray.model import Limits, Severity, Snapshot, Terms, Verdict
from gpuwatch_tray.rules.devices import label
from gpuwatch_tray.rules.memory import THERMAL, Board, Memory, throttle_window
from gpuwatch_tray.rules.tally import Tally

NAME = "thermal_throttle"
TERMS = Terms(clear=10 * 60.0)


def thermal_throttle(snapshot: Snapshot, limits: Limits, memory: Memory) -> Verdict:
    """
    Warn of each GPU that was throttled by heat in THROTTLE_PCT of the last 5 minutes (or 6 polls).

    Default 50 %, without a further hold; time that nobody looked at is time without throttling. It is over
    when there has been none for 10 minutes. NVML's clock event reasons 0x20 (software) and 0x40 (hardware
    thermal slowdown). Source: NVIDIA's nvml.h, public DCGM rules.
    """
    share = limits.heat.throttle_share
    if share is None:
        return Verdict(NAME)
    tally = Tally(NAME, snapshot)
    length = throttle_window(limits)
    for name, gpu in tally.boards():
        reasons = tally.value(gpu, "the limit on the clocks", gpu.limited_by, name)
        if reasons is None:
            continue
        part = memory.boards.get(name, Board()).throttled.total(memory.clock, length) / length
        percent = min(100, round(100 * part))
        tally.measured(part, f"{label(gpu)} was throttled by heat in {percent} % of the last minutes")
        if part >= share:
            reason = f"THERMAL_THROTTLE({label(gpu)}: {percent}%) >= LIMIT({share:.0%})"
            text = (
                f"{label(gpu)} was slowed down by heat in {percent} % of the last {length / 60:.0f} minutes"
            )
            tally.found(name, Severity.WARNING, reason, text, part)
        elif reasons & THERMAL:
            tally.between(name)
    return tally.verdict(f"heat has slowed a GPU down in {share:.0%} of the last {length / 60:.0f} minutes")
