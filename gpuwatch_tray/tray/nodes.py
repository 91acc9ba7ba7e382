"""A served menu's parts: the rows as they shall be, the nodes that show them, and the spare ones. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from gpuwatch_tray import columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MIN_WIDTH = 40  # columns that fit into any menu
Properties = dict[str, str | bool | int]


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """One row as it shall be; without a label it is a separating line. The fields are as `menu.Row`'s."""

    key: str
    label: str = ""
    enabled: bool = True
    children: tuple[MenuEntry, ...] = ()
    activate: Callable[[], None] | None = None
    subject: str = ""
    gone: str = "Over"
    urgent: bool = False
    filler: bool = False
    ticked: bool | None = None


class NodeKind(Enum):
    """What a node can be for all its life: Qt's hosts take these from a node's first properties only."""

    SEPARATOR = "separator"
    PLAIN = "row"
    TICK = "tick"
    PARENT = "submenu"

    @classmethod
    def of(cls, entry: MenuEntry) -> NodeKind:
        """The kind that shows this entry."""
        if not entry.label:
            return cls.SEPARATOR
        if entry.children:
            return cls.PARENT
        return cls.PLAIN if entry.ticked is None else cls.TICK


@dataclass(slots=True)
class MenuNode:
    """
    One row as the host knows it, with dbusmenu's properties.

    Without an entry it is a spare one: in the layout, never yet seen. `ceased` is since when its key is no
    longer wanted.
    """

    id: int
    kind: NodeKind
    entry: MenuEntry | None
    properties: Properties
    children: list[int] = field(default_factory=list)
    removed_at: float | None = None

    def entry_properties(self) -> Properties:
        """The properties for its entry."""
        entry, visibility = self.entry, {"visible": True} if "visible" in self.properties else {}
        if entry is None or self.kind is NodeKind.SEPARATOR:
            return base_properties(self.kind) | visibility
        tick: Properties = {"toggle-state": int(bool(entry.ticked))} if self.kind is NodeKind.TICK else {}
        return (
            base_properties(self.kind)
            | {"label": escape_label(entry.label), "enabled": entry.enabled}
            | tick
            | visibility
        )


SPARES_AT_TOP = (NodeKind.SEPARATOR, *(NodeKind.PARENT, NodeKind.PLAIN) * 6)
SPARES_FOR_PROCESSES = (*(NodeKind.PARENT,) * 4, NodeKind.PLAIN, *(NodeKind.PARENT,) * 4, NodeKind.PLAIN)
SPARES_FOR_DETAILS = (NodeKind.PLAIN,)


def spare_kinds(entry: MenuEntry | None) -> Sequence[NodeKind]:
    """
    The spare nodes at the end of this node's list (None: the root's), in their order.

    They are used in this order, so that each new row comes behind all that are seen: the kinds alternate
    where both may come.
    """
    if entry is None:
        return SPARES_AT_TOP
    if any(child.subject or child.filler for child in entry.children):
        return SPARES_FOR_PROCESSES
    return SPARES_FOR_DETAILS


def base_properties(kind: NodeKind) -> Properties:
    """What makes a node one of this kind."""
    if kind is NodeKind.SEPARATOR:
        return {"type": "separator"}
    if kind is NodeKind.TICK:
        return {"toggle-type": "checkmark", "toggle-state": 0}
    return {"children-display": "submenu"} if kind is NodeKind.PARENT else {}


def ended_label(entry: MenuEntry) -> str:
    """What the row says when its subject has ceased: no wider than before, for an open menu does not grow."""
    text = f"{entry.gone}: {entry.label}" if entry.gone else entry.label
    max_width = max(columns.width(entry.label), MIN_WIDTH)
    return text if columns.width(text) <= max_width else columns.cut(text, max_width - 1) + "…"


def escape_label(text: str) -> str:
    """A label in dbusmenu's spelling, where a single `_` marks the mnemonic."""
    return text.replace("_", "__")


def walk_entries(entries: Sequence[MenuEntry]) -> Iterator[MenuEntry]:
    """All entries, each before those below it."""
    for entry in entries:
        yield entry
        yield from walk_entries(entry.children)
