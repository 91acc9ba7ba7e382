"""A GPU whose memory is nearly full."""

from __future__ import annotations

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import Limits, Severity, Snapshot, Terms, Verdict
from gpuwatch_tray.rules.devices import gpu_label, gpu_name
from gpuwatch_tray.rules.tally import VerdictBuilder

MEMORY_FULL_RULE = "memory_full"
MEMORY_FULL_CLEAR = 5  # % below the limit at which it is over
MEMORY_FULL_CLEAR_HOLD = 60.0  # seconds


def judge_memory_full(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Tell of each GPU with more than MEMORY_FULL_PCT of its memory in use for MEMORY_FULL_MIN minutes.

    Off by default, as frameworks reserve memory in advance; 95 % for 10 minutes is usual. It is over at 5 %
    less for a minute. Source: Netdata's dcgm.conf.
    """
    most = limits.use.memory_full
    if most is None:
        return Verdict(MEMORY_FULL_RULE)
    builder = VerdictBuilder(MEMORY_FULL_RULE, snapshot)
    for name, gpu in builder.devices():
        used = builder.read(gpu, N_("the memory in use"), gpu.memory_used, name)
        total = builder.read(gpu, N_("the memory in all"), gpu.memory_total, name)
        if used is None or not total:
            continue
        percent = 100 * used / total
        said = _("{gpu} is the fullest with {percent:.0f} %")
        builder.measure(percent, said.format(gpu=gpu_name(gpu), percent=percent))
        if percent > most:
            reason = f"MEMORY_FULL({gpu_label(gpu)}: {percent:.0f}%) > LIMIT({most}%)"
            text = _("The memory of {gpu} is {percent:.0f} % full, the limit is {limit} %").format(
                gpu=gpu_name(gpu), percent=percent, limit=most
            )
            builder.fire(name, Severity.INFO, reason, text, percent)
        elif percent > most - MEMORY_FULL_CLEAR:
            builder.in_band(name)
    return builder.build(_("more than {percent} % of a GPU's memory is in use").format(percent=most))


def memory_full_terms(limits: Limits) -> Terms:
    """For MEMORY_FULL_MIN minutes."""
    return Terms(hold=limits.use.memory_full_hold, clear=MEMORY_FULL_CLEAR_HOLD)
