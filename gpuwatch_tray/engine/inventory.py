"""The GPUs that are known to be in this host, beside those that a snapshot has; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.model import Gpu, Snapshot, known
from gpuwatch_tray.store import KnownGpu

if TYPE_CHECKING:
    from collections.abc import Sequence


MISSING = N_(
    "the driver no longer reports it (if you removed it on purpose: gpuwatch-tray alerts forget {uuid})"
)


def complete_snapshot(snapshot: Snapshot, inventory: Sequence[KnownGpu]) -> Snapshot:
    """Add the GPUs of the inventory that this snapshot lacks: a shorter list is no recovery."""
    if snapshot.problem is not None or snapshot.simulated:
        return snapshot
    forgotten = {known_gpu.uuid for known_gpu in inventory if known_gpu.forgotten}
    kept = tuple(gpu for gpu in snapshot.gpus if gpu.problem is None or gpu.uuid not in forgotten)
    snapshot = replace(snapshot, gpus=kept)
    if any(not gpu.uuid and gpu.problem is None and not gpu.asleep for gpu in snapshot.gpus):
        return snapshot  # a process list names no devices
    there = {gpu.uuid for gpu in snapshot.gpus}
    missing = [gpu for gpu in inventory if gpu.uuid not in there and not gpu.forgotten]
    gpus = []
    for gpu in snapshot.gpus:
        # One that has not answered since the start does not say who it is: most likely who was there.
        same = None if gpu.uuid else next((lost for lost in missing if lost.index == gpu.index), None)
        if same is None:
            gpus.append(gpu)
        else:
            missing.remove(same)
            gpus.append(replace(gpu, uuid=same.uuid, name=same.name or gpu.name))
    used = {gpu.index for gpu in gpus}  # a MIG device has its GPU's
    for lost in missing:
        index = next(n for n in (lost.index, *range(len(used) + 1)) if n not in used)
        used.add(index)
        problem = _(MISSING).format(uuid=lost.uuid)
        gpus.append(Gpu(index, lost.uuid, lost.name or lost.uuid, problem=problem))
    return replace(snapshot, gpus=tuple(gpus))


def new_gpus(snapshot: Snapshot, inventory: Sequence[KnownGpu]) -> tuple[KnownGpu, ...]:
    """Return the GPUs that the inventory lacks, or has under another index or name."""
    if snapshot.simulated or snapshot.problem is not None:
        return ()
    held = {gpu.uuid: (gpu.index, gpu.name) for gpu in inventory if not gpu.forgotten}
    seen = [
        KnownGpu(gpu.uuid, gpu.index, known(gpu.name) or "", snapshot.at)
        for gpu in snapshot.gpus
        if gpu.uuid and gpu.problem is None and not gpu.physical  # MIG devices go when they are divided anew
    ]
    return tuple(gpu for gpu in seen if held.get(gpu.uuid) != (gpu.index, gpu.name))
