"""
The log of a run on disk: its beginning and its end, in bounded room, whole up to the last byte that came.

The first `HEAD` bytes are in `head`. What follows goes to numbered pieces of `PIECE` bytes, of which the last
two are kept. Nothing is buffered here, so that a log outlives the process that writes it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from pathlib import Path


HEAD, PIECE = 2**20, 2 * 2**20  # bytes
KEPT_PIECES = 2
_HEAD_NAME, _PIECE_NAME = "head", "tail-{number:08}"
_NEW = os.O_CREAT | os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)


class RunLog:
    """Writes a run's log into `folder`, which exists; counts what a full disk does not take."""

    def __init__(self, folder: Path, head: int = HEAD, piece: int = PIECE) -> None:
        self._folder = folder
        self._piece = piece
        self._room = head
        self._number = 0
        self.lost = 0  # bytes that could not be written
        self._file: int | None = self._open(_HEAD_NAME)

    def write(self, data: bytes) -> None:
        """Append `data`; never raises, for the run must go on."""
        left = memoryview(data)
        while left:
            if self._room == 0:
                self._next_piece()
            part = left[: self._room]
            self._room -= len(part)
            self.lost += len(part) - self._append(part)
            left = left[len(part) :]

    def close(self) -> None:
        """End the log."""
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None

    def _append(self, part: memoryview) -> int:
        """Write `part`; return how many bytes were taken."""
        written = 0
        with suppress(OSError):
            while self._file is not None and written < len(part):
                written += os.write(self._file, part[written:])
        return written

    def _next_piece(self) -> None:
        self.close()
        self._number += 1
        self._room = self._piece
        with suppress(OSError):
            (self._folder / _piece(self._number - KEPT_PIECES)).unlink(missing_ok=True)
        self._file = self._open(_piece(self._number))

    def _open(self, name: str) -> int | None:
        try:
            return os.open(self._folder / name, _NEW, 0o600)
        except OSError:
            return None


def _piece(number: int) -> str:
    return _PIECE_NAME.format(number=number)


class LogText(Struct, frozen=True):
    """A log as it was kept: `left_out` bytes lie between `head` and `tail`."""

    head: bytes
    left_out: int = 0
    tail: bytes = b""

    def end(self, most: int) -> bytes:
        """Return the last `most` bytes at most, without the part that was left out."""
        if self.left_out or len(self.tail) >= most:
            return self.tail[-most:]
        return (self.head + self.tail)[-most:]


def read_log(folder: Path, piece: int = PIECE) -> LogText:
    """Read the log of a run, also while it grows. Raises OSError where there is none."""
    head = (folder / _HEAD_NAME).read_bytes()
    names = sorted(path.name for path in folder.glob("tail-*"))[-KEPT_PIECES:]
    pieces = []
    for name in names:
        with suppress(FileNotFoundError):  # it went meanwhile, to make room
            pieces.append((int(name.partition("-")[2]), (folder / name).read_bytes()))
    left_out = piece * (pieces[0][0] - 1) if pieces else 0
    return LogText(head, left_out, b"".join(data for _number, data in pieces))


def log_size(folder: Path) -> int:
    """Return how many bytes the files of a run take."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
