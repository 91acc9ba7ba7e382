"""A process that has been running for longer than MAX_ETIME_MIN."""

from __future__ import annotations

from gpuwatch_tray.language import _
from gpuwatch_tray.listing.text import process_header
from gpuwatch_tray.model import Finding, Limits, Missing, Severity, Snapshot, Verdict
from gpuwatch_tray.rules.devices import process_prefix, process_title
from gpuwatch_tray.rules.scope import gaps, sorted_out, unowned_line
from gpuwatch_tray.units import duration

MAX_ETIME_RULE = "max_etime"


def judge_max_etime(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Warn of each process that counts and whose elapsed time exceeds `limits.max_etime` seconds.

    Strictly greater, in whole seconds as `ps` prints them, without a hold; default 6 h. The subject is
    (boot, pid, start), so that a reused PID is another subject; a process on several GPUs is one, shown
    with its first. The reason is the Bash tool's, to the letter. An unknown elapsed time leaves that
    PID open; an unreadable process list leaves all open.
    """
    limit = limits.max_etime
    if limit is None:
        return Verdict(MAX_ETIME_RULE)
    findings: dict[str, Finding] = {}
    unknown: list[str] = []
    open_subjects: list[str] = []
    longest = -1
    processes, unowned = sorted_out(snapshot, limits)
    for process in processes:
        if isinstance(process.elapsed, Missing):
            unknown.append(_("the elapsed time of process {pid} is unknown").format(pid=process.pid))
            open_subjects.append(process_prefix(snapshot, process))
            continue
        seconds = int(process.elapsed)
        longest = max(longest, seconds)
        if seconds > limit:
            subject = process_prefix(snapshot, process) + process.identity
            reason = f"MAX_ETIME({seconds}s) > LIMIT({limit}s) :: {process_header(process)}"
            text = _("{process} has run for {span}, the limit is {limit}").format(
                process=process_title(process), span=duration(seconds), limit=duration(limit)
            )
            findings.setdefault(
                subject, Finding(MAX_ETIME_RULE, subject, Severity.WARNING, reason, seconds, text)
            )
    for process in unowned:
        unknown.append(unowned_line(process))
        open_subjects.append(process_prefix(snapshot, process))
    missing = gaps(snapshot)
    if missing:
        unknown[:0], open_subjects = missing, [""]
    span = duration(longest)
    return Verdict(
        MAX_ETIME_RULE,
        tuple(findings.values()),
        "; ".join(unknown) or None,
        tuple(open_subjects),
        value=_("no process") if longest < 0 else _("the longest runs for {span}").format(span=span),
        threshold=_("a process has run for longer than {span}").format(span=duration(limit)),
    )
