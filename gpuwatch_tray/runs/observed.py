"""What was seen of a run on the GPUs: as values that JSON has, for the socket, and as facts for its cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuwatch_tray.alerts.reminders import on_gpus, other_holders
from gpuwatch_tray.model import Xid, known
from gpuwatch_tray.runs.cause import MemoryHolder, RunFacts, RunGpu

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuwatch_tray.alerts.reminder_types import CommandEnds, ProcessEnds
    from gpuwatch_tray.model import Snapshot


def observed_json(watched: CommandEnds | ProcessEnds | None, snapshot: Snapshot | None) -> dict[str, Any]:
    """
    Return what has been seen of a command or a process, and sees now that it has ended.

    Keys: gpus (its own, or all where it was seen on none), holders (of memory on those), xids, peak,
    mismatch, devices (the UUIDs of its own), kills (processes that the kernel has killed for want of memory
    since it was last known to run). Memory in bytes, times are wall times.
    """
    devices = () if watched is None else watched.devices
    body: dict[str, Any] = {
        "gpus": [],
        "holders": [],
        "xids": [] if watched is None else [list(xid) for xid in watched.xids],
        "peak": None if watched is None else watched.peak,
        "mismatch": False,
        "devices": list(devices),
        "kills": 0,
    }
    if snapshot is None:
        return body
    problem = snapshot.mismatch or snapshot.problem
    body["mismatch"] = problem is not None and problem.mismatch
    lost = () if watched is None else watched.lost
    full = () if watched is None else watched.full
    if watched is not None and watched.oom_kills is not None and snapshot.oom_kills is not None:
        body["kills"] = max(0, snapshot.oom_kills - watched.oom_kills)
    chosen = [gpu for gpu in snapshot.gpus if not gpu.physical and (not devices or gpu.uuid in devices)]
    body["gpus"] = [
        {
            "name": f"GPU {gpu.index}",
            "uuid": gpu.uuid,
            # An older `when run`, started before an upgrade, reads these two.
            "used": known(gpu.memory_used),
            "total": known(gpu.memory_total),
            "lost": gpu.uuid in lost or (bool(devices) and gpu.problem is not None),
            "full": gpu.uuid in full or gpu.is_full,
        }
        for gpu in chosen
    ]
    own = () if watched is None else on_gpus(watched, snapshot)
    others = other_holders(snapshot, [gpu.uuid for gpu in chosen], own)
    if watched is not None and watched.others:
        others = watched.others  # whom it met: by now they may be gone too
    names = ("gpu", "user", "name", "pid", "memory", "since")
    body["holders"] = [dict(zip(names, other, strict=True)) for other in others]
    return body


def observed_facts(observed: Mapping[str, Any], ended: float) -> RunFacts:
    """Return what `observed_json` has as facts for `explain_end`; `ended` is a wall time."""
    return RunFacts(
        ended=ended,
        gpus=tuple(
            RunGpu(gpu["name"], gpu["uuid"], gpu["lost"], bool(gpu.get("full")))
            for gpu in observed.get("gpus", ())  # an older tray tells of no full one
        ),
        holders=tuple(
            MemoryHolder(row["gpu"], row["user"], row["name"], row["pid"], row["memory"], row["since"])
            for row in observed.get("holders", ())
        ),
        xids=tuple(Xid(str(uuid), int(code), float(at)) for uuid, code, at in observed.get("xids", ())),
        mismatch=bool(observed.get("mismatch")),
        machine_kills=int(observed.get("kills", 0)),
    )
