"""The entry by which each system starts the program at login: read, written and repaired."""

from gpuwatch_tray.autostart.command import start_command
from gpuwatch_tray.autostart.entry import AutostartError, LoginEntry, LoginRegistry
from gpuwatch_tray.autostart.login import LoginItem, system_login_item

__all__ = [
    "AutostartError",
    "LoginEntry",
    "LoginItem",
    "LoginRegistry",
    "start_command",
    "system_login_item",
]
