"""When a process started, and whether the driver's process numbers are those of this system."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

FIRST_PID_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO of the kernel's proc_ns.h
DRIVER_FILES = ("/dev/nvidia", "/dev/dxg")  # the driver's, and Windows' in its Linux subsystem

_STAT_SIZE = 1024  # bytes of /proc/PID/stat: 52 numbers and a name of 15 bytes


def steady_clock() -> float:
    """Read a clock that nobody sets, in seconds; on Linux since the boot, suspends included, as in `ps`."""
    if sys.platform == "linux":
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
    else:  # not a return above: mypy knows a platform's code by its branch
        now = time.monotonic()
    return now


def start_ticks(pid: int) -> tuple[int, bytes]:
    """
    Read the ticks from the boot to the start of a process, and what changes when it runs another program.

    These are fields 22, and 2, 26 and 28 of /proc/PID/stat: name, address of the code, address of the stack.
    Of other people's processes the kernel tells the name alone. Linux only. Raises OSError.
    """
    # By the shortest way: this is read for every process at every poll.
    file = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    try:
        stat = os.read(file, _STAT_SIZE)
    finally:
        os.close(file)
    # The second field is the program's name in brackets and may hold blanks and brackets.
    name, _, rest = stat.rpartition(b")")
    fields = rest.split(None, 28 - 2)
    return int(fields[22 - 3]), b"%s %s %s" % (name, fields[26 - 3], fields[28 - 3])


def sees_host_pids() -> bool:
    """Tell whether the driver's PIDs are ours: not so in a PID namespace other than the machine's first."""
    if sys.platform == "linux":
        try:
            return os.readlink("/proc/self/ns/pid") == FIRST_PID_NAMESPACE  # noqa: PTH115  # no path
        except OSError:
            return False
    else:
        return True


def has_driver_open(pid: int) -> bool:
    """Tell whether a process of one's own has a file of the driver open, as all on a GPU have. Linux only."""
    try:
        for file in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if str(file.readlink()).startswith(DRIVER_FILES):
                    return True
            except OSError:
                continue  # closed meanwhile
    except OSError:
        return False
    return False
