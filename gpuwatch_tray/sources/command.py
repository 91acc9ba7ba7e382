"""Snapshots from any program that prints the process list, such as `ssh host mygpu.sh`."""

from __future__ import annotations

import errno
import hashlib
import os
import shlex
import shutil
import sys
import time
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from gpuwatch_tray.common import redact
from gpuwatch_tray.common.proclist import parse_listing
from gpuwatch_tray.common.secret_names import REDACTED
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.model import Gpu, GpuProcess, Missing, Problem, Snapshot
from gpuwatch_tray.sources.processes import steady_clock
from gpuwatch_tray.sources.subprocess_runner import MAX_OUTPUT, RunResult, SubprocessRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.common.proclist import Listing


ProcessKey: TypeAlias = tuple[int, str]
FirstSeen: TypeAlias = MutableMapping[ProcessKey, float]

TOLERANCE = 60.0  # seconds by which two estimates of one start may differ
RETURN_WITHIN = 120.0  # seconds for which a process that a reading lacked is still known
_SLACK = 2.0  # seconds: elapsed times are whole, and the steady clock is read a moment later


class ProcessMatcher:
    """
    Gives processes their identities. `first_seen` maps (pid, digest of the command) to the first start.

    An elapsed time is to the second, and late by as long as the list's program takes. So the first estimate
    of the start stands for the process, and one that comes out near it is the same process. A process that
    is older than the last reading of this object is the same one too: then the clock was set meanwhile.
    """

    def __init__(self, first_seen: FirstSeen) -> None:
        self._first_seen = first_seen
        self._gone: dict[ProcessKey, tuple[float, float]] = {}  # start, and steady time of the last sight
        self._last_read: float | None = None  # when the last whole reading began, on the steady clock

    def identify(
        self, processes: tuple[GpuProcess, ...], now: float, began: float, ended: float
    ) -> tuple[GpuProcess, ...]:
        """Return the processes with start and identity; `now` is wall time, the other times are steady."""
        seen: dict[ProcessKey, float] = {}
        known: list[GpuProcess] = []
        since = None if self._last_read is None else ended - self._last_read
        for process in processes:
            key = self._key(process, seen, now)
            start = seen.get(key)
            if start is None:
                start = self._estimate_start(process, key, now, since)
            if start is not None:
                seen[key] = start
            if start is None or isinstance(process.elapsed, Missing):
                known.append(process)
                continue
            started = start if _near(process, start, now) else now - process.elapsed
            known.append(replace(process, started=started, identity=f"{start:.0f}"))
        self._keep(seen, ended)
        self._last_read = began
        return tuple(known)

    def _key(self, process: GpuProcess, seen: FirstSeen, now: float) -> ProcessKey:
        """Return the key of a process; a command that is missing is taken to be the one remembered."""
        if not isinstance(process.command, Missing):
            return process.pid, digest(process.command)
        for remembered in (seen, self._first_seen):
            for key, start in remembered.items():
                if key[0] == process.pid and _near(process, start, now):
                    return key
        return process.pid, ""

    def _estimate_start(
        self, process: GpuProcess, key: ProcessKey, now: float, since: float | None
    ) -> float | None:
        """Return the remembered start where it can be this process's, else the estimate, if there is one."""
        remembered = self._first_seen.get(key)
        if remembered is not None:
            older = since is not None and _is_older(process, since)
            if older or _near(process, remembered, now):
                return remembered
        elif key in self._gone and _near(process, self._gone[key][0], now):
            return self._gone[key][0]
        return None if isinstance(process.elapsed, Missing) else now - process.elapsed

    def _keep(self, seen: FirstSeen, steady: float) -> None:
        for key in [key for key in self._first_seen if key not in seen]:
            self._gone[key] = self._first_seen.pop(key), steady
        self._first_seen.update(seen)
        self._gone = {
            key: (start, left)
            for key, (start, left) in self._gone.items()
            if key not in seen and steady - left <= RETURN_WITHIN
        }


def digest(command: tuple[str, ...]) -> str:
    """Return a digest that stands for a command on disk: the command itself may hold secrets."""
    return hashlib.sha256("\0".join(command).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _near(process: GpuProcess, start: float, now: float) -> bool:
    return isinstance(process.elapsed, Missing) or abs(now - process.elapsed - start) <= TOLERANCE


def _is_older(process: GpuProcess, since: float) -> bool:
    """Tell whether it ran at the last reading already: a PID has one process at a time."""
    return not isinstance(process.elapsed, Missing) and process.elapsed > since + _SLACK


_BY_HAND = N_("run it by hand")
_NAME_LENGTH = 60
_COMMAND_LENGTH = 120
_ERROR_LENGTH = 200


class CommandSource:
    """
    The process list that `mygpu` prints, as one's own processes.

    `mygpu` is the path of an executable file, else a command line split as a shell would (none is started).
    `first_seen` maps (pid, digest of the command) to the first estimate of the start, in wall time; kept from
    run to run, it keeps the processes' identities. `timeout` is in seconds, `clock` wall time, `steady` a
    clock that nobody sets.
    """

    def __init__(
        self,
        mygpu: str,
        *,
        first_seen: FirstSeen,
        user: str,
        timeout: float = 20.0,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = steady_clock,
        limit: int = MAX_OUTPUT,
    ) -> None:
        self._mygpu = mygpu
        self._matcher = ProcessMatcher(first_seen)
        self._user = user
        self._timeout = timeout
        self._clock = clock
        self._steady = steady
        self._limit = limit
        self._runner = SubprocessRunner(timeout, limit)
        self.name = f"command: {_shown(mygpu)}"
        self._label = f"MYGPU ({_shown(mygpu, folders=True)})"

    def read(self) -> Snapshot:
        """Run the program once."""
        began = self._steady()
        listing = self._list()
        now = self._clock()
        if isinstance(listing, Problem):
            return Snapshot(self.name, now, problem=listing)
        return _snapshot(listing, self.name, self._user, self._matcher, now, began, self._steady())

    def close(self) -> None:
        """End a run in progress; later reads start nothing."""
        self._runner.stop()

    def _list(self) -> Listing | Problem:
        try:
            argv = command_line(self._mygpu)
        except ValueError as error:
            what = _("a quote") if "quotation" in str(error) else _("a backslash at the end")
            return Problem(_("MYGPU: {what} is not closed").format(what=what), _("see the quotes in MYGPU"))
        if not argv:
            return Problem(
                _("MYGPU is empty"), _("unset it, or set it to a program that prints the process list")
            )
        try:
            outcome = self._run(argv)
        except OSError as error:
            return _cannot_start(argv[0], error)
        problem = self._problem(outcome)
        if problem is not None:
            return problem
        listing = parse_listing(outcome.out.decode("utf-8", "replace"))
        if listing.bad_lines:
            line = _clip(redact.text(str(listing.bad_lines[0])))
            return Problem(
                _("{program}: not a line of a process list: {line}").format(program=self._label, line=line),
                _(_BY_HAND),
            )
        return listing

    def _run(self, argv: list[str]) -> RunResult:
        try:
            return self._runner.run(argv)
        except OSError as error:
            shell = shutil.which("bash") or shutil.which("sh")
            if error.errno != errno.ENOEXEC or shell is None:
                raise
            # A script without `#!`: the Bash tool's shell runs those itself, so its users may have one.
            return self._runner.run([shell, *argv])

    def _problem(self, outcome: RunResult) -> Problem | None:
        if self._runner.stopped:
            return Problem(_("{program} was stopped").format(program=self._label))
        if outcome.too_long:
            text = _("{program} printed more than {most} bytes")
        elif outcome.timed_out and outcome.stuck:
            text = _("{program} did not answer within {seconds:g} s, and cannot be killed")
        elif outcome.timed_out:
            text = _("{program} did not answer within {seconds:g} s")
        elif outcome.stuck:
            text = _("{program}: the last run still hangs and cannot be killed")
        elif outcome.code:
            ended = _("{program} ended with exit code {code}"), _("{program} was ended by signal {signal}")
            text = ended[outcome.code < 0] + _last_line(outcome.err).replace("{", "{{").replace("}", "}}")
        else:
            return None
        code = outcome.code or 0
        values = {"program": self._label, "most": self._limit, "seconds": self._timeout}
        return Problem(text.format(code=code, signal=-code, **values), _(_BY_HAND))


def snapshot_of_listing(
    text: str, source: str, user: str, matcher: ProcessMatcher, now: float, began: float, ended: float
) -> Snapshot:
    """
    Make a snapshot of a printed process list whose own processes are `user`'s, named after its `source`.

    `now` is wall time, the other two are steady. A line that is none of a list is a problem.
    """
    listing = parse_listing(text)
    if listing.bad_lines:
        line = _clip(redact.text(str(listing.bad_lines[0])))
        return Snapshot(
            source, now, problem=Problem(_("not a line of a process list: {line}").format(line=line))
        )
    return _snapshot(listing, source, user, matcher, now, began, ended)


def _snapshot(
    listing: Listing, source: str, user: str, matcher: ProcessMatcher, now: float, began: float, ended: float
) -> Snapshot:
    indexes = sorted({process.gpu for process in listing.processes if process.gpu is not None})
    owned = tuple(_with_owner(process, user) for process in listing.processes)
    # Their own numbers are not known: these come after all others.
    lost = enumerate(listing.unreadable, indexes[-1] + 1 if indexes else 0)
    return Snapshot(
        source,
        now,
        gpus=(
            *(Gpu(index, uuid="") for index in indexes),
            *(Gpu(index, uuid=name, problem=why, process_problem=why) for index, (name, why) in lost),
        ),
        processes=matcher.identify(owned, now, began, ended),
    )


def _with_owner(process: GpuProcess, user: str) -> GpuProcess:
    if process.mine:
        return replace(process, user=user)
    known_owner = not isinstance(process.user, Missing)
    return replace(process, mine=process.user == user) if known_owner else process


def command_line(mygpu: str) -> list[str]:
    """Return a path to a file as it is, else the words of a shell; raises ValueError for an open quote."""
    mygpu = mygpu.strip()
    path = os.path.expanduser(mygpu)  # noqa: PTH111  # Path would raise for a user without a home
    if os.path.isfile(path):  # noqa: PTH113
        return [os.path.abspath(path)]  # noqa: PTH100  # a bare name would be looked for on PATH
    if sys.platform == "win32":
        words = [_unquoted(word) for word in shlex.split(mygpu, posix=False)]
    else:
        words = shlex.split(mygpu)
    return [os.path.expanduser(word) for word in words]  # noqa: PTH111


def _shown(mygpu: str, *, folders: bool = False) -> str:
    """Write the command for people, redacted and quoted; the program as its name, or with its `folders`."""
    try:
        argv = command_line(mygpu)
    except ValueError:
        return _clip(redact.one_line(" ".join(redact.arguments(mygpu.split()))), _NAME_LENGTH)
    shown = list(redact.arguments(argv))
    if not folders:
        shown[:1] = map(redact.program, shown[:1])
    return _clip(redact.one_line(_joined(shown)), _COMMAND_LENGTH if folders else _NAME_LENGTH)


def _joined(words: Sequence[str]) -> str:
    """Join words as shlex.join does, but leave a path alone as it is, and quote no redacted word's stars."""
    if len(words) == 1:
        return words[0]
    plain = ((word, word.replace(REDACTED, "x")) for word in words)
    return " ".join(word if shlex.quote(bare) == bare else shlex.quote(word) for word, bare in plain)


def _cannot_start(program: str, error: OSError) -> Problem:
    shown = redact.text(program)
    if isinstance(error, FileNotFoundError):
        return Problem(
            _("MYGPU: program {program} not found").format(program=shown),
            _("set MYGPU to the path of mygpu.sh or a command"),
        )
    if isinstance(error, PermissionError):
        return Problem(
            _("MYGPU: {program} is not executable").format(program=shown), f"chmod +x {shlex.quote(shown)}"
        )
    return Problem(
        _("MYGPU: {program} cannot be started: {why}").format(program=shown, why=error.strerror or error)
    )


def _last_line(err: bytes) -> str:
    lines = [line for line in err.decode("utf-8", "replace").splitlines() if line.strip()]
    return f": {_clip(redact.text(lines[-1].strip()))}" if lines else ""


def _clip(s: str, length: int = _ERROR_LENGTH) -> str:
    return s if len(s) <= length else s[: length - 1] + "…"


def _unquoted(word: str) -> str:
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] == '"' else word
