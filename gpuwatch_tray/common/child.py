"""Running a command of the person's: its output and signals pass through, and its last lines are kept."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from gpuwatch_tray.common import redact
from gpuwatch_tray.common.text import strip_escapes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType


if sys.platform != "win32":
    import fcntl
    import termios

    def open_terminal_pair(real: int) -> tuple[int, int] | None:
        """Open a terminal like `real`; return the reading and the command's side, None where it fails."""
        try:
            reading, writing = os.openpty()
        except OSError:
            return None
        with contextlib.suppress(termios.error, OSError):
            modes = termios.tcgetattr(writing)
            modes[1] &= ~termios.OPOST  # line ends pass as they are: the real terminal sees to them
            termios.tcsetattr(writing, termios.TCSANOW, modes)
        resize_terminal(real, reading)
        return reading, writing

    def widen_pipe(end: int) -> None:
        """Have a pipe take CHUNK bytes, where the system lets it."""
        if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux
            with contextlib.suppress(OSError):
                fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, CHUNK)

    def resize_terminal(real: int, other: int) -> None:
        """Give the other terminal the size of the real one."""
        with contextlib.suppress(OSError):
            size = fcntl.ioctl(real, termios.TIOCGWINSZ, b"\0" * 8)
            fcntl.ioctl(other, termios.TIOCSWINSZ, size)

else:

    def open_terminal_pair(_real: int) -> tuple[int, int] | None:
        """Return None: here the command writes to the console itself, and its lines are not kept."""
        return None

    def widen_pipe(_end: int) -> None:
        """Do nothing: a pipe is as wide as it is."""

    def resize_terminal(real: int, other: int) -> None:
        """Do nothing: there is no such terminal."""


CHUNK = 256 * 1024  # bytes that are passed on at once, which costs less than a pipe's usual 64 KiB
RETRY_WRITE = 0.01  # seconds until the next attempt to write to a reader that takes no more at the moment
HANDOVER = 1.0  # seconds for the thread to stop between two chunks


class OutputPump:
    """
    Passes on to the file descriptor `target`, unchanged, what the command writes to `end`, and to `keep`.

    On a terminal `end` is one too; where none can be had, it is `target` itself, and nothing is kept.
    """

    def __init__(self, target: int, name: str, keep: Callable[[str, bytes], None]) -> None:
        self._target = target
        self._name = name
        self._keep = keep
        self._terminal = os.isatty(target)
        self._reading: int | None = None
        self.end = target
        self.last = 0.0  # when something came last, on the monotonic clock
        self._stop_reading, self._stop_writing = os.pipe()  # a byte in it stops the thread
        self._stopped = False
        made = open_terminal_pair(target) if self._terminal else os.pipe()
        if made is not None:
            self._reading, self.end = made
            widen_pipe(self.end)
        self._thread = threading.Thread(target=self._pass_on, name=f"output-{name}", daemon=True)

    def start(self) -> None:
        """Start to pass on: the command has its end by now."""
        if self._reading is not None:
            os.close(self.end)
            self._thread.start()

    def abandon(self) -> None:
        """Close the stream: the command could not be started."""
        if self._reading is not None:
            os.close(self.end)
            os.close(self._reading)

    def done(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until everything is read; return whether it is."""
        if self._reading is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def hand_over(self) -> None:
        """Leave the stream to a `cat`: the next line of what runs on would end it, once nobody reads."""
        if self._reading is None or not self._thread.is_alive():
            return
        os.write(self._stop_writing, b".")
        self._thread.join(HANDOVER)
        if not self._stopped:
            return
        with contextlib.suppress(OSError):  # no such program: Windows
            subprocess.Popen(
                ["cat"],
                stdin=self._reading,
                stdout=self._target,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        os.close(self._reading)

    def resize(self) -> None:
        """Give the command's terminal the size that the real one has now."""
        if self._terminal and self._reading is not None:
            resize_terminal(self._target, self._reading)

    def _pass_on(self) -> None:
        reading = self._reading
        if reading is None:  # never: the thread is not started then
            return
        open_target = True  # until the terminal is gone
        try:
            while self._wait_for_data(reading) and (data := _read(reading)):
                self.last = time.monotonic()
                self._keep(self._name, data)
                if open_target:
                    open_target = _write(self._target, data)
        except BrokenPipeError:
            pass  # its reader has closed it: the command learns it at its next write
        finally:
            if not self._stopped:
                os.close(reading)

    def _wait_for_data(self, reading: int) -> bool:
        """Wait for more; False where the thread shall stop."""
        if sys.platform != "win32":  # select cannot wait for pipes there, so the thread is not stopped
            waiting = select.poll()
            waiting.register(reading, select.POLLIN)
            waiting.register(self._stop_reading, select.POLLIN)
            self._stopped = (self._stop_reading, select.POLLIN) in waiting.poll()
        return not self._stopped


def _read(reading: int) -> bytes:
    try:
        return os.read(reading, CHUNK)
    except OSError:  # a terminal whose other side is closed
        return b""


def _write(target: int, data: bytes) -> bool:
    """Write all of it; False once the terminal is gone. Raises BrokenPipeError where nobody reads it."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(target, left) :]
        except BlockingIOError:
            time.sleep(RETRY_WRITE)
        except OSError as error:
            if error.errno == errno.EIO:
                return False
            raise BrokenPipeError from error
    return True


SHOWN_LINES = 10  # lines
KEPT_LINES = 40  # lines that are redacted together, for a secret may begin above those that are shown
LONGEST_LINE = 4096  # bytes of a line: of a longer one the beginning, which names what follows
LINE_WIDTH = 200  # characters of a line that is shown


class TailBuffer:
    """Keeps the last lines of several streams, by name; safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: deque[bytes] = deque(maxlen=KEPT_LINES)
        self._open: dict[str, bytes] = {}  # the line that each stream has begun

    def feed(self, stream: str, data: bytes) -> None:
        """Add output of a stream."""
        first, *rest = data.rsplit(b"\n", KEPT_LINES + 1)
        with self._lock:
            if len(rest) > KEPT_LINES:
                first = b""  # of all these lines no one is kept: most output comes so, and costs little
            line = _continue_line(self._open.get(stream, b""), first)
            for begun in rest:
                self._lines.append(line)
                line = _continue_line(b"", begun)
            self._open[stream] = line

    def lines(self) -> tuple[str, ...]:
        """Return the last lines that are not blank, redacted and without escape sequences."""
        with self._lock:
            kept = [*self._lines, *self._open.values()]
        plain = [strip_escapes(line.rstrip(b"\r").decode("utf-8", "replace")) for line in kept]
        shown = [line.rstrip() for line in redact.lines("\n".join(plain)) if line.strip()]
        return tuple(
            line if len(line) <= LINE_WIDTH else f"{line[: LINE_WIDTH - 1]}…" for line in shown[-SHOWN_LINES:]
        )


def _continue_line(line: bytes, more: bytes) -> bytes:
    """Add `more` to a line; what follows a carriage return, as in a progress bar, replaces what was there."""
    whole = line + more
    body = whole.rstrip(b"\r")
    kept = body.rpartition(b"\r")[2][:LONGEST_LINE]
    return kept if len(body) == len(whole) else kept + b"\r"


OUT, ERR = 1, 2
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as a shell has them
SIGNALLED = 128  # and the signal's number
QUIET, LONGEST = 0.3, 5.0  # seconds for output that comes after the end: without news, and at all
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

    Its output also goes to `log`, in the order in which it comes. Raises StartError. Signals that were
    ignored at the start stay so, as under nohup.
    """

    def __init__(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str] | None = None,
        log: Callable[[bytes], None] = lambda _data: None,
    ) -> None:
        self._tail = TailBuffer()
        self._log = log
        self._log_lock = threading.Lock()
        self.signals: list[int] = []  # that this process got and passed on
        self._early_signals: list[int] = []
        self._child: subprocess.Popen[bytes] | None = None
        out = OutputPump(OUT, "out", self._keep)
        # One pump for both keeps their order, where they go to one place.
        err = out if _same_file(OUT, ERR) else OutputPump(ERR, "err", self._keep)
        self._pumps = [out] if err is out else [out, err]
        self._install_signal_handlers()
        try:
            self._child = subprocess.Popen(argv, stdout=out.end, stderr=err.end, env=environ)
        except OSError as error:
            for pump in self._pumps:
                pump.abandon()
            code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
            raise StartError(f"{argv[0]}: {error.strerror or error}", code) from error
        for pump in self._pumps:
            pump.start()
        for number in self._early_signals:
            self._send(number)

    @property
    def pid(self) -> int:
        """The PID of the command."""
        return self._running.pid

    def wait(self) -> int:
        """Wait until it has ended and its output is passed on; return its exit code, as a shell has it."""
        code = self._wait_for_the_end()
        ended = time.monotonic()
        for pump in self._pumps:
            while not pump.done(QUIET / 6):
                now = time.monotonic()
                if now - max(ended, pump.last) > QUIET or now - ended > LONGEST:
                    pump.hand_over()  # what it left in the background keeps the stream
                    break
        return SIGNALLED - code if code < 0 else code

    def _wait_for_the_end(self) -> int:
        """Wait in steps: a signal that comes just before an endless wait would be passed on after it."""
        with contextlib.ExitStack() as stack:
            end: list[int] = []
            if sys.platform == "linux":
                with contextlib.suppress(OSError):  # a kernel before 5.3: looked at every 50 ms instead
                    end.append(os.pidfd_open(self._running.pid))
                    stack.callback(os.close, end[0])
            while True:
                if end:
                    select.select(end, [], [], WAIT_STEP)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return self._running.wait(0.0 if end else WAIT_STEP)

    def lines(self) -> tuple[str, ...]:
        """Return the last lines of its output, redacted."""
        return self._tail.lines()

    @property
    def ended_by(self) -> int:
        """The signal that ended it; 0 where it ended by itself."""
        return max(0, -(self._running.returncode or 0))

    def _keep(self, stream: str, data: bytes) -> None:
        self._tail.feed(stream, data)
        with self._log_lock:
            self._log(data)

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:  # never: the constructor raises then
            raise ValueError("the command was not started")
        return self._child

    def _install_signal_handlers(self) -> None:
        def ignore(number: int, _frame: FrameType | None) -> None:
            self.signals.append(number)  # the command has got it too

        def pass_on(number: int, _frame: FrameType | None) -> None:
            self.signals.append(number)
            self._send(number)

        def resized(number: int, _frame: FrameType | None) -> None:
            for pump in self._pumps:
                pump.resize()
            self._send(number)  # once more: it may have asked for the size too early

        wanted = {**dict.fromkeys(SHARED, ignore), **dict.fromkeys(PASSED_ON, pass_on), RESIZED: resized}
        for name, handler in wanted.items():
            number = getattr(signal, name, None)  # Windows has few of them
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, handler)

    def _send(self, number: int) -> None:
        if self._child is None:
            self._early_signals.append(number)
            return
        with contextlib.suppress(OSError):
            self._child.send_signal(number)


def _same_file(one: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False
