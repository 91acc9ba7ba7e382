"""The protocol of the control socket: one request and one answer a connection, each a JSON object."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.common import user_folders
from gpuwatch_tray.common.session_folder import (
    ForeignFolderError,
    make_own_folder,
    runtime_folders,
    state_digest,
    temporary_folder,
)
from gpuwatch_tray.common.user_folders import NAME
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gpuwatch_tray.ipc.connections import MessageConnection


LARGEST_REQUEST = MIB  # bytes
LARGEST_ANSWER = 16 * MIB


class ControlError(Exception):
    """The running tray could not be asked; the text says why in one line."""


class NotRunningError(ControlError):
    """Nothing listens at the address."""


class RequestRefusedError(ControlError):
    """The running tray answered with an error. A handler raises it to answer so."""


def encode(value: Mapping[str, Any]) -> bytes:
    """Encode a message; raises ValueError or TypeError for what JSON cannot hold."""
    return json.dumps(value, allow_nan=False).encode()


def decode(data: bytes) -> dict[str, Any]:
    """Decode a message; raises ControlError where `data` is no JSON object."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):  # from deep nesting
        raise ControlError(_("the message is not JSON")) from None
    if not isinstance(value, dict):
        raise ControlError(_("the message is not a JSON object"))
    return value


class ControlConnection:
    """One connection; what takes longer than `within` allows is shut down, which wakes the reader."""

    def __init__(self, connection: MessageConnection) -> None:
        self.connection = connection
        self._lock = threading.Lock()  # a closed file number may belong to another file already
        self._closed = False

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Shut the connection down when the block takes longer than `seconds`."""
        timer = threading.Timer(seconds, self.shut_down)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def shut_down(self) -> None:
        """Make a read or write under way fail at once; from any thread."""
        with self._lock, contextlib.suppress(OSError):
            if not self._closed:
                self.connection.interrupt()

    def close(self) -> None:
        """Close the connection; on the thread that reads and writes."""
        with self._lock, contextlib.suppress(OSError):
            self._closed = True
            self.connection.close()


LONGEST = 103  # bytes of a socket's path: 107 on Linux, 103 on macOS
PIPE = "\\\\.\\pipe\\"
WITH_PIPES = ("win32",)
KEY_LENGTH = 32  # bytes


def addresses(state: Path, name: str) -> tuple[str, ...]:
    """
    Return the possible addresses of the state `name` in the folder `state`, best first.

    On Windows a named pipe; elsewhere a socket in a folder that only this user can enter: the runtime folder,
    the state's, or one of our own among the temporary files, because a socket's path must be short. A client
    need not try them all: the lock's description names the one in use.
    """
    digest = state_digest(state, name)
    if sys.platform in WITH_PIPES:
        return (f"{PIPE}{NAME}-{digest}",)
    paths = [
        folder / f"{digest}.sock" for folder in (*runtime_folders(), state / "control", temporary_folder())
    ]
    return tuple(str(path) for path in paths if len(os.fsencode(path)) <= LONGEST)


def session_place(state: Path, name: str) -> tuple[Path, str]:
    """Return a private folder that ends with the session, and the name of the state in it."""
    return next(iter([*runtime_folders(), temporary_folder()])), state_digest(state, name)


def prepare_address(address: str) -> bytes | None:
    """Make the folder private; return the key that both sides of a named pipe prove, None for a socket."""
    file = key_file(address)
    ensure_private((file or Path(address)).parent)
    if file is None:
        return None
    import secrets

    key = secrets.token_bytes(KEY_LENGTH)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(key)
    return key


def read_key(address: str) -> bytes | None:
    """Return the key of a named pipe, None for a socket; raises FileNotFoundError where no server runs."""
    file = key_file(address)
    return None if file is None else file.read_bytes()


def key_file(address: str) -> Path | None:
    """Return the file of a named pipe's key: a pipe is in no folder that could guard it."""
    if not address.startswith(PIPE):
        return None
    return Path(user_folders.runtime_folders()[0]) / f"{address.removeprefix(PIPE)}.key"


def ensure_private(folder: Path) -> None:
    """Make sure that `folder` exists and is this user's alone; raises ControlError."""
    mend = _("remove it, or set XDG_RUNTIME_DIR to a folder that is yours alone")
    try:
        make_own_folder(folder)
    except ForeignFolderError as error:
        raise ControlError(
            _("{folder} belongs to someone else ({mend})").format(folder=folder, mend=mend)
        ) from error
    except OSError as error:
        raise ControlError(
            _("{folder} cannot be used: {why} ({mend})").format(folder=folder, why=error.strerror, mend=mend)
        ) from error
