"""What the details page is told of the present by the program that watches; pure."""

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


def present(status: Status, answer: Mapping[str, Any], *, stale: bool) -> dict[str, Any]:
    """
    The answer to `status`, with what the page needs besides; of a `stale` reading no GPU and no process.

    Each GPU has a `gap`: why not all of it is known, empty where it is; with one it is never calm. Its
    `alerts` are the numbers of those that fire about it, be they on the disk or not.
    """
    snapshot = None if stale else status.snapshot
    if snapshot is None:
        return {"status": {**answer, "gpus": []}, "present": [], "commands": []}
    firing = _firing(status, snapshot)
    gpus = [
        {**told, "gap": gap(gpu), "alerts": firing[gpu_subject(gpu)]}
        for told, gpu in zip(answer["gpus"], snapshot.gpus, strict=True)
    ]
    return {
        "status": {**answer, "gpus": gpus},
        "present": [each.pid for each in snapshot.processes],
        "commands": [[each.pid, redact.command(each)] for each in snapshot.processes if each.mine],
    }


def _firing(status: Status, snapshot: Snapshot) -> dict[str, list[int]]:
    """By what names a GPU, the alerts about it that fire."""
    places = GpuLookup(snapshot)
    there = ((each, places.of(each)) for each in snapshot.processes)
    runs = [
        f"{process_identity(snapshot, each)}/{gpu_subject(gpu)}" for each, gpu in there if gpu is not None
    ]
    found: dict[str, list[int]] = {gpu_subject(gpu): [] for gpu in snapshot.gpus}
    for alert in status.alerts:
        if alert.phase is not Phase.PENDING:
            for name in gpus_of_alert(alert.subject, found.keys(), runs):
                found[name].append(alert.id)
    return found


def gap(gpu: Gpu) -> str:
    """Why not all of a GPU is known that could be; empty where it is."""
    if gpu.problem or gpu.process_problem:
        return gpu.problem or gpu.process_problem or ""
    values = (getattr(gpu, each.name) for each in fields(gpu))
    failed = [each for each in values if isinstance(each, Missing) and each.why is Why.ERROR]
    if not failed:
        return ""
    detail = next((each.detail for each in failed if each.detail), "")
    return ": ".join(filter(None, (_("not all of it can be read"), detail)))
