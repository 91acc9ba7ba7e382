"""The processes of one GPU: the driver's three lists, merged by PID."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import UNSUPPORTED, ProcessKind
from gpuwatch_tray.sources.nvml.codes import DriverError
from gpuwatch_tray.sources.nvml.readings import ListedProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# Drivers 535 listed PIDs that are none: 0 and all ones. Linux gives none above 2^22 (PID_MAX_LIMIT).
_MAX_PID = 2**22 if sys.platform == "linux" else 2**32 - 2
# The rules use these lists, so their failure is a problem.
_FAILURES = {ProcessKind.COMPUTE: N_("compute processes: {why}"), ProcessKind.MPS: N_("MPS processes: {why}")}
# A process is in some of the three lists, a bit for each; sets of an Enum are slow to make, so all are here.
_BITS = {ProcessKind.COMPUTE: 1, ProcessKind.GRAPHICS: 2, ProcessKind.MPS: 4}
_KINDS = tuple(frozenset(kind for kind, bit in _BITS.items() if bits & bit) for bits in range(8))


@dataclass(frozen=True, slots=True)
class ProcessLists:
    """
    The processes of one GPU, in the driver's order: those of the compute list first.

    With a `problem`, those that compute are not all there are. `error` is the last one met; `answered` tells
    whether any list was given.
    """

    processes: tuple[ListedProcess, ...]
    problem: str | None
    error: DriverError | None
    answered: bool


def read_process_lists(read: Callable[[ProcessKind], Sequence[tuple[int, int | None]]]) -> ProcessLists:
    """
    Read and merge the three lists; `read` returns one of them or raises DriverError.

    A GPU without graphics or MPS has no such list, which is an empty one. One without a compute list may be
    in use, so that is a problem. A graphics list that fails is not: no rule counts its processes.
    """
    found: list[tuple[ProcessKind, Sequence[tuple[int, int | None]]]] = []
    problems: list[str] = []
    last: DriverError | None = None
    answered = False
    for kind in (ProcessKind.COMPUTE, ProcessKind.GRAPHICS, ProcessKind.MPS):
        try:
            found.append((kind, read(kind)))
            answered = True
        except DriverError as error:
            answered = answered or error.unsupported
            if not error.unsupported or kind is ProcessKind.COMPUTE:
                last = error
                if kind in _FAILURES:
                    problems.append(_(_FAILURES[kind]).format(why=error.text))
    return ProcessLists(merge_lists(found), "; ".join(problems) or None, last, answered)


def merge_lists(
    lists: Iterable[tuple[ProcessKind, Sequence[tuple[int, int | None]]]],
) -> tuple[ListedProcess, ...]:
    """
    Make one entry for each PID, in the order of the lists; leave out what is no PID.

    A process that computes and draws is in two lists with the same memory: the larger number is its memory,
    never the sum.
    """
    bits: dict[int, int] = {}
    memories: dict[int, int | None] = {}
    for kind, rows in lists:
        bit = _BITS[kind]
        for pid, memory in rows:
            if pid in bits:
                bits[pid] |= bit
                known = memories[pid]
                if known is None or (memory is not None and memory > known):
                    memories[pid] = memory
            elif 0 < pid <= _MAX_PID:
                bits[pid] = bit
                memories[pid] = memory
    return tuple(
        [
            ListedProcess(pid, _KINDS[bits[pid]], UNSUPPORTED if memory is None else memory)
            for pid, memory in memories.items()
        ]
    )
