"""What the machine told of the end of a run, joined with what the log says."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.rules.hardware import APP_XIDS, FATAL_XIDS
from gpuwatch_tray.runs.cause import Confidence, Exited, Kind, RunFacts, Signalled, Unseen
from gpuwatch_tray.runs.sign import Weight

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from gpuwatch_tray.runs.cause import End
    from gpuwatch_tray.runs.log_errors import Found


SIGHUP, SIGINT, SIGBUS, SIGKILL, SIGTERM, SIGXCPU = 1, 2, 7, 9, 15, 24  # Linux's numbers, also elsewhere
ENDING_SIGNALS = frozenset({SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGXCPU})
ASKING_SIGNALS = frozenset({SIGHUP, SIGINT, SIGTERM})
# What a signal alone says, by signal(7).
OF_SIGNALS = {
    SIGHUP: Kind.LOGOUT,
    SIGINT: Kind.STOPPED,
    3: Kind.STOPPED,  # SIGQUIT
    4: Kind.CRASH,  # SIGILL
    6: Kind.CRASH,  # SIGABRT
    SIGBUS: Kind.CRASH,
    8: Kind.CRASH,  # SIGFPE
    SIGKILL: Kind.KILLED,
    11: Kind.CRASH,  # SIGSEGV
    SIGTERM: Kind.STOPPED,
    SIGXCPU: Kind.TIME_LIMIT,
}
TIMED_OUT, KILLED = 124, 128 + SIGKILL  # exit codes of coreutils' `timeout`
NEAR = 60.0  # seconds around a deadline; Slurm's KillWait is 30
SOON = 120.0  # seconds after an Xid that a program caused, in which it ends of it
HELD = 3600.0  # seconds after a grave Xid in which ranks may wait for the GPU: twice NCCL's former time-out
LOST_XID = 79
SHM = "/dev/shm"  # noqa: S108  # only named

_OF_GPU = late_pattern(r"(?i)cuda|nccl|\bgpu\b|nvml")
_WRITING = late_pattern(
    r"(?i)input/output error|PytorchStreamWriter|write failed|failed writing|unexpected pos|write\(\)"
    r"|\d written"
)
_BUS = late_pattern(r"[Bb]us error|SIGBUS|\bsignal 7\b|\bexitcode\s*: -7\b|return code = -7\b")
_BLAMED = frozenset(
    {
        *(Kind.XID, Kind.GPU_LOST, Kind.ILLEGAL_ACCESS, Kind.COMMUNICATION, Kind.NO_GPU, Kind.GPU_LIBRARY),
        *(Kind.CRASH, Kind.KILLED),
    }
)
_SOFT = frozenset({Kind.DATA_WORKER, Kind.COMMUNICATION, Kind.KILLED, Kind.STOPPED, Kind.LOGOUT, Kind.CRASH})


class FactRule(Struct, frozen=True):
    """One row of the table: `kind` follows where the log leaves room for it and the facts show it."""

    kind: Kind
    confidence: Confidence
    leaves_room: Callable[[Found | None, End], bool]
    shown: Callable[[RunFacts, End], bool]
    source: str


def _open(found: Found | None, end: End) -> bool:
    """Tell whether the log leaves open what ended the run."""
    if found is None or found.weight <= Weight.ECHO:
        return True
    if found.weight >= Weight.ROOT:
        return False
    return found.kind in _SOFT or (isinstance(end, Signalled) and end.number in ENDING_SIGNALS)


def _of_gpu(found: Found | None, _end: End) -> bool:
    """Tell whether what the log shows can follow from a fault of the GPU."""
    if found is None or found.kind in _BLAMED or found.weight <= Weight.ECHO:
        return True
    return found.kind is Kind.EXCEPTION and _OF_GPU.search(found.line.text) is not None


def _of_program_on_gpu(found: Found | None, end: End) -> bool:
    """Tell whether an Xid that a program causes can say more than the log; a signal that asks is no crash."""
    if end.number in ASKING_SIGNALS:
        return False
    kinds = {Kind.XID, Kind.CRASH, Kind.COMMUNICATION, Kind.EXCEPTION}
    return found is None or (found.kind in kinds and _of_gpu(found, end))


def _without_gpu(found: Found | None, _end: End) -> bool:
    return found is not None and found.kind in {Kind.NO_GPU, Kind.GPU_LIBRARY}


def _while_writing(found: Found | None, _end: End) -> bool:
    return found is not None and found.weight <= Weight.PLAIN and bool(_WRITING.search(found.line.text))


def _lost(facts: RunFacts, _end: End) -> bool:
    return any(gpu.lost for gpu in facts.gpus) or any(xid.code == LOST_XID for xid in facts.xids)


def _has_xid(facts: RunFacts, codes: Collection[int], within: float) -> bool:
    return any(xid.code in codes and facts.ended - xid.at <= within for xid in facts.xids)


def _killed_for_memory(facts: RunFacts, _end: End) -> bool:
    return facts.oom_kills > 0 or any("ut of memory" in line for line in facts.kernel_lines)


def _killed_nearby(facts: RunFacts, end: End) -> bool:
    """Tell whether the kernel killed a process of the machine as it ended in a way that may be that."""
    return facts.machine_kills > 0 and (isinstance(end, Unseen) or end.number == SIGKILL)


def _bus_error(found: Found | None, end: End) -> bool:
    """Tell whether it, or a process of it, touched a page that could not be had."""
    if not _open(found, end):
        return False
    return end.number == SIGBUS or (found is not None and bool(_BUS.search(found.line.text)))


def _shm_full(facts: RunFacts, _end: End) -> bool:
    return any(folder.path.startswith(SHM) for folder in facts.full)


def _session_ended(facts: RunFacts, end: End) -> bool:
    return facts.session_ended and (end.number in ENDING_SIGNALS or isinstance(end, Unseen))


def _out_of_time(facts: RunFacts, end: End) -> bool:
    if facts.deadline is not None and abs(facts.ended - facts.deadline) <= NEAR:
        return True
    program = PurePath(facts.command[0]).name if facts.command else ""
    return program == "timeout" and isinstance(end, Exited) and end.code in {TIMED_OUT, KILLED}


CERTAIN, LIKELY = Confidence.CERTAIN, Confidence.LIKELY
_XIDS = "https://docs.nvidia.com/deploy/xid-errors/"
_CGROUPS = "https://docs.kernel.org/admin-guide/cgroup-v2.html"
_SIGNALS = "https://man7.org/linux/man-pages/man7/signal.7.html"
# In this order.
FACT_RULES = (
    FactRule(Kind.GPU_LOST, CERTAIN, _of_gpu, _lost, _XIDS),
    FactRule(Kind.XID, CERTAIN, _of_gpu, lambda facts, _end: _has_xid(facts, FATAL_XIDS, HELD), _XIDS),
    FactRule(
        Kind.DRIVER_MISMATCH,
        CERTAIN,
        _without_gpu,
        lambda facts, _end: facts.mismatch,
        "https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html",
    ),
    FactRule(Kind.HOST_MEMORY, CERTAIN, _open, _killed_for_memory, _CGROUPS),
    FactRule(
        Kind.HOST_MEMORY,
        Confidence.POSSIBLE,
        _open,
        _killed_nearby,
        "https://docs.kernel.org/filesystems/proc.html",
    ),
    FactRule(
        Kind.SHARED_MEMORY,
        LIKELY,
        _bus_error,
        _shm_full,
        "https://man7.org/linux/man-pages/man2/mmap.2.html",
    ),
    FactRule(
        Kind.DISK_FULL,
        LIKELY,
        _while_writing,
        lambda facts, _end: bool(facts.full),
        "https://github.com/pytorch/pytorch/issues/10577",
    ),
    FactRule(Kind.LOGOUT, LIKELY, _open, _session_ended, _SIGNALS),
    FactRule(
        Kind.TIME_LIMIT, LIKELY, _open, _out_of_time, "https://man7.org/linux/man-pages/man1/timeout.1.html"
    ),
    FactRule(
        Kind.STOPPED, CERTAIN, _open, lambda facts, end: bool(facts.sender) and end.number > 0, _SIGNALS
    ),
    FactRule(
        Kind.XID,
        LIKELY,
        _of_program_on_gpu,
        lambda facts, _end: _has_xid(facts, APP_XIDS, SOON),
        _XIDS,
    ),
)
_BY_WEIGHT = {
    Weight.HINT: Confidence.POSSIBLE,
    Weight.ECHO: Confidence.POSSIBLE,
    Weight.PLAIN: Confidence.LIKELY,
    Weight.PARTIAL: Confidence.LIKELY,
    Weight.ROOT: Confidence.CERTAIN,
    Weight.DECISIVE: Confidence.CERTAIN,
}


# What Windows returns for a program that it ended (NTSTATUS).
_OF_WINDOWS = {
    0xC0000005: Kind.CRASH,  # access violation
    0xC00000FD: Kind.CRASH,  # stack overflow
    0xC0000409: Kind.CRASH,  # aborted
    0xC000013A: Kind.STOPPED,  # Ctrl-C
    0xC0000017: Kind.HOST_MEMORY,
    0xC000012D: Kind.HOST_MEMORY,  # the commitment limit
    0xC0000135: Kind.MISSING_LIBRARY,
    0xC0000139: Kind.MISSING_LIBRARY,  # without the entry that is asked for
}
_WORD = 2**32


def decide(found: Found | None, end: End, facts: RunFacts) -> tuple[Kind, Confidence]:
    """Return the kind of the cause and how sure it is, from the heaviest error of the log, if it has one."""
    for rule in FACT_RULES:
        if rule.leaves_room(found, end) and rule.shown(facts, end):
            return rule.kind, rule.confidence
    if found is not None and found.weight > Weight.ECHO:
        return found.kind, _BY_WEIGHT[found.weight]
    if end.number in OF_SIGNALS:
        return OF_SIGNALS[end.number], Confidence.LIKELY
    if isinstance(end, Exited) and end.code % _WORD in _OF_WINDOWS:
        return _OF_WINDOWS[end.code % _WORD], Confidence.LIKELY
    if isinstance(end, Exited) and end.code == TIMED_OUT:
        return Kind.TIME_LIMIT, Confidence.POSSIBLE
    if found is not None and found.weight is Weight.ECHO:
        died = found.kind in {Kind.KILLED, Kind.CRASH}  # the launcher has seen it
        return found.kind, Confidence.LIKELY if died else Confidence.POSSIBLE
    return Kind.UNKNOWN, Confidence.POSSIBLE
