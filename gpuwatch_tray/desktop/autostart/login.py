"""The start at login as the application uses it: state, switch and repair."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.desktop.autostart.backends import XdgAutostart
from gpuwatch_tray.desktop.autostart.base import start_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuwatch_tray.desktop.autostart.base import LoginEntry, LoginRegistry


class LoginItem:
    """The start at login for this user; every method raises AutostartError."""

    def __init__(self, registry: LoginRegistry, command: tuple[str, ...]) -> None:
        self._registry = registry
        self.command = command

    @property
    def where(self) -> str:
        """The place of the entry."""
        return self._registry.where

    def entry(self) -> LoginEntry | None:
        """Return our entry; None for none."""
        return self._registry.read()

    def on(self) -> bool:
        """Return whether the entry is there and switched on."""
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
        Replace the command of an entry whose program is gone; return what was replaced, if anything.

        An entry that is switched off stays so, and one that works stays too: starting another installation,
        such as a checkout, is no reason to take over the login.
        """
        entry = self.entry()
        if entry is None or entry.switched_off or entry.works:
            return ""
        self._registry.repair(self.command)
        return f"{self.where}: {' '.join(entry.command) or 'nothing'} is gone; now {' '.join(self.command)}"


def system_login_item(icon: str, environ: Mapping[str, str] = os.environ) -> LoginItem:
    """Return this system's start at login; `icon` is the picture that a desktop's settings show."""
    return LoginItem(_registry(icon, environ), start_command(environ))


def _registry(icon: str, environ: Mapping[str, str]) -> LoginRegistry:
    registry: LoginRegistry
    home = Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111  # raises nothing
    if sys.platform == "win32":
        from gpuwatch_tray.desktop.autostart.backends import RunKey, UserRegistry

        registry = RunKey(UserRegistry())
    elif sys.platform == "darwin":
        from gpuwatch_tray.desktop.autostart.backends import LaunchAgent

        registry = LaunchAgent(home / "Library/LaunchAgents")
    else:
        named = Path(environ.get("XDG_CONFIG_HOME", ""))
        registry = XdgAutostart((named if named.is_absolute() else home / ".config") / "autostart", icon)
    return registry
