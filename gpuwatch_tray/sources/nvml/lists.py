"""The processes of one GPU: the driver's three lists, merged by PID."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import COMPUTING, UNSUPPORTED, Field, Kind
from gpuwatch_tray.sources.nvml.codes import DriverError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# Drivers 535 listed PIDs that are none: 0 and all ones. Linux gives none above 2^22 (PID_MAX_LIMIT).
_MOST = 2**22 if sys.platform == "linux" else 2**32 - 2
# the lists that the rules go by
_NAMES = {Kind.COMPUTE: N_("compute processes: {why}"), Kind.MPS: N_("MPS processes: {why}")}
# A process is in some of the three lists, a bit for each; sets of an Enum are slow to make, so they are here.
_BITS = {Kind.COMPUTE: 1, Kind.GRAPHICS: 2, Kind.MPS: 4}
_KINDS = tuple(frozenset(kind for kind, bit in _BITS.items() if bits & bit) for bits in range(8))


class Listed(NamedTuple):
    """A process as the driver lists it on one GPU."""

    pid: int
    kinds: frozenset[Kind]
    memory: Field[int]

    @property
    def computes(self) -> bool:
        """Whether it holds a compute context (see model.GpuProcess.computes)."""
        return not self.kinds.isdisjoint(COMPUTING)


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
    found: list[tuple[Kind, Sequence[tuple[int, int | None]]]] = []
    problems: list[str] = []
    last: DriverError | None = None
    answered = False
    for kind in (Kind.COMPUTE, Kind.GRAPHICS, Kind.MPS):
        try:
            found.append((kind, read(kind)))
            answered = True
        except DriverError as error:
            answered = answered or error.unsupported
            if not error.unsupported or kind is Kind.COMPUTE:
                last = error
                if kind in _NAMES:
                    problems.append(_(_NAMES[kind]).format(why=error.text))
    return Lists(merged(found), "; ".join(problems) or None, last, answered)


def merged(found: Iterable[tuple[Kind, Sequence[tuple[int, int | None]]]]) -> tuple[Listed, ...]:
    """
    One entry for each PID, in the order of first sight; what is no PID is left out.

    A process that computes and draws is in two lists with the same memory: the larger number is its memory,
    never the sum.
    """
    lists: dict[int, int] = {}
    memories: dict[int, int | None] = {}
    for kind, rows in found:
        bit = _BITS[kind]
        for pid, memory in rows:
            if pid in lists:
                lists[pid] |= bit
                known = memories[pid]
                if known is None or (memory is not None and memory > known):
                    memories[pid] = memory
            elif 0 < pid <= _MOST:
                lists[pid] = bit
                memories[pid] = memory
    return tuple(
        [
            Listed(pid, _KINDS[lists[pid]], UNSUPPORTED if memory is None else memory)
            for pid, memory in memories.items()
        ]
    )
