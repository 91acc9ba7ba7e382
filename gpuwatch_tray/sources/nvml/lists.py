"""The processes of one GPU: the driver's three lists, merged by PID."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuwatch_tray.model import UNSUPPORTED, Field, Kind, Missing
from gpuwatch_tray.sources.nvml.codes import DriverError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# Drivers 535 listed PIDs that are none: 0 and all ones. Linux gives none above 2^22 (PID_MAX_LIMIT).
_MOST = 2**22 if sys.platform == "linux" else 2**32 - 2
_NAMES = {Kind.COMPUTE: "compute", Kind.MPS: "MPS"}  # the lists that the rules go by


@dataclass(frozen=True, slots=True)
class Listed:
    """A process as the driver lists it on one GPU."""

    pid: int
    kinds: frozenset[Kind]
    memory: Field[int]

    @property
    def computes(self) -> bool:
        """Whether it holds a compute context (see model.GpuProcess.computes)."""
        return Kind.COMPUTE in self.kinds or Kind.MPS in self.kinds


@dataclass(frozen=True, slots=True)
class Lists:
    """
    The processes of one GPU, in the driver's order: those of the compute list first.

    With a `problem`, those that compute are not all there are. `error` is the last one met, `answered` tells
    whether any list did answer.
    """

    processes: tuple[Listed, ...]
    problem: str | None
    error: DriverError | None
    answered: bool


def read_lists(read: Callable[[Kind], Sequence[tuple[int, int | None]]]) -> Lists:
    """
    Read and merge the three lists; `read` gives one of them or raises DriverError.

    A GPU without graphics or MPS has no such list, which is an empty one. One without a compute list cannot
    be said to be idle, so that is a problem. A graphics list that fails is none: its processes never count.
    """
    found: list[tuple[Kind, int, int | None]] = []
    problems: list[str] = []
    last: DriverError | None = None
    answered = False
    for kind in (Kind.COMPUTE, Kind.GRAPHICS, Kind.MPS):
        try:
            found += [(kind, pid, memory) for pid, memory in read(kind)]
            answered = True
        except DriverError as error:
            answered = answered or error.unsupported
            if not error.unsupported or kind is Kind.COMPUTE:
                last = error
                if kind in _NAMES:
                    problems.append(f"{_NAMES[kind]} processes: {error.text}")
    return Lists(merged(found), "; ".join(problems) or None, last, answered)


def merged(found: Iterable[tuple[Kind, int, int | None]]) -> tuple[Listed, ...]:
    """
    One entry for each PID, in the order of first sight; what is no PID is left out.

    A process that computes and draws is in two lists with the same memory: the larger number is its memory,
    never the sum.
    """
    kinds: dict[int, set[Kind]] = {}
    memories: dict[int, Field[int]] = {}
    for kind, pid, memory in found:
        if not 0 < pid <= _MOST:
            continue
        kinds.setdefault(pid, set()).add(kind)
        known = memories.setdefault(pid, UNSUPPORTED)
        if memory is not None:
            memories[pid] = memory if isinstance(known, Missing) else max(known, memory)
    return tuple(Listed(pid, frozenset(kinds[pid]), memories[pid]) for pid in kinds)
