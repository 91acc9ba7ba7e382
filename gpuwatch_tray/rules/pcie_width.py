"""A GPU that uses fewer PCIe lanes than it could."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import Limits, Severity, Snapshot, Terms, Verdict
from gpuwatch_tray.rules.devices import gpu_label, gpu_name, gpu_subject
from gpuwatch_tray.rules.tally import VerdictBuilder

if TYPE_CHECKING:
    from gpuwatch_tray.model import Gpu
    from gpuwatch_tray.rules.memory import RuleHistory

PCIE_WIDTH_RULE = "pcie_width"
PCIE_WIDTH_CLEAR = 60.0  # seconds
PCIE_REST = 60.0  # seconds of idleness after which a GPU may have let lanes go


def judge_pcie_width(snapshot: Snapshot, limits: Limits, history: RuleHistory) -> Verdict:
    """
    Warn of each GPU that has used fewer lanes than it and its slot can, for PCIE_WIDTH_MIN minutes of work.

    Default 5 minutes; over at full width for a minute. A GPU without a process, or idle for a minute, is not
    judged: it may have let lanes go to save power. Source: NVIDIA's nvml.h, public DCGM rules.
    """
    if limits.faults.pcie_hold is None:
        return Verdict(PCIE_WIDTH_RULE)
    builder = VerdictBuilder(PCIE_WIDTH_RULE, snapshot)
    for name, gpu in builder.boards():
        width = builder.read(gpu, N_("the PCIe lanes"), gpu.pcie_width, name)
        most = builder.read(gpu, N_("the PCIe lanes"), gpu.pcie_width_most, name)
        if width is None or most is None:
            continue
        said = _("{gpu} uses {width} of {most} lanes")
        builder.measure(most - width, said.format(gpu=gpu_name(gpu), width=width, most=most))
        if width >= most:
            continue
        if history.idle_for(gpu_subject(gpu)) < PCIE_REST and _computes_on(gpu, snapshot):
            reason = f"PCIE_WIDTH({gpu_label(gpu)}: x{width}) < MAXIMUM(x{most})"
            text = _("{gpu} uses {width} of its {most} PCIe lanes: is it well seated?").format(
                gpu=gpu_name(gpu), width=width, most=most
            )
            builder.fire(name, Severity.WARNING, reason, text, most - width)
        else:
            builder.in_band(name)
    return builder.build(_("a GPU at work uses fewer PCIe lanes than it could"))


def pcie_width_terms(limits: Limits) -> Terms:
    """For PCIE_WIDTH_MIN minutes."""
    return Terms(hold=limits.faults.pcie_hold or 0.0, hold_samples=2, clear=PCIE_WIDTH_CLEAR)


def _computes_on(gpu: Gpu, snapshot: Snapshot) -> bool:
    """Whether a process computes on it, or on a MIG device of it."""
    return any(process.computes and process.gpu == gpu.index for process in snapshot.processes)
