"""The lock that lets one process at a time evaluate on a state, and the description of its holder."""

from __future__ import annotations

import contextlib
import json
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from gpuwatch_tray import i18n
from gpuwatch_tray.common.private import make_private, make_private_folder, write_private
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from pathlib import Path


# What the program has in a state's folder: one with other things in it is not closed to others.
OUR_FILES = ("watching-", "state-", "samples-", "control", "log", "page", "runs", "claims")


@dataclass(frozen=True, slots=True)
class LockHolder:
    """The process that evaluates, its control socket's address, and why it cannot evaluate at present."""

    pid: int = 0
    face: str = ""
    mails: bool = True
    trouble: str | None = None
    address: str = ""

    def __str__(self) -> str:
        return f"{i18n.translate_key(self.face)}, PID {self.pid}" if self.pid else _("another process")


class LockError(Exception):
    """The state's folder cannot be used; the text names the folder and what mends it."""


class StoreLock:
    """The right to evaluate on a state: a file's lock, which dies with its process, and its description."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self.path = folder / f"watching-{name}.lock"
        self._lock = FileLock(self.path, timeout=0, mode=0o600)
        self._file = folder / f"watching-{name}.json"

    def acquire(self, holder: LockHolder) -> bool:
        """Take the lock without waiting; False where another process has it. Raises LockError."""
        try:
            make_private_folder(self._folder)
            if all(path.name.startswith(OUR_FILES) for path in self._folder.iterdir()):
                make_private(self._folder)
            self._close_to_others()
            with warnings.catch_warnings():
                # Without locks in the file system it warns of its fallback: cron would mail the warning.
                warnings.simplefilter("ignore", UserWarning)
                self._lock.acquire()
        except Timeout:
            return False
        except OSError as error:
            mend = _("it must be a folder that this user can write; GPUWATCH_CACHE names another")
            raise LockError(
                _("{folder}: the state cannot be kept there: {why} ({mend})").format(
                    folder=self._folder, why=error.strerror, mend=mend
                )
            ) from error
        self.describe(holder)
        return True

    def describe(self, holder: LockHolder) -> None:
        """Write the holder's description; a full disk is no error."""
        part = self._file.with_suffix(".part")
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
            write_private(part, json.dumps(asdict(holder)))
            part.replace(self._file)

    def holder(self) -> LockHolder:
        """Read the holder's description; an empty one where there is none that can be read."""
        try:
            holder = LockHolder(**json.loads(self._file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return LockHolder()
        # The file may be damaged or another version's.
        kinds = (("pid", int), ("face", str), ("mails", bool), ("trouble", str | None), ("address", str))
        valid = all(isinstance(getattr(holder, name), kind) for name, kind in kinds)
        return holder if valid else LockHolder()

    def is_free(self) -> bool:
        """Return whether nobody holds the lock; it is taken for that, so ask where the holder seems gone."""
        if not self._folder.is_dir():
            return True
        try:
            self._close_to_others()
            with self._lock:
                return True
        except (Timeout, OSError):
            return False

    def _close_to_others(self) -> None:
        """Mend a lock file of before: whoever can open it can hold it."""
        with contextlib.suppress(FileNotFoundError):
            make_private(self.path)

    def release(self) -> None:
        """Give the lock back; do nothing without it."""
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)
            self._lock.release()
