"""The private folders of this user that end with the session or the boot, as the runtime folder does."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
import warnings
from pathlib import Path

from platformdirs import user_runtime_path

from gpuwatch_tray.common.private import is_open_to_others

NAME = "gpuwatch-tray"
SHARED_TEMPORARY = "/tmp"  # noqa: S108  # ours in it is checked to be this user's alone


class ForeignFolderError(OSError):
    """The folder belongs to another user."""


def runtime_folders() -> list[Path]:
    """Return our folder in the user's runtime folder, where the session has one that is this user's alone."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the folder is checked below
            folder = Path(user_runtime_path(NAME, appauthor=False))
        above = folder.parent.stat()
    except OSError:  # also where it falls back to a temporary folder, and the disk is full
        return []
    return [folder] if _is_ours(above) and not above.st_mode & 0o077 else []


def temporary_folder() -> Path:
    """Return our folder among the temporary files."""
    if os.name != "posix":
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
