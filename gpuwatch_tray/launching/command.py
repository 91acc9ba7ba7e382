"""The command itself: started, waited for, and given the signals that were meant for it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from gpuwatch_tray.launching.channel import Channel
from gpuwatch_tray.launching.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

OUT, ERR = 1, 2
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as a shell has them
SIGNALLED = 128  # and the signal's number
QUIET, MOST = 0.3, 5.0  # seconds for output that comes after the end, without news and at all
LOOK = 1.0  # seconds: a bounded wait lets Windows deliver Ctrl-C
# The terminal sends these to the command as well, which decides what they mean.
SHARED = ("SIGINT", "SIGQUIT", "SIGHUP", "SIGBREAK")
PASSED_ON = ("SIGTERM", "SIGUSR1", "SIGUSR2", "SIGCONT")
RESIZED = "SIGWINCH"


class CannotStart(Exception):  # noqa: N818  # a state of things
    """There is no such program, or it cannot be run; `code` is what a shell would end with."""

    def __init__(self, said: str, code: int) -> None:
        super().__init__(said)
        self.code = code


class Command:
    """
    A running command, with this process's input, folder and environment; on the main thread.

    Raises CannotStart. Signals that were ignored when this process began stay so, as under nohup. What the
    command leaves running in the background goes on to write to where it did.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._tail = Tail()
        self._missed: list[int] = []
        self._child: subprocess.Popen[bytes] | None = None
        out = Channel(OUT, "out", self._tail)
        # One way for both keeps their order, where they go to one place.
        err = out if _same(OUT, ERR) else Channel(ERR, "err", self._tail)
        self._channels = list({id(each): each for each in (out, err)}.values())
        self._heed_signals()
        try:
            self._child = subprocess.Popen(argv, stdout=out.end, stderr=err.end)
        except OSError as error:
            for channel in self._channels:
                channel.abandon()
            code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
            raise CannotStart(f"{argv[0]}: {error.strerror or error}", code) from error
        for channel in self._channels:
            channel.start()
        for number in self._missed:
            self._send(number)

    @property
    def pid(self) -> int:
        """The PID of the command."""
        return self._running.pid

    def wait(self) -> int:
        """Its exit code, as a shell has it, once it has ended and its output is passed on."""
        patience = LOOK if sys.platform == "win32" else None
        while True:
            try:
                code = self._running.wait(patience)
            except subprocess.TimeoutExpired:
                continue
            break
        ended = time.monotonic()
        for channel in self._channels:
            while not channel.done(QUIET / 6):
                now = time.monotonic()
                if now - max(ended, channel.last) > QUIET or now - ended > MOST:
                    channel.hand_over()  # what it left in the background holds on to it
                    break
        return SIGNALLED - code if code < 0 else code

    def lines(self) -> tuple[str, ...]:
        """The last lines of its output, redacted."""
        return self._tail.lines()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._child is not None  # noqa: S101  # else there is no Command
        return self._child

    def _heed_signals(self) -> None:
        def leave(_number: int, _frame: FrameType | None) -> None:
            """The command has it too."""

        def pass_on(number: int, _frame: FrameType | None) -> None:
            self._send(number)

        def resized(number: int, _frame: FrameType | None) -> None:
            for channel in self._channels:
                channel.resize()
            self._send(number)  # once more: it may have asked for the size too early

        wanted = {**dict.fromkeys(SHARED, leave), **dict.fromkeys(PASSED_ON, pass_on), RESIZED: resized}
        for name, handler in wanted.items():
            number = getattr(signal, name, None)  # Windows has few of them
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, handler)

    def _send(self, number: int) -> None:
        if self._child is None:
            self._missed.append(number)
            return
        with contextlib.suppress(OSError):
            self._child.send_signal(number)


def _same(one: int, other: int) -> bool:
    """Whether two file descriptors lead to one place."""
    try:
        return os.path.samestat(os.fstat(one), os.fstat(other))
    except OSError:
        return False
