"""
The menu served over D-Bus (com.canonical.dbusmenu version 3, by libdbusmenu's XML) and its host, the panel.

A changed text goes out as ItemsPropertiesUpdated; so do rows that come or go while the menu may be open, and
as LayoutUpdated otherwise. On Plasma under X11 a submenu off the screen may stay stale: a LayoutUpdated per
submenu would cure that, but lxqt-panel would clear each of those submenus, also the open one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from dbus_fast import DBusError, ErrorType, PropertyAccess, Variant  # served through bus
from dbus_fast.annotations import DBusBool, DBusInt32, DBusSignature, DBusStr, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property, dbus_signal

from gpuwatch_tray.tray.backends.menu_tree import ROOT, MenuChange, MenuTree

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from gpuwatch_tray.tray.backends.nodes import MenuEntry, Properties


MENU_PATH = "/MenuBar"
# A toggle-state below 0 is neither on nor off.
DEFAULTS: Properties = {
    "type": "standard",
    "label": "",
    "enabled": True,
    "visible": True,
    "toggle-type": "",
    "toggle-state": -1,
}

# dbus-fast cannot read a plain None behind deferred annotations.
DBusNothing = Annotated[None, DBusSignature("")]
DBusInts = Annotated[list[int], DBusSignature("ai")]
DBusStrings = Annotated[list[str], DBusSignature("as")]
DBusEvents = Annotated[list[list[Any]], DBusSignature("a(isvu)")]
DBusNodes = Annotated[list[list[Any]], DBusSignature("a(ia{sv})")]
DBusLayout = Annotated[tuple[int, list[Any]], DBusSignature("u(ia{sv}av)")]
DBusIds = Annotated[tuple[list[int], list[int]], DBusSignature("aiai")]
DBusAny = Annotated[Variant, DBusSignature("v")]
DBusUpdate = Annotated[tuple[list[Any], list[Any]], DBusSignature("a(ia{sv})a(ias)")]
DBusRevision = Annotated[tuple[int, int], DBusSignature("ui")]


def constant_property(name: str, signature: Any, value: Any) -> Any:
    """Return a D-Bus property with this value, for an attribute whose name is `name` in snake case."""

    def read(_self: ServiceInterface) -> Any:
        return value

    read.__name__ = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()  # dbus-fast reads this attribute
    read.__annotations__["return"] = signature
    return dbus_property(access=PropertyAccess.READ, name=name)(read)


class DBusMenu(ServiceInterface):
    """The served menu; its methods and the entries' `activate` run on the bus's loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__("com.canonical.dbusmenu")
        self.tree = MenuTree()
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def update(self, entries: Sequence[MenuEntry]) -> None:
        """Show `entries` and signal what changed."""
        self._send(self.tree.update(entries, self._loop.time()))

    def new_host(self) -> None:
        """Forget the former host's state: another host shows the menu now."""
        self.tree.new_host()
        self._refresh()

    def _refresh(self) -> None:
        self._send(self.tree.refresh(self._loop.time()))

    def _send(self, change: MenuChange) -> None:
        if change.updated:
            updated = [[row, _variants(values)] for row, values in change.updated.items()]
            self.items_properties_updated(updated, [])
        for parent in change.layouts:
            self.layout_updated(self.tree.revision, parent)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        again = self.tree.next_refresh(self._loop.time())
        if again is not None:
            self._timer = self._loop.call_at(again + 0.01, self._refresh)

    # --- properties and signals -----------------------------------------------------------------------

    version = constant_property("Version", DBusUInt32, 3)
    text_direction = constant_property("TextDirection", DBusStr, "ltr")
    status = constant_property(
        "Status", DBusStr, "normal"
    )  # the icon asks for attention, the menu never does
    icon_theme_path = constant_property("IconThemePath", DBusStrings, [])  # the items have no icons

    @dbus_signal("ItemsPropertiesUpdated")
    def items_properties_updated(self, updated: list[Any], removed: list[Any]) -> DBusUpdate:
        """Signal changed properties of rows."""
        return updated, removed

    @dbus_signal("LayoutUpdated")
    def layout_updated(self, revision: int, parent: int) -> DBusRevision:
        """Signal that the children of `parent` have changed; `revision` is GetLayout's."""
        return revision, parent

    # --- what hosts ask -------------------------------------------------------------------------------

    @dbus_method("GetLayout")
    def get_layout(self, parent: DBusInt32, depth: DBusInt32, names: DBusStrings) -> DBusLayout:
        """Return the rows under `parent`, all for a depth below 0, with these properties, or all for none."""
        self._require_row(parent)
        return self.tree.revision, self._layout(parent, depth, names)

    @dbus_method("GetGroupProperties")
    def get_group_properties(self, ids: DBusInts, names: DBusStrings) -> DBusNodes:
        """Return the properties of these rows, or of all rows for no ids; leave unknown ids out."""
        wanted = ids or list(self.tree.nodes)
        return [[row, self._values(row, names)] for row in wanted if row in self.tree.nodes]

    @dbus_method("GetProperty")
    def get_property(self, row: DBusInt32, name: DBusStr) -> DBusAny:
        """Return one property of one row, or its default."""
        self._require_row(row)
        values = {**DEFAULTS, **self.tree.nodes[row].properties}
        if name not in values:
            raise DBusError(ErrorType.INVALID_ARGS, f"menu row {row} has no property '{name}'")
        return _variant(values[name])

    @dbus_method("Event")
    def event(self, row: DBusInt32, kind: DBusStr, data: DBusAny, timestamp: DBusUInt32) -> DBusNothing:
        """Handle an event of a row."""
        del data, timestamp
        self._require_row(row)
        self._handle_event(row, kind)

    @dbus_method("EventGroup")
    def event_group(self, events: DBusEvents) -> DBusInts:
        """Handle several events in order; return the ids that are no rows, and fail if all are."""
        unknown = []
        for row, kind, _data, _timestamp in events:
            if row in self.tree.nodes:
                self._handle_event(row, kind)
            else:
                unknown.append(row)
        if unknown and len(unknown) == len(events):
            raise DBusError(ErrorType.INVALID_ARGS, f"no such menu rows: {unknown}")
        return unknown

    @dbus_method("AboutToShow")
    def about_to_show(self, row: DBusInt32) -> DBusBool:
        """Return whether the host must fetch the rows again because the opening changed them."""
        self._require_row(row)
        return self._prepare_submenu(row)

    @dbus_method("AboutToShowGroup")
    def about_to_show_group(self, rows: DBusInts) -> DBusIds:
        """Return the ids to fetch again, and the ids that are no rows."""
        unknown = [row for row in rows if row not in self.tree.nodes]
        if unknown and len(unknown) == len(rows):
            raise DBusError(ErrorType.INVALID_ARGS, f"no such menu rows: {unknown}")
        # checked again: ordering one list may remove rows of another
        stale = [row for row in rows if row in self.tree.nodes and self._prepare_submenu(row)]
        return stale, unknown

    def _handle_event(self, row: int, kind: str) -> None:
        now = self._loop.time()
        if kind == "opened" and row == ROOT:
            self._send(self.tree.root_opened(now, reported=True))
        elif kind == "opened":
            self.tree.opened(row, now)
        elif kind == "closed":
            self.tree.closed(row, now)
            # some hosts send the click after the closing
            self._loop.call_later(0.2, self._refresh)
        elif kind == "clicked" and (activate := self.tree.click_handler(row)) is not None:
            activate()

    def _prepare_submenu(self, row: int) -> bool:
        """Put a list in order before it opens. libdbusmenu-gtk reports only this of its menu."""
        if row == ROOT:
            change = self.tree.root_opened(self._loop.time(), reported=False)
            stale = ROOT in change.layouts
            if stale:
                # sent after the answer: Qt fetches at a "yes" and skips the next signal, whichever it is
                change.layouts.remove(ROOT)
                self._loop.call_soon(lambda: self.layout_updated(self.tree.revision, ROOT))
            self._send(change)
            return stale
        change, stale = self.tree.about_to_show(row, self._loop.time())
        self._send(change)
        return stale

    def _require_row(self, row: int) -> None:
        if row not in self.tree.nodes:
            raise DBusError(ErrorType.INVALID_ARGS, f"no such menu row: {row}")

    def _values(self, row: int, names: Sequence[str]) -> dict[str, Variant]:
        values = self.tree.nodes[row].properties
        return _variants({name: value for name, value in values.items() if not names or name in names})

    def _layout(self, row: int, depth: int, names: Sequence[str]) -> list[Any]:
        children = self.tree.nodes[row].children if depth != 0 else []
        below = [Variant("(ia{sv}av)", self._layout(child, depth - 1, names)) for child in children]
        return [row, self._values(row, names), below]


def _variant(value: str | bool | int) -> Variant:
    kind = "b" if isinstance(value, bool) else "i" if isinstance(value, int) else "s"
    return Variant(kind, value)


def _variants(values: Properties) -> dict[str, Variant]:
    return {name: _variant(value) for name, value in values.items()}
