"""The machine: its name, its user, its clocks, and how this program is started."""

from __future__ import annotations

import os
import platform
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.model import PROCESS, Instant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def host() -> str:
    """Return the machine's short name, as `hostname -s` prints it."""
    return platform.node().split(".")[0] or "localhost"


def now() -> Instant:
    """Return the present time by both clocks."""
    return Instant(time.time(), *uptime())


def uptime() -> tuple[float, str]:
    """
    Read a clock that nobody sets, in seconds, and the id of what it counts from.

    On Linux that is the boot; elsewhere this process, so that between two only wall time counts.
    """
    gettime: Callable[[int], float] | None = getattr(time, "clock_gettime", None)
    clock: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    boot = _boot()
    if gettime is None or clock is None or not boot:
        return time.monotonic(), _this_process()
    return gettime(clock), boot


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


@cache
def _this_process() -> str:
    import secrets  # late: with it comes OpenSSL

    return f"{PROCESS}{secrets.token_hex(16)}"


def this_program() -> list[str]:
    """Return the command line that starts this installation again, never a module of the current folder."""
    return [sys.executable, "-P", "-m", "gpuwatch_tray"]


def called_as() -> str:
    """Return the words by which a person starts this program in a terminal here."""
    import shlex
    import shutil

    name = "gpuwatch-tray"
    if shutil.which(name):
        return name
    script = Path(sys.executable).with_name(name)  # of a virtual environment that is not on the PATH
    return shlex.join([str(script)] if script.is_file() else this_program())


def user(environ: Mapping[str, str]) -> str:
    """Return USER, or where it is unset (cron) the name of the account, or its number."""
    if environ.get("USER"):
        return environ["USER"]
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # an account without a name, as in some containers
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"
