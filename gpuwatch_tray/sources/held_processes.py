"""Which processes live on, as the kernel tells by a file for each: pidfd_open(2)."""

from __future__ import annotations

import errno
import os
import select
import sys
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


# Not on every system, nor in every Python for Linux: that depends on the headers it was built with.
PIDFD_OPEN: Callable[[int], int] | None = getattr(os, "pidfd_open", None)
STATUS = Path("/proc/self/status")
MOST_HELD = 512  # processes: more than a workstation has on its GPUs, and file numbers that select(2) takes
_SHARE = 2  # of the open files that this process may have, one in so many at most
_READABLE = getattr(select, "POLLIN", 1)  # Windows has none
_CLOSED = getattr(select, "POLLNVAL", 32)  # by somebody else: the number may be another file's by now
_ENDED_OR_NONE = frozenset({errno.ESRCH, errno.EINVAL})  # no such process, or a thread's number
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def most_held() -> int:
    """Return how many processes may be held: the rest of the program needs open files too."""
    if sys.platform != "win32":
        import resource  # late: Windows has none

        limit, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = MOST_HELD if limit == resource.RLIM_INFINITY else min(MOST_HELD, limit // _SHARE)
    else:  # no return above: mypy knows a platform's code by its branch
        most = 0
    return most


def sees_own_numbers() -> bool:
    """Tell whether a number means the same process in /proc and in a call of the kernel."""
    # Not so in a PID namespace of its own under the /proc of the one above. NSpid begins in the namespace of
    # the /proc that is read (proc_pid_status(5)); a kernel without namespaces has none.
    try:
        status = STATUS.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return len(status.partition("\nNSpid:")[2].partition("\n")[0].split()) <= 1


class HeldProcesses:
    """
    Tells of the processes that are held whether they run, all with one system call.

    A number is its process's own for as long as that process has not ended, and it may be another's at once
    after that: what was read of a process that was held before the reading, and that has not ended since, was
    its own. A process counts as ended with its last thread, and as a zombie. At most `most` are held; on
    systems that cannot, or will not, none. Not safe from several threads at once.
    """

    def __init__(
        self,
        most: int | None = None,
        opens: Callable[[int], int] | None = PIDFD_OPEN,
    ) -> None:
        self._most = most
        self._opens = opens
        self._files: dict[int, int] = {}  # by PID
        self._pids: dict[int, int] = {}  # by file
        self._poll: Any = None
        if hasattr(select, "poll"):
            self._poll = select.poll()
        else:
            self._opens = None
        self._closed_at_last = weakref.finalize(self, _close_files, self._pids)

    def __contains__(self, pid: int) -> bool:
        return pid in self._files

    def hold(self, pid: int) -> None:
        """Hold the process that has this PID now, if there is room: before anything is read of it."""
        if self._opens is None or pid in self._files:
            return
        if self._most is None:
            self._most = most_held() if sees_own_numbers() else 0
        if len(self._files) >= self._most:
            return
        try:
            file = self._opens(pid)
        except OSError as error:
            if error.errno not in _ENDED_OR_NONE | _NO_ROOM:
                self._opens = None  # an older kernel, or a sandbox: it will be so at the next one too
            return
        if (former := self._pids.get(file)) is not None:  # whose file somebody else has closed
            del self._files[former]
        self._files[pid] = file
        self._pids[file] = pid
        self._poll.register(file, _READABLE)

    def release_ended(self) -> tuple[int, ...]:
        """Hold those no more that have ended, and return their numbers."""
        if not self._files:
            return ()
        try:
            ready = self._poll.poll(0)
        except OSError:  # the limit of open files was lowered meanwhile: what cannot be asked is not held
            self.close()
            self._opens = None
            return ()
        ended = tuple(self._pids[file] for file, _events in ready)
        for pid, (_file, events) in zip(ended, ready, strict=True):
            self._release(pid, closed=bool(events & _CLOSED))
        return ended

    def keep_only(self, pids: Collection[int]) -> None:
        """Hold none but those of `pids`."""
        for pid in [pid for pid in self._files if pid not in pids]:
            self._release(pid)

    def close(self) -> None:
        """Hold none."""
        self.keep_only(())

    def _release(self, pid: int, *, closed: bool = False) -> None:
        file = self._files.pop(pid)
        del self._pids[file]
        self._poll.unregister(file)
        if not closed:
            os.close(file)


def _close_files(files: dict[int, int]) -> None:
    for file in files:
        os.close(file)
