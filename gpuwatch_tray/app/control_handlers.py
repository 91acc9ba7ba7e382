"""What the running tray or `watch` answers to `status`, `quit`, `report`, `alerts`, `when` and `mail`."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.app.control_alerts import alert_handlers
from gpuwatch_tray.app.control_outbox import outbox_handlers
from gpuwatch_tray.app.control_when import reminder_handlers
from gpuwatch_tray.app.history_query import history_handlers
from gpuwatch_tray.app.status_json import ResponderInfo, build_status
from gpuwatch_tray.app.tray_client import serve_requests
from gpuwatch_tray.common import redact
from gpuwatch_tray.history import gpus_of_alert
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Missing, Phase, Why
from gpuwatch_tray.rules.verdict import GpuLookup, gpu_subject, process_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gpuwatch_tray.app.bootstrap import RunContext, StoreLease
    from gpuwatch_tray.app.monitor import Monitor
    from gpuwatch_tray.model import Gpu, Snapshot, Status


def details_answer(status: Status, answer: Mapping[str, Any], *, stale: bool) -> dict[str, Any]:
    """
    Build the answer to `details`: `answer` to `status`, with the processes; a `stale` reading has none.

    Each GPU gets a `gap` (why not all of it is known, else empty) and `alerts`, the numbers of its firing
    alerts.
    """
    snapshot = None if stale else status.snapshot
    if snapshot is None:
        return {"status": {**answer, "gpus": []}, "present": [], "commands": []}
    firing = _firing_by_gpu(status, snapshot)
    gpus = [
        {**gpu_json, "gap": gpu_gap(gpu), "alerts": firing[gpu_subject(gpu)]}
        for gpu_json, gpu in zip(answer["gpus"], snapshot.gpus, strict=True)
    ]
    return {
        "status": {**answer, "gpus": gpus},
        "present": [process.pid for process in snapshot.processes],
        "commands": [
            [process.pid, redact.command(process)] for process in snapshot.processes if process.mine
        ],
    }


def _firing_by_gpu(status: Status, snapshot: Snapshot) -> dict[str, list[int]]:
    """Return the numbers of the firing alerts about each GPU, by the GPU's subject."""
    places = GpuLookup(snapshot)
    on_gpu = ((process, places.of(process)) for process in snapshot.processes)
    runs = [
        f"{process_identity(snapshot, process)}/{gpu_subject(gpu)}"
        for process, gpu in on_gpu
        if gpu is not None
    ]
    numbers: dict[str, list[int]] = {gpu_subject(gpu): [] for gpu in snapshot.gpus}
    for alert in status.alerts:
        if alert.phase is not Phase.PENDING:
            for name in gpus_of_alert(alert.subject, numbers.keys(), runs):
                numbers[name].append(alert.id)
    return numbers


def gpu_gap(gpu: Gpu) -> str:
    """Say why not all of a GPU is known; empty where it is."""
    if gpu.problem or gpu.process_problem:
        return gpu.problem or gpu.process_problem or ""
    values = (getattr(gpu, field.name) for field in fields(gpu))
    failed = [value for value in values if isinstance(value, Missing) and value.why is Why.ERROR]
    if not failed:
        return ""
    detail = next((value.detail for value in failed if value.detail), "")
    return ": ".join(filter(None, (_("not all of it can be read"), detail)))


ANSWER_FIRST = 0.1  # seconds between the answer to `quit` and the end


@contextmanager
def answering(
    context: RunContext, lease: StoreLease, monitor: Monitor, stop: Callable[[], None]
) -> Iterator[None]:
    """Answer meanwhile."""

    def facts() -> ResponderInfo:
        return ResponderInfo(
            lease.face, context.host, context.source.value, context.simulated, monitor.mails_waiting
        )

    def status(_request: dict[str, Any]) -> dict[str, Any]:
        return build_status(monitor.status, facts())

    def end(_request: dict[str, Any]) -> dict[str, Any]:
        timer = threading.Timer(ANSWER_FIRST, stop)
        timer.daemon = True
        timer.start()
        answer = facts()
        return {"face": answer.face, "pid": answer.pid}

    def details(_request: dict[str, Any]) -> dict[str, Any]:
        shown = monitor.status  # once: another may follow at any moment
        told = details_answer(shown, build_status(shown, facts()), stale=monitor.is_stale)
        # a demo's state is in a folder that nobody else knows
        return {**told, "state": str(lease.store.path.parent)}

    handlers = {
        "status": status,
        "details": details,
        "quit": end,
        **alert_handlers(lease.store, monitor),
        **reminder_handlers(lease.store, monitor),
        **outbox_handlers(lease.store, monitor),
        **history_handlers(lease.store, monitor),
    }
    with serve_requests(context, handlers) as address:
        lease.report_address(address)
        yield
