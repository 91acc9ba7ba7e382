"""
Running a command of the person's: its output and signals pass through, and its output is kept.

Imports next to nothing: the command waits for it (`app/early_start.py`).
"""

from __future__ import annotations

import os
import sys
import time

from gpuwatch_tray.common.relay import ERR, OUT, LogSink, OutputStream, Relay

TYPE_CHECKING = False  # the typing module takes longer than all of this one
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

    from gpuwatch_tray.common.run_log import RunLog


NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as a shell has them
SIGNALLED = 128  # and the signal's number
WAIT_STEP = 1.0  # seconds after which a signal that came at a bad moment is passed on
# The terminal sends these to the command as well, which decides what they mean.
SHARED = ("SIGINT", "SIGQUIT", "SIGHUP", "SIGBREAK")
PASSED_ON = ("SIGTERM", "SIGUSR1", "SIGUSR2", "SIGCONT")
RESIZED = "SIGWINCH"


class StartError(Exception):
    """There is no such program, or it cannot be run; `code` is the exit code of a shell."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class RunningCommand:
    """
    A running command, with this process's input and folder, and `environ`; for the main thread only.

    Its output also goes to `log` and to the file descriptor `copy`, in the order in which it comes; both are
    closed here. Raises StartError. Signals that were ignored at the start stay so, as under nohup, and files
    that the command would inherit it does.
    """

    def __init__(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str] | None = None,
        log: RunLog | None = None,
        copy: int | None = None,
    ) -> None:
        self.pid = 0
        self.seconds = 0.0  # for which it ran, sleep of the machine included
        self.ended_by = 0  # the signal that ended it; 0 where it ended by itself
        self.lost = 0  # bytes that the log did not take
        self.copy_trouble = 0  # the error (errno) for which the copy was no longer written
        self.relayed = True  # whether all of its output was passed on
        self._early_signals: list[int] = []
        out = OutputStream(OUT)
        # One for both keeps their order, where they go to one place.
        err = out if _same_file(OUT, ERR) else OutputStream(ERR)
        self._streams = [out] if err is out else [out, err]
        self._install_signal_handlers()
        try:
            self._child = _Child(argv, dict(os.environ if environ is None else environ), out.end, err.end)
        except OSError as error:
            for stream in self._streams:
                stream.close()
            code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
            raise StartError(f"{argv[0]}: {error.strerror or error}", code) from error
        self.pid = self._child.pid
        for stream in self._streams:
            stream.close_end()
        self._relay = Relay(self._streams, LogSink(log, copy))
        if sys.platform != "win32":  # there it is this process that writes them
            if log is not None:
                log.close()
            if copy is not None:
                os.close(copy)
        for number in self._early_signals:
            self._send(number)

    def wait(self) -> int:
        """Wait until it has ended and its output is passed on; return its exit code, as a shell has it."""
        code = self._child.wait()
        self.seconds = self._child.seconds
        self.ended_by = max(0, -code)
        told = self._relay.finish()
        self.relayed = told is not None
        self.lost, self.copy_trouble = told or (0, 0)
        return SIGNALLED - code if code < 0 else code

    def _install_signal_handlers(self) -> None:
        def ignore(_number: int, _frame: FrameType | None) -> None:
            """Leave it to the command, which has got it too."""

        def pass_on(number: int, _frame: FrameType | None) -> None:
            self._send(number)

        def resized(number: int, _frame: FrameType | None) -> None:
            for stream in self._streams:
                stream.resize()
            self._send(number)  # once more: it may have asked for the size too early

        wanted = {**dict.fromkeys(SHARED, ignore), **dict.fromkeys(PASSED_ON, pass_on), RESIZED: resized}
        for name, handler in wanted.items():
            number = getattr(signal, name, None)  # Windows has few of them
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, handler)

    def _send(self, number: int) -> None:
        if self.pid:
            self._child.send(number)
        else:
            self._early_signals.append(number)


if sys.platform != "win32":
    import _signal as signal  # type: ignore[import-not-found]  # as in relay.py
    import select

    class _Child:
        """A process that was started with these as its output, and else as this one; raises OSError."""

        def __init__(self, argv: Sequence[str], environ: Mapping[str, str], out: int, err: int) -> None:
            outputs = [(os.POSIX_SPAWN_DUP2, out, OUT), (os.POSIX_SPAWN_DUP2, err, ERR)]
            usual = [signal.SIGPIPE, signal.SIGXFSZ]  # Python itself ignores them
            self.seconds = 0.0
            self.pid = 0
            self._ended = False
            if sys.platform == "linux":
                signal.signal(signal.SIGCHLD, self._note_end)
            self._began = _steady()
            self.pid = os.posix_spawnp(argv[0], list(argv), environ, file_actions=outputs, setsigdef=usual)
            self._note_end()  # where the signal came before its number was known

        def wait(self) -> int:
            """Wait until it has ended; return its exit code, for a signal that with a minus."""
            # In steps: a signal that comes just before an endless wait would be passed on after it.
            end: list[int] = []
            if sys.platform == "linux":
                try:
                    end.append(os.pidfd_open(self.pid))
                except OSError:  # a kernel before 5.3: looked at every 50 ms instead
                    pass
            while True:
                select.select(end, [], [], WAIT_STEP if end else WAIT_STEP / 20)
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self._ended = True  # another may get the number
                    break
            self.seconds = self.seconds or _steady() - self._began
            for file in end:
                os.close(file)
            return os.waitstatus_to_exitcode(status)

        def _note_end(self, _number: int = 0, _frame: FrameType | None = None) -> None:
            """Note when it ended, though this process may be busy with loading the rest."""
            if sys.platform == "linux" and self.pid and not self.seconds:
                try:
                    if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                        self.seconds = _steady() - self._began
                except ChildProcessError:  # it was waited for
                    pass

        def send(self, number: int) -> None:
            """Send it a signal."""
            if not self._ended:
                try:
                    os.kill(self.pid, number)
                except OSError:  # it has ended
                    pass

else:
    import signal
    import subprocess

    class _Child:
        """A process that was started with these as its output; raises OSError."""

        def __init__(self, argv: Sequence[str], environ: Mapping[str, str], out: int, err: int) -> None:
            self._child = subprocess.Popen(argv, stdout=out, stderr=err, env=environ)
            self._began = _steady()
            self.seconds = 0.0
            self.pid = self._child.pid

        def wait(self) -> int:
            """Wait until it has ended; return its exit code."""
            code = self._child.wait()
            self.seconds = _steady() - self._began
            return code

        def send(self, number: int) -> None:
            """Send it a signal."""
            try:
                self._child.send_signal(number)
            except OSError:  # it has ended
                pass


def _steady() -> float:
    """Return the seconds of a clock that nobody sets: `steady_clock` of sources, which is not loaded yet."""
    if sys.platform == "linux":
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
    else:  # not a return above: mypy knows a platform's code by its branch
        now = time.monotonic()
    return now


def _same_file(one: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False
