"""What the icon, the tooltip and the first menu row say, pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from gpuwatch_tray.model import Alert, GpuProcess, Level, Severity, Snapshot, Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEVELS = {Severity.INFO: Level.OK, Severity.WARNING: Level.WARNING, Severity.CRITICAL: Level.CRITICAL}


def status_of(
    snapshot: Snapshot,
    active: Mapping[str, Alert],
    processes: Sequence[GpuProcess],
    gaps: Sequence[str],
) -> Status:
    """
    The status after one poll; `processes` are those that count, `gaps` what kept a rule from judging.

    Green needs every rule to have judged: a rule that cannot tell makes "no data", unless an alert fires,
    whose colour then stands and whose headline names the gap.
    """
    alerts = sorted(active.values(), key=lambda alert: (-alert.severity, alert.since))
    if snapshot.problem is not None:
        return Status(Level.NO_DATA, f"No data: {snapshot.problem}", snapshot.at, snapshot, tuple(alerts))
    if alerts:
        level = LEVELS[alerts[0].severity]
        headline = alerts[0].reason + (f" (and {len(alerts) - 1} more)" if len(alerts) > 1 else "")
        headline = "; ".join([headline, *gaps])
    elif gaps:
        level, headline = Level.NO_DATA, "; ".join(gaps)
    else:
        in_use = len({process.gpu for process in processes})
        level, headline = Level.OK, f"All within limits: {in_use} of {len(snapshot.gpus)} GPUs in use"
        if len(snapshot.gpus) < in_use or not any(gpu.uuid for gpu in snapshot.gpus):
            # a process list names no idle GPU, so there is no total to speak of
            headline = f"All within limits: {in_use} {'GPU' if in_use == 1 else 'GPUs'} in use"
    return Status(level, headline, snapshot.at, snapshot, tuple(alerts))


def starting(now: float) -> Status:
    """The status before the first poll has come back."""
    return Status(Level.NO_DATA, "Reading the GPUs for the first time", now)


def stale(last: Status) -> Status:
    """`last`, after its data has become too old to be shown as the state of things."""
    if last.snapshot is None:
        return replace(last, level=Level.NO_DATA, headline="No data yet: the reading does not come back")
    since = datetime.fromtimestamp(last.at).astimezone().strftime("%H:%M:%S")
    return replace(
        last, level=Level.NO_DATA, headline=f"No data since {since}: the reading does not come back"
    )


def with_notes(status: Status, notes: Sequence[str], *, warn: bool) -> Status:
    """`status` with further lines for the menu; `warn` keeps it from being green, for the first of them."""
    if warn and status.level is Level.OK:
        return replace(status, level=Level.WARNING, headline=notes[0], notes=tuple(notes))
    return replace(status, notes=tuple(notes))
