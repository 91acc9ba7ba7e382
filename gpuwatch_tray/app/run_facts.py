"""What the kernel and the disks tell about a run, gathered at its end and joined with what was seen."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from gpuwatch_tray.runs import FolderSpace
from gpuwatch_tray.runs.observed import observed_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gpuwatch_tray.runs import RunFacts


class HostWatch:
    """What the host tells about a run: made before it starts, asked after it has ended."""

    def __init__(self) -> None:
        self._events = _memory_events_file()
        self._kills = _oom_kills(self._events)
        self._kernel = _open_kernel_log()

    def oom_kills(self) -> int:
        """Return how many processes of this cgroup the kernel has killed since for want of memory."""
        now = _oom_kills(self._events)
        return 0 if now is None or self._kills is None else max(0, now - self._kills)

    def kernel_lines(self) -> tuple[str, ...]:
        """Return the kernel's lines since, about processes that it killed for want of memory."""
        if self._kernel is None:
            return ()
        lines = [_text(record) for record in _records(self._kernel)]
        os.close(self._kernel)
        self._kernel = None
        return tuple(line for line in lines if "Killed process" in line or "oom-kill" in line)[-4:]


def _memory_events_file() -> Path | None:
    """Return the file with this cgroup's events (cgroup v2, memory.events); None where there is none."""
    with suppress(OSError):  # also where there is no /proc
        for line in Path("/proc/self/cgroup").read_text("utf-8").splitlines():
            if line.startswith("0::"):
                file = Path("/sys/fs/cgroup") / line[3:].lstrip("/") / "memory.events"
                return file if file.is_file() else None
    return None


def _oom_kills(file: Path | None) -> int | None:
    if file is not None:
        with suppress(OSError, ValueError):
            for line in file.read_text("utf-8").splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return None


def lines_about(pid: int, within: float) -> tuple[str, ...]:
    """Return the kernel's lines of the last `within` s about killing this process; none where secret."""
    log = _open_kernel_log(os.SEEK_SET)
    if log is None:
        return ()
    try:
        return kill_lines(_records(log), pid, time.monotonic() - within)
    finally:
        os.close(log)


def kill_lines(records: Iterable[bytes], pid: int, since: float) -> tuple[str, ...]:
    """Return those of the kernel's records since then (s since the boot) that tell that it killed `pid`."""
    found = []
    for record in records:
        _priority, _number, at, *_more = *record.partition(b";")[0].split(b","), b"", b""
        if b"Killed process %d (" % pid in record and at.isdigit() and int(at) / 1e6 >= since:  # microseconds
            found.append(_text(record))
    return tuple(found[-1:])


def _records(log: int) -> Iterator[bytes]:
    """Yield the records of /dev/kmsg from where it stands; one that was overwritten is left out."""
    with suppress(BlockingIOError):  # no more
        while True:
            with suppress(BrokenPipeError):
                if not (record := os.read(log, 8192)):
                    return
                yield record


def _text(record: bytes) -> str:
    return record.decode("utf-8", "replace").partition(";")[2].partition("\n")[0]


def _open_kernel_log(start: int = os.SEEK_END) -> int | None:
    """Open the kernel's log behind its last line; None where it is not for this user (dmesg_restrict)."""
    try:
        file = os.open("/dev/kmsg", os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None
    with suppress(OSError):
        os.lseek(file, 0, start)
    return file


FULL = 64 * 2**20  # bytes: with less, a file system is as good as full
SHARED_MEMORY = "/dev/shm"  # noqa: S108  # looked at, not written to


def full_folders(environ: Mapping[str, str], folder: str) -> tuple[FolderSpace, ...]:
    """Return those of the folders that a run usually writes to which have next to no room left."""
    home = environ.get("HOME", "")
    places = (folder, environ.get("TMPDIR", "/tmp"), environ.get("HF_HOME", ""), home, SHARED_MEMORY)  # noqa: S108
    found: dict[int, FolderSpace] = {}
    for place in places:
        with suppress(OSError):
            if place and (free := _free(place)) < FULL:
                found.setdefault(Path(place).stat().st_dev, FolderSpace(place, free))
    return tuple(found.values())


def _free(place: str) -> int:
    return shutil.disk_usage(place).free  # what an ordinary user may still write: f_bavail


def join_facts(
    observed: Mapping[str, Any],
    host: HostWatch,
    environ: Mapping[str, str],
    command: Sequence[str],
    folder: str,
    ended: float,
) -> RunFacts:
    """Join what the running program has seen with what the host tells; `ended` is a wall time."""
    return replace(
        observed_facts(observed, ended),
        oom_kills=host.oom_kills(),
        kernel_lines=host.kernel_lines(),
        full=full_folders(environ, folder),
        deadline=_deadline(environ),
        command=tuple(command),
    )


def _deadline(environ: Mapping[str, str]) -> float | None:
    """Return when Slurm ends the job (wall time): SLURM_JOB_END_TIME of `srun`'s environment."""
    try:
        return float(environ["SLURM_JOB_END_TIME"])
    except (KeyError, ValueError):
        return None
