"""What Linux tells of a process in its files (proc(5)): psutil, which reads them too, takes 10 ms to load."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

_PART = 4096  # bytes that are read at a time: hardly any of these files is longer
_STAT_SIZE = 1024  # bytes of /proc/PID/stat: 52 numbers and a name of 15 bytes
_CUT_NAME = 15  # bytes, from which the kernel has cut a program's name off (TASK_COMM_LEN)
_DELETED = " (deleted)"


class ZombieError(OSError):
    """The process has ended, and its parent has not asked yet: it has no arguments and no folder."""


class ProcessFiles:
    """
    One process's owner, program, folder and parent.

    Each question raises PermissionError, ZombieError, ProcessLookupError where the process is gone, or
    another OSError.
    """

    def __init__(self, pid: int) -> None:
        self._folder = f"/proc/{pid}"

    def owner(self) -> tuple[int, str]:
        """Read the real user id, with the user's name, or the id again for one without a name."""
        uid = int(self._read_some("status").partition(b"\nUid:")[2].split(None, 1)[0])
        return uid, user_name(uid)

    def arguments(self) -> list[str]:
        """Read the command line; without arguments there is none, as of the kernel's own threads."""
        text = os.fsdecode(self._read("cmdline"))
        if not text:
            self._raise_if_zombie()
            return []
        # A title written over the arguments may end with a NUL yet have blanks between its words, or no NUL.
        end = "\0" if text[-1] == "\0" else " "
        words = text.removesuffix(end).split(end)
        return words[0].split(" ") if end == "\0" and len(words) == 1 else words

    def name(self) -> str:
        """Read the program's name; one that the kernel has cut off is whole in the arguments."""
        name = self._read_some("comm").removesuffix(b"\n")
        if len(name) >= _CUT_NAME:
            try:
                whole = os.fsencode(self.arguments()[0]).rpartition(b"/")[2]
            except (PermissionError, ZombieError, IndexError):
                whole = b""
            if whole.startswith(name):
                name = whole
        return os.fsdecode(name)

    def folder(self) -> str:
        """Read the working directory; empty where the kernel knows none."""
        try:
            folder = os.readlink(f"{self._folder}/cwd")  # noqa: PTH115  # no path where it was deleted
        except (FileNotFoundError, ProcessLookupError) as error:
            self._raise_if_zombie()
            self._raise_if_gone(error)
            return ""
        deleted = folder.endswith(_DELETED) and not os.path.lexists(folder)
        return folder.removesuffix(_DELETED) if deleted else folder

    def parent(self) -> int:
        """Read the PID of the process that started it, or has inherited it; 0 for the first of all."""
        return int(self._stat()[1])

    def _read(self, name: str) -> bytes:
        try:
            return read_file(f"{self._folder}/{name}")
        except FileNotFoundError as error:
            self._raise_if_gone(error)
            raise

    def _read_some(self, name: str) -> bytes:
        """Read a file that is never empty but of a process that ended since it was opened."""
        if text := self._read(name):
            return text
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))

    def _stat(self) -> list[bytes]:
        """Read the fields from the third, the state; the second is a name with any blanks and brackets."""
        return self._read_some("stat").rpartition(b")")[2].split()

    def _raise_if_zombie(self) -> None:
        if self._stat()[:1] == [b"Z"]:
            raise ZombieError

    def _raise_if_gone(self, error: OSError) -> None:
        if not os.path.lexists(f"{self._folder}/stat"):
            raise ProcessLookupError(*error.args) from error


def user_name(uid: int) -> str:
    """Return the name of a user, or the user id of one without a name."""
    name = str(uid)
    if sys.platform != "win32":
        import pwd  # late: Windows has none

        with suppress(KeyError):
            name = pwd.getpwuid(uid).pw_name
    return name


def read_file(path: str) -> bytes:
    """Read a file of the kernel's to its end, by the shortest way: there may be hundreds. Raises OSError."""
    file = os.open(path, os.O_RDONLY)
    try:
        parts = [os.read(file, _PART)]
        while parts[-1]:
            parts.append(os.read(file, _PART))
    finally:
        os.close(file)
    return b"".join(parts)


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
