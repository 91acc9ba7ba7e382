"""The owner, start and command of processes, and whether they still run."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from gpuwatch_tray.i18n import N_
from gpuwatch_tray.model import GONE, UNKNOWN, Field, GpuProcess, Missing, Why
from gpuwatch_tray.sources.held_processes import HeldProcesses
from gpuwatch_tray.sources.system_process import SystemProcess, ZombieError, start_ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from gpuwatch_tray.model import ProcessKind


FIRST_PID_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO of the kernel's proc_ns.h
DRIVER_FILES = ("/dev/nvidia", "/dev/dxg")  # the driver's, and Windows' in its Linux subsystem

SUBUIDS = Path("/etc/subuid")


def steady_clock() -> float:
    """Read a clock that nobody sets, in seconds; on Linux since the boot, suspends included, as in `ps`."""
    if sys.platform == "linux":
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
    else:  # not a return above: mypy knows a platform's code by its branch
        now = time.monotonic()
    return now


def sees_host_pids() -> bool:
    """Tell whether the driver's PIDs are ours: not so in a PID namespace other than the machine's first."""
    if sys.platform == "linux":
        try:
            return os.readlink("/proc/self/ns/pid") == FIRST_PID_NAMESPACE  # noqa: PTH115  # no path
        except OSError:
            return False
    else:
        return True


def has_driver_open(pid: int) -> bool:
    """Tell whether a process of one's own has a file of the driver open, as all on a GPU have. Linux only."""
    try:
        for file in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if str(file.readlink()).startswith(DRIVER_FILES):
                    return True
            except OSError:
                continue  # closed meanwhile
    except OSError:
        return False
    return False


FOREIGN = Missing(Why.ERROR, N_("the driver's process numbers are not those of this container"))
DENIED = Missing(Why.ERROR, N_("permission denied"))
HIDDEN = Missing(Why.ERROR, N_("the system hides the processes of others (/proc has hidepid)"))
ZOMBIE = Missing(Why.ERROR, N_("the process has ended"))
EMPTY = Missing(Why.ERROR, N_("the system gives none"))


class ProcessFacts(Struct, frozen=True):
    """The facts of a process, each of which may be missing; the fields are those of model.GpuProcess."""

    pid: int
    user: Field[str]
    mine: bool | None
    started: Field[float]
    elapsed: Field[float]
    identity: str
    cwd: Field[str]
    command: Field[tuple[str, ...]]
    name: Field[str]
    state: str = ""
    cpu: Field[float] = UNKNOWN

    @property
    def ended(self) -> bool:
        """Whether the process has ended; a zombie has."""
        return ZOMBIE in (self.command, self.name) or GONE in (self.user, self.command, self.name)

    @classmethod
    def unknown(cls, pid: int, why: Missing, *, mine: bool | None = None) -> ProcessFacts:
        """Return the facts of a process of which nothing is known, for the reason `why`."""
        return cls(pid, why, mine, why, why, "", why, why, why)

    def on_gpu(
        self, gpu: int, kinds: frozenset[ProcessKind], memory: Field[int], device: str = ""
    ) -> GpuProcess:
        """Return the process as it is on one GPU, or on one of its MIG devices."""
        # By place: there are hundreds of them, and keywords take half as long again.
        return GpuProcess(
            self.pid,
            gpu,
            kinds,
            memory,
            self.user,
            self.mine,
            self.started,
            self.elapsed,
            self.identity,
            self.cwd,
            self.command,
            self.name,
            device,
            self.state,
            self.cpu,
        )


T = TypeVar("T")

CACHED_READS = 60  # reads for which what seldom changes is kept: the working directory and the arguments
PROGRAM_READS = 12  # reads after which it is asked whether a process that is held runs the same program yet


class _CachedProcess(Struct):
    """What hardly changes in the life of a process; `program` changes with the program that it runs."""

    identity: str
    program: bytes
    started: float  # on the steady clock
    user: Field[str]
    mine: bool | None
    command: Field[tuple[str, ...]]
    name: Field[str]
    cwd: Field[str]
    complete: bool  # owner, command and name are known
    reads: int = 0  # since psutil was asked
    state: str = ""  # as last read, which of a process that is held is each PROGRAM_READS
    cpu: Field[float] = UNKNOWN  # s, likewise

    @property
    def due(self) -> bool:
        """Whether psutil is to be asked again, or the system whether the program is the same yet."""
        return not self.complete or self.reads >= CACHED_READS or not self.reads % PROGRAM_READS


class ProcessInspector:
    """
    Reads the facts of processes, and keeps what lasts of those that it was last asked about.

    Of a process that is `held` and has not ended nothing is read to know that it is still the same one; of
    any other its start is read each time. `close` lets go of them.

    `me` is the owner of what counts as `mine`: a real user id, on Windows a name with its domain; by default
    the user of this process. `clock` gives wall time, `steady` is a clock that nobody sets, both in seconds.
    """

    def __init__(
        self,
        *,
        me: int | str | None = None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = steady_clock,
        held: HeldProcesses | None = None,
    ) -> None:
        self._held = HeldProcesses() if held is None else held
        self._me = me
        self._subordinates: tuple[range, ...] = ()
        self._clock = clock
        self._steady = steady
        self._known: dict[int, _CachedProcess] = {}
        self._missing: set[int] = set()
        self._foreign = False  # whether the driver's PIDs are those of another PID namespace

    @cached_property
    def boot_id(self) -> str:
        """The kernel's id of this boot; empty where identities are absolute times."""
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            return ""

    def close(self) -> None:
        """Let go of the processes that are held."""
        self._held.close()

    def inspect_all(self, pids: Collection[int]) -> dict[int, ProcessFacts]:
        """
        Return the facts of each of `pids`, and forget what is kept of any other.

        In a container the driver may list the machine's PIDs. One that no process here has shows that, and
        then a process here that has another of them is not the one meant: every fact is FOREIGN.
        """
        before, self._known = self._known, {}
        self._held.keep_only(pids)
        for pid in self._held.release_ended():
            before.pop(pid, None)
        steady, wall = self._steady(), self._clock()
        found = {}
        for pid in pids:
            known = before.get(pid)
            if known is None or known.due or pid not in self._held:
                found[pid] = self._inspect(pid, known)
            else:
                found[pid] = self._facts(pid, known, steady, wall)
        if self._sees_host_pids:
            return found
        missing = {pid for pid, facts in found.items() if facts.user == GONE}
        # A process may end between the driver's list and this read, but not twice.
        self._foreign = self._foreign or not missing.isdisjoint(self._missing)
        self._missing = missing
        return (
            {pid: ProcessFacts.unknown(pid, FOREIGN) for pid in found} if missing or self._foreign else found
        )

    def inspect(self, pid: int) -> ProcessFacts:
        """Return the facts of the process that has this PID here, in this PID namespace."""
        return self._inspect(pid, self._known.get(pid))

    def _inspect(self, pid: int, known: _CachedProcess | None) -> ProcessFacts:
        if known is not None:  # one that is seen for the second time; a program that reads once holds none
            self._held.hold(pid)
        try:
            identity, start, program, state, cpu = _process_start(pid)
            if known is None or known.identity != identity:
                known = self._query_process(pid, identity, program, self._start_on_steady_clock(start))
                known.reads = pid % CACHED_READS  # those found together are not all asked together
            elif known.program != program or not known.complete or known.reads >= CACHED_READS:
                known = self._query_process(pid, identity, program, known.started)
        except PermissionError:
            return ProcessFacts.unknown(pid, DENIED, mine=False)  # one's own can always be asked
        except (ProcessLookupError, ZombieError):
            # One that is hidden may be mine under another number, in a rootless container of mine; within a
            # container it may be anybody's.
            if self._sees_host_pids and not _is_hidden(pid):
                return ProcessFacts.unknown(pid, GONE, mine=False)
            return ProcessFacts.unknown(pid, HIDDEN if self._sees_host_pids else GONE)
        known.state, known.cpu = state, cpu
        return self._facts(pid, known, self._steady(), self._clock())

    def _facts(self, pid: int, known: _CachedProcess, steady: float, wall: float) -> ProcessFacts:
        known.reads += 1
        self._known[pid] = known
        elapsed = max(0.0, steady - known.started)
        return ProcessFacts(
            pid,
            known.user,
            known.mine,
            wall - elapsed,
            elapsed,
            known.identity,
            known.cwd,
            known.command,
            known.name,
            known.state,
            known.cpu,
        )

    @cached_property
    def _sees_host_pids(self) -> bool:
        return sees_host_pids()

    def _start_on_steady_clock(self, start: float) -> float:
        if sys.platform != "linux":  # the start is wall time there
            start = self._steady() - max(0.0, self._clock() - start)
        return start

    def _query_process(self, pid: int, identity: str, program: bytes, started: float) -> _CachedProcess:
        """Ask the system about the process of this identity. Raises ProcessLookupError where it is gone."""
        process = SystemProcess(pid)
        owner = _query(process.owner)
        command = _query(process.arguments)
        name = _query(process.name)
        folder = _query(process.folder)
        user = owner if isinstance(owner, Missing) else owner[1] or EMPTY
        known = _CachedProcess(
            identity,
            program,
            started,
            user=user,
            mine=None if isinstance(owner, Missing) else self._is_me(owner[0]),
            command=command if isinstance(command, Missing) else _arguments(command),
            name=name if isinstance(name, Missing) else _printable(name) or EMPTY,
            cwd=folder if isinstance(folder, Missing) else _printable(folder) or EMPTY,
            complete=not any(isinstance(value, Missing) for value in (user, command, name)),
        )
        if _process_start(pid)[0] != identity:  # the PID was reused meanwhile
            raise ProcessLookupError(pid)
        return known

    def _is_me(self, owner: int | str) -> bool:
        if self._me is None:
            self._me = own_user()[0]
            self._subordinates = subordinate_uids()
        return owner == self._me or any(owner in subordinate for subordinate in self._subordinates)


def own_user() -> tuple[int | str, str]:
    """Return the user id of this process, on Windows the name with its domain; and the user's name."""
    return SystemProcess(os.getpid()).owner()


def subordinate_uids(table: Path = SUBUIDS) -> tuple[range, ...]:
    """Return the user ids that the system gives this user for rootless containers (subuid(5))."""
    names = {str(word) for word in own_user()}
    found: list[range] = []
    with suppress(OSError):
        for line in table.read_text(encoding="utf-8", errors="replace").splitlines():
            owner, _, numbers = line.strip().partition(":")
            start, _, count = numbers.partition(":")
            if owner in names and start.isdecimal() and count.isdecimal():
                found.append(range(int(start), int(start) + int(count)))
    return tuple(found)


def own_ancestry() -> frozenset[int]:
    """Return the PIDs of this process and of its ancestors, up to the first."""
    return ancestor_pids(os.getpid()) | {os.getpid(), os.getppid()}


def ancestor_pids(pid: int) -> frozenset[int]:
    """Return the PIDs of the ancestors of a process, up to the first that can be seen."""
    found: set[int] = set()
    with suppress(OSError):
        while (pid := SystemProcess(pid).parent()) and pid not in found:
            found.add(pid)
    return frozenset(found)


def _process_start(pid: int) -> tuple[str, float, bytes, str, Field[float]]:
    """
    Return identity, start and program: in ticks since the boot on Linux, elsewhere as wall time.

    Then its state and the seconds of CPU that it has used, which only Linux tells at no further cost.
    """
    if sys.platform == "linux":
        try:
            since, program, state, used = start_ticks(pid)
        except PermissionError:
            raise
        except (OSError, ValueError, IndexError):  # the last two: it ended while its file was read
            raise ProcessLookupError(pid) from None
        ticks = os.sysconf("SC_CLK_TCK")
        start = str(since), since / ticks, program, state, used / ticks
    else:
        created = SystemProcess(pid).created()
        start = f"{created:.2f}", created, b"", "", UNKNOWN
    return start


def _query(call: Callable[[], T]) -> Field[T]:
    """Return what `call` returns, or why it fails. Raises ProcessLookupError where the process is gone."""
    try:
        return call()
    except ProcessLookupError:
        raise
    except PermissionError:
        return DENIED
    except ZombieError:
        return ZOMBIE
    except OSError as error:
        return Missing(Why.ERROR, error.strerror or str(error))


def _arguments(command: Sequence[str]) -> Field[tuple[str, ...]]:
    """Return the arguments without the empty ones at the end that setproctitle leaves; EMPTY for none."""
    words = list(map(_printable, command))
    while words and not words[-1]:
        words.pop()
    return tuple(words) or EMPTY


def _is_hidden(pid: int) -> bool:
    """Tell whether there is such a process, though /proc does not show it. Linux only."""
    if sys.platform == "linux":
        try:
            os.kill(pid, 0)
        except PermissionError:
            return True
        except OSError:
            return False
    return False


def _printable(text: str) -> str:
    """Replace the surrogates that stand for bytes which are not UTF-8: nothing can write them."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def is_alive(pid: int, identity: str) -> bool | None:
    """Tell whether this very process runs, a zombie does not; None where the system does not say."""
    facts = ProcessInspector().inspect(pid)
    if facts.ended:
        return False
    return facts.identity == identity if facts.identity and identity else None


def is_descendant(pid: int, ancestor: int) -> bool:
    """Tell whether `ancestor` started the process `pid`, itself or through others that still run."""
    return ancestor in ancestor_pids(pid)


def process_identity(pid: int) -> tuple[str, str]:
    """Return what tells this process from others of its PID, and the boot id; each may be empty."""
    inspector = ProcessInspector()
    return inspector.inspect(pid).identity, inspector.boot_id
