"""The past as the commands are told it."""

from __future__ import annotations

from gpuwatch_tray.app.history_query import relevant_gpus
from gpuwatch_tray.model import GpuFacts, GpuSample, History, ProcessRun
from gpuwatch_tray.store import KnownGpu

SAMPLE = GpuSample("GPU-seen", 0, 60, 60.0, 12)
RUN = ProcessRun("boot/1/1/MIG-run", 1, "MIG-run", "ada", True, "python", 0.0, True, 0.0, 60.0)


def test_a_gpu_that_was_here_long_ago_has_no_card():
    """The samples' file knows every GPU and MIG device that ever was; those of this time and of now count."""
    gpus = tuple(GpuFacts(uuid, 0) for uuid in ("GPU-gone", "GPU-seen", "GPU-lost", "MIG-run", "MIG-old"))
    found = History(0.0, 60.0, gpus, {"GPU-seen": (SAMPLE,)}, (RUN,))
    inventory = [
        KnownGpu("GPU-gone", 0, "A5000", 0.0, forgotten=True),
        KnownGpu("GPU-lost", 3, "A5000", 0.0),
        KnownGpu("GPU-new", 4, "", 0.0),
    ]
    kept = relevant_gpus(found, inventory)
    assert [gpu.uuid for gpu in kept] == ["GPU-seen", "GPU-lost", "MIG-run", "GPU-new"]
    assert (kept[-1].index, kept[-1].name) == (4, None)
