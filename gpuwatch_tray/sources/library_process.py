"""What psutil tells of a process, on systems without the files of Linux: its only importer."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil  # the one importer

from gpuwatch_tray.sources.process_files import ZombieError

if TYPE_CHECKING:
    from collections.abc import Iterator


class LibraryProcess:
    """One process; it answers as `ProcessFiles` does, and raises the same. Made only of one that is there."""

    def __init__(self, pid: int) -> None:
        with _plain_errors():
            self._process = psutil.Process(pid)

    def owner(self) -> tuple[int | str, str]:
        """Return the real user id, on Windows the name with its domain; and the name."""
        with _plain_errors():
            name = self._process.username()
            owner: int | str = name
            if sys.platform != "win32":  # no return here: mypy knows a platform's code by its branch
                owner = self._process.uids().real
            return owner, name

    def arguments(self) -> list[str]:
        """Return the command line."""
        with _plain_errors():
            return self._process.cmdline()

    def name(self) -> str:
        """Return the program's name."""
        with _plain_errors():
            return self._process.name()

    def folder(self) -> str:
        """Return the working directory."""
        with _plain_errors():
            return self._process.cwd()

    def parent(self) -> int:
        """Return the PID of the process that started it; 0 where there is none any more."""
        with _plain_errors():
            parent = self._process.parent()  # which knows a number that is another's by now
            return 0 if parent is None else parent.pid

    def created(self) -> float:
        """Return when it began, as wall time in seconds."""
        with _plain_errors():
            return self._process.create_time()


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Raise Python's own errors for psutil's."""
    try:
        yield
    except psutil.AccessDenied as error:
        raise PermissionError(str(error)) from error
    except psutil.ZombieProcess as error:
        raise ZombieError(str(error)) from error
    except psutil.Error as error:
        raise ProcessLookupError(str(error)) from error
