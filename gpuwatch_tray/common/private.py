"""Files and folders that only this user can read."""

from __future__ import annotations

import errno
import os
import stat
import sys

TYPE_CHECKING = False  # the typing module takes long, and a command waits for this one (`common/run_log.py`)
if TYPE_CHECKING:
    from pathlib import Path


def make_private_folder(folder: str | Path) -> None:
    """Make the folder, and what is missing above it, for this user alone. Raises OSError."""
    if os.path.isdir(folder):  # pathlib takes long to import
        return
    above = os.path.dirname(folder)
    if above and above != folder:  # `os.makedirs` makes those above by the umask
        make_private_folder(above)
    try:
        os.mkdir(folder, mode=stat.S_IRWXU)
    except FileExistsError:
        if not os.path.isdir(folder):  # else another has made it at the same moment
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None


def is_open_to_others(mode: int) -> bool:
    """Return whether a file of this mode can be used by its group or by others; Windows has no such modes."""
    return os.name == "posix" and bool(mode & (stat.S_IRWXG | stat.S_IRWXO))


def is_private_folder(folder: Path) -> bool:
    """Return whether this is a folder of this user that nobody else can look into. Raises OSError."""
    private = folder.is_dir()
    if private and sys.platform != "win32":  # there the user's own folders are private
        status = folder.stat()
        private = status.st_uid == os.getuid() and not is_open_to_others(status.st_mode)
    return private


def make_private(path: Path) -> None:
    """Take what others may do from a file or folder of this user; a shared folder such as /tmp stays."""
    if sys.platform != "win32":  # there the user's own folders are private
        status = path.stat()
        ours = status.st_uid == os.getuid() and not status.st_mode & stat.S_ISVTX
        if ours and is_open_to_others(status.st_mode):
            path.chmod(stat.S_IMODE(status.st_mode) & stat.S_IRWXU)


def write_private(file: Path, text: str) -> None:
    """Write a new file that only this user can read. Raises OSError, also where there is one."""
    with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as out:
        out.write(text)


def replace_private(file: Path, text: str) -> None:
    """Replace the file in one step by one that only this user can read. Raises OSError; the old one stays."""
    import tempfile  # late: it takes long to load

    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.replace(name, file)
    except BaseException:
        try:
            os.unlink(name)
        except OSError:
            pass
        raise
    if os.name == "posix":  # elsewhere no folder can be opened, and the name may not outlast a power cut
        _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    """Have the names of a folder outlast a power cut; some file systems cannot."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
