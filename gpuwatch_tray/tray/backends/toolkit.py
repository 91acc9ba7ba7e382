"""
pystray's icons, and the menu rows as its items: Windows, macOS, and Linux without a session bus.

`import pystray` picks a backend at once, which on Linux may crash (no display) or have no menu. There the
backend is chosen later, so the import gets the dummy one; the variable is restored for child processes.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gpuwatch_tray.tray.backends.base import TrayView
    from gpuwatch_tray.tray.menu import MenuAction, MenuRow


BACKEND_VARIABLE = "PYSTRAY_BACKEND"


def _load() -> Any:
    before = os.environ.get(BACKEND_VARIABLE)
    if sys.platform == "linux":
        os.environ[BACKEND_VARIABLE] = "dummy"
    try:
        return importlib.import_module("pystray")
    finally:
        if before is not None:
            os.environ[BACKEND_VARIABLE] = before
        else:
            os.environ.pop(BACKEND_VARIABLE, None)


pystray = _load()
Icon: Any = pystray.Icon
Menu: Any = pystray.Menu
MenuItem: Any = pystray.MenuItem


def pystray_menu(
    rows: Iterable[MenuRow],
    perform: Callable[[MenuAction], None],
    escape: Callable[[str], str] = lambda label: label,
) -> Any:
    """Return the rows as a pystray Menu; a click calls `perform`, `escape` writes labels for the system."""
    return Menu(*(_menu_item(row, perform, escape) for row in rows))


def _menu_item(row: MenuRow, perform: Callable[[MenuAction], None], escape: Callable[[str], str]) -> Any:
    if row.separator:
        return Menu.SEPARATOR
    on_click: Any = None
    if row.children:
        on_click = pystray_menu(row.children, perform, escape)
    elif row.action is not None:
        action = row.action

        def on_click() -> None:
            perform(action)

    ticked = None if row.ticked is None else lambda _: bool(row.ticked)
    return MenuItem(escape(row.label), on_click, checked=ticked, enabled=row.enabled)


class PystrayBackend:
    """The drawing half of a backend with one of pystray's own icons."""

    def __init__(
        self,
        icon_class: Any,
        name: str,
        perform: Callable[[MenuAction], None],
        escape: Callable[[str], str] = lambda label: label,
    ) -> None:
        self._look = drawing.IconLook(Level.NO_DATA)
        self.icon = icon_class(name, drawing.icon_image(self._look), name, pystray_menu((), perform))
        self._perform = perform
        self._escape = escape
        self._rows: object = None

    def present(self, view: TrayView) -> None:
        """Show `view`; build the menu only when its rows have changed."""
        if view.look != self._look:
            self.icon.icon = drawing.icon_image(view.look)
            self._look = view.look
        self.icon.title = view.title
        rows = tuple(view.rows)
        if rows != self._rows:
            self._rows = rows
            self.icon.menu = pystray_menu(rows, self._perform, self._escape)
