"""The tray icon, its tooltip and its menu, on the main thread."""

from gpuwatch_tray.tray.backends.base import TrayView
from gpuwatch_tray.tray.backends.select import requested_backend
from gpuwatch_tray.tray.controller import Tray
from gpuwatch_tray.tray.menu import ActionKind, HostDetail, LabExtras, MenuAction, MenuExtras

__all__ = [
    "ActionKind",
    "HostDetail",
    "LabExtras",
    "MenuAction",
    "MenuExtras",
    "Tray",
    "TrayView",
    "requested_backend",
]
