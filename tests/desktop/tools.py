"""Scripts in the place of the desktop's programs."""

from __future__ import annotations

import stat


def add_program(folder, name, script):
    """Put a program into `folder`."""
    file = folder / name
    file.write_text(script)
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def environment_with(folder, **more):
    """Return the variables with which only the programs of `folder` are found; they learn where it is."""
    return {"PATH": str(folder), "TOOLS": str(folder), **more}
