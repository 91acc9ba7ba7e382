"""Errors in a GPU's memory."""

from __future__ import annotations

from gpuwatch_tray.model import Limits, Severity, Snapshot, Terms, Verdict
from gpuwatch_tray.rules.devices import boards, label
from gpuwatch_tray.rules.memory import ECC_WINDOW, Board, Memory
from gpuwatch_tray.rules.tally import Tally

NAME = "ecc"
TERMS = Terms(clear=10 * 60.0)
CLEAR = 0.5  # of the limit, at which it is over


def ecc(snapshot: Snapshot, limits: Limits, memory: Memory) -> Verdict:
    """
    Critical at each memory error more that could not be corrected; warn at ECC_CORRECTED corrected ones.

    Default 100 errors in 10 minutes. The first is an event: it is over when acknowledged, or after 24 hours
    without another; the second is over at half as many for 10 minutes. A counter that goes back was reset.
    Switched as a whole by ECC. Source: NVIDIA's GPU memory error management, public DCGM rules.
    """
    if not limits.faults.ecc:
        return Verdict(NAME)
    tally = Tally(NAME, snapshot)
    most = limits.faults.ecc_corrected
    labels = {name: label(gpu) for name, gpu in boards(snapshot)}
    for name, event in memory.events.items():
        if "/" not in name:
            often = "A memory error" if event.count == 1 else f"{event.count} memory errors"
            where = labels.get(name, f"GPU {name}")
            text = f"{often} that could not be corrected on {where}"
            reason = f"ECC({where}: {event.count} UNCORRECTED)"
            tally.found(name, Severity.CRITICAL, reason, text, event.count)
    for name, gpu in tally.boards(lasting=True):
        if tally.value(gpu, "the uncorrected memory errors", gpu.ecc_uncorrected, name) is not None:
            tally.measured(-1.0, "no uncorrected error more")
        if most is None or tally.value(gpu, "the corrected memory errors", gpu.ecc_corrected, name) is None:
            continue
        errors = int(memory.boards.get(name, Board()).errors.total(memory.clock, ECC_WINDOW))
        tally.measured(errors, f"{errors} corrected errors on {label(gpu)} in 10 min")
        if errors >= most:
            reason = f"ECC({label(gpu)}: {errors} CORRECTED in 10 min) >= LIMIT({most})"
            text = f"{errors} memory errors were corrected on {label(gpu)} in 10 minutes, the limit is {most}"
            tally.found(name, Severity.WARNING, reason, text, errors)
        elif errors > CLEAR * most:
            tally.between(name)
    fires = "a memory error cannot be corrected" + ("" if most is None else f", or {most} are within 10 min")
    return tally.verdict(fires)
