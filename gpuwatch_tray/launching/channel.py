"""One stream of a command's output: passed on as it is, and kept."""

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

from gpuwatch_tray.launching.terminal import open_terminal_pair, resize_terminal

if TYPE_CHECKING:
    from gpuwatch_tray.launching.tail import TailBuffer

CHUNK = 65536
RETRY_WRITE = 0.01  # seconds until the next attempt to write to a reader that takes no more at the moment
HANDOVER = 1.0  # seconds for the thread to stop between two chunks


class OutputPump:
    """
    Passes on what the command writes to `end` to the file descriptor `target`, unchanged.

    On a terminal `end` is a terminal too; where none can be had, it is `target` itself, and nothing is kept.
    """

    def __init__(self, target: int, name: str, tail: TailBuffer) -> None:
        self._target = target
        self._name = name
        self._tail = tail
        self._terminal = os.isatty(target)
        self._reading: int | None = None
        self.end = target
        self.last = 0.0  # when something came last, on the monotonic clock
        self._stop_reading, self._stop_writing = os.pipe()  # a byte in it stops the thread
        self._stopped = False
        made = open_terminal_pair(target) if self._terminal else os.pipe()
        if made is not None:
            self._reading, self.end = made
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
        """
        Leave the stream to a `cat` of its own.

        Its next line would end what the command has left running, once nobody reads it.
        """
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
                self._tail.feed(self._name, data)
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
