"""The entry by which each system starts the program at login: read, written and repaired."""

from gpuwatch_tray.desktop.autostart.base import AutostartError, LoginEntry, LoginRegistry, start_command
from gpuwatch_tray.desktop.autostart.login import LoginItem, system_login_item

__all__ = [
    "AutostartError",
    "LoginEntry",
    "LoginItem",
    "LoginRegistry",
    "start_command",
    "system_login_item",
]
