"""A GPU that was there and is not, or that fell off the bus."""

from __future__ import annotations

from gpuwatch_tray.language import _
from gpuwatch_tray.model import Finding, Limits, Severity, Snapshot, Terms, Verdict, known

GPU_LOST_RULE = "gpu_lost"
GPU_LOST_TERMS = Terms(hold_samples=2, clear=120.0, clear_samples=2)


def judge_gpu_lost(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Critical when a GPU as a whole cannot be read in 2 polls, be it lost or missing from the inventory.

    The subject is its UUID, never the index. It is over when the GPU has been healthy for 2 minutes. A
    reading that failed as a whole says nothing of any GPU. Switched by GPU_LOST; it has no unit. Source:
    NVML_ERROR_GPU_IS_LOST in NVIDIA's nvml.h.
    """
    if not limits.faults.lost:
        return Verdict(GPU_LOST_RULE)
    threshold = _("a GPU does not answer, or is missing")
    if snapshot.problem is not None:
        return Verdict(GPU_LOST_RULE, unknown=str(snapshot.problem), threshold=threshold)
    lost = [gpu for gpu in snapshot.gpus if gpu.problem is not None]
    findings = tuple(
        Finding(
            GPU_LOST_RULE,
            gpu.uuid or str(gpu.index),
            Severity.CRITICAL,
            f"GPU_LOST(GPU {gpu.index}): {gpu.problem}",
            text=_("GPU {index} ({name}) cannot be read: {problem}").format(
                index=gpu.index, name=known(gpu.name) or gpu.uuid, problem=gpu.problem
            ),
        )
        for gpu in lost
    )
    whole = sum(1 for gpu in snapshot.gpus if not gpu.physical)
    value = _("{count} of {whole} GPUs answer").format(count=whole - len(lost), whole=whole)
    return Verdict(GPU_LOST_RULE, findings, value=value, threshold=threshold)
