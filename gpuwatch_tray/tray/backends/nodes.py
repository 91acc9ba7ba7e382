"""The parts of a served menu: the wanted entries, the nodes that show them, and the spare nodes. Pure."""

from __future__ import annotations

import re
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from gpuwatch_tray.common.text import cut_to_width, display_width
from gpuwatch_tray.tray.menu.row import LazyRows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from gpuwatch_tray.tray.menu.row import MenuAction, MenuRow


MIN_WIDTH = 40  # columns that fit into every menu
# The root is as wide as a long alert makes it, from the first on: an open menu that grows moves its rows.
FIGURE_SPACE, WORD_END = "\u2007", "\u200b"  # the latter is no blank, which Qt would not count at an end
CONSTANT_ROW = "more"
MENU_DIGITS = 41  # of a width such as a row of some fifty letters has
LETTER = 0.78  # the width of a letter, on the average, in digits
Properties = dict[str, str | bool | int]


class MenuEntry(Struct, frozen=True):
    """A wanted row, a separator without a label; the fields are those of MenuRow, `opened` its `opening`."""

    key: str
    label: str = ""
    enabled: bool = True
    children: Sequence[MenuEntry] = ()
    activate: Callable[[], None] | None = None
    subject: str = ""
    covers: Collection[str] = ()
    gone: str = "Over"
    filler: bool = False
    ticked: bool | None = None
    opened: Callable[[], None] | None = None


def menu_entries(rows: Iterable[MenuRow], perform: Callable[[MenuAction], None]) -> tuple[MenuEntry, ...]:
    """Return the entries of `rows`, whose clicks call `perform`; a list that is built when seen stays so."""
    return tuple(_menu_entry(row, perform) for row in rows)


def _menu_entry(row: MenuRow, perform: Callable[[MenuAction], None]) -> MenuEntry:
    if row.separator:
        return MenuEntry(row.key)
    lazy = isinstance(row.children, LazyRows)
    return MenuEntry(
        key=row.key,
        label=row.label,
        enabled=row.enabled,
        children=LazyRows(menu_entries, row.children, perform)
        if lazy
        else menu_entries(row.children, perform),
        activate=None if row.children or row.action is None else partial(perform, row.action),
        subject=row.subject,
        covers=row.covers,
        gone=row.gone,
        filler=row.filler,
        ticked=row.ticked,
        opened=None if row.opening is None else partial(perform, row.opening),
    )


class NodeKind(Enum):
    """The kind of a node, fixed for its life: Qt's hosts read it from the first properties only."""

    SEPARATOR = "separator"
    PLAIN = "row"
    TICK = "tick"
    PARENT = "submenu"

    @classmethod
    def of(cls, entry: MenuEntry) -> NodeKind:
        """Return the kind that shows `entry`."""
        if not entry.label:
            return cls.SEPARATOR
        if entry.children:
            return cls.PARENT
        return cls.PLAIN if entry.ticked is None else cls.TICK


class MenuNode(Struct):
    """
    One row as the host knows it, with dbusmenu's properties.

    A node without an entry is spare: in the layout, but invisible so far. `removed_at` is the time at which
    its key ceased to be wanted. A `folded` node is out of sight while a list beside it is open.
    """

    id: int
    parent: int
    kind: NodeKind
    entry: MenuEntry | None
    properties: Properties
    children: list[int] = field(default_factory=list)
    removed_at: float | None = None
    folded: bool = False

    def entry_properties(self, escape: Callable[[str], str]) -> Properties:
        """Return the properties that show the entry, its label written by `escape`."""
        entry = self.entry
        visibility = {"visible": not self.folded} if self.folded or "visible" in self.properties else {}
        if entry is None or self.kind is NodeKind.SEPARATOR:
            return base_properties(self.kind) | visibility
        tick: Properties = {"toggle-state": int(bool(entry.ticked))} if self.kind is NodeKind.TICK else {}
        return (
            base_properties(self.kind)
            | {"label": escape(entry.label), "enabled": entry.enabled}
            | tick
            | visibility
        )


SPARES_FOR_SUBJECTS = (*(NodeKind.PARENT,) * 3, NodeKind.PLAIN)
SPARES_FOR_DETAILS = (NodeKind.PLAIN,)


def spare_kinds(entry: MenuEntry | None) -> Sequence[NodeKind]:
    """
    Return the kinds of the spare nodes at the end of this entry's list while it is shown (None: the root's).

    New rows use them in this order, behind all visible rows.
    """
    if entry is None:
        return ()
    if any(child.subject or child.filler for child in entry.children):
        return SPARES_FOR_SUBJECTS
    return SPARES_FOR_DETAILS


def base_properties(kind: NodeKind) -> Properties:
    """Return the properties that make a node one of this kind."""
    if kind is NodeKind.SEPARATOR:
        return {"type": "separator"}
    if kind is NodeKind.TICK:
        return {"toggle-type": "checkmark", "toggle-state": 0}
    return {"children-display": "submenu"} if kind is NodeKind.PARENT else {}


def ended_label(entry: MenuEntry) -> str:
    """Return the label of a row that has ended: no wider than before, for an open menu does not grow."""
    text = f"{entry.gone}: {entry.label}" if entry.gone else entry.label
    max_width = max(display_width(entry.label), MIN_WIDTH)
    return text if display_width(text) <= max_width else cut_to_width(text, max_width - 3) + "…"


def widened(entries: Sequence[MenuEntry]) -> tuple[MenuEntry, ...]:
    """Return the rows of the root, of which one that never changes keeps them as wide as they may become."""
    return tuple(
        replace(entry, label=_widened(entry.label)) if entry.key == CONSTANT_ROW else entry
        for entry in entries
    )


def _widened(label: str) -> str:
    return label + FIGURE_SPACE * (MENU_DIGITS - round(LETTER * display_width(label))) + WORD_END


def escape_label(text: str) -> str:
    """Escape a label for dbusmenu, where a single `_` marks the mnemonic."""
    return text.replace("_", "__")


def escape_for_gnome(text: str) -> str:
    """Escape a label for GNOME, which drops one `_` before another character, and no more."""
    return re.sub(r"_(?=[^_])", "__", text, count=1)


STAND_IN = "/ahead"  # behind the key of a row whose list has not been made


def stand_in(entry: MenuEntry, details: MenuEntry | None) -> MenuEntry:
    """Return the only row of a list that has not been made; where it is seen, a click gives the details."""
    if details is None:
        return MenuEntry(entry.key + STAND_IN, "…", enabled=False)
    return MenuEntry(entry.key + STAND_IN, details.label, activate=details.activate)


def walk_entries(entries: Sequence[MenuEntry]) -> Iterator[MenuEntry]:
    """Yield the entries, each before its children, save for those that have not been built."""
    for entry in entries:
        yield entry
        if not isinstance(entry.children, LazyRows):
            yield from walk_entries(entry.children)
