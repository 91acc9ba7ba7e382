"""
Who runs a process, since when, and what it is: the only importer of psutil.

Each fact can be unknown by itself: another user's working directory is denied while the owner is not, a
zombie has an owner and no command, and any process may end between two questions.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import psutil  # noqa: TID251  # the one importer

from gpuwatch_tray.model import Field, GpuProcess, Kind, Missing, Why

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FIRST_PID_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO of the kernel's proc_ns.h

T = TypeVar("T")

# In a container the driver's PIDs are the host's, which mean nothing here.
GONE = Missing(Why.ERROR, "no such process here")
DENIED = Missing(Why.ERROR, "permission denied")
ZOMBIE = Missing(Why.ERROR, "the process has ended")
EMPTY = Missing(Why.ERROR, "the system gives none")


def steady() -> float:
    """Seconds on a clock that nobody sets; on Linux since the boot and through suspend, as those of `ps`."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    else:  # noqa: RET505  # mypy knows a platform's code by its branch
        return time.monotonic()


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a process; the fields are those of model.GpuProcess."""

    pid: int
    user: Field[str]
    mine: bool | None
    started: Field[float]
    elapsed: Field[float]
    identity: str
    cwd: Field[str]
    command: Field[tuple[str, ...]]
    name: Field[str]

    @classmethod
    def unknown(cls, pid: int, why: Missing, *, mine: bool | None = None) -> Facts:
        """A process of which nothing can be told."""
        return cls(pid, why, mine, why, why, "", why, why, why)

    def on_gpu(self, gpu: int, kinds: frozenset[Kind], memory: Field[int]) -> GpuProcess:
        """The process on one GPU."""
        return GpuProcess(
            self.pid,
            gpu,
            kinds,
            memory,
            user=self.user,
            mine=self.mine,
            started=self.started,
            elapsed=self.elapsed,
            identity=self.identity,
            cwd=self.cwd,
            command=self.command,
            name=self.name,
        )


@dataclass(frozen=True, slots=True)
class _Lasting:
    """The facts that do not change in the life of a process; `born` is its start on the steady clock."""

    identity: str
    born: float
    user: Field[str]
    mine: bool | None
    command: Field[tuple[str, ...]]
    name: Field[str]

    @property
    def complete(self) -> bool:
        return not any(isinstance(value, Missing) for value in (self.user, self.command, self.name))


class Inspector:
    """
    Describes processes, and remembers what lasts of those that it was last asked about.

    `me` is whose processes are `mine`: a real user id, on Windows a name with its domain; the default is the
    user of this process. `clock` gives wall time, `steady` the time that processes run by.
    """

    def __init__(
        self,
        *,
        me: int | str | None = None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = steady,
    ) -> None:
        self._me = me
        self._clock = clock
        self._steady = steady
        self._known: dict[int, _Lasting] = {}

    @cached_property
    def boot_id(self) -> str:
        """
        What names this boot of the machine, on Linux.

        Elsewhere empty: the boot time that can be had there moves with the clock, and the identity of a
        process, which is an absolute time there, differs from boot to boot anyway.
        """
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            return ""

    def describe(self, pids: Iterable[int]) -> dict[int, Facts]:
        """The facts of each of `pids`; what was remembered of any other is forgotten."""
        known, self._known = self._known, {}
        return {pid: self._facts(pid, known.get(pid)) for pid in pids}

    def _facts(self, pid: int, known: _Lasting | None) -> Facts:
        try:
            identity, start = _start(pid)
            process = psutil.Process(pid)
            if known is None or known.identity != identity:
                known = self._lasting(process, identity, self._born(start))
            elif not known.complete:
                known = self._lasting(process, identity, known.born)
            cwd = _field(process.cwd)
            if _start(pid)[0] != identity:  # another one has taken the number meanwhile
                return self._gone(pid)
        except psutil.AccessDenied:
            return Facts.unknown(pid, DENIED, mine=False)  # one's own can always be asked
        except psutil.Error:
            return self._gone(pid)
        self._known[pid] = known
        elapsed = max(0.0, self._steady() - known.born)
        return Facts(
            pid,
            known.user,
            known.mine,
            started=self._clock() - elapsed,
            elapsed=elapsed,
            identity=identity,
            cwd=cwd if isinstance(cwd, Missing) else _printable(cwd),
            command=known.command,
            name=known.name,
        )

    def _gone(self, pid: int) -> Facts:
        """Ended, or hidden from us and so somebody else's; within a container it may be anybody's."""
        return Facts.unknown(pid, GONE, mine=False if self._sees_every_pid else None)

    @cached_property
    def _sees_every_pid(self) -> bool:
        """Whether the driver's PIDs are ours: not so in a PID namespace other than the machine's first."""
        if sys.platform == "linux":
            try:
                return os.readlink("/proc/self/ns/pid") == FIRST_PID_NAMESPACE  # noqa: PTH115  # no path
            except OSError:
                return False
        else:
            return True

    def _born(self, start: float) -> float:
        if sys.platform == "linux":
            return start
        else:  # noqa: RET505
            # The start is wall time there. From the first look on, the steady clock counts.
            return self._steady() - max(0.0, self._clock() - start)

    def _lasting(self, process: psutil.Process, identity: str, born: float) -> _Lasting:
        command = _field(process.cmdline)
        name = _field(process.name)
        return _Lasting(
            identity,
            born,
            user=_field(process.username),
            mine=self._is_mine(process),
            command=command if isinstance(command, Missing) else tuple(map(_printable, command)),
            name=name if isinstance(name, Missing) else _printable(name),
        )

    def _is_mine(self, process: psutil.Process) -> bool | None:
        if sys.platform == "win32":
            name = _field(process.username)
            me = psutil.Process().username() if self._me is None else self._me
            return None if isinstance(name, Missing) else name == me
        else:  # noqa: RET505
            uids = _field(process.uids)
            uid = os.getuid() if self._me is None else self._me
            return None if isinstance(uids, Missing) else uids.real == uid


def _start(pid: int) -> tuple[str, float]:
    """
    What stays the same in the life of a process and is another after its PID was reused; and its start.

    On Linux both are field 22 of /proc/PID/stat, the ticks from the boot to the start, which no setting of
    the clock moves; the start is in seconds since the boot. Elsewhere they are wall time, kept by the kernel.
    Raises psutil.Error.
    """
    if sys.platform == "linux":
        ticks = _ticks(pid)
        return str(ticks), ticks / os.sysconf("SC_CLK_TCK")
    else:  # noqa: RET505
        created = psutil.Process(pid).create_time()
        return f"{created:.2f}", created


def _ticks(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except PermissionError:
        raise psutil.AccessDenied(pid) from None
    except OSError:
        raise psutil.NoSuchProcess(pid) from None
    # The second field is the program's name in brackets and may hold blanks and brackets.
    return int(stat.rpartition(b")")[2].split()[22 - 3])


def _field(ask: Callable[[], T]) -> Field[T]:
    """The answer of `ask`, or why there is none. Raises psutil.NoSuchProcess where the process is gone."""
    try:
        answer = ask()
    except psutil.AccessDenied:
        return DENIED
    except psutil.ZombieProcess:
        return ZOMBIE
    except OSError as error:
        return Missing(Why.ERROR, error.strerror or str(error))
    return answer or EMPTY


def _printable(text: str) -> str:
    """`text` without the surrogates that stand for bytes which are not UTF-8: nothing can write them."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
