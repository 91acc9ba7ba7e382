"""The answer to `details`: what the report page shows of the present; pure."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import redact
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Missing, Phase, Why
from gpuwatch_tray.rules.devices import GpuLookup, gpu_subject, process_identity
from gpuwatch_tray.sampling import gpus_of_alert

if TYPE_CHECKING:
    from collections.abc import Mapping

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
