"""Who and where we are, as the Bash tool wrote it: the short host name and the user's name."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping


def host() -> str:
    """The machine's short name, as `hostname -s` prints it."""
    return socket.gethostname().split(".")[0] or "localhost"


def user(environ: Mapping[str, str]) -> str:
    """USER, or where it is unset (cron) the name of the account, or its number."""
    if environ.get("USER"):
        return environ["USER"]
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # an account without a name, as in some containers
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"
