"""The entry that starts the program at login, its command, and the interface of its place."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


class AutostartError(Exception):
    """The start at login cannot be read or set; the text says why in one line."""


@dataclass(frozen=True, slots=True)
class LoginEntry:
    """
    The command that is started at login, first the program's path.

    `switched_off` names what keeps the system from starting it, such as Task Manager's switch; else empty.
    """

    command: tuple[str, ...]
    switched_off: str = ""

    @property
    def works(self) -> bool:
        """Whether there is a program at the path."""
        return bool(self.command) and os.access(self.command[0], os.X_OK) and Path(self.command[0]).is_file()


class LoginRegistry(Protocol):
    """The interface of the place where a system keeps the entry; methods raise AutostartError."""

    @property
    def where(self) -> str:
        """The place, for display."""

    def read(self) -> LoginEntry | None:
        """Return our entry; None for none."""

    def write(self, command: Sequence[str]) -> None:
        """Start this command at login, and undo whatever switched it off."""

    def repair(self, command: Sequence[str]) -> None:
        """Put this command into the existing entry, and leave a person's other changes."""

    def remove(self) -> None:
        """Remove the entry, if there is one."""


@contextmanager
def autostart_errors(what: str) -> Iterator[None]:
    """Turn an error of the operating system into an AutostartError that names `what`."""
    try:
        yield
    except UnicodeError as error:
        raise AutostartError(
            _("{what}: a path that is not UTF-8 cannot be written there").format(what=what)
        ) from error
    except OSError as error:
        raise AutostartError(f"{what}: {error.strerror or error}") from error


class LoginFile:
    """A login entry that is one file; methods raise AutostartError."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def where(self) -> str:
        """The file."""
        return str(self._file)

    def remove(self) -> None:
        """Delete the file; a running program goes on."""
        with autostart_errors(self.where):
            self._file.unlink(missing_ok=True)

    def _read_file(self) -> bytes | None:
        with autostart_errors(self.where):
            try:
                return self._file.read_bytes()
            except FileNotFoundError:
                return None

    def _write_file(self, content: Callable[[], bytes]) -> None:
        """Write the file whole or not at all, and create its folder."""
        if not self._file.is_absolute():
            raise AutostartError(_("this account has no home folder for it"))
        with autostart_errors(self.where):
            data = content()  # a path that is not UTF-8 fails here
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part = self._file.with_name(f"{self._file.name}.part")
            part.write_bytes(data)
            part.replace(self._file)


NAME = "gpuwatch-tray"
WINDOWED = "gpuwatch-trayw.exe"  # no console window at login
# Where installers link scripts of environments that they move and rebuild (pipx, uv, a package).
SHIM_VARIABLES = ("PIPX_BIN_DIR", "UV_TOOL_BIN_DIR", "XDG_BIN_HOME")
COMMON_SHIMS = ("/usr/local/bin", "/usr/bin")


def start_command(
    environ: Mapping[str, str] = os.environ, executable: str = sys.executable, platform: str = sys.platform
) -> tuple[str, ...]:
    """
    Return the absolute command: a link to the console script beside the interpreter, the script, or `-m`.

    Never a bare name: a session's PATH is not a terminal's. `-P` keeps the session's working folder out of
    the module path.
    """
    python = Path(executable).absolute()
    script = python.with_name(WINDOWED if platform == "win32" else NAME)
    if not script.is_file():
        return (str(python), "-P", "-m", "gpuwatch_tray")
    if platform == "win32":  # installers copy there, and a copy does not show its origin
        return (str(script),)
    return (str(next(_links_to(script, environ), script)),)


def _links_to(script: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    real = script.resolve()
    named = [environ[name] for name in SHIM_VARIABLES if environ.get(name)]
    home = environ.get("HOME", "")
    for folder in (*named, *([f"{home}/.local/bin"] if home else []), *COMMON_SHIMS):
        link = Path(folder) / NAME
        if link.is_absolute() and link.is_symlink() and link.resolve() == real:
            yield link
