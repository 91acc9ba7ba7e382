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

    from gpuwatch_tray.autostart.entry import LoginEntry, LoginRegistry


class LoginItem:
    """What this user's system starts at login; every method raises AutostartError."""

    def __init__(self, registry: LoginRegistry, command: tuple[str, ...]) -> None:
        self._registry = registry
        self.command = command

    @property
    def where(self) -> str:
        """The place where the system keeps it."""
        return self._registry.where

    def entry(self) -> LoginEntry | None:
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

    def repair(self) -> str:
        """
        Put this installation's command in the place of one whose program is gone; what was mended, if so.

        What is switched off stays so, and what works stays too: a start of another installation, such as a
        checkout's, is no reason to take over the login.
        """
        entry = self.entry()
        if entry is None or entry.switched_off or entry.works:
            return ""
        self._registry.repair(self.command)
        return f"{self.where}: {' '.join(entry.command) or 'nothing'} is gone; now {' '.join(self.command)}"


def system_login_item(icon: str, environ: Mapping[str, str] = os.environ) -> LoginItem:
    """The one of this system; `icon` is the picture that a desktop's settings show for it."""
    return LoginItem(_registry(icon, environ), start_command(environ))


def _registry(icon: str, environ: Mapping[str, str]) -> LoginRegistry:
    registry: LoginRegistry
    home = Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111  # raises nothing
    if sys.platform == "win32":
        from gpuwatch_tray.autostart.windows import RunKey, UserRegistry  # noqa: PLC0415  # Windows only

        registry = RunKey(UserRegistry())
    elif sys.platform == "darwin":
        from gpuwatch_tray.autostart.macos import LaunchAgent  # noqa: PLC0415  # macOS only

        registry = LaunchAgent(home / "Library/LaunchAgents")
    else:
        named = Path(environ.get("XDG_CONFIG_HOME", ""))
        registry = XdgAutostart((named if named.is_absolute() else home / ".config") / "autostart", icon)
    return registry
