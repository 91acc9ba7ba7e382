"""What the icon, the tooltip and the first menu row say, pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import (
    LEVELS,
    Alert,
    GpuProcess,
    LabStatus,
    LabView,
    Level,
    Missing,
    Phase,
    Snapshot,
    Status,
)
from gpuwatch_tray.model.units import local_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def status_of(
    snapshot: Snapshot,
    active: Mapping[str, Alert],
    processes: Sequence[GpuProcess],
    gaps: Sequence[str],
    snoozed_until: float | None = None,
) -> Status:
    """Return the status after a poll; `processes` are those that count."""
    # `gaps` are what kept a rule from judging. Green needs every rule to have judged: a rule that cannot tell
    # makes "no data", unless an alert fires, whose colour then stands and whose headline names the gap. What
    # is snoozed shows as snoozed, never over missing data.
    alerts = _shown(active)
    in_use = len({process.gpu for process in processes if process.gpu is not None})
    base = Status(
        Level.NO_DATA,
        _("No data: {problem}").format(problem=snapshot.problem),
        snapshot.at,
        snapshot,
        alerts,
        snoozed_until=snoozed_until,
        in_use=None if gaps or snapshot.problem else in_use,
    )
    if snapshot.problem is not None:
        return base
    unsnoozed = [alert for alert in alerts if alert.snoozed_until is None]
    if unsnoozed:
        headline = _sum(unsnoozed)
        unnamed = [gap for gap in gaps if gap.lower() not in headline.lower()]
        level = LEVELS[unsnoozed[0].severity]
        if gaps and level is Level.OK:
            level = Level.NO_DATA
        return replace(base, level=level, headline="; ".join([headline, *unnamed]))
    if gaps:
        return replace(base, headline="; ".join(gaps))
    if alerts:
        return replace(base, level=Level.SNOOZED, headline=_("Snoozed: {alerts}").format(alerts=_sum(alerts)))
    whole = sum(1 for gpu in snapshot.gpus if not gpu.physical)
    calm = _("All within limits: {in_use} of {whole} GPUs in use").format(in_use=in_use, whole=whole)
    if whole < in_use or not any(gpu.uuid for gpu in snapshot.gpus):
        # a process list names no idle GPU, so there is no total to speak of
        calm = ngettext(
            "All within limits: {in_use} GPU in use", "All within limits: {in_use} GPUs in use", in_use
        ).format(in_use=in_use)
    return replace(base, level=Level.OK if snoozed_until is None else Level.SNOOZED, headline=calm)


def _shown(active: Mapping[str, Alert]) -> tuple[Alert, ...]:
    """Return the alerts that fire or recover, the worst first."""
    return tuple(
        sorted(
            (alert for alert in active.values() if alert.phase is not Phase.PENDING),
            key=lambda alert: (-alert.severity, alert.since, alert.id),
        )
    )


def _sum(alerts: Sequence[Alert]) -> str:
    """Return the only alert's sentence, or how many there are: the menu lists them."""
    if len(alerts) > 1:
        return ngettext("{count} alert", "{count} alerts", len(alerts)).format(count=len(alerts))
    marks = [_("over for now")] if alerts[0].phase is Phase.RECOVERING else []
    marks += [_("acknowledged")] if alerts[0].acknowledged else []
    if marks:
        return _("{text} ({state})").format(text=alerts[0].message, state=_(", ").join(marks))
    return alerts[0].message


def without_gpus(snapshot: Snapshot) -> Status:
    """Return the status of a computer that has no driver, and never had GPUs that were read."""
    return Status(
        Level.NO_DATA, _("No data: {problem}").format(problem=snapshot.problem), snapshot.at, snapshot
    )


def lab_status_of(
    view: LabView, active: Mapping[str, Alert], gaps: Sequence[str], snoozed_until: float | None = None
) -> Status:
    """Return what the lab's row says after a poll; as for one host, green needs that nothing is left open."""
    alerts = _shown(active)
    base = Status(Level.NO_DATA, "", view.at, None, alerts, snoozed_until=snoozed_until)
    if view.problem is not None or not view.hosts:
        return replace(base, headline=_("No data of the lab: {problem}").format(problem="; ".join(gaps)))
    calm = lab_summary(view)
    unsnoozed = [alert for alert in alerts if alert.snoozed_until is None]
    if unsnoozed:
        level = LEVELS[unsnoozed[0].severity]
        headline = _sum(unsnoozed)
        unnamed = [gap for gap in gaps if gap.lower() not in headline.lower()]
        if gaps and level is Level.OK:
            level = Level.NO_DATA
        return replace(base, level=level, headline="; ".join([headline, *unnamed]))
    if gaps:
        return replace(base, headline="; ".join([*gaps, calm]))
    if alerts:
        return replace(base, level=Level.SNOOZED, headline=_("Snoozed: {alerts}").format(alerts=_sum(alerts)))
    return replace(base, level=Level.OK if snoozed_until is None else Level.SNOOZED, headline=calm)


def lab_summary(view: LabView) -> str:
    """Say how many GPUs of the lab are free, and of how many hosts that is not known."""
    free = [(host.free, host.gpus) for host in view.hosts]
    told = [(f, g) for f, g in free if not isinstance(f, Missing) and not isinstance(g, Missing)]
    unknown = len(view.hosts) - len(told)
    if not told:
        if not unknown:
            return _("no host is known")
        text = ngettext(
            "which GPUs are free is not known on {count} host",
            "which GPUs are free is not known on {count} hosts",
            unknown,
        )
        return text.format(count=unknown)
    text = _("{free} of {every} GPUs free")
    said = text.format(free=sum(f for f, _g in told), every=sum(g for _f, g in told))
    if not unknown:
        return said
    text = ngettext("unknown on {count} host", "unknown on {count} hosts", unknown)
    return said + _(", ") + text.format(count=unknown)


def with_lab(status: Status, lab: LabStatus | None) -> Status:
    """
    Return `status` of this computer beside that of the lab; the icon has the worse of the two.

    Where the lab is not known the icon is not green; an alert of either side keeps its colour.
    """
    if lab is None:
        return status
    joined = replace(status, lab=lab)
    problem = None if status.snapshot is None else status.snapshot.problem
    if problem is not None and problem.no_driver and not status.alerts:  # a desk without a GPU of its own
        return replace(joined, level=lab.level, headline=_("Lab: {text}").format(text=lab.headline))
    fires = {Level.WARNING, Level.CRITICAL}
    if lab.level in fires and (status.level not in fires or lab.level > status.level):
        return replace(joined, level=lab.level, headline=_("Lab: {text}").format(text=lab.headline))
    if lab.level is Level.NO_DATA and status.level not in {*fires, Level.NO_DATA}:
        return replace(joined, level=Level.NO_DATA, headline=_("Lab: {text}").format(text=lab.headline))
    if lab.level is Level.SNOOZED and status.level is Level.OK:  # what is snoozed is not well
        return replace(joined, level=Level.SNOOZED, headline=_("Lab: {text}").format(text=lab.headline))
    return joined


def starting(now: float) -> Status:
    """Return the status before the first poll has come back."""
    return Status(Level.NO_DATA, _("Reading the GPUs for the first time"), now)


def stale(last: Status) -> Status:
    """Return `last` as it is shown once its data are too old to be the state of things."""
    if last.snapshot is None:
        headline = _("No data yet: reading the GPUs hangs")
    else:
        since = local_time(last.at, "%H:%M:%S")
        headline = _("No data since {since}: reading the GPUs hangs").format(since=since)
    return replace(last, level=Level.NO_DATA, headline=headline)


def with_notes(status: Status, notes: Sequence[str], *, warn: bool) -> Status:
    """Return `status` with further lines for the menu; with `warn` the first keeps it from being green."""
    if warn and status.level is Level.OK:
        return replace(status, level=Level.WARNING, headline=notes[0], notes=tuple(notes))
    return replace(status, notes=tuple(notes))
