"""
Starting at login: what each desktop keeps for that, read, written, and mended when the program has moved.

Every system has one entry of ours: a file of XDG's autostart folder, a value of Windows' Run key, a
LaunchAgent of macOS. It names the program by an absolute path, for a session's PATH is not a terminal's.
"""

from gpuwatch_tray.autostart.command import start_command
from gpuwatch_tray.autostart.entry import AutostartError, Entry, Registry
from gpuwatch_tray.autostart.login import Login, of_this_system

__all__ = ["AutostartError", "Entry", "Login", "Registry", "of_this_system", "start_command"]
