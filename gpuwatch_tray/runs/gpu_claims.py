"""
Who of this user's waiting runs may take which GPU: a queue, and a claim on each GPU that a run has taken.

Both are locked files, whose locks end with their process. Other people's runs are seen by the driver's list.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from gpuwatch_tray.common.private import make_private_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def _lock(path: Path) -> FileLock | None:
    """Take the lock of this file without waiting; None where another process has it."""
    lock = FileLock(path, timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock


class GpuClaims:
    """The claims of one process. Methods raise OSError."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "claims"
        self._queue = self._folder / "queue"
        self._ticket: tuple[int, FileLock] | None = None
        self._held: dict[str, FileLock] = {}

    def join_queue(self) -> None:
        """Stand behind those that wait already."""
        make_private_folder(self._queue)
        number = max(self._tickets(), default=0)
        while True:
            number += 1
            # Locked before anybody can see it: an unlocked ticket is taken for a dead one.
            lock = _lock(self._queue / f"{number:08}")
            if lock is not None:
                self._ticket = number, lock
                return

    def is_first(self) -> bool:
        """Return whether nobody waits who came before; clear the tickets of those that have ended."""
        if self._ticket is None:
            return False
        for number in sorted(self._tickets()):
            if number >= self._ticket[0]:
                return True
            path = self._queue / f"{number:08}"
            lock = _lock(path)
            if lock is None:
                return False
            path.unlink(missing_ok=True)
            lock.release()
        return True

    def claimed(self, uuids: Iterable[str]) -> frozenset[str]:
        """Return those of these GPUs that another waiting run of this user has taken."""
        found = set()
        for uuid in uuids:
            if uuid in self._held:
                continue
            lock = _lock(self._path(uuid))
            if lock is None:
                found.add(uuid)
            else:
                lock.release()
        return frozenset(found)

    def take(self, uuids: Iterable[str]) -> bool:
        """Claim all of these GPUs, or none: False where another has come first."""
        for uuid in uuids:
            lock = _lock(self._path(uuid))
            if lock is None:
                self.release()
                return False
            self._held[uuid] = lock
        return True

    def leave_queue(self) -> None:
        """Let the next one come."""
        if self._ticket is not None:
            number, lock = self._ticket
            self._ticket = None
            with suppress(OSError):
                (self._queue / f"{number:08}").unlink(missing_ok=True)
            lock.release()

    def release(self) -> None:
        """Give up every claim."""
        for lock in self._held.values():
            lock.release()
        self._held.clear()

    def _path(self, uuid: str) -> Path:
        return self._folder / f"{uuid.replace(os.sep, '_')}.lock"

    def _tickets(self) -> Iterator[int]:
        with suppress(FileNotFoundError):
            for path in self._queue.iterdir():
                if path.name.isdecimal():
                    yield int(path.name)
