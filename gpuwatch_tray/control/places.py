"""
Where the socket may be: in a folder that only this user enters, or on Windows a named pipe.

The runtime folder comes first, then the state's, then one of our own among the temporary files, for a
socket's path must be short. Whoever asks does not search: the description of the lock's holder names it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import sys
import tempfile
import warnings
from pathlib import Path

from platformdirs import user_runtime_path

from gpuwatch_tray.control.wire import ControlError
from gpuwatch_tray.language import _

NAME = "gpuwatch-tray"
LONGEST = 103  # bytes of a socket's path: 107 on Linux, 103 on macOS
PIPE = "\\\\.\\pipe\\"
WITH_PIPES = ("win32",)
KEY_LENGTH = 32  # bytes


def addresses(state: Path, name: str) -> tuple[str, ...]:
    """The possible addresses of the state `name` in the folder `state`, best first."""
    digest = hashlib.sha256(os.fsencode(f"{state}\0{name}")).hexdigest()[:16]
    if sys.platform in WITH_PIPES:
        return (f"{PIPE}{NAME}-{digest}",)
    paths = [folder / f"{digest}.sock" for folder in (*_runtime(), state / "control", _temporary())]
    return tuple(str(path) for path in paths if len(os.fsencode(path)) <= LONGEST)


def _runtime() -> list[Path]:
    """The user's runtime folder, where the session has one that is this user's alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a folder that it would warn of is checked, and passed over, here
        folder = Path(user_runtime_path(NAME, appauthor=False))
    try:
        above = folder.parent.stat()
    except OSError:
        return []
    return [folder] if _ours(above) and not above.st_mode & 0o077 else []


def _temporary() -> Path:
    return Path(tempfile.gettempdir()) / f"{NAME}-{_uid()}"


def prepare(address: str) -> bytes | None:
    """Make the place private; the key that both sides of a named pipe prove to have, None for a socket."""
    file = key_file(address)
    private((file or Path(address)).parent)
    if file is None:
        return None
    key = secrets.token_bytes(KEY_LENGTH)
    file.unlink(missing_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:  # noqa: PTH123
        out.write(key)
    return key


def key(address: str) -> bytes | None:
    """The key for `address`, None where the folder guards it; raises FileNotFoundError where none serves."""
    file = key_file(address)
    return None if file is None else file.read_bytes()


def key_file(address: str) -> Path | None:
    """Where a named pipe's key is: a pipe is in no folder that could guard it."""
    if not address.startswith(PIPE):
        return None
    return Path(user_runtime_path(NAME, appauthor=False)) / f"{address.removeprefix(PIPE)}.key"


def private(folder: Path) -> None:
    """Make sure that `folder` is there and this user's alone; raises ControlError."""
    mend = _("remove it, or set XDG_RUNTIME_DIR to a folder of this user alone")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or not _ours(found):
            raise ControlError(
                _("{folder} belongs to somebody else ({mend})").format(folder=folder, mend=mend)
            )
        if hasattr(os, "getuid") and stat.S_IMODE(found.st_mode) != stat.S_IRWXU:
            folder.chmod(0o700)
    except OSError as error:
        raise ControlError(
            _("{folder} cannot be used: {why} ({mend})").format(folder=folder, why=error.strerror, mend=mend)
        ) from error


def _ours(found: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or found.st_uid == _uid()


def _uid() -> int:
    return int(getattr(os, "getuid", int)())  # Windows has none, and a folder of temporary files a user
