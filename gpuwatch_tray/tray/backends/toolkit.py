"""
pystray's model, and the menu rows as its items.

`import pystray` picks a backend at once, which on Linux may crash (no display) or have no menu. There only
its model is wanted, so it gets the dummy backend; the variable is restored for child processes.
"""

from __future__ import annotations

import importlib
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level
from gpuwatch_tray.tray.backends.nodes import MenuEntry
from gpuwatch_tray.tray.menu.row import LazyRows

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
BaseIcon: Any = importlib.import_module("pystray._base").Icon
Menu: Any = pystray.Menu
MenuItem: Any = pystray.MenuItem


class RowItem(MenuItem):  # type: ignore[misc]  # pystray has no types
    """A pystray item that knows the row that it shows."""

    def __init__(
        self, row: MenuRow, on_click: Any, label: str, opened: Callable[[], None] | None = None
    ) -> None:
        ticked = None if row.ticked is None else lambda _: bool(row.ticked)
        super().__init__(label, on_click, checked=ticked, enabled=row.enabled)
        self.row = row
        self.opened = opened


def pystray_menu(
    rows: Iterable[MenuRow],
    perform: Callable[[MenuAction], None],
    escape: Callable[[str], str] = lambda label: label,
    *,
    keyed_separators: bool = False,
) -> Any:
    """
    Return the rows as a pystray Menu; a click calls `perform`, `escape` writes labels for the system.

    With `keyed_separators` separating rows become RowItems; pystray's backends know Menu.SEPARATOR only. Lazy
    rows are then built when the Menu's items are asked for.
    """
    if keyed_separators and isinstance(rows, LazyRows):
        return Menu(lambda: [_row_item(row, perform, escape, keyed_separators) for row in rows])
    return Menu(*(_row_item(row, perform, escape, keyed_separators) for row in rows))


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


def host_entries(menu: Any, icon: Any) -> tuple[MenuEntry, ...]:
    """Return a pystray Menu's items as entries for a host; iterating the Menu itself leaves items out."""
    return tuple(_host_entry(item, icon) for item in menu.items) if menu is not None else ()


def _row_item(
    row: MenuRow, perform: Callable[[MenuAction], None], escape: Callable[[str], str], keyed: bool
) -> Any:
    if row.separator and not keyed:
        return Menu.SEPARATOR
    on_click: Any = None
    if row.children:
        on_click = pystray_menu(row.children, perform, escape, keyed_separators=keyed)
    elif row.action is not None:
        action = row.action

        def on_click() -> None:
            perform(action)

    opened = None if row.opening is None else partial(perform, row.opening)
    return RowItem(row, on_click, escape(row.label), opened)


def _host_entry(item: RowItem, icon: Any) -> MenuEntry:
    row = item.row
    if row.separator:
        return MenuEntry(row.key)
    lazy = isinstance(row.children, LazyRows)
    below = LazyRows(host_entries, item.submenu, icon) if lazy else host_entries(item.submenu, icon)
    return MenuEntry(
        key=row.key,
        label=item.text or " ",
        enabled=bool(item.enabled),
        children=below,
        activate=None if below or row.action is None else lambda: item(icon),
        subject=row.subject,
        covers=row.covers,
        gone=row.gone,
        filler=row.filler,
        ticked=item.checked,
        opened=item.opened,
    )
