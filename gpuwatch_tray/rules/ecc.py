"""Errors in a GPU's memory."""

from __future__ import annotations

from gpuwatch_tray.language import N_, _, ngettext
from gpuwatch_tray.model import Limits, Severity, Snapshot, Terms, Verdict
from gpuwatch_tray.rules.devices import gpu_label, gpu_name, physical_gpus
from gpuwatch_tray.rules.memory import ECC_WINDOW, BoardHistory, RuleHistory
from gpuwatch_tray.rules.tally import VerdictBuilder

ECC_RULE = "ecc"
ECC_TERMS = Terms(clear=10 * 60.0)
ECC_CLEAR = 0.5  # of the limit, at which it is over


def judge_ecc(snapshot: Snapshot, limits: Limits, history: RuleHistory) -> Verdict:
    """
    Critical at each memory error more that could not be corrected; warn at ECC_CORRECTED corrected ones.

    Default 100 errors in 10 minutes. The first is an event: it is over when acknowledged, or after 24 hours
    without another; the second is over at half as many for 10 minutes. A counter that goes back was reset.
    Switched as a whole by ECC. Source: NVIDIA's GPU memory error management, public DCGM rules.
    """
    if not limits.faults.ecc:
        return Verdict(ECC_RULE)
    builder = VerdictBuilder(ECC_RULE, snapshot)
    most = limits.faults.ecc_corrected
    gpus = dict(physical_gpus(snapshot))
    for name, event in history.events.items():
        if "/" not in name:
            board = gpus.get(name)
            where = name if board is None else gpu_label(board)
            text = ngettext(
                "A memory error that could not be corrected on {gpu}",
                "{count} memory errors that could not be corrected on {gpu}",
                event.count,
            ).format(count=event.count, gpu=where if board is None else gpu_name(board))
            reason = f"ECC({where}: {event.count} UNCORRECTED)"
            builder.fire(name, Severity.CRITICAL, reason, text, event.count)
    for name, gpu in builder.boards(lasting=True):
        # Not held: where ECC was switched off, an event that was acknowledged is over all the same.
        what = N_("the uncorrected memory errors")
        if builder.read(gpu, what, gpu.ecc_uncorrected, name, held=False) is not None:
            builder.measure(-1.0, _("no uncorrected error more"))
        what = N_("the corrected memory errors")
        if most is None or builder.read(gpu, what, gpu.ecc_corrected, name, held=False) is None:
            continue
        errors = int(history.boards.get(name, BoardHistory()).errors.total(history.clock, ECC_WINDOW))
        said = ngettext(
            "{count} corrected error on {gpu} in 10 min",
            "{count} corrected errors on {gpu} in 10 min",
            errors,
        )
        builder.measure(errors, said.format(count=errors, gpu=gpu_name(gpu)))
        if errors >= most:
            reason = f"ECC({gpu_label(gpu)}: {errors} CORRECTED in 10 min) >= LIMIT({most})"
            text = ngettext(
                "{count} memory error was corrected on {gpu} in 10 minutes, the limit is {limit}",
                "{count} memory errors were corrected on {gpu} in 10 minutes, the limit is {limit}",
                errors,
            ).format(count=errors, gpu=gpu_name(gpu), limit=most)
            builder.fire(name, Severity.WARNING, reason, text, errors)
        elif errors > ECC_CLEAR * most:
            builder.in_band(name)
    if most is None:
        return builder.build(_("a memory error cannot be corrected"))
    return builder.build(
        _("a memory error cannot be corrected, or {count} are within 10 min").format(count=most)
    )
