"""
What the menu says and what its rows ask for: Status -> rows, pure.

Every row carries a key that stands for what it shows (a GPU's UUID, a process's PID and start), never for its
place, so that whoever serves the menu can tell a changed row from another one. Keys are unique in a menu. A
row that can be clicked carries its deed, bound to the very thing that the row names.
"""

from gpuwatch_tray.tray.menu.row import ActionKind, MenuAction, MenuExtras, MenuRow
from gpuwatch_tray.tray.menu.whole import build_menu, tooltip

__all__ = ["ActionKind", "MenuAction", "MenuExtras", "MenuRow", "build_menu", "tooltip"]
