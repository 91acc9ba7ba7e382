"""What Linux's desktops and shells know a program by: menu entry, AppStream, icons, man page, completion."""

from gpuwatch_tray.desktopfiles.files import Papers, files, service
from gpuwatch_tray.desktopfiles.place import DesktopFilesError, Place, of_user

__all__ = ["DesktopFilesError", "Papers", "Place", "files", "of_user", "service"]
