"""Errors in a GPU's memory."""

from __future__ import annotations

from gpuwatch_tray.language import N_, _, ngettext
from gpuwatch_tray.model import Limits, Severity, Snapshot, Terms, Verdict
from gpuwatch_tray.rules.devices import boards, label, named
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
    gpus = dict(boards(snapshot))
    for name, event in memory.events.items():
        if "/" not in name:
            board = gpus.get(name)
            where = name if board is None else label(board)
            text = ngettext(
                "A memory error that could not be corrected on {gpu}",
                "{count} memory errors that could not be corrected on {gpu}",
                event.count,
            ).format(count=event.count, gpu=where if board is None else named(board))
            reason = f"ECC({where}: {event.count} UNCORRECTED)"
            tally.found(name, Severity.CRITICAL, reason, text, event.count)
    for name, gpu in tally.boards(lasting=True):
        # Not held: where ECC was switched off, an event that was acknowledged is over all the same.
        what = N_("the uncorrected memory errors")
        if tally.value(gpu, what, gpu.ecc_uncorrected, name, held=False) is not None:
            tally.measured(-1.0, _("no uncorrected error more"))
        what = N_("the corrected memory errors")
        if most is None or tally.value(gpu, what, gpu.ecc_corrected, name, held=False) is None:
            continue
        errors = int(memory.boards.get(name, Board()).errors.total(memory.clock, ECC_WINDOW))
        said = ngettext(
            "{count} corrected error on {gpu} in 10 min",
            "{count} corrected errors on {gpu} in 10 min",
            errors,
        )
        tally.measured(errors, said.format(count=errors, gpu=named(gpu)))
        if errors >= most:
            reason = f"ECC({label(gpu)}: {errors} CORRECTED in 10 min) >= LIMIT({most})"
            text = ngettext(
                "{count} memory error was corrected on {gpu} in 10 minutes, the limit is {limit}",
                "{count} memory errors were corrected on {gpu} in 10 minutes, the limit is {limit}",
                errors,
            ).format(count=errors, gpu=named(gpu), limit=most)
            tally.found(name, Severity.WARNING, reason, text, errors)
        elif errors > CLEAR * most:
            tally.between(name)
    if most is None:
        return tally.verdict(_("a memory error cannot be corrected"))
    return tally.verdict(
        _("a memory error cannot be corrected, or {count} are within 10 min").format(count=most)
    )
