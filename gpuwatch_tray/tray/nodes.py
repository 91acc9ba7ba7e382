"""A served menu's parts: the rows as they shall be, the nodes that show them, and the spare ones. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from gpuwatch_tray.columns import cut_to_width, display_width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SHORT = 40  # columns that fit into any menu
Values = dict[str, str | bool | int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One row as it shall be; without a label it is a separating line. The fields are as `menu.Row`'s."""

    key: str
    label: str = ""
    enabled: bool = True
    children: tuple[Entry, ...] = ()
    activate: Callable[[], None] | None = None
    subject: str = ""
    gone: str = "Over"
    urgent: bool = False
    filler: bool = False
    ticked: bool | None = None


class Kind(Enum):
    """What a node can be for all its life: Qt's hosts take these from a node's first properties only."""

    LINE = "separator"
    PLAIN = "row"
    TICK = "tick"
    PARENT = "submenu"

    @classmethod
    def of(cls, entry: Entry) -> Kind:
        """The kind that shows this entry."""
        if not entry.label:
            return cls.LINE
        if entry.children:
            return cls.PARENT
        return cls.PLAIN if entry.ticked is None else cls.TICK


@dataclass(slots=True)
class Node:
    """
    One row as the host knows it, with dbusmenu's properties.

    Without an entry it is a spare one: in the layout, never yet seen. `ceased` is since when its key is no
    longer wanted.
    """

    id: int
    kind: Kind
    entry: Entry | None
    properties: Values
    children: list[int] = field(default_factory=list)
    ceased: float | None = None

    def values(self) -> Values:
        """The properties for its entry."""
        entry, kept = self.entry, {"visible": True} if "visible" in self.properties else {}
        if entry is None or self.kind is Kind.LINE:
            return blank(self.kind) | kept
        tick: Values = {"toggle-state": int(bool(entry.ticked))} if self.kind is Kind.TICK else {}
        return blank(self.kind) | {"label": spelt(entry.label), "enabled": entry.enabled} | tick | kept


ROOM_AT_THE_TOP = (Kind.LINE, *(Kind.PARENT, Kind.PLAIN) * 6)
ROOM_FOR_PROCESSES = (*(Kind.PARENT,) * 4, Kind.PLAIN, *(Kind.PARENT,) * 4, Kind.PLAIN)
ROOM_FOR_DETAILS = (Kind.PLAIN,)


def room(entry: Entry | None) -> Sequence[Kind]:
    """
    The spare nodes at the end of this node's list (None: the root's), in their order.

    They are used in this order, so that each new row comes behind all that are seen: the kinds alternate
    where both may come.
    """
    if entry is None:
        return ROOM_AT_THE_TOP
    if any(child.subject or child.filler for child in entry.children):
        return ROOM_FOR_PROCESSES
    return ROOM_FOR_DETAILS


def blank(kind: Kind) -> Values:
    """What makes a node one of this kind."""
    if kind is Kind.LINE:
        return {"type": "separator"}
    if kind is Kind.TICK:
        return {"toggle-type": "checkmark", "toggle-state": 0}
    return {"children-display": "submenu"} if kind is Kind.PARENT else {}


def over(entry: Entry) -> str:
    """What the row says when its subject has ceased: no wider than before, for an open menu does not grow."""
    text = f"{entry.gone}: {entry.label}" if entry.gone else entry.label
    room_for = max(display_width(entry.label), SHORT)
    return text if display_width(text) <= room_for else cut_to_width(text, room_for - 1) + "…"


def spelt(text: str) -> str:
    """A label in dbusmenu's spelling, where a single `_` marks the mnemonic."""
    return text.replace("_", "__")


def walk(entries: Sequence[Entry]) -> Iterator[Entry]:
    """All entries, each before those below it."""
    for entry in entries:
        yield entry
        yield from walk(entry.children)
