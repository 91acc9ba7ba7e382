"""The request by which the exporter has the rows of the running program, and the answer to it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuwatch_tray.export.metrics import METRICS
from gpuwatch_tray.export.rows import FiringAlert, build_rows
from gpuwatch_tray.history import gpus_of_alert
from gpuwatch_tray.ipc import RequestRefusedError
from gpuwatch_tray.model import ExportSettings, ExportUsers, Phase, gpu_subject
from gpuwatch_tray.rules.verdict import GpuLookup, process_identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gpuwatch_tray.export.reading_tally import ReadingTally
    from gpuwatch_tray.export.rows import Rows
    from gpuwatch_tray.model import Alert, Limits, Snapshot


REQUEST = "metrics"


def build_answer(
    request: Mapping[str, Any],
    snapshot: Snapshot | None,
    tally: ReadingTally,
    limits: Limits,
    alerts: Iterable[Alert],
) -> dict[str, Any]:
    """Build the answer; raises RequestRefusedError for a request of another version."""
    # With the GPUs of the last good reading: an alert that goes on keeps its labels when nothing can
    # be read. Before the first evaluation nobody knows what fires.
    firing = None if snapshot is None else firing_alerts(alerts, tally.good)
    rows = build_rows(snapshot, tally, limits, _requested(request), firing)
    told = {name: [[*labels, value] for labels, value in values.items()] for name, values in rows.items()}
    return {"rows": told, "since": tally.since}


def firing_alerts(alerts: Iterable[Alert], snapshot: Snapshot | None) -> Iterator[FiringAlert]:
    """Yield the alerts that fire, each with the GPUs that it is about."""
    gpus = () if snapshot is None else snapshot.gpus
    index = {gpu_subject(gpu): gpu.index for gpu in gpus}
    runs = []
    if snapshot is not None:
        places = GpuLookup(snapshot)
        runs = [
            f"{process_identity(snapshot, process)}/{gpu_subject(gpu)}"
            for process in snapshot.processes
            if (gpu := places.of(process)) is not None
        ]
    for alert in alerts:
        if alert.phase is not Phase.PENDING:
            about = gpus_of_alert(alert.subject, index.keys(), runs)
            yield FiringAlert(alert.rule, alert.severity, tuple(sorted({index[name] for name in about})))


def rows_from_json(told: Mapping[str, Any]) -> Rows:
    """Return the rows of an answer; what another version tells and this one does not know is left out."""
    rows: Rows = {}
    for name, entries in told.items():
        if (metric := METRICS.get(name)) is None:
            continue
        rows[name] = {
            tuple(map(str, entry[:-1])): float(entry[-1])
            for entry in entries
            if len(entry) == len(metric.labels) + 1
        }
    return rows


def export_request(export: ExportSettings) -> dict[str, Any]:
    """Return the request for the rows."""
    return {"do": REQUEST, "users": export.users.value, "processes": export.processes}


def _requested(request: Mapping[str, Any]) -> ExportSettings:
    try:
        return ExportSettings(ExportUsers(str(request["users"])), int(request["processes"]))
    except (KeyError, ValueError, TypeError) as error:
        raise RequestRefusedError(f"{REQUEST}: {error!r}") from error
