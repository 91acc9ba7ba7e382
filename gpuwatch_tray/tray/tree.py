"""
The menu as a host sees it: nodes with ids, pure.

A node's id stands for its key for as long as the node lives and is never given to another. Under a hand that
may hold the menu open, rows keep their order: a row whose subject has ceased stays and says so, and new rows
come last in a submenu that is not on the screen, or wait while it is. What is urgent (an alert) waits for
nothing. A host that is about to show the menu gets the plain one; so do, at `closed`, those that tell of
closing, and for those that say less an ended process stays for `HOLD` seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = 0
HOLD = 30.0  # seconds that an "opened" or an ended row counts without a further word from the host
LONGEST = 120.0  # seconds after an opening that a menu whose host never tells of closing may still be open


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


@dataclass(slots=True)
class Node:
    """One row as it is. `properties` are dbusmenu's; `ceased` is since when its key is no longer wanted."""

    id: int
    entry: Entry
    properties: dict[str, str | bool] = field(default_factory=dict)
    children: list[int] = field(default_factory=list)
    ceased: float | None = None


@dataclass(slots=True)
class Change:
    """What an update changed: values set, values taken away, and the nodes whose children differ."""

    updated: dict[int, dict[str, str | bool]] = field(default_factory=dict)
    removed: dict[int, list[str]] = field(default_factory=dict)
    layouts: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.updated or self.removed or self.layouts)


@dataclass(slots=True)
class _Pass:
    """One taking over of entries; `whole` if nothing may linger, `fresh` are the rows that it made."""

    now: float
    whole: bool = False
    change: Change = field(default_factory=Change)
    fresh: set[int] = field(default_factory=set)


class MenuTree:
    """The nodes by id. Times are of any one clock that only goes forward, in seconds."""

    def __init__(self) -> None:
        self.revision = 1
        self.nodes = {ROOT: Node(ROOT, Entry("root"), {"children-display": "submenu"})}
        self._last_id = ROOT
        self._opened: dict[int, float] = {}
        self._tells = False  # the host reports opening and closing of the root
        self._last_opened: float | None = None
        self._alive: frozenset[str] = frozenset()

    def update(self, entries: Sequence[Entry], now: float) -> Change:
        """Take over the rows as far as an open menu allows; the change is empty when nothing differs."""
        return self._take_over(entries, _Pass(now))

    def shown_anew(self, entries: Sequence[Entry], now: float, *, sure: bool = True) -> Change:
        """The host is about to show the root: all it held back is taken over, and from then on it is open."""
        self.closed(ROOT)  # whatever it showed before, and be it that it never says so
        change = self._take_over(entries, _Pass(now, whole=True))
        self.opened(ROOT, now, sure=sure)
        return change

    def opened(self, row: int, now: float, *, sure: bool = True) -> None:
        """The host shows this node's children; not `sure` if it only asked and may never tell of closing."""
        self._opened[row] = self._last_opened = now
        self._tells = self._tells or (sure and row == ROOT)

    def closed(self, row: int) -> None:
        """The host shows this node's children no more; without the root, it shows nothing."""
        self._opened.pop(row, None)
        if row == ROOT:
            self._opened.clear()

    def new_host(self) -> None:
        """Forget what the former host had open and how it behaved."""
        self._opened.clear()
        self._tells, self._last_opened = False, None

    def is_open(self, now: float) -> bool:
        """Whether a host has told that it shows something, less than `HOLD` seconds ago."""
        return any(self._shows(row, now) for row in self._opened)

    def settles(self, now: float) -> float | None:
        """When the same entries may bring another change by themselves; None for never."""
        times = [*self._opened.values(), *(node.ceased for node in self.nodes.values())]
        return min(
            (since + HOLD for since in times if since is not None and since + HOLD > now), default=None
        )

    def clickable(self, row: int) -> Callable[[], None] | None:
        """What a click on the node does: bound to the key that the node has always had."""
        node = self.nodes[row]
        return node.entry.activate if node.properties.get("enabled") and node.ceased is None else None

    def _may_be_open(self, now: float) -> bool:
        """Whether a host that never tells of closing may show the menu, as far as its openings tell."""
        return not self._tells and (self._last_opened is None or now - self._last_opened < LONGEST)

    def _shows(self, row: int, now: float) -> bool:
        return row in self._opened and now - self._opened[row] < HOLD

    def _take_over(self, entries: Sequence[Entry], run: _Pass) -> Change:
        change = run.change
        self._alive = frozenset(entry.subject for entry in _walk(entries))
        self._merge(self.nodes[ROOT], entries, run)
        change.updated = {row: values for row, values in change.updated.items() if row not in run.fresh}
        change.layouts = [row for row in change.layouts if row not in run.fresh]
        if change.layouts:
            self.revision += 1
        return change

    def _merge(self, node: Node, entries: Sequence[Entry], run: _Pass) -> None:
        held = {self.nodes[row].entry.key: row for row in node.children}
        wanted = {entry.key for entry in entries}
        order: list[int] = []
        for entry in entries:
            row = held.get(entry.key)
            if row is None:
                if self._shows(node.id, run.now) and not entry.urgent:
                    continue  # a host that shows a list makes no room for more: it waits
                self._last_id += 1
                row = self._last_id
                self.nodes[row] = Node(row, entry)
                run.fresh.add(row)
            self._refresh(self.nodes[row], entry, run)
            order.append(row)
        staying = {
            row
            for key, row in held.items()
            if key not in wanted
            and not (order and self.nodes[row].entry.filler)
            and self._stays(self.nodes[row], run)
        }
        arranged = self._arranged(node.children, order, staying, open_=self.is_open(run.now))
        if arranged != node.children:
            for row in set(node.children).difference(arranged):
                self._drop(row)
            node.children = arranged
            run.change.layouts.append(node.id)

    def _arranged(self, former: list[int], order: list[int], staying: set[int], *, open_: bool) -> list[int]:
        """The wanted rows and the staying ones; those that an open menu has had keep their order."""
        if not open_:
            arranged = list(order)
            for row in (row for row in former if row in staying):
                _insert(arranged, row, former)
            return arranged
        arranged = [row for row in former if row in staying or row in order]
        new = [row for row in order if row not in former]
        for row in new:
            if self.nodes[row].entry.urgent:
                _insert(arranged, row, order)
        return arranged + [row for row in new if row not in arranged]

    def _refresh(self, node: Node, entry: Entry, run: _Pass) -> None:
        node.entry, node.ceased = entry, None
        self._set(node, _properties(entry), run.change)
        self._merge(node, entry.children, run)

    def _stays(self, node: Node, run: _Pass) -> bool:
        """Whether a node that is no longer wanted is kept for a while; marks it if so."""
        if node.ceased is None:
            node.ceased = run.now
        moved = node.entry.subject != "" and node.entry.subject in self._alive
        lingers = node.entry.subject != "" and not moved and run.now - node.ceased < HOLD
        if run.whole or not (self.is_open(run.now) or (lingers and self._may_be_open(run.now))):
            return False
        if node.entry.label and not moved:
            # in front, for a menu on the screen does not grow wider
            faded: dict[str, str | bool] = {
                "label": _label(f"{node.entry.gone}: {node.entry.label}"),
                "enabled": False,
            }
            self._set(node, node.properties | faded, run.change)
        return True

    def _set(self, node: Node, values: dict[str, str | bool], change: Change) -> None:
        new = {name: value for name, value in values.items() if node.properties.get(name) != value}
        old = [name for name in node.properties if name not in values]
        if new:
            change.updated[node.id] = new
        if old:
            change.removed[node.id] = old
        node.properties = values

    def _drop(self, row: int) -> None:
        self._opened.pop(row, None)
        for child in self.nodes.pop(row).children:
            self._drop(child)


def _insert(rows: list[int], row: int, order: Sequence[int]) -> None:
    """Put `row` into `rows` behind the last of those that come before it in `order`."""
    before = [rows.index(other) for other in order[: order.index(row)] if other in rows]
    rows.insert(before[-1] + 1 if before else 0, row)


def _walk(entries: Sequence[Entry]) -> Iterator[Entry]:
    for entry in entries:
        yield entry
        yield from _walk(entry.children)


def _label(text: str) -> str:
    """A label in dbusmenu's spelling, where a single `_` marks the mnemonic."""
    return text.replace("_", "__")


def _properties(entry: Entry) -> dict[str, str | bool]:
    if not entry.label:
        return {"type": "separator"}
    values: dict[str, str | bool] = {"label": _label(entry.label), "enabled": entry.enabled}
    if entry.children:
        values["children-display"] = "submenu"
    return values
