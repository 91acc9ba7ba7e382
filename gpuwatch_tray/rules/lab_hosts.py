"""
The rules about GPUs, those of `rules.RULES`, over the hosts of a lab: pure.

A host is judged here whose GPUs are known in detail, as by ssh. Of the others counts are judged, and what
their own rules have found is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.common.text import listed
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import SAME_START, Finding, HostState, Missing, Severity, Verdict
from gpuwatch_tray.model.units import duration
from gpuwatch_tray.rules import RULES
from gpuwatch_tray.rules.every_rule import rule_title
from gpuwatch_tray.rules.lab_rules import host_prefix, left_open

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuwatch_tray.model import HostView
    from gpuwatch_tray.rules.lab_rules import LabFacts


COUNTED = frozenset({"gpu_limit", "max_etime", "gpu_lost"})  # judged here from counts, not as the host has it
OF_ITSELF = "monitor_blind"  # the host's rule that the lab's `host_blind` stands for


def judge_counts(facts: LabFacts) -> dict[str, Verdict]:
    """Judge the hosts of which counts are known and no details, as a Prometheus tells them."""
    found: dict[str, list[Finding]] = {}
    open_: dict[str, list[str]] = {}
    band: dict[str, set[str]] = {}
    for host in facts.view.hosts:
        if host.state is not HostState.OK or host.detail is not None:
            continue
        for rule, finding in _by_counts(host, facts):
            if finding is None:
                open_.setdefault(rule, []).append(host.name)
            else:
                found.setdefault(rule, []).append(finding)
        if isinstance(host.firing, Missing):
            for rule in RULES.keys() - COUNTED:
                open_.setdefault(rule, []).append(host.name)
            continue
        for alert in host.firing:
            if alert.rule in COUNTED or alert.rule == OF_ITSELF:
                continue
            subject = f"{host_prefix(host.name)}{alert.gpu}"
            if not facts.concerns(host.name):
                band.setdefault(alert.rule, set()).add(subject)
                continue
            where = _("{host}, GPU {gpu}") if alert.gpu else "{host}"
            where = where.format(host=host.name, gpu=alert.gpu)
            text = _("{host}: {what}").format(host=where, what=rule_title(alert.rule))
            found.setdefault(alert.rule, []).append(
                Finding(alert.rule, subject, alert.severity, f"{alert.rule.upper()}: {text}", text=text)
            )
    return {
        rule: Verdict(
            rule,
            tuple(found.get(rule, ())),
            _("not known on {hosts}").format(hosts=listed(open_[rule])) if rule in open_ else None,
            tuple(host_prefix(name) for name in open_.get(rule, ())) or ("",),
            frozenset(band.get(rule, ())),
        )
        for rule in {*found, *open_, *band}
    }


def _by_counts(host: HostView, facts: LabFacts) -> Iterable[tuple[str, Finding | None]]:
    """Yield what the counts of a host say, None for a rule that they leave open."""
    limits, prefix = facts.limits, host_prefix(host.name)
    if limits.gpu_limit is not None:
        if isinstance(host.mine, Missing):
            yield "gpu_limit", None
        elif host.mine > limits.gpu_limit:
            reason = f"GPU_LIMIT({host.name}): gpu_count={host.mine} > {limits.gpu_limit}"
            text = _("{host}: your processes are on {count} GPUs, more than {limit}")
            text = text.format(host=host.name, count=host.mine, limit=limits.gpu_limit)
            yield "gpu_limit", Finding("gpu_limit", prefix, Severity.WARNING, reason, float(host.mine), text)
    yield from _by_age(host, facts)
    if limits.faults.lost:
        if isinstance(host.gpus, Missing) or isinstance(host.expected, Missing):
            yield "gpu_lost", None
        elif host.gpus < host.expected:
            text = _("{host}: {count} of {whole} GPUs answer")
            text = text.format(host=host.name, count=host.gpus, whole=host.expected)
            reason = f"GPU_LOST({host.name}): {host.gpus} of {host.expected}"
            yield "gpu_lost", Finding("gpu_lost", prefix, Severity.CRITICAL, reason, text=text)


def _by_age(host: HostView, facts: LabFacts) -> Iterable[tuple[str, Finding | None]]:
    """Yield what the age of one's oldest process says, by the host's own clock."""
    limit, start = facts.limits.max_etime, host.oldest_start
    if limit is None:
        return
    if isinstance(host.mine, Missing) or (host.mine and isinstance(start, Missing)):
        yield "max_etime", None
    elif host.mine and not isinstance(start, Missing):
        ran = facts.view.at + (0.0 if isinstance(host.clock, Missing) else host.clock) - start
        if ran > limit:
            reason = f"MAX_ETIME({ran:.0f}s) > LIMIT({limit}s) :: HOST={host.name}"
            text = _("{host}: a process of yours has run for {span}")
            text = text.format(host=host.name, span=duration(ran))
            prefix = host_prefix(host.name)
            subject = f"{prefix}{_first_told(prefix, start, facts):.0f}"
            yield "max_etime", Finding("max_etime", subject, Severity.WARNING, reason, ran, text)


def _first_told(prefix: str, start: float, facts: LabFacts) -> float:
    """
    Return a start as it was told first, while it is of the same process.

    A host works it out anew from its clock when what tells it is started: it may be a second off then.
    """
    before = facts.history.starts.get(prefix)
    return start if before is None or abs(start - before) > SAME_START else before


def oldest_starts(facts: LabFacts) -> dict[str, float]:
    """Return by the host's prefix when one's oldest process began; of a host that is not well, as before."""
    kept = dict(facts.history.starts)
    for host in facts.view.hosts:
        prefix = host_prefix(host.name)
        if host.mine == 0:
            kept.pop(prefix, None)
        elif not isinstance(host.oldest_start, Missing):
            kept[prefix] = _first_told(prefix, host.oldest_start, facts)
    return kept


def of_host(host: str, verdict: Verdict, *, told: bool) -> Verdict:
    """Return the verdict of one host's snapshot as one about the lab; what is not `told` only goes on."""
    prefix = host_prefix(host)
    findings = tuple(
        replace(
            finding,
            subject=prefix + finding.subject,
            reason=f"{host}: {finding.reason}",
            text=_("{host}: {what}").format(host=host, what=finding.text or finding.reason),
        )
        for finding in verdict.findings
    )
    band = {prefix + subject for subject in verdict.band}
    if not told:
        band |= {finding.subject for finding in findings}
        findings = ()
    return replace(
        verdict,
        findings=findings,
        unknown=None if verdict.unknown is None else f"{host}: {verdict.unknown}",
        unknown_subjects=tuple(prefix + subject for subject in verdict.unknown_subjects),
        band=frozenset(band),
        value=f"{host}: {verdict.value}" if verdict.value else "",
        cannot=tuple(f"{host}: {line}" for line in verdict.cannot),
        per_gpu=tuple(f"{host}: {line}" for line in verdict.per_gpu),
    )


def together(rule: str, verdicts: Iterable[Verdict], facts: LabFacts) -> Verdict:
    """Make one verdict of those about each host; the hosts that are not OK are left open."""
    parts = list(verdicts)
    unknown = [part.unknown for part in parts if part.unknown is not None]
    open_subjects = [name for part in parts if part.unknown is not None for name in part.unknown_subjects]
    merged = Verdict(
        rule,
        tuple(finding for part in parts for finding in part.findings),
        "; ".join(dict.fromkeys(unknown)) or None,
        tuple(dict.fromkeys(open_subjects)) or ("",),
        frozenset(subject for part in parts for subject in part.band),
        "; ".join(part.value for part in parts if part.value),
        next((part.threshold for part in parts if part.threshold), ""),
        tuple(line for part in parts for line in part.cannot),
        tuple(line for part in parts for line in part.per_gpu),
    )
    return left_open(merged, facts, HostState.OK)
