"""What a system has been told to start at login, and the place where it keeps that."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class AutostartError(Exception):
    """Starting at login cannot be read or set; one line that says why."""


@dataclass(frozen=True, slots=True)
class LoginEntry:
    """
    The command that is started at login, first the program's path.

    `switched_off` names what keeps the system from starting it all the same, such as Task Manager's switch;
    empty where nothing does.
    """

    command: tuple[str, ...]
    switched_off: str = ""

    @property
    def works(self) -> bool:
        """Whether there is a program at the path."""
        return bool(self.command) and os.access(self.command[0], os.X_OK) and Path(self.command[0]).is_file()


class LoginRegistry(Protocol):
    """Where one system keeps what is started at login. Its methods raise AutostartError."""

    @property
    def where(self) -> str:
        """The place, to be shown."""

    def read(self) -> LoginEntry | None:
        """Our entry; None where there is none."""

    def write(self, command: Sequence[str]) -> None:
        """Have this command started at login, whatever kept it from that before."""

    def repair(self, command: Sequence[str]) -> None:
        """Put this command into the entry that is there, and leave what else a person wrote into it."""

    def remove(self) -> None:
        """Have it started no more; without an entry, do nothing."""


@contextmanager
def autostart_errors(what: str) -> Iterator[None]:
    """Turn what the operating system refuses into an AutostartError that names `what`."""
    try:
        yield
    except UnicodeError as error:
        raise AutostartError(
            _("{what}: a path that is not UTF-8 cannot be written there").format(what=what)
        ) from error
    except OSError as error:
        raise AutostartError(f"{what}: {error.strerror or error}") from error


def replace_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(data)
    part.replace(path)
