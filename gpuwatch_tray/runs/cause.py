"""How a run ended, what was known of the machine meanwhile, and the cause that follows from both."""

from __future__ import annotations

import signal
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from gpuwatch_tray.model import Xid


class Kind(StrEnum):
    """The classes of causes."""

    SUCCESS = "success"
    GPU_MEMORY = "gpu_memory"  # the GPU had no memory left
    HOST_MEMORY = "host_memory"  # the machine or the cgroup had none left
    ILLEGAL_ACCESS = "illegal_access"  # a kernel touched memory that is not its own
    DEVICE_ASSERT = "device_assert"  # an assertion in a kernel failed
    XID = "xid"  # the driver reported an error of the GPU
    GPU_LOST = "gpu_lost"
    DRIVER_MISMATCH = "driver_mismatch"  # driver, its library and CUDA do not fit together
    NO_GPU = "no_gpu"  # none to be seen or used
    GPU_LIBRARY = "gpu_library"  # cuDNN, cuBLAS and the like failed
    NO_KERNEL_IMAGE = "no_kernel_image"  # nothing was compiled for this GPU's architecture
    COMMUNICATION = "communication"  # ranks did not meet, or waited for each other in vain
    MISSING_MODULE = "missing_module"
    MISSING_LIBRARY = "missing_library"
    MISSING_FILE = "missing_file"  # also a program
    DISK_FULL = "disk_full"  # also a quota
    PERMISSION = "permission"
    NETWORK = "network"  # also a download that was refused
    PORT_IN_USE = "port_in_use"
    DATA_WORKER = "data_worker"  # a worker process died
    SHARED_MEMORY = "shared_memory"  # /dev/shm or its files ran out
    DIVERGED = "diverged"  # the loss became NaN or infinite
    ASSERTION = "assertion"  # of the program itself
    EXCEPTION = "exception"  # any other that the program did not catch
    WRONG_USE = "wrong_use"  # options that the program does not take
    CRASH = "crash"  # SIGSEGV and its like
    KILLED = "killed"  # SIGKILL, nobody knows of whom
    STOPPED = "stopped"  # by a person
    TIME_LIMIT = "time_limit"
    LOGOUT = "logout"
    UNKNOWN = "unknown"


class Confidence(StrEnum):
    """How sure a cause is."""

    CERTAIN = "certain"  # the kernel, the driver or the program said so itself
    LIKELY = "likely"
    POSSIBLE = "possible"  # no more than a hint


class Cause(Struct, frozen=True):
    """
    Why a run ended: one sentence and what to do, in the language of the process, and the line that shows it.

    `evidence` is redacted, and empty where no line shows it. `swallowed`: an error that a run which reports
    success had last, empty for none. `rank`: the rank that had it first, empty if not known.
    """

    kind: Kind
    sentence: str
    evidence: str = ""
    fix: str = ""
    confidence: Confidence = Confidence.LIKELY
    swallowed: Kind | None = None
    rank: str = ""

    @property
    def failed(self) -> bool:
        """Whether it is anything but a success."""
        return self.kind is not Kind.SUCCESS


SHELL_SIGNALLED = 128  # and the signal's number: a shell's exit code for a command that a signal ended
HIGHEST_SIGNAL = 64


class Exited(Struct, frozen=True):
    """It ended by itself, with this exit code."""

    code: int

    @property
    def number(self) -> int:
        """The signal that ended its own child, where it passes that on as a shell does; 0 for none."""
        number = self.code - SHELL_SIGNALLED
        return number if 0 < number <= HIGHEST_SIGNAL else 0


class Signalled(Struct, frozen=True):
    """A signal ended it."""

    number: int


class Unseen(Struct, frozen=True):
    """It is gone; how it ended was not seen."""

    number: int = 0


End: TypeAlias = Exited | Signalled | Unseen


def signal_name(number: int) -> str:
    """Return the name of a signal, such as SIGKILL."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class RunGpu(Struct, frozen=True):
    """A GPU of the run: whether the driver lost it, and whether its memory was full before the end."""

    name: str  # as people know it: GPU 0
    uuid: str
    lost: bool = False
    full: bool = False


class MemoryHolder(Struct, frozen=True):
    """Another process that held memory (bytes) of a GPU of the run; `since` is a wall time."""

    gpu: str  # UUID
    user: str
    name: str
    pid: int
    memory: int
    since: float | None = None


class FolderSpace(Struct, frozen=True):
    """What statvfs said of a folder that the run writes to, at its end: bytes that were free."""

    path: str
    free: int


class RunFacts(Struct, frozen=True):
    """
    What the driver, the kernel, the disk and the neighbours told about a run; all may be missing.

    Times are wall times. Xids are those of the run's GPUs during the run. `oom_kills` counts those of the
    run's cgroup while it ran (`memory.events`), `machine_kills` those of the whole machine at its end;
    `kernel_lines` are the kernel's about its processes.
    """

    ended: float = 0.0
    gpus: tuple[RunGpu, ...] = ()
    holders: tuple[MemoryHolder, ...] = ()
    xids: tuple[Xid, ...] = ()
    oom_kills: int = 0
    machine_kills: int = 0
    kernel_lines: tuple[str, ...] = ()
    full: tuple[FolderSpace, ...] = ()  # folders with next to no space left
    deadline: float | None = None  # of a scheduler or a `timeout`
    sender: str = ""  # who sent the signal
    session_ended: bool = False  # the login that it belonged to ended at that time
    mismatch: bool = False  # the driver was replaced while it runs
    command: tuple[str, ...] = ()
