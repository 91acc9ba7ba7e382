"""The command that starts this installation at a later login."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAME = "gpuwatch-tray"
WINDOWED = "gpuwatch-trayw.exe"  # no console window at login
# Where installers link scripts of environments that they move and rebuild (pipx, uv, a package).
SHIM_VARIABLES = ("PIPX_BIN_DIR", "UV_TOOL_BIN_DIR", "XDG_BIN_HOME")
COMMON_SHIMS = ("/usr/local/bin", "/usr/bin")


def start_command(
    environ: Mapping[str, str] = os.environ, executable: str = sys.executable, platform: str = sys.platform
) -> tuple[str, ...]:
    """
    Return the absolute command: a link to the console script beside the interpreter, the script, or `-m`.

    Never a bare name: a session's PATH is not a terminal's. `-P` keeps the session's working folder out of
    the module path.
    """
    python = Path(executable).absolute()
    script = python.with_name(WINDOWED if platform == "win32" else NAME)
    if not script.is_file():
        return (str(python), "-P", "-m", "gpuwatch_tray")
    if platform == "win32":  # installers copy there, and a copy does not show its origin
        return (str(script),)
    return (str(next(_links_to(script, environ), script)),)


def _links_to(script: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    real = script.resolve()
    named = [environ[name] for name in SHIM_VARIABLES if environ.get(name)]
    home = environ.get("HOME", "")
    for folder in (*named, *([f"{home}/.local/bin"] if home else []), *COMMON_SHIMS):
        link = Path(folder) / NAME
        if link.is_absolute() and link.is_symlink() and link.resolve() == real:
            yield link
