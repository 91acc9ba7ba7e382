"""What a person types into a shell to get to a host whose name others have written."""

from __future__ import annotations

import re

from gpuwatch_tray.common.late_pattern import late_pattern

# What ssh takes as a host, without the port of an exporter's address; never an option, nor two words.
_HOST = late_pattern(
    r"(?P<host>(?:[A-Za-z0-9][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9._-]*)(?::\d+)?", re.ASCII
)


def ssh_command(name: str) -> str:
    """Return what to type to get to the host; empty for a name that ssh or the shell may take otherwise."""
    found = _HOST.fullmatch(name)
    return f"ssh {found['host']}" if found else ""
