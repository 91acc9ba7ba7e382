"""
Who of this user's waiting runs may take which GPU: a queue, and a claim on each GPU that a run has taken.

Both are locked files. A place in the queue ends with its process; a claim is inherited by the command, and
lasts where the process that waited is killed as long as the command, or what it left behind, has it open.
Other people's runs are seen by the driver's list.
"""

from __future__ import annotations

import os
import sys
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


if sys.platform != "win32":
    import fcntl

    class _Claim:
        """The lock on a GPU's file. It is that of the open file, which the command inherits: flock(2)."""

        def __init__(self, file: int) -> None:
            self._file = file

        @classmethod
        def take(cls, path: Path) -> _Claim | None:
            """Take it without waiting; None where another has it."""
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                return None
            return cls(file)

        def pass_on(self) -> None:
            """Have processes that are started inherit it."""
            os.set_inheritable(self._file, True)

        def release(self) -> None:
            """Give it up, whoever has inherited it: the command has ended."""
            fcntl.flock(self._file, fcntl.LOCK_UN)
            os.close(self._file)

else:

    class _Claim:
        """The lock on a GPU's file, which no other process can inherit here."""

        def __init__(self, lock: FileLock) -> None:
            self._lock = lock

        @classmethod
        def take(cls, path: Path) -> _Claim | None:
            """Take it without waiting; None where another has it."""
            lock = _lock(path)
            return None if lock is None else cls(lock)

        def pass_on(self) -> None:
            """Do nothing."""

        def release(self) -> None:
            """Give it up."""
            self._lock.release()


class GpuClaims:
    """The claims of one process. Methods raise OSError."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "claims"
        self._queue = self._folder / "queue"
        self._ticket: tuple[int, FileLock] | None = None
        self._held: dict[str, _Claim] = {}

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
            claim = _Claim.take(self._path(uuid))
            if claim is None:
                found.add(uuid)
            else:
                claim.release()
        return frozenset(found)

    def take(self, uuids: Iterable[str]) -> bool:
        """Claim all of these GPUs, or none: False where another has come first."""
        for uuid in uuids:
            claim = _Claim.take(self._path(uuid))
            if claim is None:
                self.release()
                return False
            self._held[uuid] = claim
        return True

    def pass_on(self) -> None:
        """Have the command that is started next hold the claims too, should this process be killed."""
        for claim in self._held.values():
            claim.pass_on()

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
        for claim in self._held.values():
            claim.release()
        self._held.clear()

    def _path(self, uuid: str) -> Path:
        return self._folder / f"{uuid.replace(os.sep, '_')}.lock"

    def _tickets(self) -> Iterator[int]:
        with suppress(FileNotFoundError):
            for path in self._queue.iterdir():
                if path.name.isdecimal():
                    yield int(path.name)
