"""The icon, its tooltip and its menu, on the main thread; the only rooms that know pystray."""

from gpuwatch_tray.tray.choice import asked as asked_backend
from gpuwatch_tray.tray.controller import Tray, View
from gpuwatch_tray.tray.menu import Act, Deed, Extras

__all__ = ["Act", "Deed", "Extras", "Tray", "View", "asked_backend"]
