"""
The menu's rows from a Status, with the actions that a click asks for. Pure.

A row's key, unique in a menu, stands for what the row shows (a GPU's UUID, a process's PID and start), never
for its place, so that a changed row differs from another row. Its action is bound to the thing that it names.
"""

from gpuwatch_tray.tray.menu.menu import build_menu, menu_outline, tooltip
from gpuwatch_tray.tray.menu.process_rows import ShownProcesses
from gpuwatch_tray.tray.menu.row import (
    ActionKind,
    HostDetail,
    LabExtras,
    LazyRows,
    MenuAction,
    MenuExtras,
    MenuRow,
)
from gpuwatch_tray.tray.menu.shown_hosts import ShownHosts

__all__ = [
    "ActionKind",
    "HostDetail",
    "LabExtras",
    "LazyRows",
    "MenuAction",
    "MenuExtras",
    "MenuRow",
    "ShownHosts",
    "ShownProcesses",
    "build_menu",
    "menu_outline",
    "tooltip",
]
