"""GPUs, their processes and events, as one snapshot has them, and fields that may be missing."""

from __future__ import annotations

from enum import Enum, IntFlag
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from msgspec import Struct

from gpuwatch_tray.i18n import N_, _

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


class Why(Enum):
    """In which way a value is missing."""

    UNSUPPORTED = "unsupported"  # this device, driver or platform never gives it
    ERROR = "error"  # it could not be read this time
    UNKNOWN = "unknown"  # this source never learns it


class Missing(Struct, frozen=True):
    """The absence of a value, with its kind and, for errors, the cause in a few words."""

    why: Why
    detail: str = ""


UNSUPPORTED = Missing(Why.UNSUPPORTED)
UNKNOWN = Missing(Why.UNKNOWN)
GONE = Missing(Why.ERROR, N_("no such process here"))
Field: TypeAlias = T | Missing


def known(value: Field[T]) -> T | None:
    """Return the value, or None where it is missing: for display, never for a decision."""
    return None if isinstance(value, Missing) else value


class ProcessKind(Enum):
    """How a process uses a GPU, with the letters of nvidia-smi's Type column."""

    COMPUTE = "C"
    GRAPHICS = "G"
    MPS = "M"


COMPUTING = frozenset({ProcessKind.COMPUTE, ProcessKind.MPS})
# NVIDIA's server of MPS holds a context for its clients, which are listed themselves; Linux cuts names at 15.
MPS_SERVERS = frozenset({"nvidia-cuda-mps-server", "nvidia-cuda-mps"})


class ClockLimit(IntFlag):
    """What keeps the clocks down, with NVML's bits (nvml.h, nvmlClocksEventReason*)."""

    IDLE = 0x01
    APPLICATION = 0x02
    POWER_CAP = 0x04
    HW_SLOWDOWN = 0x08
    SYNC_BOOST = 0x10
    SW_THERMAL = 0x20
    HW_THERMAL = 0x40
    HW_POWER_BRAKE = 0x80
    DISPLAY = 0x100


FULL_MEMORY = 0.97  # of a GPU's memory: less than this fits, next to nothing is left
MAX_POWER = 10_000.0  # W: no board draws more, and a reading above is none; GB300 has a limit of 1,400 W


class GpuProcess(Struct, frozen=True):
    """One process on one GPU: a process on two GPUs is two of these."""

    pid: int
    gpu: int | None  # the GPU's index; None where the source could not tell (`GPU=?`)
    kinds: frozenset[ProcessKind]
    memory: Field[int] = UNKNOWN
    user: Field[str] = UNKNOWN
    mine: bool | None = None  # None: the owner is unknown
    started: Field[float] = UNKNOWN
    elapsed: Field[float] = UNKNOWN  # since the start, on a clock that nobody sets
    identity: str = ""  # the same for the life of a process, another after PID reuse; empty if unknown
    cwd: Field[str] = UNKNOWN
    command: Field[tuple[str, ...]] = UNKNOWN
    name: Field[str] = UNKNOWN  # the program's file name, without folders
    device: str = ""  # the UUID of the MIG device that it is on; `gpu` is then the physical GPU's index
    state: str = ""  # the kernel's letter for what it does, as `ps` has it: D, S, T ...; empty if unknown
    cpu: Field[float] = UNKNOWN  # seconds of processor that it has used

    @property
    def gone(self) -> bool:
        """Whether no process has this PID any more, though the driver lists memory as its own."""
        return self.user == GONE

    @property
    def computes(self) -> bool:
        """Whether it holds a compute context, as in nvidia-smi's compute list: C, C+G or MPS."""
        return not self.kinds.isdisjoint(COMPUTING)  # two lookups by Enum take four times as long


class Gpu(Struct, frozen=True):
    """One GPU at one moment."""

    index: int
    uuid: str
    name: Field[str] = UNKNOWN
    memory_used: Field[int] = UNKNOWN
    memory_total: Field[int] = UNKNOWN
    utilisation: Field[int] = UNKNOWN
    temperature: Field[int] = UNKNOWN
    power: Field[float] = UNKNOWN
    power_limit: Field[float] = UNKNOWN
    fan: Field[int] = UNKNOWN
    problem: str | None = None  # the GPU as a whole cannot be read: its fields are Missing
    process_problem: str | None = None  # its list could not be read: the known processes are not all
    physical: str = ""  # of a MIG device, the UUID of the GPU that it is a part of; `index` is that GPU's
    asleep: bool = False  # suspended by the system, and left so: without processes, the rest not known
    slowdown_at: Field[int] = UNKNOWN  # degrees C from which on the hardware slows itself down
    limited_by: Field[ClockLimit] = UNKNOWN
    ecc_corrected: Field[int] = UNKNOWN  # errors since the driver was loaded
    ecc_uncorrected: Field[int] = UNKNOWN
    rows_pending: Field[bool] = UNKNOWN  # memory rows that will be remapped at the next reset
    rows_failed: Field[bool] = UNKNOWN  # memory rows that could not be remapped
    pcie_width: Field[int] = UNKNOWN  # lanes in use now
    pcie_width_most: Field[int] = UNKNOWN  # lanes that the GPU and its slot can use
    energy: Field[float] = UNKNOWN  # J drawn since the driver was loaded, by the GPU's own meter
    recovery: Field[int] = UNKNOWN  # what must be done so that it works, by nvml.h: 0 nothing

    @property
    def is_full(self) -> bool:
        """Whether next to nothing of its memory is left, as far as that is known."""
        used, total = known(self.memory_used), known(self.memory_total)
        return used is not None and total is not None and used >= FULL_MEMORY * total > 0


def gpu_subject(gpu: Gpu) -> str:
    """Return what names a GPU or MIG device in a fingerprint: its UUID, or its index without one."""
    return gpu.uuid or str(gpu.index)


class Xid(Struct, frozen=True):
    """An error that the driver reported of a GPU (UUID), with NVIDIA's number, at a wall time."""

    uuid: str
    code: int
    at: float


class Problem(Struct, frozen=True):
    """Why a source could not be read at all: one clear line, and how to correct it."""

    text: str
    mend: str = ""
    no_driver: bool = False  # no NVIDIA driver on this machine (as opposed to one that fails)
    mismatch: bool = False  # the driver was replaced while it runs: its library and the kernel's part differ

    def __str__(self) -> str:
        if not self.mend:
            return self.text
        return _("{text} ({mend})").format(text=self.text, mend=self.mend)


class Snapshot(Struct, frozen=True, dict=True):  # with a place for what is worked out once
    """One reading of a source. With a `problem`, empty lists mean neither "no GPUs" nor "no processes"."""

    source: str
    at: float
    gpus: tuple[Gpu, ...] = ()
    processes: tuple[GpuProcess, ...] = ()
    problem: Problem | None = None
    boot_id: str = ""  # the boot of the machine whose processes these are; empty if not known
    simulated: bool = False
    events: tuple[Xid, ...] = ()  # since the reading before
    no_events: str = ""  # why this source reports no events, if it does not
    mismatch: Problem | None = None  # the driver was replaced while it runs, and can be read all the same
    oom_kills: int | None = None  # processes of this machine killed for want of memory since its boot
    hidden: int = 0  # GPUs that the driver counts and that were never given to this session

    @cached_property
    def computing(self) -> tuple[GpuProcess, ...]:
        """The processes that hold a compute context for themselves, with which rules about use begin."""
        # By their kinds, of which there are few: there may be hundreds of processes at each poll.
        computing = {
            kinds
            for kinds in {process.kinds for process in self.processes}
            if not kinds.isdisjoint(COMPUTING)
        }
        return tuple(
            [
                process
                for process in self.processes
                if process.kinds in computing and process.name not in MPS_SERVERS
            ]
        )

    @cached_property
    def programs(self) -> frozenset[Field[str]]:
        """The names of those processes."""
        return frozenset([process.name for process in self.computing])

    @cached_property
    def by_owner(self) -> tuple[tuple[GpuProcess, ...], tuple[GpuProcess, ...]]:
        """Those of them that are the user's own, and those whose owner is not known."""
        return (
            tuple([process for process in self.computing if process.mine]),
            tuple([process for process in self.computing if process.mine is None]),
        )

    @cached_property
    def boards(self) -> tuple[tuple[str, Gpu], ...]:
        """The physical GPUs, each with what names it in a fingerprint."""
        # A MIG device whose board is not listed stands for it. Heat, fans and faults are those of the board:
        # MIG devices share them.
        boards: dict[str, Gpu] = {}
        for gpu in sorted(self.gpus, key=lambda gpu: bool(gpu.physical)):
            boards.setdefault(gpu.physical or gpu_subject(gpu), gpu)
        return tuple(boards.items())

    @cached_property
    def free_gpus(self) -> Mapping[str, Gpu] | None:
        """The GPUs (by UUID) known to have no compute process; None where the GPUs are not known."""
        # A GPU that cannot be read, or whose list cannot, is not free; while a process cannot be said to be
        # on this GPU or that, none is. A GPU with MIG devices is free with all of them.
        if self.problem is not None:
            return None
        parts: dict[str, list[Gpu]] = {}
        for gpu in self.gpus:
            if name := gpu.physical or gpu.uuid:
                parts.setdefault(name, []).append(gpu)
        if not parts:  # a process list names no idle GPU
            return None
        busy = {process.gpu for process in self.processes if process.kinds != {ProcessKind.GRAPHICS}}
        if None in busy:
            return {}
        return {
            name: gpus[0]
            for name, gpus in parts.items()
            if all(
                gpu.problem is None and gpu.process_problem is None and gpu.index not in busy for gpu in gpus
            )
        }


LABEL = N_("SIMULATED GPUs: nothing here is real")  # shown where there is room for a line of its own


def labelled(text: str, *, simulated: bool) -> str:
    """Mark `text` where it is about simulated GPUs."""
    return _("SIMULATED · {text}").format(text=text) if simulated else text
