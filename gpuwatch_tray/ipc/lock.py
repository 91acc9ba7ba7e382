"""The lock that lets one process at a time evaluate on a state, and the description of its holder."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import warnings
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import asdict

from gpuwatch_tray import i18n
from gpuwatch_tray.common.private import make_private, make_private_folder, write_private
from gpuwatch_tray.common.session_folder import is_own_folder, make_own_folder
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from filelock import FileLock


log = logging.getLogger(__name__)

# What the program has in a state's folder: one with other things in it is not closed to others.
OUR_FILES = ("watching-", "state-", "samples-", "control", "log", "page", "runs", "claims")


class LockHolder(Struct, frozen=True):
    """The process that evaluates, its control socket's address, and why it cannot evaluate at present."""

    pid: int = 0
    face: str = ""
    mails: bool = True
    trouble: str | None = None
    address: str = ""

    def __str__(self) -> str:
        return f"{i18n.translate_key(self.face)}, PID {self.pid}" if self.pid else _("another process")


class LockError(Exception):
    """No folder can hold the lock; the text names the state's and what mends it."""


class StoreLock:
    """
    The right to evaluate on a state: a file's lock, which dies with its process, and its description.

    Where the state's `folder` cannot be written, the lock is held in every `standby` place that can (see
    `session_folder.standby_places`): two processes need not know the same ones. `path` is the file that says
    whether the lock is held.
    """

    def __init__(self, folder: Path, name: str, standby: Sequence[Path] = ()) -> None:
        self._folder = folder
        self._home = _LockPlace(folder, name, _close_state_folder)
        self._standby = [
            _LockPlace(place.parent, place.name, make_own_folder, is_own_folder) for place in standby
        ]
        self.path = self._home.file

    def acquire(self, holder: LockHolder) -> bool:
        """Take the lock without waiting; False where another process has it. Raises LockError."""
        try:
            refused = self._take_home()
            for place in self._standby:
                # Also where the folder can be written by now; else only if somebody has ever needed it.
                place.try_to_take(only_existing=refused is None)
        except _TakenError:
            self.release()
            return False
        if refused is not None and self._home.is_held():  # by one that began while it could be written
            self.release()
            return False
        if refused is not None and not any(place.taken for place in self._standby):
            mend = _("it must be a folder that you can write to; GPUWATCH_CACHE sets another")
            raise LockError(
                _("{folder}: the state cannot be kept there: {why} ({mend})").format(
                    folder=self._folder, why=refused.strerror, mend=mend
                )
            ) from refused
        self.describe(holder)
        return True

    def _take_home(self) -> OSError | None:
        """Take the lock in the state's folder; return why it cannot be written. Raises _TakenError."""
        try:
            self._home.take()
        except OSError as error:
            return error
        return None

    def describe(self, holder: LockHolder) -> None:
        """Write the holder's description, elsewhere where the state's folder is full; none is no error."""
        places = (self._home, *self._standby)
        holds, described = any(place.taken for place in places), False
        for place in places:
            if described:
                place.forget()
                continue
            with contextlib.suppress(OSError, _TakenError):  # it may be possible by now
                if holds and not place.taken:
                    place.take()
                place.describe(holder)
                described = True

    def holder(self) -> LockHolder:
        """Read the holder's description; an empty one where there is none that can be read."""
        # Only who cannot write the state's folder leaves one elsewhere: it is later than the folder's.
        found = (place.read() for place in (*self._standby, self._home))
        return next(filter(None, found), LockHolder())

    def is_free(self) -> bool:
        """Return whether nobody holds the lock; it is taken for that, so ask where the holder seems gone."""
        held = next((place for place in (self._home, *self._standby) if place.is_held()), None)
        if held is not None:
            self.path = held.file
        return held is None

    def release(self) -> None:
        """Give the lock back; do nothing without it."""
        for place in (self._home, *self._standby):
            place.release()


class _TakenError(Exception):
    """Another process has the lock."""


class _LockPlace:
    """
    A folder that may hold the lock's file and the description.

    `prepare` makes it this user's; where it is not `trusted`, what is in it says nothing.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        prepare: Callable[[Path], None],
        trusted: Callable[[Path], bool] = lambda _folder: True,
    ) -> None:
        self.file = folder / f"watching-{name}.lock"
        self._folder = folder
        self._prepare = prepare
        self._trusted = trusted
        self._description = folder / f"watching-{name}.json"

    @cached_property
    def _lock(self) -> FileLock:
        from filelock import FileLock  # late: `status` only reads who has it

        # The poller describes what the main thread has taken: by default each would have a lock of its own.
        return FileLock(self.file, timeout=0, mode=0o600, thread_local=False)

    @property
    def taken(self) -> bool:
        """Whether this process has the lock here."""
        return self._lock.is_locked

    def take(self) -> None:
        """Take the lock. Raises OSError, and _TakenError where another process has it."""
        from filelock import Timeout

        self._prepare(self._folder)
        self._close_to_others()
        with warnings.catch_warnings():
            # Without locks in the file system it warns of its fallback: cron would mail the warning.
            warnings.simplefilter("ignore", UserWarning)
            try:
                self._lock.acquire()
            except Timeout as error:
                raise _TakenError from error

    def try_to_take(self, *, only_existing: bool) -> None:
        """Take the lock where that is possible. Raises _TakenError where another process has it."""
        try:
            if self.file.exists() or not only_existing:
                self.take()
        except OSError as error:
            log.debug("%s: %s", self.file, error)

    def is_held(self) -> bool:
        """Return whether another process has the lock here."""
        from filelock import Timeout

        try:
            if not (self._trusted(self._folder) and self.file.exists()):
                return False
            self._close_to_others()
            with self._lock:
                return False
        except Timeout:
            return True
        except OSError:
            return _is_flocked(self.file)

    def describe(self, holder: LockHolder) -> None:
        """Write the description. Raises OSError."""
        part = self._description.with_suffix(".part")
        part.unlink(missing_ok=True)
        write_private(part, json.dumps(asdict(holder)))
        part.replace(self._description)

    def forget(self) -> None:
        """Remove the description where this process has the lock and that is possible."""
        with contextlib.suppress(OSError):
            if self.taken:
                self._description.unlink(missing_ok=True)

    def read(self) -> LockHolder | None:
        """Read the description; None where there is none that can be read."""
        if not self._trusted(self._folder):
            return None
        try:
            holder = LockHolder(**json.loads(self._description.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        # The file may be damaged or another version's.
        kinds = (("pid", int), ("face", str), ("mails", bool), ("trouble", str | None), ("address", str))
        valid = all(isinstance(getattr(holder, name), kind) for name, kind in kinds)
        return holder if valid else None

    def release(self) -> None:
        """Give the lock back; do nothing without it."""
        if self._lock.is_locked:
            self.forget()
            self._lock.release()

    def _close_to_others(self) -> None:
        """Mend a lock file of before: whoever can open it can hold it."""
        with contextlib.suppress(FileNotFoundError):
            make_private(self.file)


def _close_state_folder(folder: Path) -> None:
    make_private_folder(folder)
    if all(path.name.startswith(OUR_FILES) for path in folder.iterdir()):
        make_private(folder)


def _is_flocked(file: Path) -> bool:
    """Return whether a lock is held on a file that cannot be opened for writing, as filelock does it."""
    held = False
    if sys.platform != "win32":  # which has no read-only lock files
        import fcntl

        try:
            opened = os.open(file, os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            held = True
        except OSError:
            log.debug("%s cannot be locked", file, exc_info=True)
        finally:
            os.close(opened)
    return held
