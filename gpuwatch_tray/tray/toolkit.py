"""
pystray, imported so that it cannot choose a backend of its own on Linux, and the menu rows as its items.

`import pystray` picks a backend at once, and there it can crash (no display) or settle for one that has no
menu. On Linux only its model is wanted, so it is given the backend that does nothing; the variable is put
back for whoever starts a child process.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.tray.tree import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gpuwatch_tray.tray.menu import Deed, Row

VARIABLE = "PYSTRAY_BACKEND"


def _load() -> Any:
    before = os.environ.get(VARIABLE)
    if sys.platform == "linux":
        os.environ[VARIABLE] = "dummy"
    try:
        return importlib.import_module("pystray")
    finally:
        if before is not None:
            os.environ[VARIABLE] = before
        else:
            os.environ.pop(VARIABLE, None)


pystray = _load()
Icon: Any = pystray.Icon
BaseIcon: Any = importlib.import_module("pystray._base").Icon
Menu: Any = pystray.Menu
MenuItem: Any = pystray.MenuItem


class Item(MenuItem):  # type: ignore[misc]  # pystray has no types
    """A pystray item with the identity of the row that it shows."""

    def __init__(self, row: Row, action: Any, label: str) -> None:
        ticked = None if row.ticked is None else lambda _: bool(row.ticked)
        super().__init__(label, action, checked=ticked, enabled=row.enabled)
        self.row = row


def menu(
    rows: Iterable[Row],
    perform: Callable[[Deed], None],
    spell: Callable[[str], str] = lambda label: label,
    *,
    line: Callable[[Row], Any] = lambda _: Menu.SEPARATOR,
) -> Any:
    """
    The rows as a pystray Menu; a click calls `perform`, `spell` writes labels as the system wants them.

    `line` makes the items of separating rows: pystray's own know theirs by being the one SEPARATOR.
    """
    return Menu(*(_item(row, perform, spell, line) for row in rows))


def keyed_line(row: Row) -> Any:
    """A separator for `entries`, with the identity of its row."""
    return Item(row, None, "")


def entries(menu: Any, icon: Any) -> tuple[Entry, ...]:
    """A pystray Menu as rows for a host: from `menu.items`, for iterating a Menu leaves rows out."""
    items = list(menu.items) if menu is not None else []
    return tuple(_entry(item, items[place + 1 :], icon) for place, item in enumerate(items))


def _item(
    row: Row, perform: Callable[[Deed], None], spell: Callable[[str], str], line: Callable[[Row], Any]
) -> Any:
    if row.separator:
        return line(row)
    action: Any = None
    if row.children:
        action = menu(row.children, perform, spell, line=line)
    elif row.deed is not None:
        deed = row.deed

        def action() -> None:
            perform(deed)

    return Item(row, action, spell(row.label))


def _entry(item: Any, following: Sequence[Any], icon: Any) -> Entry:
    if item is Menu.SEPARATOR:
        after = following[0] if following else None
        urgent = isinstance(after, Item) and after.row.urgent
        return Entry(f"before {_key(after)}" if following else "last line", urgent=urgent)
    if isinstance(item, Item) and item.row.separator:
        return Entry(item.row.key)
    below = entries(item.submenu, icon) if item.submenu is not None else ()
    row = item.row if isinstance(item, Item) else None
    return Entry(
        key=_key(item),
        label=item.text or " ",
        enabled=bool(item.enabled),
        children=below,
        activate=None if below or (row is not None and row.deed is None) else lambda: item(icon),
        subject=row.subject if row is not None else "",
        gone=row.gone if row is not None else "Over",
        urgent=row is not None and row.urgent,
        filler=row is not None and row.filler,
        ticked=item.checked,
    )


def _key(item: Any) -> str:
    return item.row.key if isinstance(item, Item) else f"item {item.text}"
