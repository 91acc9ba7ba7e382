"""Who, where and what we are: the short host name and the user's name as the Bash tool wrote them."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.model import PROCESS, Instant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def host() -> str:
    """The machine's short name, as `hostname -s` prints it."""
    return socket.gethostname().split(".")[0] or "localhost"


def now() -> Instant:
    """The present moment."""
    return Instant(time.time(), *uptime())


def uptime() -> tuple[float, str]:
    """
    The clock that nobody sets, in seconds, and the name of what it counts from.

    On Linux that is the boot, suspends included. Elsewhere no boot has a name that lasts, so that the clock
    is this process's own: from one process to another only wall time is left.
    """
    ask: Callable[[int], float] | None = getattr(time, "clock_gettime", None)
    clock: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    boot = _boot()
    if ask is None or clock is None or not boot:
        return time.monotonic(), _this_process()
    return ask(clock), boot


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


@cache
def _this_process() -> str:
    return f"{PROCESS}{secrets.token_hex(16)}"


def this_program() -> list[str]:
    """The command line that starts this very installation again; never what lies in the current folder."""
    return [sys.executable, "-P", "-m", "gpuwatch_tray"]


def user(environ: Mapping[str, str]) -> str:
    """USER, or where it is unset (cron) the name of the account, or its number."""
    if environ.get("USER"):
        return environ["USER"]
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # an account without a name, as in some containers
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"
