"""
A run's folder and the log in it: its beginning and its end, in bounded room, whole up to the last byte.

The first `HEAD` bytes are in the file `head`. What follows goes round in the file `tail`, whose first block
tells how much has been written to it. Nothing is buffered here, so that a log outlives the process that
writes it. Imports next to nothing: a command waits for it (`app/early_start.py`).
"""

from __future__ import annotations

import os

from gpuwatch_tray.common.private import make_private_folder

TYPE_CHECKING = False  # the typing module takes longer than all of this one
if TYPE_CHECKING:
    from pathlib import Path


HEAD, TAIL = 2**20, 4 * 2**20  # bytes
HEAD_NAME, TAIL_NAME, RECORD = "head", "tail", "run.json"
START = 4096  # bytes: where the data of `tail` begin, behind the count
COUNT = 8  # bytes of the count, the least significant first
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def new_run_folder(root: str | Path) -> tuple[int, str]:
    """Make the folder of a new run; return its number and path. Numbers rise. Raises OSError."""
    make_private_folder(root)
    number = max((int(name) for name in os.listdir(root) if name.isdecimal()), default=0)
    while True:
        number += 1
        folder = os.path.join(root, f"{number:06}")  # pathlib takes longer than the rest
        try:
            os.mkdir(folder, mode=0o700)
        except FileExistsError:  # another run has begun at the same moment
            continue
        return number, folder


class RunLog:
    """Writes a run's log into `folder`, which exists; counts what a full disk does not take."""

    def __init__(self, folder: str | Path, head: int = HEAD, tail: int = TAIL) -> None:
        self._folder = folder
        self._room = head  # bytes that `head` still takes
        self._size = tail
        self._written = 0  # bytes of the tail, kept or not
        self.lost = 0  # bytes that could not be written
        self._tail: int | None = None
        self._head = self._open(HEAD_NAME)

    def files(self) -> list[int]:
        """Return the open file descriptors."""
        return [file for file in (self._head, self._tail) if file is not None]

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`; never raises, for the run must go on."""
        left = memoryview(data)
        if self._room:
            part = left[: self._room]
            self._room -= len(part)
            self.lost += len(part) - _write(self._head, part)
            left = left[len(part) :]
        if left:
            self._go_round(left)

    def close(self) -> None:
        """End the log."""
        for file in self.files():
            os.close(file)
        self._head = self._tail = None

    def _go_round(self, left: memoryview) -> None:
        """Write over the oldest of the tail, then the count: so a kill loses the newest at most."""
        if self._tail is None:
            self._tail = self._make_tail()
        if self._tail is None:
            self.lost += len(left)
            return
        skipped = max(0, len(left) - self._size)
        self._written += skipped
        left = left[skipped:]
        while left:
            at = self._written % self._size
            part = left[: self._size - at]
            os.lseek(self._tail, START + at, os.SEEK_SET)
            taken = _write(self._tail, part)
            self.lost += len(part) - taken
            self._written += len(part)
            left = left[len(part) :]
        os.lseek(self._tail, 0, os.SEEK_SET)
        _write(self._tail, memoryview(self._written.to_bytes(COUNT, "little")))

    def _make_tail(self) -> int | None:
        """Make the file with all its room, which a disk that fills up later cannot take away."""
        file = self._open(TAIL_NAME)
        if file is not None and hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file, 0, START + self._size)
            except OSError:
                os.close(file)
                return None
        return file

    def _open(self, name: str) -> int | None:
        try:
            path = os.path.join(self._folder, name)
            return os.open(path, os.O_CREAT | os.O_WRONLY | _FLAGS, 0o600)
        except OSError:
            return None


def _write(file: int | None, part: memoryview) -> int:
    """Write `part`; return how many bytes were taken."""
    written = 0
    try:
        while file is not None and written < len(part):
            written += os.write(file, part[written:])
    except OSError:  # full
        pass
    return written
