"""The private folders of this user that end with the session or the boot, as the runtime folder does."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

from gpuwatch_tray.common import user_folders
from gpuwatch_tray.common.private import is_open_to_others
from gpuwatch_tray.common.user_folders import NAME

SHARED_TEMPORARY = "/tmp"  # noqa: S108  # ours in it is checked to be this user's alone


class ForeignFolderError(OSError):
    """The folder belongs to another user."""


def runtime_folders() -> list[Path]:
    """Return our folder in the user's runtime folder, where the session has one that is this user's alone."""
    folders = map(Path, user_folders.runtime_folders())
    return [folder for folder in folders if _is_runtime_folder(folder.parent)][:1]


def _is_runtime_folder(folder: Path) -> bool:
    """Tell whether this is a folder of this user's alone, as the specification asks; on Windows none is."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and _is_ours(status) and not status.st_mode & 0o077


def temporary_folder() -> Path:
    """Return our folder among the temporary files."""
    if os.name != "posix":
        import tempfile  # late: it takes long to load

        return _ours_in(tempfile.gettempdir())
    # Not gettempdir: it writes into each, and on a full disk names another one, or raises.
    return _ours_in(next(filter(None, map(os.environ.get, ("TMPDIR", "TEMP", "TMP"))), SHARED_TEMPORARY))


def _ours_in(folder: str) -> Path:
    return Path(folder).absolute() / f"{NAME}-{_uid()}"


def state_digest(state: Path, name: str) -> str:
    """Return the name, in a folder of the session, of the state `name` in the folder `state`."""
    return hashlib.sha256(os.fsencode(f"{state}\0{name}")).hexdigest()[:16]


def standby_places(state: Path, name: str) -> tuple[Path, ...]:
    """
    Return the paths, without an ending, that stand in for files of a state whose folder cannot be written.

    Best first. The system's temporary folder is always one: a program that was started outside of the
    session, by cron say, may know neither its runtime folder nor its TMPDIR.
    """
    folders = [*runtime_folders(), temporary_folder()]
    if os.name == "posix":
        folders.append(_ours_in(SHARED_TEMPORARY))
    return tuple(folder / state_digest(state, name) for folder in dict.fromkeys(folders))


def make_own_folder(folder: Path) -> None:
    """Make sure that `folder` exists and is this user's alone; raises OSError, ForeignFolderError for one."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or not _is_ours(status):
        raise ForeignFolderError(errno.EPERM, os.strerror(errno.EPERM), str(folder))
    if hasattr(os, "getuid") and stat.S_IMODE(status.st_mode) != stat.S_IRWXU:
        folder.chmod(0o700)


def is_own_folder(folder: Path) -> bool:
    """Return whether `folder` exists and is this user's alone: anybody may make one in /tmp."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and _is_ours(status) and not is_open_to_others(status.st_mode)


def _is_ours(status: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or status.st_uid == _uid()


def _uid() -> int:
    return int(getattr(os, "getuid", int)())  # Windows has no UIDs, but a temporary folder for each user
