"""What the system tells of one process: by psutil, whose only importer this is, and by /proc/PID/stat."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil  # the one importer

if TYPE_CHECKING:
    from collections.abc import Iterator


_STAT_SIZE = 1024  # bytes of /proc/PID/stat: 52 numbers and a name of 15 bytes


class ZombieError(OSError):
    """The process has ended, and its parent has not asked yet: it has no arguments and no folder."""


class SystemProcess:
    """
    One process's owner, program, folder and parent.

    Each question, and the making, raises PermissionError, ZombieError, or ProcessLookupError where the
    process is gone.
    """

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


def start_ticks(pid: int) -> tuple[int, bytes, str, int]:
    """
    Read the ticks from boot to a process's start, what changes with its program, its state, its CPU in ticks.

    The state is the letter of proc_pid_stat(5), such as D. Raises OSError.
    """
    # By the shortest way: where no process can be held, this is read for every one at every poll.
    file = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    try:
        stat = os.read(file, _STAT_SIZE)
    finally:
        os.close(file)
    # The second field is the program's name in brackets and may hold blanks and brackets.
    name, _, rest = stat.rpartition(b")")
    fields = rest.split(None, 28 - 2)
    program = b"%s %s %s" % (name, fields[26 - 3], fields[28 - 3])
    return int(fields[22 - 3]), program, chr(fields[0][0]), int(fields[14 - 3]) + int(fields[15 - 3])
