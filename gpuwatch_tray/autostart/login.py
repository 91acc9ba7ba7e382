"""Starting at login as the application knows it: on, off, how it stands, and mended."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.autostart.command import start_command
from gpuwatch_tray.autostart.xdg import XdgAutostart

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuwatch_tray.autostart.entry import Entry, Registry


class Login:
    """What this user's system starts at login; every method raises AutostartError."""

    def __init__(self, registry: Registry, command: tuple[str, ...]) -> None:
        self._registry = registry
        self.command = command

    @property
    def where(self) -> str:
        """The place where the system keeps it."""
        return self._registry.where

    def entry(self) -> Entry | None:
        """What is there; None where nothing of ours is."""
        return self._registry.read()

    def on(self) -> bool:
        """Whether it is started at login, as far as the system was told so."""
        entry = self.entry()
        return entry is not None and not entry.switched_off

    def switch(self, *, on: bool) -> None:
        """Switch it on, with this installation's command, or off."""
        if on:
            self._registry.write(self.command)
        else:
            self._registry.remove()

    def mend(self) -> str:
        """
        Put this installation's command in the place of one whose program is gone; what was mended, if so.

        What is switched off stays so, and what works stays too: a start of another installation, such as a
        checkout's, is no reason to take over the login.
        """
        entry = self.entry()
        if entry is None or entry.switched_off or entry.works:
            return ""
        self._registry.mend(self.command)
        return f"{self.where}: {' '.join(entry.command) or 'nothing'} is gone; now {' '.join(self.command)}"


def of_this_system(icon: str, environ: Mapping[str, str] = os.environ) -> Login:
    """The one of this system; `icon` is the picture that a desktop's settings show for it."""
    return Login(_registry(icon, environ), start_command(environ))


def _registry(icon: str, environ: Mapping[str, str]) -> Registry:
    found: Registry
    home = Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111  # raises nothing
    if sys.platform == "win32":
        from gpuwatch_tray.autostart.windows import RunKey, UserRegistry  # Windows only

        found = RunKey(UserRegistry())
    elif sys.platform == "darwin":
        from gpuwatch_tray.autostart.macos import LaunchAgent  # macOS only

        found = LaunchAgent(home / "Library/LaunchAgents")
    else:
        named = Path(environ.get("XDG_CONFIG_HOME", ""))
        found = XdgAutostart((named if named.is_absolute() else home / ".config") / "autostart", icon)
    return found
