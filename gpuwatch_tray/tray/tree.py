"""
The menu as a host sees it: nodes with ids, pure.

A node's id stands for its key for as long as the node lives, and is never given to another. A list that may
be on the screen holds still: no row changes its place, and one whose subject has ceased stays and says so.
The hosts differ in what else they bear:

- At a LayoutUpdated lxqt-panel closes the menu and GNOME folds it, so while they tell that it is open only
  properties change: a new row takes a spare node at the end of its list, and waits where none is left. A
  submenu is put in order when it is asked for.
- A GTK menu (xfce4-panel, waybar) bears a LayoutUpdated, but never grows: it puts scroll arrows over the rows
  and shifts them all. There new rows wait for the next opening of their list; other lists are kept in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpuwatch_tray.tray import nodes
from gpuwatch_tray.tray.host import ROOT, Hold, Host
from gpuwatch_tray.tray.nodes import Entry, Kind, Node, Values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["HOLD", "ROOT", "Change", "Entry", "MenuTree"]

HOLD = 30.0  # seconds that what has ended stays where the host tells nothing


@dataclass(slots=True)
class Change:
    """What an update changed: values set, and the nodes whose children differ."""

    updated: dict[int, Values] = field(default_factory=dict)
    layouts: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.updated or self.layouts)


@dataclass(slots=True)
class _Pass:
    """One taking over of entries; `fresh` are the nodes that it made, which no host knows yet."""

    now: float
    hold: Hold
    change: Change = field(default_factory=Change)
    fresh: set[int] = field(default_factory=set)


class MenuTree:
    """The nodes by id. Times are of any one clock that only goes forward, in seconds."""

    def __init__(self) -> None:
        self.revision = 1
        self.nodes = {ROOT: Node(ROOT, Kind.PARENT, None, nodes.blank(Kind.PARENT))}
        self._last_id = ROOT
        self._host = Host()
        self._entries: Sequence[Entry] = ()
        self._alive: dict[str, Entry] = {}  # by subject
        self._ceased: set[int] = set()  # the nodes that have, those below them left out
        self._unsaid: set[int] = set()  # nodes whose children changed and no LayoutUpdated told it
        self._owed: set[int] = (
            set()
        )  # nodes that Qt fetched when asking, and whose next LayoutUpdated it skips

    def update(self, entries: Sequence[Entry], now: float) -> Change:
        """Take over the rows as far as an open menu allows; the change is empty when nothing differs."""
        self._entries = entries
        self._alive = {entry.subject: entry for entry in nodes.walk(entries) if entry.subject}
        return self.settle(now)

    def settle(self, now: float) -> Change:
        """Take over what time alone allows."""
        return self._take_over(_Pass(now, self._host.hold(now)))

    def settles(self, now: float) -> float | None:
        """When `settle` may bring a change; None for never."""
        times = [self._host.changes(now)]
        if self._host.hold(now) is Hold.LINGER:
            times += [(self.nodes[row].ceased or 0.0) + HOLD for row in self._ceased]
        return min((time for time in times if time is not None and time > now), default=None)

    # --- what the host says ---------------------------------------------------------------------------

    def root_shown(self, now: float, *, told: bool) -> Change:
        """The host shows the root (`told`) or is about to: all that it held back is taken over first."""
        if not self._host.root_shown(now, told=told):
            return Change()
        return self._take_over(_Pass(now, Hold.NONE))

    def about_to_show(self, row: int, now: float) -> tuple[Change, bool]:
        """
        The host is about to show a submenu: it is put in order; whether its rows must be fetched again.

        Nothing of it is on the screen, so nothing moves; where a LayoutUpdated harms, the answer spares it.
        """
        self._host.asked(now)
        node = self.nodes[row]
        if node.kind is not Kind.PARENT:
            return Change(), False
        run = _Pass(now, Hold.NONE)
        if node.entry is not None and node.ceased is None and not self._host.shows(row):
            self._merge(node, node.entry.children, run)
            self._finish(run, quietly=self._host.hold(now) is Hold.STILL)
        self._owed.add(row)
        return run.change, row in self._unsaid

    def opened(self, row: int, now: float) -> None:
        """The host shows this submenu."""
        self._host.opened(row, now)

    def closed(self, row: int, now: float) -> None:
        """The host shows this node's children no more; without the root, it shows nothing."""
        self._host.closed(row, now)

    def new_host(self) -> None:
        """Forget what the former host had open and how it behaved."""
        self._host = Host()

    def clickable(self, row: int) -> Callable[[], None] | None:
        """What a click on the node does: bound to the key that the node has always had."""
        node = self.nodes[row]
        if node.entry is None or node.ceased is not None or not node.properties.get("enabled"):
            return None
        return node.entry.activate

    # --- taking over ----------------------------------------------------------------------------------

    def _take_over(self, run: _Pass) -> Change:
        self._merge(self.nodes[ROOT], self._entries, run)
        self._finish(run, quietly=run.hold is Hold.STILL)
        return run.change

    def _finish(self, run: _Pass, *, quietly: bool) -> None:
        """Leave out what no host can know yet; announce the layouts, or remember that they changed."""
        change = run.change
        change.updated = {row: values for row, values in change.updated.items() if row not in run.fresh}
        known = [row for row in change.layouts if row not in run.fresh]
        if change.layouts:
            self.revision += 1
        self._unsaid.update(known)
        change.layouts = []
        if not quietly:
            twice = self._unsaid & self._owed if self._host.tells else ()
            change.layouts = sorted([*self._unsaid, *twice])
            self._owed -= self._unsaid
            self._unsaid.clear()

    def _merge(self, node: Node, entries: Sequence[Entry], run: _Pass) -> None:
        held: dict[str, int] = {}
        for row in node.children:
            shown = self.nodes[row].entry
            if shown is not None:  # no spare one
                held[shown.key] = row
        if self._holds_still(node, run):
            self._merge_in_place(node, entries, held, run)
        else:
            self._merge_in_order(node, entries, held, run)

    def _holds_still(self, node: Node, run: _Pass) -> bool:
        if node.id in run.fresh:
            return False
        on_screen = node.id == ROOT or self._host.shows(node.id)
        return run.hold is Hold.STILL or (run.hold is Hold.PERHAPS and on_screen)

    def _merge_in_place(self, node: Node, entries: Sequence[Entry], held: dict[str, int], run: _Pass) -> None:
        """No row changes its place."""
        for entry in entries:
            row = held.pop(entry.key, None)
            if row is not None:
                self._refresh(self.nodes[row], entry, run)
            elif run.hold is Hold.STILL and (spare := self._spare(node, Kind.of(entry))) is not None:
                self._assign(spare, entry, run)
        for row in held.values():
            self._cease(self.nodes[row], run)

    def _merge_in_order(self, node: Node, entries: Sequence[Entry], held: dict[str, int], run: _Pass) -> None:
        """The rows as wanted, then the spare ones."""
        order = []
        for entry in entries:
            row = held.get(entry.key)
            if row is None or self.nodes[row].kind is not Kind.of(entry):
                row = self._new(Kind.of(entry), entry, run).id
            else:
                del held[entry.key]
            self._refresh(self.nodes[row], entry, run)
            order.append(row)
        if run.hold is Hold.LINGER:
            staying = {row for row in held.values() if self._lingers(self.nodes[row], run)}
            order = _with(order, staying, node.children)
        order += self._spares(node, run)
        if order != node.children:
            for row in set(node.children).difference(order):
                self._drop(row)
            node.children = order
            run.change.layouts.append(node.id)

    def _refresh(self, node: Node, entry: Entry, run: _Pass) -> None:
        former = node.entry
        plain = former is not None and (former.label, former.enabled, former.ticked) == (
            entry.label,
            entry.enabled,
            entry.ticked,
        )
        revived, node.ceased, node.entry = node.ceased is not None, None, entry
        self._ceased.discard(node.id)
        if revived or not plain or node.id in run.fresh:
            self._set(node, node.values(), run)
        if node.kind is Kind.PARENT:
            self._merge(node, entry.children, run)

    # --- rows that end --------------------------------------------------------------------------------

    def _cease(self, node: Node, run: _Pass) -> float:
        """Show that this row is no longer wanted, and since when; one that only moved keeps its label."""
        entry = node.entry
        if node.ceased is None:
            node.ceased = run.now
            self._ceased.add(node.id)
        if entry is None or node.kind is Kind.LINE:
            return node.ceased
        elsewhere = self._alive.get(entry.subject)
        if elsewhere is not None:
            self._set(node, node.properties | {"label": nodes.spelt(elsewhere.label)}, run)
        else:
            label = nodes.spelt(nodes.over(entry))
            self._set(node, node.properties | {"label": label, "enabled": False}, run)
            self._still_below(node, run)
        return node.ceased

    def _still_below(self, node: Node, run: _Pass) -> None:
        """What belongs to a row that has ended can be read, and not be clicked."""
        for child in (self.nodes[row] for row in node.children):
            if child.entry is not None and child.kind is not Kind.LINE:
                child.ceased = run.now
                self._set(child, child.properties | {"enabled": False}, run)
                self._still_below(child, run)

    def _lingers(self, node: Node, run: _Pass) -> bool:
        if node.entry is None or not node.entry.subject or node.entry.subject in self._alive:
            return False
        return run.now - self._cease(node, run) < HOLD

    # --- nodes ----------------------------------------------------------------------------------------

    def _spares(self, node: Node, run: _Pass) -> Iterable[int]:
        """The spare nodes at the end of a list, those that it has and new ones for those it has used."""
        unused = [self.nodes[row] for row in node.children if self.nodes[row].entry is None]
        wanted = nodes.room(node.entry)
        if [spare.kind for spare in unused] == list(wanted):
            return [spare.id for spare in unused]
        return [self._new(kind, None, run).id for kind in wanted]

    def _spare(self, node: Node, kind: Kind) -> Node | None:
        """The first spare node of this kind behind all that have been seen."""
        children = [self.nodes[row] for row in node.children]
        used = max((place for place, child in enumerate(children) if child.entry is not None), default=-1)
        return next((child for child in children[used + 1 :] if child.kind is kind), None)

    def _assign(self, spare: Node, entry: Entry, run: _Pass) -> None:
        """Give a spare node to this entry for good; its children are there when it is asked for."""
        spare.entry = entry
        self._set(spare, spare.values(), run)
        if spare.kind is Kind.PARENT:
            self._merge_in_order(spare, entry.children, {}, run)

    def _new(self, kind: Kind, entry: Entry | None, run: _Pass) -> Node:
        self._last_id += 1
        hidden: Values = {"visible": False} if entry is None else {}
        node = Node(self._last_id, kind, entry, nodes.blank(kind) | hidden)
        self.nodes[node.id] = node
        run.fresh.add(node.id)
        return node

    def _set(self, node: Node, values: Values, run: _Pass) -> None:
        new = {name: value for name, value in values.items() if node.properties.get(name) != value}
        if new:
            run.change.updated[node.id] = run.change.updated.get(node.id, {}) | new
            node.properties = values

    def _drop(self, row: int) -> None:
        self._host.forget(row)
        self._ceased.discard(row)
        self._unsaid.discard(row)
        self._owed.discard(row)
        for child in self.nodes.pop(row).children:
            self._drop(child)


def _with(order: list[int], staying: set[int], former: Sequence[int]) -> list[int]:
    """`order` with the staying rows, each behind the row that it stood behind in `former`."""
    behind: dict[int | None, list[int]] = {}
    last, wanted = None, set(order)
    for row in former:
        if row in staying:
            behind.setdefault(last, []).append(row)
        elif row in wanted:
            last = row
    mixed = behind.get(None, [])
    for row in order:
        mixed += [row, *behind.get(row, [])]
    return mixed
