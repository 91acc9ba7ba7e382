"""Rules about what cannot be reached: the GPUs as a whole, a lost GPU, a driver that was replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.model import Finding, Limits, Severity, Snapshot, Terms, Verdict
from gpuwatch_tray.rules.devices import gpu_subject
from gpuwatch_tray.rules.scope import process_gaps

if TYPE_CHECKING:
    from collections.abc import Iterator

MONITOR_BLIND_RULE = "monitor_blind"
BLIND_POLLS = 3
BLIND_CRITICAL_AFTER = 600.0  # seconds


def judge_monitor_blind(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Warn when no good sample has come for max(BLIND_SEC, 3 polls); critical after 10 minutes.

    The subject is empty where nothing at all can be read (that alert mutes all others), and a GPU's UUID
    where only its processes cannot. Default 60 s. Two good samples end it. Source: Prometheus's `up` and
    Grafana's NoData.
    """
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
        yield Finding(
            MONITOR_BLIND_RULE, gpu_subject(gpu), Severity.WARNING, reason, text=gap[:1].upper() + gap[1:]
        )
