"""Memory rows that are worn: to be replaced at the next reset, or past replacing."""

from __future__ import annotations

from gpuwatch_tray.language import N_, _, ngettext
from gpuwatch_tray.model import Limits, Severity, Snapshot, Verdict
from gpuwatch_tray.rules.devices import gpu_label, gpu_name
from gpuwatch_tray.rules.tally import VerdictBuilder

ROW_REMAP_RULE = "row_remap"


def judge_row_remap(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Critical when memory rows could not be remapped; a warning while some wait for the next reset.

    Without a hold; over with a reset of the GPU, as a rule. Switched by ROW_REMAP; it has no unit. Source:
    NVIDIA's GPU memory error management, public DCGM rules.
    """
    if not limits.faults.row_remap:
        return Verdict(ROW_REMAP_RULE)
    builder = VerdictBuilder(ROW_REMAP_RULE, snapshot)
    worn = 0
    for name, gpu in builder.boards(lasting=True):
        failed = builder.read(gpu, N_("the state of the memory rows"), gpu.rows_failed, name)
        pending = builder.read(gpu, N_("the state of the memory rows"), gpu.rows_pending, name)
        if failed:
            text = _("{gpu} has memory rows that could not be remapped: it should be replaced")
            text = text.format(gpu=gpu_name(gpu))
            builder.fire(name, Severity.CRITICAL, f"ROW_REMAP({gpu_label(gpu)}: failed)", text, 2)
        elif pending:
            text = _("{gpu} will remap worn memory rows at its next reset: reset it when it is idle")
            text = text.format(gpu=gpu_name(gpu))
            builder.fire(name, Severity.WARNING, f"ROW_REMAP({gpu_label(gpu)}: pending)", text, 1)
        elif failed is None and pending is None:
            continue
        worn += bool(failed or pending)
        said = _("no GPU has worn memory rows")
        if worn:
            said = ngettext("{count} GPU has worn memory rows", "{count} GPUs have worn memory rows", worn)
        builder.measure(worn, said.format(count=worn))
    return builder.build(_("worn memory rows wait to be replaced, or could not be"))
