"""The GPUs as rules see them: what names each for good, and which GPU a process is on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Gpu, GpuProcess, Snapshot, known

if TYPE_CHECKING:
    from collections.abc import Iterator


def gpu_subject(gpu: Gpu) -> str:
    """Return what names a GPU or MIG device in a fingerprint: its UUID, or its index without one."""
    return gpu.uuid or str(gpu.index)


def gpu_label(gpu: Gpu) -> str:
    """Name a GPU in English, for the reasons; a MIG device has no number of its own."""
    return f"MIG device {gpu.uuid} on GPU {gpu.index}" if gpu.physical else f"GPU {gpu.index}"


def gpu_name(gpu: Gpu) -> str:
    """Name a GPU for a sentence, in the person's language."""
    if not gpu.physical:
        return f"GPU {gpu.index}"
    return _("MIG device {uuid} on GPU {index}").format(uuid=gpu.uuid, index=gpu.index)


def physical_gpus(snapshot: Snapshot) -> Iterator[tuple[str, Gpu]]:
    """
    Yield the physical GPUs, each with its subject.

    Heat, fans and faults are those of the board: MIG devices share them. One whose board is not listed
    stands for it.
    """
    seen: set[str] = set()
    for gpu in sorted(snapshot.gpus, key=lambda gpu: bool(gpu.physical)):
        name = gpu.physical or gpu_subject(gpu)
        if name not in seen:
            seen.add(name)
            yield name, gpu


class GpuLookup:
    """Finds the GPU, or the MIG device, that a process is on."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._by_uuid = {gpu.uuid: gpu for gpu in snapshot.gpus if gpu.uuid}
        self._by_index = {gpu.index: gpu for gpu in snapshot.gpus if not gpu.physical}

    def of(self, process: GpuProcess) -> Gpu | None:
        """Return the GPU of a process, or None where the source could not tell."""
        if process.device:
            return self._by_uuid.get(process.device)
        return None if process.gpu is None else self._by_index.get(process.gpu)


def process_identity(snapshot: Snapshot, process: GpuProcess) -> str:
    """Return a name that no later process has; empty where the start is unknown: a PID may be used again."""
    return f"{snapshot.boot_id}/{process.pid}/{process.identity}" if process.identity else ""


def process_prefix(snapshot: Snapshot, process: GpuProcess) -> str:
    """Return what the subjects about a process begin with, whenever it may have started."""
    return f"{snapshot.boot_id}/{process.pid}/"


def process_title(process: GpuProcess) -> str:
    """Name a process for a sentence, without its arguments: they may hold a secret."""
    where = "" if process.gpu is None else f", GPU {process.gpu}"
    name = redact.process_name(known(process.name) or "") or _("A process")
    return f"{name} (PID {process.pid}{where})"
