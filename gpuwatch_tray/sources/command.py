"""
Snapshots from any program that prints the process list: the Bash tool's mygpu.sh, or `ssh host mygpu.sh`.

The text tells when a process started only by its elapsed time, to the second and late by as long as the
program takes. So the first estimate stands for the process from then on (`sightings`), and one that comes
out near it is the same process.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shlex
import shutil
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from gpuwatch_tray import listing, redact
from gpuwatch_tray.model import Gpu, GpuProcess, Missing, Problem, Snapshot
from gpuwatch_tray.sources.bounded import LIMIT, BoundedRun, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

Sightings: TypeAlias = "MutableMapping[tuple[int, str], float]"

TOLERANCE = 60.0  # seconds by which two estimates of one start may differ
_NAME_LENGTH = 60
_ERROR_LENGTH = 200


class CommandSource:
    """
    The process list that `mygpu` prints, read as one's own processes.

    `mygpu` is the path of an executable file, else a command line split as a shell would (none is started).
    `sightings` maps (pid, digest of the command) to the first estimate of the start; whoever keeps it between
    runs keeps the processes' identities. `timeout` is in seconds.
    """

    def __init__(
        self,
        mygpu: str,
        *,
        sightings: Sightings,
        user: str,
        timeout: float = 20.0,
        clock: Callable[[], float] = time.time,
        limit: int = LIMIT,
    ) -> None:
        self._mygpu = mygpu
        self._sightings = sightings
        self._user = user
        self._timeout = timeout
        self._clock = clock
        self._limit = limit
        self._runner = BoundedRun(timeout, limit)
        self.name = f"command: {_shown(mygpu)}"

    def read(self) -> Snapshot:
        """Run the program once. Whatever leaves the list incomplete is a problem, never a shorter list."""
        found = self._list()
        now = self._clock()
        if isinstance(found, Problem):
            return Snapshot(self.name, now, problem=found)
        indexes = sorted({process.gpu for process in found if process.gpu is not None})
        return Snapshot(
            self.name,
            now,
            gpus=tuple(Gpu(index, uuid="") for index in indexes),
            processes=self._identified(found, now),
        )

    def close(self) -> None:
        """End a run in progress; later reads start nothing."""
        self._runner.stop()

    def _list(self) -> tuple[GpuProcess, ...] | Problem:
        try:
            argv = command_line(self._mygpu)
        except ValueError as error:
            return Problem(f"MYGPU cannot be read as a command: {error}", "see the quotes in MYGPU")
        if not argv:
            return Problem("MYGPU is empty", "unset it, or set it to a program that prints the process list")
        try:
            outcome = self._run(argv)
        except OSError as error:
            return _cannot_start(argv[0], error)
        problem = self._problem(outcome)
        if problem is not None:
            return problem
        listed = listing.parse(outcome.out.decode("utf-8", "replace"))
        if listed.bad_lines:
            line = _clip(redact.text(str(listed.bad_lines[0])))
            return Problem(f"{self.name}: not a line of a process list: {line}", self._by_hand())
        return listed.processes

    def _run(self, argv: list[str]) -> Outcome:
        try:
            return self._runner.run(argv)
        except OSError as error:
            shell = shutil.which("bash") or shutil.which("sh")
            if error.errno != errno.ENOEXEC or shell is None:
                raise
            # A script without `#!`: the Bash tool's shell runs those itself, so its users may have one.
            return self._runner.run([shell, *argv])

    def _problem(self, outcome: Outcome) -> Problem | None:
        if self._runner.stopped:
            return Problem(f"{self.name}: stopped")
        if outcome.too_long:
            return Problem(f"{self.name}: printed more than {self._limit} bytes", self._by_hand())
        if outcome.timed_out:
            left = ", and cannot be killed" if outcome.stuck else ""
            return Problem(f"{self.name}: no end after {self._timeout:g} s{left}", self._by_hand())
        if outcome.stuck:
            return Problem(f"{self.name}: the last run still hangs and cannot be killed", self._by_hand())
        if outcome.code:
            last = _last_line(outcome.err)
            said = f": {last}" if last else ""
            return Problem(f"{self.name}: {_ending(outcome.code)}{said}", self._by_hand())
        return None

    def _by_hand(self) -> str:
        return f"run it by hand: {_shown(self._mygpu, folders=True)}"

    def _identified(self, processes: tuple[GpuProcess, ...], now: float) -> tuple[GpuProcess, ...]:
        """The processes with owner, start and identity; sightings of those that are gone are forgotten."""
        seen: dict[tuple[int, str], float] = {}
        known: list[GpuProcess] = []
        for process in processes:
            owned = self._owned(process)
            key = self._key(owned, seen, now)
            start = seen.get(key)
            if start is None:
                start = self._start(owned, key, now)
            if start is not None:
                seen[key] = start
            if start is not None and not isinstance(owned.elapsed, Missing):
                owned = replace(owned, started=start, identity=f"{start:.0f}")
            known.append(owned)
        for gone in [key for key in self._sightings if key not in seen]:
            del self._sightings[gone]
        self._sightings.update(seen)
        return tuple(known)

    def _owned(self, process: GpuProcess) -> GpuProcess:
        if process.mine:
            return replace(process, user=self._user)
        return (
            process
            if isinstance(process.user, Missing)
            else replace(process, mine=process.user == self._user)
        )

    def _key(self, process: GpuProcess, seen: Sightings, now: float) -> tuple[int, str]:
        """The key of a process; a command not read this time is taken to be the one remembered."""
        if not isinstance(process.command, Missing):
            return process.pid, digest(process.command)
        for remembered in (seen, self._sightings):
            for key, start in remembered.items():
                if key[0] == process.pid and _near(process, start, now):
                    return key
        return process.pid, ""

    def _start(self, process: GpuProcess, key: tuple[int, str], now: float) -> float | None:
        """The remembered start where it can be this process's, else the estimate, if there is one."""
        remembered = self._sightings.get(key)
        if remembered is not None and _near(process, remembered, now):
            return remembered
        return None if isinstance(process.elapsed, Missing) else now - process.elapsed


def command_line(mygpu: str) -> list[str]:
    """
    The program and its arguments: a path to a file as it stands, blanks and all, else the words of a shell.

    Raises ValueError for quotes that are not closed.
    """
    mygpu = mygpu.strip()
    path = os.path.expanduser(mygpu)  # noqa: PTH111  # Path would raise for a user without a home
    if os.path.isfile(path):  # noqa: PTH113
        return [os.path.abspath(path)]  # noqa: PTH100  # a bare name would be looked for on PATH
    if sys.platform == "win32":
        words = [_unquoted(word) for word in shlex.split(mygpu, posix=False)]
    else:
        words = shlex.split(mygpu)
    return [os.path.expanduser(word) for word in words]  # noqa: PTH111


def digest(command: tuple[str, ...]) -> str:
    """What stands for a command in `sightings`, which is kept on disk: it may hold secrets."""
    return hashlib.sha256("\0".join(command).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _near(process: GpuProcess, start: float, now: float) -> bool:
    return isinstance(process.elapsed, Missing) or abs(now - process.elapsed - start) <= TOLERANCE


def _shown(mygpu: str, *, folders: bool = False) -> str:
    """The command for people, redacted; the program as its name, or with its `folders`."""
    try:
        argv = command_line(mygpu)
    except ValueError:
        argv = mygpu.split()
    shown = list(redact.arguments(argv))
    if folders:
        return _clip(redact.one_line(" ".join(shown)))
    return _clip(redact.one_line(" ".join([*map(redact.program, shown[:1]), *shown[1:]])), _NAME_LENGTH)


def _cannot_start(program: str, error: OSError) -> Problem:
    shown = redact.text(program)
    if isinstance(error, FileNotFoundError):
        return Problem(
            f"MYGPU: there is no program {shown}", "set MYGPU to the path of mygpu.sh or a command"
        )
    if isinstance(error, PermissionError):
        return Problem(f"MYGPU: {shown} is not executable", f"chmod +x {shlex.quote(shown)}")
    return Problem(f"MYGPU: {shown} cannot be started: {error.strerror or error}")


def _ending(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _last_line(err: bytes) -> str:
    lines = [line for line in err.decode("utf-8", "replace").splitlines() if line.strip()]
    return _clip(redact.text(lines[-1].strip())) if lines else ""


def _clip(s: str, length: int = _ERROR_LENGTH) -> str:
    return s if len(s) <= length else s[: length - 1] + "…"


def _unquoted(word: str) -> str:
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] == '"' else word
