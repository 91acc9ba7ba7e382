"""
What the kernel tells of processes that it killed for want of memory.

Imports next to nothing: a command waits for it (`app/early_start.py`).
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # the typing module takes longer than all of this one
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


_PART = 8192  # bytes of one read: the kernel gives some 4 KB at a time


class HostWatch:
    """What the host tells about a run: made before it starts, asked after it has ended."""

    def __init__(self) -> None:
        self._events = _memory_events_file()
        self._kills = _oom_kills(self._events)
        self._machine_kills = count_oom_kills()
        self._kernel = _open_kernel_log()

    def oom_kills(self) -> int:
        """Return how many processes of this cgroup the kernel has killed since for want of memory."""
        return _more(self._kills, _oom_kills(self._events))

    def machine_kills(self) -> int:
        """Return how many of the whole machine."""
        return _more(self._machine_kills, count_oom_kills())

    def kernel_lines(self) -> tuple[str, ...]:
        """Return the kernel's lines since, about processes that it killed for want of memory."""
        if self._kernel is None:
            return ()
        lines = [_text(record) for record in _records(self._kernel)]
        os.close(self._kernel)
        self._kernel = None
        return tuple(line for line in lines if "Killed process" in line or "oom-kill" in line)[-4:]


def _more(before: int | None, now: int | None) -> int:
    return 0 if now is None or before is None else max(0, now - before)


def _memory_events_file() -> str | None:
    """Return the file with this cgroup's events (cgroup v2, memory.events); None where there is none."""
    for line in (_read("/proc/self/cgroup") or b"").splitlines():
        if line.startswith(b"0::"):
            return f"/sys/fs/cgroup/{os.fsdecode(line[3:]).lstrip('/')}/memory.events"
    return None


def _oom_kills(file: str | None) -> int | None:
    return None if file is None else _number(_read(file), b"oom_kill ")


def count_oom_kills() -> int | None:
    """Return how many processes of the machine the kernel has killed for want of memory since the boot."""
    return _number(_read("/proc/vmstat"), b"oom_kill ")  # since Linux 4.13; elsewhere None


def _number(text: bytes | None, name: bytes) -> int | None:
    """Return the number behind `name` at the beginning of a line, found without a look at each line."""
    _before, found, rest = (b"\n" + (text or b"")).partition(b"\n" + name)
    return int(rest.split(maxsplit=1)[0]) if found else None


def _read(file: str) -> bytes | None:
    # Straight from the kernel, once a poll: `open` asks it five things more.
    try:
        opened = os.open(file, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:  # also where there is no /proc
        return None
    try:
        return b"".join(iter(lambda: os.read(opened, _PART), b""))
    except OSError:
        return None
    finally:
        os.close(opened)


def lines_about(pid: int, within: float) -> tuple[str, ...]:
    """Return the kernel's line of the last `within` seconds about killing this process; none where secret."""
    log = _open_kernel_log(os.SEEK_SET)
    if log is None:
        return ()
    try:
        return kill_lines(_records(log), pid, time.monotonic() - within)
    finally:
        os.close(log)


def kill_lines(records: Iterable[bytes], pid: int, since: float) -> tuple[str, ...]:
    """Return the last of the records since then (s since the boot) that says that the kernel killed `pid`."""
    found = []
    for record in records:
        head, _, text = record.partition(b";")  # priority, number, microseconds, and more
        at = b"".join(head.split(b",")[2:3])
        if b"Killed process %d (" % pid in text and at.isdigit() and int(at) / 1e6 >= since:
            found.append(_text(record))
    return tuple(found[-1:])


def _records(log: int) -> Iterator[bytes]:
    """Yield the records of /dev/kmsg from where it stands; one that was overwritten is left out."""
    while True:
        try:
            record = os.read(log, 8192)
        except BrokenPipeError:
            continue
        except OSError:  # EAGAIN: no more
            return
        if not record:
            return
        yield record


def _text(record: bytes) -> str:
    return record.decode("utf-8", "replace").partition(";")[2].partition("\n")[0]


def _open_kernel_log(start: int = os.SEEK_END) -> int | None:
    """Open the kernel's log, behind its last line; None where it is not for this user (dmesg_restrict)."""
    try:
        file = os.open("/dev/kmsg", os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None
    try:
        os.lseek(file, 0, start)
    except OSError:  # a file of that name, which is no log
        os.close(file)
        return None
    return file
