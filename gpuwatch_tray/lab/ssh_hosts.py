"""
The lab by ssh: a few machines, each asked for its process list, side by side.

A machine that hangs, refuses or fails is that machine's trouble alone: each has a time limit of its own. One
connection to each is kept open between the reads, by ssh's ControlMaster.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.common import redact, session_folder
from gpuwatch_tray.common.threads import start_thread
from gpuwatch_tray.i18n import _
from gpuwatch_tray.lab.host_view import clock_notes, view_of_snapshot
from gpuwatch_tray.lab.ps_json import NotAListingError, parse_ps_json
from gpuwatch_tray.model import UNKNOWN, HostState, HostView, LabView, Missing, Problem, Snapshot
from gpuwatch_tray.model.units import MINUTE
from gpuwatch_tray.sources.command import ProcessMatcher, snapshot_of_listing
from gpuwatch_tray.sources.processes import steady_clock
from gpuwatch_tray.sources.subprocess_runner import RunResult, SubprocessRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gpuwatch_tray.model import RoomWanted
    from gpuwatch_tray.settings import LabSettings


# pipx puts programs into a folder that is on the PATH of a login alone. Ended there too: what hangs on that
# machine is not ended with the connection. Any shell reads it so.
COMMAND = 'env PATH="$PATH:$HOME/.local/bin" timeout -k 2 {seconds:.0f} gpuwatch-tray ps --all --json'
CONNECT = 5  # seconds for the connection
TIMEOUT = 15.0  # seconds for one machine, connection and list
LONGEST_PATH = (
    100  # bytes of a socket's name: the system's limit is 104 or 108, and ssh adds to it while it binds
)
DIGEST = 60  # characters of %C and of what ssh adds
DETAIL_AGE = 15.0  # seconds
CLOSE = 2.0  # seconds for a kept connection to end
LONGEST_PAUSE = 2 * MINUTE  # before a machine that has not answered in time is asked again
LONGEST_HANG = 10 * MINUTE  # where it was reached, and its program hangs: each try may leave one behind there
_FAILED = 255  # ssh's own exit code: the connection
_NOT_FOUND = 127  # the shell's
_ENDED_THERE = {124, 137}  # by `timeout`
_LONGEST_REASON = 200
_PERSIST = 2 * MINUTE  # seconds for which a connection that nobody uses stays


class SshHosts:
    """The machines of LAB_HOSTS. `user` is this account's name, which `LAB_ME` overrides."""

    name = "ssh"

    def __init__(
        self,
        settings: LabSettings,
        user: str,
        *,
        timeout: float = TIMEOUT,
        clock: Callable[[], float] = time.time,
        folder: Path | None = None,
    ) -> None:
        self._settings = settings
        self._timeout = timeout
        self._clock = clock
        self._control = control_path(folder)
        self._hosts = {host: _Host(host, settings, user, timeout) for host in settings.hosts}
        self._lock = threading.Lock()
        self._views: dict[str, HostView] = {}
        self._heard: dict[str, float] = {}  # when each came, on the monotonic clock
        self._closed = False

    def read(self, _wanted: Sequence[RoomWanted] = (), /) -> LabView:
        """Ask all machines at once; one that does not answer in time does not."""
        started = self._clock()
        readers = [start_thread(f"lab {name}", self._ask, name) for name in self._hosts]
        until = time.monotonic() + self._timeout + CLOSE
        for reader in readers:
            reader.join(max(0.0, until - time.monotonic()))
        with self._lock:
            views = [self._present(name, started) for name in self._hosts]
        hosts = tuple(sorted(views, key=lambda view: view.name))
        return LabView(self.name, self._clock(), hosts, notes=clock_notes(hosts))

    def _present(self, name: str, at: float) -> HostView:
        """Return what is known of a machine; that it was well is not, where a run has not returned since."""
        view = self._views.get(name)
        if view is None:
            return HostView(name, HostState.UNKNOWN, at, _("not asked yet"))
        oldest = time.monotonic() - (self._timeout + CLOSE + self._settings.poll)
        if view.state is HostState.OK and self._heard[name] < oldest:
            return HostView(name, HostState.STALE, at, _("it has not answered the last question yet"))
        return view

    def detail(self, host: str) -> Snapshot:
        """Return what the machine last said, asked anew where that is too old."""
        if host not in self._hosts:
            problem = Problem(_("{host} is not in LAB_HOSTS").format(host=host))
            return Snapshot(self.name, self._clock(), problem=problem)
        with self._lock:
            view = self._views.get(host)
        now = self._clock()
        if view is None or view.detail is None or now - view.detail.at > DETAIL_AGE:
            self._ask(host, now=True)
            with self._lock:
                view = self._views.get(host)
        if view is not None and view.detail is not None and view.state is HostState.OK:
            return view.detail
        reason = view.reason if view is not None and view.reason else _("not asked yet")
        return Snapshot(self.name, now, problem=Problem(f"{host}: {reason}"))

    def check(self, host: str) -> HostView:
        """Ask one machine now and return its line, for `lab test`."""
        self._ask(host, now=True)
        with self._lock:
            return self._views[host]

    def retry(self) -> None:
        """Have the next read ask those too that rest."""
        for host in self._hosts.values():
            host.pause(0.0, 0.0)

    def close(self) -> None:
        """End every run, and the kept connections; later reads start nothing."""
        self._closed = True
        for host in self._hosts.values():
            host.stop()
        if self._control:
            enders = [start_thread(f"lab {name}", self._hang_up, name) for name in self._hosts]
            until = time.monotonic() + CLOSE
            for ender in enders:
                ender.join(max(0.0, until - time.monotonic()))

    def _ask(self, name: str, *, now: bool = False) -> None:
        host = self._hosts[name]
        if not host.turn.acquire(blocking=False):
            return  # the last run still goes on: its outcome stands
        try:
            if not now and host.rests():
                return
            began = self._clock()
            command = self._settings.ssh_list or COMMAND.format(seconds=max(1.0, self._timeout - CLOSE))
            result = host.run(self._argv(name, command))
            if self._closed:
                return
            view = host.view(result, began, self._clock())
            with self._lock:
                before = self._views.get(name)
                if before is not None and before.state is view.state:
                    view = replace(view, since=before.since)
                self._views[name], self._heard[name] = view, time.monotonic()
            timed_out = isinstance(result, RunResult) and result.code is None
            # What was kept open may be what hangs; if it answers, the program there does.
            reached = timed_out and bool(self._control) and self._hang_up(name)
            host.pause(self._settings.poll if timed_out else 0.0, LONGEST_HANG if reached else LONGEST_PAUSE)
        finally:
            host.turn.release()

    def _argv(self, name: str, command: str) -> list[str]:
        program, *options = self._settings.ssh
        # ssh takes the first value that it is given: BatchMode stands above LAB_SSH, the rest below it.
        return [
            *(program, "-T", "-x", "-o", "BatchMode=yes", *options),
            *(
                "-o",
                f"ConnectTimeout={CONNECT}",
                "-o",
                "ServerAliveInterval=5",
                "-o",
                "ServerAliveCountMax=2",
            ),
            *("-o", "LogLevel=ERROR", "-o", "ClearAllForwardings=yes"),
            *self._kept(),
            *("--", name, command),
        ]

    def _kept(self) -> tuple[str, ...]:
        if not self._control:
            return ()
        persist = int(max(_PERSIST, 4 * self._settings.poll))
        return (
            *("-o", "ControlMaster=auto", "-o", f"ControlPath={self._control}"),
            *("-o", f"ControlPersist={persist}"),
        )

    def _hang_up(self, name: str) -> bool:
        """End the kept connection; whether there was one that answered."""
        program, *options = self._settings.ssh
        argv = [program, *options, "-o", f"ControlPath={self._control}", "-O", "exit", "--", name]
        try:
            return SubprocessRunner(CLOSE, 4096).run(argv).code == 0
        except OSError:
            return False


class _Host:
    """One machine: its turn, its runner, and what is known of its processes."""

    def __init__(self, name: str, settings: LabSettings, user: str, timeout: float) -> None:
        self.name = name
        self.turn = threading.Lock()
        self._me = settings.me
        self._list_user = settings.me or user
        self._lists = bool(settings.ssh_list)
        self._timeout = timeout
        self._runner = SubprocessRunner(timeout)
        self._matcher = ProcessMatcher({})
        self._pause = 0.0
        self._until = 0.0  # on the monotonic clock

    def rests(self) -> bool:
        """Whether it is not asked again yet."""
        return time.monotonic() < self._until

    def pause(self, shortest: float, longest: float) -> None:
        """Ask it again after a pause that doubles from `shortest` on; 0 for none."""
        self._pause = min(longest, max(shortest, 2 * self._pause)) if shortest else 0.0
        self._until = time.monotonic() + self._pause

    def run(self, argv: Sequence[str]) -> RunResult | OSError:
        """Run ssh; what kept it from starting."""
        try:
            return self._runner.run(argv)
        except OSError as error:
            return error

    def stop(self) -> None:
        """End a run in progress."""
        self._runner.stop()

    def view(self, result: RunResult | OSError, began: float, ended: float) -> HostView:
        """Make the machine's line of what ssh brought between these wall times."""
        if isinstance(result, OSError):
            text = _("ssh cannot be started: {why}").format(why=result.strerror or result)
            return HostView(self.name, HostState.UNKNOWN, ended, text)
        if result.too_long:
            return self._without(HostState.BLIND, _("its answer is too long for a process list"), ended)
        if result.code is None or result.code < 0:
            text = _("no answer within {seconds:g} s").format(seconds=self._timeout)
            return self._without(HostState.DOWN, text, ended)
        said = _last_line(result.err)
        if result.code == _FAILED:
            return self._without(HostState.DOWN, _connection(said), ended)
        if result.code == _NOT_FOUND:
            text = _("gpuwatch-tray is not found there: install it, or name the list's command in LAB_LIST")
            if self._lists:
                text = _("the command of LAB_LIST is not found there")
            return self._without(HostState.BLIND, text, ended)
        if result.code in _ENDED_THERE and not self._lists:
            return self._without(HostState.BLIND, _("it answers, but gpuwatch-tray hangs there"), ended)
        out = result.out.decode("utf-8", "replace")
        return (
            self._read_list(out, result.code, said, began, ended)
            if self._lists
            else self._read_json(out, said, began, ended)
        )

    def _read_json(self, out: str, said: str, began: float, ended: float) -> HostView:
        try:
            snapshot = parse_ps_json(out)
        except NotAListingError as error:
            text = _("its answer is no process list: {why}").format(
                why=said or _clipped(redact.text(str(error)))
            )
            return self._without(HostState.BLIND, text, ended)
        if snapshot.simulated:
            return self._without(HostState.BLIND, _("it shows simulated GPUs"), ended)
        clock = snapshot.at - (began + ended) / 2
        processes = tuple(
            replace(
                process,
                mine=self._is_mine(process.user, process.mine),
                started=process.started if isinstance(process.started, Missing) else process.started - clock,
            )
            for process in snapshot.processes
        )
        now = steady_clock()
        processes = self._matcher.identify(processes, ended, now - (ended - began), now)
        snapshot = replace(snapshot, source=f"ssh {self.name}", at=ended, processes=processes)
        return view_of_snapshot(self.name, snapshot, ended, round(clock, 1))

    def _read_list(self, out: str, code: int, said: str, began: float, ended: float) -> HostView:
        if code:
            text = _("the command of LAB_LIST ended with exit code {code}: {said}")
            return self._without(HostState.BLIND, text.format(code=code, said=said), ended)
        steady = steady_clock()
        found = snapshot_of_listing(
            out, f"ssh {self.name}", self._list_user, self._matcher, ended, steady - (ended - began), steady
        )
        return view_of_snapshot(self.name, found, ended)

    def _is_mine(self, user: object, mine: bool | None) -> bool | None:
        if not self._me:
            return mine  # as that machine's own gpuwatch-tray has it
        return None if isinstance(user, Missing) else user == self._me

    def _without(self, state: HostState, reason: str, at: float) -> HostView:
        return HostView(self.name, state, at, reason, clock=UNKNOWN)


def control_path(folder: Path | None = None) -> str:
    """Return the ControlPath of the kept connections, in a folder of this user's; '' where none can be."""
    if os.name != "posix":
        return ""  # ssh on Windows keeps none
    places = (
        [*session_folder.runtime_folders(), session_folder.temporary_folder()] if folder is None else [folder]
    )
    for place in places:
        if len(os.fsencode(place)) + DIGEST > LONGEST_PATH or "%" in str(place) or " " in str(place):
            continue
        with suppress(OSError):
            session_folder.make_own_folder(place)
            return f"{place}/%C"
    return ""


def _connection(said: str) -> str:
    """Say why there is no connection, with what to do about it where that is known."""
    lower = said.lower()
    if "host key verification failed" in lower or "identification has changed" in lower:
        return _("its host key is new, or has changed: connect to it once by hand with `ssh`")
    if "permission denied" in lower:
        return _("it refuses the login: set up a key that asks for no password ({said})").format(said=said)
    return said or _("ssh cannot connect")


def _last_line(err: bytes) -> str:
    lines = [line.strip() for line in err.decode("utf-8", "replace").splitlines() if line.strip()]
    return _clipped(redact.text(lines[-1])) if lines else ""


def _clipped(text: str) -> str:
    text = redact.one_line(text)
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 1] + "…"
