"""One evaluator a state: the lock, who holds it, and whether that one can do its work."""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from gpuwatch_tray import terms
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Holder:
    """
    Who evaluates: `trouble` says why it cannot at present, `mails` whether it has somebody to mail.

    `address` is where it answers, empty where it does not.
    """

    pid: int = 0
    face: str = ""
    mails: bool = True
    trouble: str | None = None
    address: str = ""

    def __str__(self) -> str:
        return f"{terms.translate_key(self.face)}, PID {self.pid}" if self.pid else _("another process")


class LockError(Exception):
    """The folder of the state cannot be used; the text names it and the mend."""


class WatchLock:
    """
    The right to evaluate on one state.

    It is the operating system's lock on a file: a process that dies gives it back. Beside it a small file
    describes the holder, for those that come second.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._lock = FileLock(folder / f"watching-{name}.lock", timeout=0)
        self._file = folder / f"watching-{name}.json"

    def acquire(self, holder: Holder) -> bool:
        """Take the lock, at once or not at all. Raises LockError."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with warnings.catch_warnings():
                # Where the file system has no locks it warns that it takes a file: cron would mail that.
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

    def describe(self, holder: Holder) -> None:
        """Say how the holder is; on a full disk nobody learns it, and the watching goes on."""
        part = self._file.with_suffix(".part")
        with contextlib.suppress(OSError):
            part.write_text(json.dumps(asdict(holder)), encoding="utf-8")
            part.replace(self._file)

    def holder(self) -> Holder:
        """Who holds the lock, as far as it could say."""
        try:
            found = Holder(**json.loads(self._file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return Holder()
        return found if _sound(found) else Holder()

    def free(self) -> bool:
        """
        Whether nobody holds it at this moment.

        To find out it is taken and given back, so that a start in the same instant would be refused: ask
        only when something else says that the holder has gone.
        """
        if not self._folder.is_dir():
            return True
        try:
            with self._lock:
                return True
        except (Timeout, OSError):
            return False

    def release(self) -> None:
        """Give the lock back; without it, do nothing."""
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)
            self._lock.release()


def _sound(holder: Holder) -> bool:
    """Whether each field is what it says; the file may be another version's or damaged."""
    kinds = (("pid", int), ("face", str), ("mails", bool), ("trouble", str | None), ("address", str))
    return all(isinstance(getattr(holder, name), kind) for name, kind in kinds)


def this_process(face: str, *, mails: bool, trouble: str | None = None, address: str = "") -> Holder:
    """The holder that this process is."""
    return Holder(os.getpid(), face, mails, trouble, address)
