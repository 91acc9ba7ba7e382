"""Rules about what cannot be reached: the GPUs as a whole, a lost GPU, a driver that was replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.common.reading_gaps import process_gaps
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Finding, Limits, Severity, Snapshot, Terms, Verdict, gpu_subject, known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuwatch_tray.model import Gpu


MONITOR_BLIND_RULE = "monitor_blind"
BLIND_POLLS = 3
BLIND_CRITICAL_AFTER = 600.0  # seconds


def judge_monitor_blind(snapshot: Snapshot, limits: Limits) -> Verdict:
    """Warn when no good sample has come for max(BLIND_SEC, 3 polls); critical after 10 minutes."""
    # The subject is empty where nothing can be read, which mutes all others, and a GPU's UUID where only its
    # processes cannot. Source: Prometheus's `up` and Grafana's NoData.
    if limits.faults.blind_hold is None:
        return Verdict(MONITOR_BLIND_RULE)
    findings = tuple(_blind_findings(snapshot))
    return Verdict(
        MONITOR_BLIND_RULE,
        findings,
        value=findings[0].text if findings else _("the GPUs can be read"),
        threshold=_("the GPUs or their processes cannot be read"),
    )


def monitor_blind_terms(limits: Limits) -> Terms:
    """Return the terms, whose hold follows the interval: a slow poll must not look blind."""
    hold = max(limits.faults.blind_hold or 0.0, BLIND_POLLS * limits.poll)
    return Terms(hold=hold, hold_samples=2, clear_samples=2, critical_after=BLIND_CRITICAL_AFTER)


def _blind_findings(snapshot: Snapshot) -> Iterator[Finding]:
    if snapshot.problem is not None:
        reason = f"MONITOR_BLIND: {snapshot.problem}"
        text = _("The GPUs cannot be read: {problem}").format(problem=snapshot.problem)
        yield Finding(MONITOR_BLIND_RULE, "", Severity.WARNING, reason, text=text)
        return
    for gpu, gap in process_gaps(snapshot):
        reason = f"MONITOR_BLIND(GPU {gpu.index}): {gap}"
        yield Finding(MONITOR_BLIND_RULE, gpu_subject(gpu), Severity.WARNING, reason, text=_capitalised(gap))


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


DRIVER_MISMATCH_RULE = "driver_mismatch"


def judge_driver_mismatch(snapshot: Snapshot, limits: Limits) -> Verdict:
    """Warn that the driver's library and the kernel's part of it differ: a reboot is needed."""
    # Source: NVML_ERROR_LIB_RM_VERSION_MISMATCH in NVIDIA's nvml.h.
    if not limits.faults.mismatch:
        return Verdict(DRIVER_MISMATCH_RULE)
    threshold = _("the driver was replaced while running: its library and its kernel module differ")
    problem = snapshot.problem or snapshot.mismatch
    if problem is None:
        return Verdict(DRIVER_MISMATCH_RULE, value=_("the driver answers"), threshold=threshold)
    if not problem.mismatch:
        return Verdict(DRIVER_MISMATCH_RULE, unknown=str(problem), threshold=threshold)
    reason = f"DRIVER_MISMATCH: {problem}"
    finding = Finding(DRIVER_MISMATCH_RULE, "", Severity.WARNING, reason, text=_capitalised(str(problem)))
    return Verdict(DRIVER_MISMATCH_RULE, (finding,), value=finding.text, threshold=threshold)


GPU_LOST_RULE = "gpu_lost"


def judge_gpu_lost(snapshot: Snapshot, limits: Limits) -> Verdict:
    """Critical when a GPU as a whole cannot be read in 2 polls, be it lost or missing from the inventory."""
    # The subject is its UUID, never the index. Source: NVML_ERROR_GPU_IS_LOST in NVIDIA's nvml.h.
    if not limits.faults.lost:
        return Verdict(GPU_LOST_RULE)
    threshold = _("a GPU does not answer, or is missing")
    if snapshot.problem is not None:
        return Verdict(GPU_LOST_RULE, unknown=str(snapshot.problem), threshold=threshold)
    lost = [gpu for gpu in snapshot.gpus if gpu.problem is not None]
    findings = tuple(
        Finding(
            GPU_LOST_RULE,
            gpu_subject(gpu),
            Severity.CRITICAL,
            f"GPU_LOST(GPU {gpu.index}): {gpu.problem}",
            text=_lost_text(gpu),
        )
        for gpu in lost
    )
    whole = sum(1 for gpu in snapshot.gpus if not gpu.physical)
    value = _("{count} of {whole} GPUs answer").format(count=whole - len(lost), whole=whole)
    return Verdict(GPU_LOST_RULE, findings, value=value, threshold=threshold)


def _lost_text(gpu: Gpu) -> str:
    name = known(gpu.name) or gpu.uuid
    text = (
        _("GPU {index} ({name}) cannot be read: {problem}")
        if name
        else _("GPU {index} cannot be read: {problem}")
    )
    return text.format(index=gpu.index, name=name, problem=gpu.problem)
