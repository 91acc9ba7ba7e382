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
from gpuwatch_tray.sources.births import sees_every_pid, steady, ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


# In a container the driver's PIDs are the host's, which mean nothing here.
GONE = Missing(Why.ERROR, "no such process here")
DENIED = Missing(Why.ERROR, "permission denied")
ZOMBIE = Missing(Why.ERROR, "the process has ended")
EMPTY = Missing(Why.ERROR, "the system gives none")


FRESH = 12  # looks for which what seldom changes is kept: the folder, and after an exec the command


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

    def on_gpu(self, gpu: int, kinds: frozenset[Kind], memory: Field[int], device: str = "") -> GpuProcess:
        """The process on one GPU, or on one of its MIG devices."""
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
            device=device,
        )


@dataclass(slots=True)
class _Known:
    """What hardly changes in the life of a process; `born` is its start on the steady clock."""

    identity: str
    born: float
    user: Field[str]
    mine: bool | None
    command: Field[tuple[str, ...]]
    name: Field[str]
    cwd: Field[str]
    looks: int = 0  # since it was asked for

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
        self._known: dict[int, _Known] = {}

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

    def _facts(self, pid: int, known: _Known | None) -> Facts:
        try:
            identity, start = _start(pid)
            if known is None or known.identity != identity:
                known = self._ask(pid, identity, self._born(start))
                known.looks = pid % FRESH  # so that those found together are not all asked together
            elif not known.complete or known.looks >= FRESH:
                known = self._ask(pid, identity, known.born)
        except psutil.AccessDenied:
            return Facts.unknown(pid, DENIED, mine=False)  # one's own can always be asked
        except psutil.Error:
            return self._gone(pid)
        known.looks += 1
        self._known[pid] = known
        elapsed = max(0.0, self._steady() - known.born)
        return Facts(
            pid,
            known.user,
            known.mine,
            started=self._clock() - elapsed,
            elapsed=elapsed,
            identity=identity,
            cwd=known.cwd,
            command=known.command,
            name=known.name,
        )

    def _gone(self, pid: int) -> Facts:
        """Ended, or hidden from us and so somebody else's; within a container it may be anybody's."""
        return Facts.unknown(pid, GONE, mine=False if self._sees_every_pid else None)

    @cached_property
    def _sees_every_pid(self) -> bool:
        return sees_every_pid()

    def _born(self, start: float) -> float:
        if sys.platform == "linux":
            return start
        else:  # noqa: RET505
            # The start is wall time there. From the first look on, the steady clock counts.
            return self._steady() - max(0.0, self._clock() - start)

    def _ask(self, pid: int, identity: str, born: float) -> _Known:
        """Everything about the process of this identity. Raises psutil.Error where it is gone."""
        process = psutil.Process(pid)
        command = _field(process.cmdline)
        name = _field(process.name)
        cwd = _field(process.cwd)
        known = _Known(
            identity,
            born,
            user=_field(process.username),
            mine=self._is_mine(process),
            command=command if isinstance(command, Missing) else tuple(map(_printable, command)),
            name=name if isinstance(name, Missing) else _printable(name),
            cwd=cwd if isinstance(cwd, Missing) else _printable(cwd),
        )
        if _start(pid)[0] != identity:  # another one has taken the number meanwhile
            raise psutil.NoSuchProcess(pid)
        return known

    def _is_mine(self, process: psutil.Process) -> bool | None:
        if sys.platform == "win32":
            name = _field(process.username)
            me = psutil.Process().username() if self._me is None else self._me
            return None if isinstance(name, Missing) else name == me
        else:  # noqa: RET505
            uids = _field(process.uids)
            uid = os.getuid() if self._me is None else self._me
            return None if isinstance(uids, Missing) else uids.real == uid


def kin() -> frozenset[int]:
    """The PIDs of this process and of those that it runs under, up to the first."""
    try:
        above = [process.pid for process in psutil.Process().parents()]
    except psutil.Error:
        above = [os.getppid()]
    return frozenset([os.getpid(), *above])


def _start(pid: int) -> tuple[str, float]:
    """
    What stays the same in the life of a process and is another after its PID was reused; and its start.

    On Linux both are field 22 of /proc/PID/stat, the ticks from the boot to the start, which no setting of
    the clock moves; the start is in seconds since the boot. Elsewhere they are wall time, kept by the kernel.
    Raises psutil.Error.
    """
    if sys.platform == "linux":
        try:
            since = ticks(pid)
        except PermissionError:
            raise psutil.AccessDenied(pid) from None
        except (OSError, ValueError, IndexError):  # the last two: it went while its file was read
            raise psutil.NoSuchProcess(pid) from None
        return str(since), since / os.sysconf("SC_CLK_TCK")
    else:  # noqa: RET505
        created = psutil.Process(pid).create_time()
        return f"{created:.2f}", created


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
