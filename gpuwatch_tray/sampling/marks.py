"""The GPUs that an alert is about, and the alerts as marks on the time axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.model import AlertMark

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from gpuwatch_tray.model import Alert


def gpus_of_alert(subject: str, uuids: Collection[str], runs: Iterable[str]) -> tuple[str, ...]:
    """
    Return the GPUs among `uuids` that an alert with this subject is about.

    A subject names a GPU as one of its parts, or a process: one of the keys in `runs` then begins with it.
    """
    parts = subject.split("/")
    named = tuple(uuid for uuid in uuids if uuid in parts)
    if named or not subject:
        return named
    of_process = {run.rpartition("/")[2] for run in runs if run.startswith(f"{subject}/")}
    return tuple(uuid for uuid in uuids if uuid in of_process)


def alert_marks(
    alerts: Iterable[Alert], uuids: Collection[str], runs: Collection[str], start: float, end: float
) -> tuple[AlertMark, ...]:
    """Return the alerts that fired and lasted into `start` to `end` (wall times), oldest first."""
    marks = []
    for alert in alerts:
        if alert.fired is None or alert.fired.wall > end:
            continue
        ended = None if alert.resolved is None else alert.resolved.wall
        if ended is not None and ended < start:
            continue
        about = gpus_of_alert(alert.subject, uuids, runs)
        text = redact.text(alert.message)
        marks.append(AlertMark(alert.id, alert.rule, alert.severity, text, alert.fired.wall, ended, about))
    return tuple(sorted(marks, key=lambda mark: (mark.began, mark.id)))
