"""A real pseudo-terminal with a screen: what a program draws, as a person would see it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
import termios
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyte

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


class Terminal:
    """A program on a terminal of `columns` x `rows`; `written` is all that it wrote."""

    def __init__(
        self, argv: Sequence[str | Path], environment: Mapping[str, str], columns: int = 80, rows: int = 24
    ) -> None:
        self._screen = pyte.HistoryScreen(columns, rows, history=1000)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self.written = b""
        self._reading, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            # a session of its own, so that Ctrl-C and getpass find their terminal
            ["setsid", "--ctty", *(str(word) for word in argv)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=dict(environment),
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: the program has closed its side
            while data := os.read(self._reading, 65536):
                with self._lock:
                    self.written += data
                    self._stream.feed(data)

    def lines(self) -> list[str]:
        """What stands on the screen, without blanks at the ends of lines."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    def everything(self) -> list[str]:
        """The same with what has been scrolled away."""
        with self._lock:
            columns = range(self._screen.columns)
            gone = ["".join(row[c].data for c in columns).rstrip() for row in self._screen.history.top]
        return gone + self.lines()

    def cursor_hidden(self) -> bool:
        """Whether the program has left the cursor hidden."""
        with self._lock:
            return bool(self._screen.cursor.hidden)

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._reading, text.encode() + b"\n")

    def interrupt(self) -> int:
        """Press Ctrl-C; the exit code."""
        os.write(self._reading, b"\x03")
        code = self.process.wait(60)
        self._reader.join(20)
        return code

    def close(self) -> None:
        """End the program, and the terminal."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)
        self._reader.join(20)
        os.close(self._reading)


@contextmanager
def terminal(
    argv: Sequence[str | Path], environment: Mapping[str, str], columns: int = 80, rows: int = 24
) -> Iterator[Terminal]:
    """A program on a terminal, ended with the block."""
    shown = Terminal(argv, {"TERM": "xterm-256color", **environment}, columns, rows)
    try:
        yield shown
    finally:
        shown.close()
