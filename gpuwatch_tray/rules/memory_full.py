"""A GPU whose memory is nearly full."""

from __future__ import annotations

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import Limits, Severity, Snapshot, Terms, Verdict
from gpuwatch_tray.rules.devices import label, named
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
        used = tally.value(gpu, N_("the memory in use"), gpu.memory_used, name)
        total = tally.value(gpu, N_("the memory in all"), gpu.memory_total, name)
        if used is None or not total:
            continue
        percent = 100 * used / total
        said = _("{gpu} is the fullest with {percent:.0f} %")
        tally.measured(percent, said.format(gpu=named(gpu), percent=percent))
        if percent > most:
            reason = f"MEMORY_FULL({label(gpu)}: {percent:.0f}%) > LIMIT({most}%)"
            text = _("The memory of {gpu} is {percent:.0f} % full, the limit is {limit} %").format(
                gpu=named(gpu), percent=percent, limit=most
            )
            tally.found(name, Severity.INFO, reason, text, percent)
        elif percent > most - CLEAR:
            tally.between(name)
    return tally.verdict(_("more than {percent} % of a GPU's memory is in use").format(percent=most))


def memory_full_terms(limits: Limits) -> Terms:
    """For MEMORY_FULL_MIN minutes."""
    return Terms(hold=limits.use.memory_full_hold, clear=CLEAR_HOLD)
