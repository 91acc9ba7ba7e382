"""The command that starts this very installation again, at a login of months from now."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAME = "gpuwatch-tray"
WINDOWED = "gpuwatch-trayw.exe"  # no console window at login
# Where installers link the scripts of environments that they move and make anew (pipx, uv, a package).
SHIM_VARIABLES = ("PIPX_BIN_DIR", "UV_TOOL_BIN_DIR", "XDG_BIN_HOME")
COMMON_SHIMS = ("/usr/local/bin", "/usr/bin")


def start_command(
    environ: Mapping[str, str] = os.environ, executable: str = sys.executable, platform: str = sys.platform
) -> tuple[str, ...]:
    """
    The absolute command: a link to the console script beside the interpreter, else the script, else `-m`.

    Never a bare name: what PATH holds at login is the session's business. `-P` keeps the folder in which the
    session starts from being a place for modules.
    """
    python = Path(executable).absolute()
    script = python.with_name(WINDOWED if platform == "win32" else NAME)
    if not script.is_file():
        return (str(python), "-P", "-m", "gpuwatch_tray")
    if platform == "win32":  # installers copy there, and nothing tells whose copy it is
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
