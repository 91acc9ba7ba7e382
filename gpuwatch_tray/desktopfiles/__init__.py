"""What Linux's desktops and shells know a program by: menu entry, AppStream, icons, man page, completion."""

from gpuwatch_tray.desktopfiles.files import MENU_ENTRY, GeneratedDocs, files, service
from gpuwatch_tray.desktopfiles.place import DesktopFilesError, Place, of_everybody, of_user

__all__ = [
    "MENU_ENTRY",
    "DesktopFilesError",
    "GeneratedDocs",
    "Place",
    "files",
    "of_everybody",
    "of_user",
    "service",
]
