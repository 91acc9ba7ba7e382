"""
The menu served over D-Bus (com.canonical.dbusmenu version 3, by libdbusmenu's XML) and its host, the panel.

A changed text goes out as ItemsPropertiesUpdated; so do rows that come or go while the menu may be open, and
as LayoutUpdated otherwise.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from dbus_fast import DBusError, ErrorType, PropertyAccess, Variant  # served through bus
from dbus_fast.annotations import DBusBool, DBusInt32, DBusSignature, DBusStr, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property, dbus_signal

from gpuwatch_tray.tray.backends.menu_host import AFTER_CLOSING, ROOT
from gpuwatch_tray.tray.backends.menu_tree import MenuChange, MenuTree
from gpuwatch_tray.tray.backends.nodes import NodeKind, escape_for_gnome, escape_label

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

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


RESIGNAL_DELAY = (
    0.3  # seconds after which a list that was made at its opening is signalled, unless it was asked for
)
KINDS = frozenset({"type", "children-display"})  # the properties that GNOME fetches with the layout
GNOME = "gnome-shell"
PLASMA = frozenset({"kded5", "kded6", "plasmashell"})
REPORTING = PLASMA | {GNOME, "lxqt-panel"}  # they report when the menu opens and closes
# They ask before it opens; xfce4-panel's plugin runs as panel-2-systray, whatever the number.
ASKING = re.compile(r"xfce4-panel|panel-\d+-systray|waybar")


class KnownKinds:
    """
    What GNOME, which fetches KINDS with each layout, has been told of them.

    It makes a row anew, with all that is below and closed, whenever it is told of a property of KINDS, also
    with the value that it has: a tree of thousands froze the shell, and each open list folded. So each row's
    are told once. A layout that we did not cause is a new client's, which knows nothing.
    """

    def __init__(self) -> None:
        self.caused = False  # whether a LayoutUpdated or an answer makes the host fetch
        self._layouts: dict[str, set[int]] = {}  # by caller: rows told in a layout
        self._first: set[tuple[str, int]] = set()  # rows whose other properties have not been fetched since

    def forget(self) -> None:
        """Tell all again, as there is another host."""
        self._layouts.clear()
        self._first.clear()

    def layout(self, caller: str, rows: Sequence[int]) -> set[int]:
        """Return which of the rows of a layout that `caller` fetches have been told of."""
        told = self._layouts.get(caller, set()) if self.caused else set()
        self.caused = False
        self._first = {pair for pair in self._first if pair[0] != caller or pair[1] in rows}
        self._first.update((caller, row) for row in rows if row not in told)
        self._layouts[caller] = set(rows)
        return told

    def properties(self, caller: str, row: int) -> bool:
        """Return whether a layout has just told `caller` of the row for the first time."""
        if (caller, row) not in self._first:
            return False
        self._first.discard((caller, row))
        return True


class DBusMenu(ServiceInterface):
    """The served menu; its methods and the entries' `activate` run on the bus's loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, caller: Callable[[], str] = lambda: "") -> None:
        super().__init__("com.canonical.dbusmenu")
        self.tree = MenuTree()
        self.before_use: Callable[[], None] = lambda: None  # brings the rows up to date, by `update`
        self._loop = loop
        self._caller = caller  # of the method that is answered
        self._program = ""
        self._kinds = KnownKinds()
        self._fetched_ahead: set[tuple[int, ...]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def update(self, entries: Sequence[MenuEntry]) -> None:
        """Show `entries` and signal what changed."""
        self._send(self.tree.update(entries, self._loop.time()))

    def may_be_seen(self) -> bool:
        """Return whether somebody may look at the menu without a question before."""
        return self.tree.may_be_seen(self._loop.time())

    def new_host(self, program: str = "") -> None:
        """Forget the former host's state: another host shows the menu now, of this program."""
        self._program = program
        self._kinds.forget()
        self._fetched_ahead.clear()
        self.tree.unfolds, self.tree.fetches_whole = program == GNOME, False
        self.tree.new_host(reports_opening=program in REPORTING, asks=bool(ASKING.fullmatch(program)))
        self.tree.escape = escape_for_gnome if program == GNOME else escape_label
        self._refresh()

    def _refresh(self) -> None:
        self._send(self.tree.refresh(self._loop.time()))

    def _send(self, change: MenuChange) -> None:
        if change.updated:
            updated = [[row, _variants(values)] for row, values in change.updated.items()]
            self.items_properties_updated(updated, [])
        for parent in change.layouts:
            self._kinds.caused = True
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
        self.before_use()
        if parent not in self.tree.nodes:
            self._require_former(parent)
            return self.tree.revision, [parent, {}, []]  # the host holds an old layout
        rows = self._rows(parent, depth)
        told: set[int] = set()
        if depth < 0 and parent == ROOT:
            self.tree.fetches_whole = True
        if depth < 0 and KINDS.issuperset(names) and names:
            told = self._kinds.layout(self._caller(), rows)
        if depth == 1 and self._program in PLASMA:
            self._loop.call_soon(self._make_fetch_ahead, rows[1:])
        return self.tree.revision, self._layout(parent, depth, names, told)

    @dbus_method("GetGroupProperties")
    def get_group_properties(self, ids: DBusInts, names: DBusStrings) -> DBusNodes:
        """Return the properties of these rows, or of all rows for no ids; leave unknown ids out."""
        wanted = ids or list(self.tree.nodes)
        caller = self._caller()
        groups = []
        for row in wanted:
            if row in self.tree.nodes:
                values = self._values(row, names)
                if self._kinds.properties(caller, row):
                    values.pop("children-display", None)
                groups.append([row, values])
        return groups

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
        if row in self.tree.nodes:
            self._handle_event(row, kind)
        else:
            self._require_former(row)

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
        self.before_use()
        if row not in self.tree.nodes:
            self._require_former(row)
            self._kinds.caused = True
            return True  # the host holds an old layout
        return self._prepare_submenu(row)

    @dbus_method("AboutToShowGroup")
    def about_to_show_group(self, rows: DBusInts) -> DBusIds:
        """Return the ids to fetch again, and the ids that are no rows."""
        self.before_use()
        unknown = [row for row in rows if row not in self.tree.nodes]
        if unknown and len(unknown) == len(rows):
            raise DBusError(ErrorType.INVALID_ARGS, f"no such menu rows: {unknown}")
        # checked again: ordering one list may remove rows of another
        stale = [row for row in rows if row in self.tree.nodes and self._prepare_submenu(row)]
        return stale, unknown

    def _handle_event(self, row: int, kind: str) -> None:
        now = self._loop.time()
        if kind == "opened":
            self.before_use()
            if row not in self.tree.nodes:
                return  # what it showed has ended
        if kind == "opened" and row == ROOT:
            self._send(self.tree.root_opened(now, reported=True))
        elif kind == "opened":
            self._send(self.tree.opened(row, now))
            self._tell_opening(row)
            self._loop.call_later(RESIGNAL_DELAY, self._remind, row)
        elif kind == "closed":
            self._send(self.tree.closed(row, now))
            self._loop.call_later(AFTER_CLOSING + 0.01, self._refresh)
        elif kind == "clicked" and (activate := self.tree.click_handler(row, now)) is not None:
            activate()

    def _prepare_submenu(self, row: int) -> bool:
        """Put a list in order before it opens. libdbusmenu-gtk reports only this of its menu."""
        if row == ROOT:
            change = self.tree.root_opened(self._loop.time(), reported=False)
            stale = ROOT in change.layouts
            if stale:
                # sent after the answer: Qt fetches at a "yes" and skips the next signal, whichever it is
                change.layouts.remove(ROOT)
                self._loop.call_soon(lambda: self._send(MenuChange(layouts=[ROOT])))
            self._send(change)
        else:
            change, stale = self.tree.about_to_show(row, self._loop.time())
            self._send(change)
            self._tell_opening(row)
        self._kinds.caused = self._kinds.caused or stale
        return stale

    def _tell_opening(self, row: int) -> None:
        """Do what the opening of this list asks for, such as to ask a host of the lab."""
        node = self.tree.nodes[row]
        if node.entry is not None and node.entry.opened is not None and node.removed_at is None:
            node.entry.opened()

    def _remind(self, row: int) -> None:
        self._send(self.tree.remind(row))

    def _make_fetch_ahead(self, rows: Sequence[int]) -> None:
        """Make Plasma fetch the lists below: under X11 it places a list at its first opening by its rows."""
        for row in rows:
            node = self.tree.nodes.get(row)
            if node is not None and node.kind is NodeKind.PARENT:
                state = (row, *node.children)
                if state not in self._fetched_ahead:
                    self._fetched_ahead.add(state)
                    self.layout_updated(self.tree.revision, row)

    def _require_row(self, row: int) -> None:
        if row not in self.tree.nodes:
            raise DBusError(ErrorType.INVALID_ARGS, f"no such menu row: {row}")

    def _require_former(self, row: int) -> None:
        if not ROOT < row <= self.tree.last_id:
            raise DBusError(ErrorType.INVALID_ARGS, f"no such menu row: {row}")

    def _values(self, row: int, names: Sequence[str]) -> dict[str, Variant]:
        values = self.tree.nodes[row].properties
        return _variants({name: value for name, value in values.items() if not names or name in names})

    def _rows(self, row: int, depth: int) -> list[int]:
        children = self.tree.nodes[row].children if depth != 0 else []
        return [row, *(one for child in children for one in self._rows(child, depth - 1))]

    def _layout(self, row: int, depth: int, names: Sequence[str], told: set[int]) -> list[Any]:
        children = self.tree.nodes[row].children if depth != 0 else []
        values = {} if row in told else self._values(row, names)
        below = [Variant("(ia{sv}av)", self._layout(child, depth - 1, names, told)) for child in children]
        return [row, values, below]


def _variant(value: str | bool | int) -> Variant:
    kind = "b" if isinstance(value, bool) else "i" if isinstance(value, int) else "s"
    return Variant(kind, value)


def _variants(values: Properties) -> dict[str, Variant]:
    return {name: _variant(value) for name, value in values.items()}
