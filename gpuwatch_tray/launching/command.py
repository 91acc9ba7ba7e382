"""Running a command of the person's: its output and signals pass through, and its last lines are kept."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from gpuwatch_tray.launching.channel import OutputPump
from gpuwatch_tray.launching.tail import TailBuffer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

OUT, ERR = 1, 2
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as a shell has them
SIGNALLED = 128  # and the signal's number
QUIET, LONGEST = 0.3, 5.0  # seconds for output that comes after the end: without news, and at all
WAIT_STEP = 1.0  # seconds: a bounded wait lets Windows deliver Ctrl-C
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
    A running command, with this process's input, folder and environment; for the main thread only.

    Raises StartError. Signals that were ignored when this process started stay so, as under nohup. What the
    command leaves running in the background goes on writing to where it did.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._tail = TailBuffer()
        self._early_signals: list[int] = []
        self._child: subprocess.Popen[bytes] | None = None
        out = OutputPump(OUT, "out", self._tail)
        # One pump for both keeps their order, where they go to one place.
        err = out if _same_file(OUT, ERR) else OutputPump(ERR, "err", self._tail)
        self._pumps = [out] if err is out else [out, err]
        self._install_signal_handlers()
        try:
            self._child = subprocess.Popen(argv, stdout=out.end, stderr=err.end)
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
        patience = WAIT_STEP if sys.platform == "win32" else None
        while True:
            try:
                code = self._running.wait(patience)
            except subprocess.TimeoutExpired:
                continue
            break
        ended = time.monotonic()
        for pump in self._pumps:
            while not pump.done(QUIET / 6):
                now = time.monotonic()
                if now - max(ended, pump.last) > QUIET or now - ended > LONGEST:
                    pump.hand_over()  # what it left in the background keeps the stream
                    break
        return SIGNALLED - code if code < 0 else code

    def lines(self) -> tuple[str, ...]:
        """Return the last lines of its output, redacted."""
        return self._tail.lines()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:  # never: the constructor raises then
            raise ValueError("the command was not started")
        return self._child

    def _install_signal_handlers(self) -> None:
        def ignore(_number: int, _frame: FrameType | None) -> None:
            """Do nothing: the command has got the signal too."""

        def pass_on(number: int, _frame: FrameType | None) -> None:
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
    """Tell whether two file descriptors lead to one place."""
    try:
        return os.path.samestat(os.fstat(one), os.fstat(other))
    except OSError:
        return False
