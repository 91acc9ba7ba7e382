"""The tray icon, its tooltip and its menu, on the main thread."""

from gpuwatch_tray.tray.choice import requested_backend
from gpuwatch_tray.tray.controller import Tray, TrayView
from gpuwatch_tray.tray.menu import ActionKind, MenuAction, MenuExtras

__all__ = ["ActionKind", "MenuAction", "MenuExtras", "Tray", "TrayView", "requested_backend"]
