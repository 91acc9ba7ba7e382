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

from gpuwatch_tray.model import Field, Missing, Why
from gpuwatch_tray.sources.births import sees_every_pid, steady, ticks
from gpuwatch_tray.sources.facts import DENIED, EMPTY, FOREIGN, GONE, ZOMBIE, Facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

FRESH = 60  # looks for which what seldom changes is kept: the folder, and the arguments in place


@dataclass(slots=True)
class _Known:
    """
    What hardly changes in the life of a process.

    `born` is its start on the steady clock, `program` changes with the program that it runs.
    """

    identity: str
    program: bytes
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
        self._missing: set[int] = set()
        self._foreign = False  # whether the driver's numbers are those of another PID namespace

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
        """
        The facts of each of `pids`; what was remembered of any other is forgotten.

        In a container the driver may list the machine's numbers. One of them that is nobody's here gives that
        away, and then another that is somebody's here is not that process: none of them is believed.
        """
        known, self._known = self._known, {}
        found = {pid: self._looked(pid, known.get(pid)) for pid in pids}
        if self._sees_every_pid:
            return found
        missing = {pid for pid, facts in found.items() if facts.user == GONE}
        # A process may end between the driver's list and this look, but not twice.
        self._foreign = self._foreign or not missing.isdisjoint(self._missing)
        self._missing = missing
        return {pid: Facts.unknown(pid, FOREIGN) for pid in found} if missing or self._foreign else found

    def look(self, pid: int) -> Facts:
        """The facts of the process that has the number here, whoever may have named it."""
        return self._looked(pid, self._known.get(pid))

    def _looked(self, pid: int, known: _Known | None) -> Facts:
        try:
            identity, start, program = _start(pid)
            if known is None or known.identity != identity:
                known = self._ask(pid, identity, program, self._born(start))
                known.looks = pid % FRESH  # so that those found together are not all asked together
            elif known.program != program or not known.complete or known.looks >= FRESH:
                known = self._ask(pid, identity, program, known.born)
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

    def _ask(self, pid: int, identity: str, program: bytes, born: float) -> _Known:
        """Everything about the process of this identity. Raises psutil.Error where it is gone."""
        process = psutil.Process(pid)
        command = _field(process.cmdline)
        name = _field(process.name)
        cwd = _field(process.cwd)
        known = _Known(
            identity,
            program,
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
    return above(os.getpid()) | {os.getpid(), os.getppid()}


def above(pid: int) -> frozenset[int]:
    """The PIDs of the processes that this one runs under, up to the first; none where it is gone."""
    try:
        return frozenset(process.pid for process in psutil.Process(pid).parents())
    except psutil.Error:
        return frozenset()


def _start(pid: int) -> tuple[str, float, bytes]:
    """
    What stays the same in the life of a process and is another after its PID was reused; start and program.

    On Linux the first two are field 22 of /proc/PID/stat, the ticks from the boot to the start, which no
    setting of the clock moves; the start is in seconds since the boot. Elsewhere they are wall time, kept by
    the kernel, and of the program nothing is told. Raises psutil.Error.
    """
    if sys.platform == "linux":
        try:
            since, program = ticks(pid)
        except PermissionError:
            raise psutil.AccessDenied(pid) from None
        except (OSError, ValueError, IndexError):  # the last two: it went while its file was read
            raise psutil.NoSuchProcess(pid) from None
        return str(since), since / os.sysconf("SC_CLK_TCK"), program
    else:  # noqa: RET505
        created = psutil.Process(pid).create_time()
        return f"{created:.2f}", created, b""


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
