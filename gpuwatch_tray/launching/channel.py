"""One stream of a command's output: read, written on as it is, and kept."""

from __future__ import annotations

import errno
import os
import threading
import time
from typing import TYPE_CHECKING

from gpuwatch_tray.launching import terminal

if TYPE_CHECKING:
    from gpuwatch_tray.launching.tail import Tail

CHUNK = 65536
AGAIN = 0.01  # seconds until the next attempt to write to somebody who takes no more at the moment


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

    def resize(self) -> None:
        """The real terminal has another size now."""
        if self._terminal and self._reading is not None:
            terminal.resize(self._target, self._reading)

    def _pass_on(self) -> None:
        reading = self._reading
        assert reading is not None  # noqa: S101  # else there is no thread
        heard = True  # whether somebody takes what is written
        try:
            while data := _read(reading):
                self.last = time.monotonic()
                self._tail.feed(self._name, data)
                if heard:
                    heard = _write(self._target, data)
        except BrokenPipeError:
            pass  # whoever read it has had enough: the command learns it at its next write
        finally:
            os.close(reading)


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
