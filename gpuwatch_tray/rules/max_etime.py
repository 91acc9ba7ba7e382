"""A process that has been running for longer than MAX_ETIME_MIN."""

from __future__ import annotations

from gpuwatch_tray import listing
from gpuwatch_tray.model import Finding, Limits, Missing, Severity, Snapshot, Verdict
from gpuwatch_tray.rules.scope import counted, gaps, unowned, unowned_line

NAME = "max_etime"


def max_etime(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Warn of each process that counts and whose elapsed time exceeds `limits.max_etime` seconds.

    Strictly greater, in whole seconds as `ps` prints them, without a hold; default 6 h. The subject is
    (boot, pid, start), so that a reused PID is another subject; a process on several GPUs is one, shown
    with its first. The reason is the Bash tool's, to the letter. An unknown elapsed time leaves that
    PID open; an unreadable process list leaves all open.
    """
    findings: dict[str, Finding] = {}
    unknown: list[str] = []
    open_subjects: list[str] = []
    for process in counted(snapshot, limits):
        prefix = f"{snapshot.boot_id}/{process.pid}/"
        if isinstance(process.elapsed, Missing):
            unknown.append(f"the elapsed time of process {process.pid} is unknown")
            open_subjects.append(prefix)
            continue
        seconds = int(process.elapsed)
        if seconds > limits.max_etime:
            subject = prefix + process.identity
            reason = f"MAX_ETIME({seconds}s) > LIMIT({limits.max_etime}s) :: {listing.header(process)}"
            findings.setdefault(subject, Finding(NAME, subject, Severity.WARNING, reason, seconds))
    for process in unowned(snapshot, limits):
        unknown.append(unowned_line(process))
        open_subjects.append(f"{snapshot.boot_id}/{process.pid}/")
    missing = gaps(snapshot)
    if missing:
        unknown[:0], open_subjects = missing, [""]
    return Verdict(NAME, tuple(findings.values()), "; ".join(unknown) or None, tuple(open_subjects))
