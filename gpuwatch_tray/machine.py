"""Who, where and what we are: the short host name and the user's name as the Bash tool wrote them."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def host() -> str:
    """The machine's short name, as `hostname -s` prints it."""
    return socket.gethostname().split(".")[0] or "localhost"


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
