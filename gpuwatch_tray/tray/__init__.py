"""The icon, its tooltip and its menu, on the main thread; the only rooms that know pystray."""

from gpuwatch_tray.tray.controller import Actions, Tray

__all__ = ["Actions", "Tray"]
