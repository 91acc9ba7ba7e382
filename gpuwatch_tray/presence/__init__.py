"""Whether the person is at the desk: away, present or unknown, and who says so."""

from gpuwatch_tray.presence.adjustable import Adjustable
from gpuwatch_tray.presence.desktop import of_this_desktop
from gpuwatch_tray.presence.watcher import Watch, Watcher

__all__ = ["Adjustable", "Watch", "Watcher", "of_this_desktop"]
