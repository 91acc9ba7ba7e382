"""A GPU whose memory is nearly full."""

from __future__ import annotations

from gpuwatch_tray.model import Limits, Severity, Snapshot, Terms, Verdict
from gpuwatch_tray.rules.devices import label
from gpuwatch_tray.rules.tally import Tally

NAME = "memory_full"
CLEAR = 5  # % below the limit at which it is over
CLEAR_HOLD = 60.0  # seconds


def memory_full(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Tell of each GPU with more than MEMORY_FULL_PCT of its memory in use for MEMORY_FULL_MIN minutes.

    Off by default, as frameworks reserve memory in advance; 95 % for 10 minutes is usual. It is over at 5 %
    less for a minute. Source: Netdata's dcgm.conf.
    """
    most = limits.use.memory_full
    if most is None:
        return Verdict(NAME)
    tally = Tally(NAME, snapshot)
    for name, gpu in tally.devices():
        used = tally.value(gpu, "the memory in use", gpu.memory_used, name)
        total = tally.value(gpu, "the memory in all", gpu.memory_total, name)
        if used is None or not total:
            continue
        percent = 100 * used / total
        tally.measured(percent, f"{label(gpu)} is the fullest with {percent:.0f} %")
        if percent > most:
            reason = f"MEMORY_FULL({label(gpu)}: {percent:.0f}%) > LIMIT({most}%)"
            text = f"The memory of {label(gpu)} is {percent:.0f} % full, the limit is {most} %"
            tally.found(name, Severity.INFO, reason, text, percent)
        elif percent > most - CLEAR:
            tally.between(name)
    return tally.verdict(f"more than {most} % of a GPU's memory is in use")


def memory_full_terms(limits: Limits) -> Terms:
    """For MEMORY_FULL_MIN minutes."""
    return Terms(hold=limits.use.memory_full_hold, clear=CLEAR_HOLD)
