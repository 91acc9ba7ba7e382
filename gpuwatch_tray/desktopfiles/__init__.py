"""The files by which Linux's desktops and shells know the program."""

from gpuwatch_tray.desktopfiles.files import MENU_ENTRY, GeneratedDocs, desktop_files, systemd_unit
from gpuwatch_tray.desktopfiles.place import (
    DesktopFilesError,
    ShareFolder,
    find_system_file,
    user_share_folder,
)

__all__ = [
    "MENU_ENTRY",
    "DesktopFilesError",
    "GeneratedDocs",
    "ShareFolder",
    "desktop_files",
    "find_system_file",
    "systemd_unit",
    "user_share_folder",
]
