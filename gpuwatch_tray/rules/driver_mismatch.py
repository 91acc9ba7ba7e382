"""The driver was replaced while it runs."""

from __future__ import annotations

from gpuwatch_tray.language import _
from gpuwatch_tray.model import Finding, Limits, Severity, Snapshot, Verdict

DRIVER_MISMATCH_RULE = "driver_mismatch"


def judge_driver_mismatch(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Warn that the driver's library and the kernel's part of it differ: a reboot is needed.

    Without a hold and without a unit; over when the driver answers again, and fits. Switched by
    DRIVER_MISMATCH. The subject is empty. Source: NVML_ERROR_LIB_RM_VERSION_MISMATCH in NVIDIA's nvml.h.
    """
    if not limits.faults.mismatch:
        return Verdict(DRIVER_MISMATCH_RULE)
    threshold = _("the driver was replaced while it runs: its library and its part of the kernel differ")
    problem = snapshot.problem or snapshot.mismatch
    if problem is None:
        return Verdict(DRIVER_MISMATCH_RULE, value=_("the driver answers"), threshold=threshold)
    if not problem.mismatch:
        return Verdict(DRIVER_MISMATCH_RULE, unknown=str(problem), threshold=threshold)
    reason = f"DRIVER_MISMATCH: {problem}"
    text = str(problem)
    finding = Finding(DRIVER_MISMATCH_RULE, "", Severity.WARNING, reason, text=text[:1].upper() + text[1:])
    return Verdict(DRIVER_MISMATCH_RULE, (finding,), value=finding.text, threshold=threshold)
