"""
A run: a command that `when run` starts, or a process on a GPU that somebody waits for; why it ended.

`explanation.explain_end` is a pure function of the end of the log, of how it ended, and of what the driver,
the kernel, the disk and the neighbours told meanwhile. Its patterns are many: who needs it imports it late.
"""

from gpuwatch_tray.runs.cause import (
    Cause,
    Confidence,
    End,
    Exited,
    FolderSpace,
    Kind,
    MemoryHolder,
    RunFacts,
    RunGpu,
    Signalled,
    Unseen,
)

__all__ = [
    "Cause",
    "Confidence",
    "End",
    "Exited",
    "FolderSpace",
    "Kind",
    "MemoryHolder",
    "RunFacts",
    "RunGpu",
    "Signalled",
    "Unseen",
]
