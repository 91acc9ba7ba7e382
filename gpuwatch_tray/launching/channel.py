"""One stream of a command's output: read, written on as it is, and kept."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from gpuwatch_tray.launching import terminal

if TYPE_CHECKING:
    from gpuwatch_tray.launching.tail import Tail

CHUNK = 65536
AGAIN = 0.01  # seconds until the next attempt to write to somebody who takes no more at the moment
PATIENCE = 1.0  # seconds for the reader to stop between two chunks


class Channel:
    """
    What the command writes to `end` goes on to the file descriptor `target`, unchanged.

    On a terminal `end` is a terminal too; where that cannot be had, it is `target` itself, and nothing is
    kept.
    """

    def __init__(self, target: int, name: str, tail: Tail) -> None:
        self._target = target
        self._name = name
        self._tail = tail
        self._terminal = os.isatty(target)
        self._reading: int | None = None
        self.end = target
        self.last = 0.0  # when something came last, on the monotonic clock
        self._word, self._told = os.pipe()  # the word to stop
        self._stopped = False
        made = terminal.pair(target) if self._terminal else os.pipe()
        if made is not None:
            self._reading, self.end = made
        self._thread = threading.Thread(target=self._pass_on, name=f"output-{name}", daemon=True)

    def start(self) -> None:
        """The command has its end by now."""
        if self._reading is not None:
            os.close(self.end)
            self._thread.start()

    def abandon(self) -> None:
        """There is no command."""
        if self._reading is not None:
            os.close(self.end)
            os.close(self._reading)

    def done(self, timeout: float) -> bool:
        """Whether everything has been read, waiting for it so long."""
        if self._reading is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def hand_over(self) -> None:
        """
        Leave what may still come to a program of its own.

        What the command has left running would be ended by its next line, once nobody reads it any more.
        """
        if self._reading is None or not self._thread.is_alive():
            return
        os.write(self._told, b".")
        self._thread.join(PATIENCE)
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
        """The real terminal has another size now."""
        if self._terminal and self._reading is not None:
            terminal.resize(self._target, self._reading)

    def _pass_on(self) -> None:
        reading = self._reading
        assert reading is not None  # noqa: S101  # else there is no thread
        heard = True  # whether somebody takes what is written
        try:
            while self._comes(reading) and (data := _read(reading)):
                self.last = time.monotonic()
                self._tail.feed(self._name, data)
                if heard:
                    heard = _write(self._target, data)
        except BrokenPipeError:
            pass  # whoever read it has had enough: the command learns it at its next write
        finally:
            if not self._stopped:
                os.close(reading)

    def _comes(self, reading: int) -> bool:
        """Wait for more; False at the word to stop."""
        if sys.platform != "win32":  # there pipes cannot be waited for, and the word is not heard
            waiting = select.poll()
            waiting.register(reading, select.POLLIN)
            waiting.register(self._word, select.POLLIN)
            self._stopped = (self._word, select.POLLIN) in waiting.poll()
        return not self._stopped


def _read(reading: int) -> bytes:
    try:
        return os.read(reading, CHUNK)
    except OSError:  # a terminal whose other side is closed
        return b""


def _write(target: int, data: bytes) -> bool:
    """Write all of it; False once the terminal has gone. Raises BrokenPipeError where nobody reads it."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(target, left) :]
        except BlockingIOError:
            time.sleep(AGAIN)
        except OSError as error:
            if error.errno == errno.EIO:
                return False
            raise BrokenPipeError from error
    return True
