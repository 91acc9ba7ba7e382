"""What was seen of a run on the GPUs: as values that JSON has, for the socket, and as facts for its cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuwatch_tray.common import redact
from gpuwatch_tray.model import Xid, known
from gpuwatch_tray.runs.cause import MemoryHolder, RunFacts, RunGpu

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuwatch_tray.alerts.reminder_types import CommandEnds, ProcessEnds
    from gpuwatch_tray.model import Snapshot


MOST_HOLDERS = 8


def observed_json(watched: CommandEnds | ProcessEnds | None, snapshot: Snapshot | None) -> dict[str, Any]:
    """
    Return what has been seen of a command or a process, and sees now that it has ended.

    Keys: gpus (its own, or all where it was seen on none), holders (of memory on those), xids, peak,
    mismatch, devices (the UUIDs of its own). Memory in bytes, times are wall times.
    """
    devices = () if watched is None else watched.devices
    body: dict[str, Any] = {
        "gpus": [],
        "holders": [],
        "xids": [] if watched is None else [list(xid) for xid in watched.xids],
        "peak": None if watched is None else watched.peak,
        "mismatch": False,
        "devices": list(devices),
    }
    if snapshot is None:
        return body
    problem = snapshot.mismatch or snapshot.problem
    body["mismatch"] = problem is not None and problem.mismatch
    lost = () if watched is None else watched.lost
    chosen = [gpu for gpu in snapshot.gpus if not gpu.physical and (not devices or gpu.uuid in devices)]
    body["gpus"] = [
        {
            "name": f"GPU {gpu.index}",
            "uuid": gpu.uuid,
            "used": known(gpu.memory_used),
            "total": known(gpu.memory_total),
            "lost": gpu.uuid in lost or (bool(devices) and gpu.problem is not None),
        }
        for gpu in chosen
    ]
    by_index = {gpu.index: gpu.uuid for gpu in chosen}
    own = None if watched is None else (watched.pid, watched.identity)
    holders: list[dict[str, Any]] = [
        {
            "gpu": by_index[process.gpu],
            "user": redact.text(known(process.user) or ""),
            "name": redact.process_name(known(process.name) or ""),
            "pid": process.pid,
            "memory": memory,
            "since": known(process.started),
        }
        for process in snapshot.processes
        if process.gpu in by_index
        and (process.pid, process.identity) != own
        and (memory := known(process.memory)) is not None
    ]
    body["holders"] = sorted(holders, key=lambda holder: -holder["memory"])[:MOST_HOLDERS]
    return body


def observed_facts(observed: Mapping[str, Any], ended: float) -> RunFacts:
    """Return what `observed_json` has as facts for `explain_end`; `ended` is a wall time."""
    return RunFacts(
        ended=ended,
        gpus=tuple(
            RunGpu(gpu["name"], gpu["uuid"], gpu["used"], gpu["total"], gpu["lost"])
            for gpu in observed.get("gpus", ())
        ),
        holders=tuple(
            MemoryHolder(row["gpu"], row["user"], row["name"], row["pid"], row["memory"], row["since"])
            for row in observed.get("holders", ())
        ),
        xids=tuple(Xid(str(uuid), int(code), float(at)) for uuid, code, at in observed.get("xids", ())),
        mismatch=bool(observed.get("mismatch")),
    )
