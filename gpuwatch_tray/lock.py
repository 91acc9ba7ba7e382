"""One evaluator a state folder and host: the lock, and who holds it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from filelock import FileLock, Timeout


class WatchLock:
    """
    The right to evaluate on this host.

    It is the operating system's lock on a file: a process that dies gives it back. Beside it a small file
    names the holder, for the ones that come second.
    """

    def __init__(self, folder: Path, host: str, face: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = FileLock(folder / f"watching-{host}.lock", timeout=0)
        self._holder = folder / f"watching-{host}.json"
        self._face = face

    def acquire(self) -> bool:
        """Take the lock, at once or not at all. Raises OSError where the folder cannot be written."""
        try:
            self._lock.acquire()
        except Timeout:
            return False
        self._holder.write_text(json.dumps({"pid": os.getpid(), "face": self._face}), encoding="utf-8")
        return True

    def holder(self) -> str:
        """Who holds the lock, in words: `tray, PID 4711`."""
        try:
            facts = json.loads(self._holder.read_text(encoding="utf-8"))
            return f"{facts['face']}, PID {facts['pid']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"

    def release(self) -> None:
        """Give the lock back; without it, do nothing."""
        if self._lock.is_locked:
            self._holder.unlink(missing_ok=True)
            self._lock.release()
