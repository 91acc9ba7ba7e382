"""
The menu as a host sees it: nodes with ids. Pure.

An id stands for one key and is never reused. In a list that may be open no row moves, and a row whose
subject has ended stays and says so. A list is made when it opens, or before as far as there is room, and
forgotten after the menu has closed (`menu_plan`). The hosts differ in what else they bear:

- At a LayoutUpdated lxqt-panel closes the menu: while it is open only properties change, a new row takes a
  spare node at the end of its list, or waits. A submenu is put in order before it opens.
- A GTK menu (xfce4-panel, waybar) bears a LayoutUpdated, but never grows: it would put scroll arrows over the
  rows and shift them. New rows wait for the next opening of their list; other lists are kept in order.
- GNOME never moves a row: where rows move, or some go and others come, those behind the first get new ids.
  GNOME 43 never gives back the memory of a submenu that went: no list is made before it is opened.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from msgspec import Struct, field

from gpuwatch_tray.tray.backends.menu_host import ROOT, MenuHold, MenuHost
from gpuwatch_tray.tray.backends.menu_plan import plan_lists
from gpuwatch_tray.tray.backends.nodes import (
    SPARES_FOR_SUBJECTS,
    STAND_IN,
    MenuEntry,
    MenuNode,
    NodeKind,
    Properties,
    base_properties,
    ended_label,
    escape_label,
    spare_kinds,
    stand_in,
    walk_entries,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


ROWS_THAT_FIT = 19  # on a screen of 800 pixels
AFTER_FOLDING = 0.5  # seconds for which a click does nothing where rows have moved away
LINGER_SECONDS = 30.0  # seconds for which an ended row stays with a host that reports nothing


class MenuChange(Struct):
    """The result of an update: properties set, and the nodes whose children differ."""

    updated: dict[int, Properties] = field(default_factory=dict)
    layouts: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.updated or self.layouts)


class _Update(Struct):
    """One update of the tree; `fresh` nodes no host knows yet, `hidden` ones are not on the screen."""

    now: float
    hold: MenuHold
    asked: int | None = None  # the list that is about to be shown, or was just shown
    hidden: frozenset[int] = frozenset()
    change: MenuChange = field(default_factory=MenuChange)
    fresh: set[int] = field(default_factory=set)


class MenuTree:
    """The nodes by id; times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self.revision = 1
        self.nodes = {ROOT: MenuNode(ROOT, ROOT, NodeKind.PARENT, None, base_properties(NodeKind.PARENT))}
        self.last_id = ROOT
        self.escape: Callable[[str], str] = escape_label
        self.fetches_whole = False  # whether the host fetches all lists at once
        self.unfolds = False  # whether the host unfolds a list below its row, in the same menu
        self._folded_at = float("-inf")
        self._host = MenuHost()
        self._entries: Sequence[MenuEntry] = ()
        self._by_subject: dict[str, MenuEntry | None] = {}  # None for one without a row
        self._details: MenuEntry | None = None  # the row that shows the details page
        self._made: frozenset[str] = frozenset()  # the keys of the rows whose lists are made
        self._asked: list[int] = []  # lists that were asked for in this opening
        self._removed: set[int] = set()  # the topmost nodes whose rows have ended
        self._unannounced: set[int] = set()  # nodes whose changed children no LayoutUpdated has announced
        self._unsent: dict[int, Properties] = {}  # properties that changed while nobody looked

    def update(self, entries: Sequence[MenuEntry], now: float) -> MenuChange:
        """Apply `entries` as far as an open menu allows; return what changed."""
        self._entries = entries
        known = list(walk_entries(entries))
        self._by_subject = {subject: None for entry in known for subject in entry.covers}
        self._by_subject |= {entry.subject: entry for entry in known if entry.subject}
        self._details = next((entry for entry in entries if entry.key == "details"), None)
        return self.refresh(now)

    def refresh(self, now: float) -> MenuChange:
        """Apply what has become possible by the passing of time."""
        return self._apply(_Update(now, self._host.hold(now)))

    def next_refresh(self, now: float) -> float | None:
        """Return when `refresh` may bring a change; None for never."""
        times = [self._host.hold_changes_at(now)]
        if self._host.hold(now) is MenuHold.LINGER:
            times += [(self.nodes[row].removed_at or 0.0) + LINGER_SECONDS for row in self._removed]
        return min((time for time in times if time is not None and time > now), default=None)

    # --- what the host reports ------------------------------------------------------------------------

    def root_opened(self, now: float, *, reported: bool) -> MenuChange:
        """Apply what was held back: the host shows the root (`reported`) or is about to."""
        if not self._host.root_opened(now, reported=reported):
            return MenuChange()
        self._asked.clear()
        return self._apply(_Update(now, MenuHold.CLOSED))

    def about_to_show(self, row: int, now: float) -> tuple[MenuChange, bool]:
        """
        Make a submenu that is about to open, and put it in order; return the change and whether to fetch it.

        Nothing of it is visible yet, so nothing moves; the answer replaces a LayoutUpdated where that harms.
        """
        self._host.record_query(now)
        change = self._show_list(row, now)
        stale = self._unannounced.intersection(self._with_lists_below(row))
        self._unannounced.discard(row)
        return change, bool(stale)

    def opened(self, row: int, now: float) -> MenuChange:
        """Make the submenu that the host shows; GNOME asks for it only then."""
        self._host.opened(row, now)
        return self._show_list(row, now)

    def remind(self, row: int) -> MenuChange:
        """Return the signal for a list that was made at its opening, unless the host has asked for it."""
        change = MenuChange()
        if self._host.is_open(row) and row in self._unannounced:
            change.layouts.append(row)
            self._unannounced.discard(row)
        return change

    def closed(self, row: int, now: float) -> MenuChange:
        """Record that the host has closed this list; with the root, everything."""
        self._host.closed(row, now)
        self._asked = [one for one in self._asked if row not in {one, ROOT}]
        return self.refresh(now) if self.unfolds else MenuChange()

    def may_be_seen(self, now: float) -> bool:
        """Return whether somebody may look at the menu without a question before."""
        return self._host.may_be_seen(now)

    def new_host(self, *, reports_opening: bool = False, asks: bool = False) -> None:
        """Forget the former host."""
        self._host = MenuHost(reports_opening=reports_opening, asks=asks)
        self._asked.clear()

    def click_handler(self, row: int, now: float) -> Callable[[], None] | None:
        """Return what a click on the node does, bound to the node's one key; None for nothing."""
        node = self.nodes[row]
        if now < self._folded_at + AFTER_FOLDING:  # the hand may have aimed at what stood there before
            return None
        if node.entry is None or node.removed_at is not None or not node.properties.get("enabled"):
            return None
        return node.entry.activate

    # --- applying -------------------------------------------------------------------------------

    def _apply(self, run: _Update) -> MenuChange:
        hold = self._host.hold(run.now)
        shown = [row for row in (*self._host.open_submenus, *self._asked[-1:]) if row in self.nodes]
        self._made = plan_lists(
            self._entries,
            [self._key(one) for row in shown for one in (*reversed(self._above(row)), row)],
            self._made if hold is not MenuHold.CLOSED else (),
            ahead=not self.unfolds and hold is not MenuHold.CLOSED and not self._host.is_away(run.now),
            spares=len(SPARES_FOR_SUBJECTS) + sum(node.entry is None for node in self.nodes.values()),
        )
        if self.unfolds:
            self._fold(run)
        self._merge(self.nodes[ROOT], self._entries, run)
        self._announce(run)
        return run.change

    def _fold(self, run: _Update) -> None:
        """
        Hide the rows beside open lists, the upper ones first, until what is open fits on a small screen.

        GNOME gives no height to a list inside one that has to scroll: what a process offers was out of reach.
        """
        shown = self._host.open_submenus
        lengths = {
            row: sum(self.nodes[one].entry is not None for one in self.nodes[row].children)
            for row in (ROOT, *shown)
        }
        total = sum(lengths.values())
        folded: set[int] = set()
        for row in sorted(shown, key=lambda row: len(self._above(row))):
            parent = self.nodes[row].parent
            if parent in shown and total > ROWS_THAT_FIT:
                total -= lengths[parent] - 1
                folded.update(one for one in self.nodes[parent].children if one not in shown)
        for node in self.nodes.values():
            if node.folded is not (node.id in folded):
                node.folded = not node.folded
                if node.entry is not None:
                    self._folded_at = run.now
                    self._set_properties(node, node.properties | {"visible": not node.folded}, run)

    def _show_list(self, row: int, now: float) -> MenuChange:
        node = self.nodes[row]
        if node.kind is not NodeKind.PARENT or node.entry is None or node.removed_at is not None:
            return MenuChange()
        if row in self._asked:
            self._asked.remove(row)
        self._asked.append(row)
        hidden = () if self._host.is_open(row) else self._with_lists_below(row)
        return self._apply(_Update(now, self._host.hold(now), row, frozenset(hidden)))

    def _announce(self, run: _Update) -> None:
        """Leave out nodes that no host knows yet; announce the changed layouts, or note them for later."""
        change = run.change
        change.updated = {row: values for row, values in change.updated.items() if row not in run.fresh}
        if change.layouts:
            self.revision += 1
        self._unannounced.update(row for row in change.layouts if row not in run.fresh)
        change.layouts = []
        if self._host.is_away(run.now):
            for row, values in change.updated.items():
                self._unsent[row] = self._unsent.get(row, {}) | values
            change.updated = {}
            return
        for row, values in self._unsent.items():
            if row in self.nodes:
                change.updated[row] = values | change.updated.get(row, {})
        self._unsent.clear()
        if run.hold is MenuHold.OPEN or not self._unannounced:
            return
        change.layouts = sorted(self._unannounced)
        if run.hold is MenuHold.LINGER and self.fetches_whole:
            change.layouts = change.layouts if len(change.layouts) == 1 else [ROOT]
            self._unannounced.clear()
        elif run.hold is MenuHold.CLOSED and len(self._unannounced) > 1:
            change.layouts = [ROOT]  # the others are told when they are asked for
        self._unannounced.difference_update(change.layouts)

    def _merge(self, node: MenuNode, entries: Sequence[MenuEntry], run: _Update) -> None:
        held: dict[str, int] = {}
        for row in node.children:
            shown = self.nodes[row].entry
            if shown is not None:  # not a spare node
                held[shown.key] = row
        if self._holds_still(node, run):
            self._merge_in_place(node, entries, held, run)
        else:
            self._merge_in_order(node, entries, held, run)

    def _merge_below(self, node: MenuNode, entry: MenuEntry, run: _Update) -> None:
        made = self._is_to_be_made(entry)
        self._merge(node, entry.children if made else [stand_in(entry, self._details)], run)

    def _is_to_be_made(self, entry: MenuEntry) -> bool:
        return entry.key in self._made or not entry.children

    def _holds_still(self, node: MenuNode, run: _Update) -> bool:
        if not node.children or node.id in run.fresh or node.id in run.hidden:
            return False
        if node.entry is not None and self._is_made(node) is not self._is_to_be_made(node.entry):
            return False
        on_screen = node.id == ROOT or self._host.is_open(node.id)
        return run.hold is MenuHold.OPEN or (run.hold is MenuHold.MAYBE_OPEN and on_screen)

    def _is_made(self, node: MenuNode) -> bool:
        first = self.nodes[node.children[0]].entry if node.children else None
        return first is None or not first.key.endswith(STAND_IN)

    def _merge_in_place(
        self, node: MenuNode, entries: Sequence[MenuEntry], held: dict[str, int], run: _Update
    ) -> None:
        """Update the rows without moving any."""
        for entry in entries:
            row = held.pop(entry.key, None)
            if row is not None:
                self._update_node(self.nodes[row], entry, run)
            elif (
                run.hold is MenuHold.OPEN
                and (spare := self._next_spare(node, NodeKind.of(entry))) is not None
            ):
                self._use_spare(spare, entry, run)
        for row in held.values():
            self._mark_removed(self.nodes[row], run)
        has_spares = any(self.nodes[row].entry is None for row in node.children)
        if node.id == run.asked and not has_spares and (spares := self._spare_nodes(node, run)):
            node.children = [*node.children, *spares]
            run.change.layouts.append(node.id)

    def _merge_in_order(
        self, node: MenuNode, entries: Sequence[MenuEntry], held: dict[str, int], run: _Update
    ) -> None:
        """Put the wanted rows in order, then the spare nodes."""
        former = node.children
        kept = [held[entry.key] for entry in entries if self._can_keep(entry, held)]
        in_order = kept == [row for row in former if row in kept]
        both = len(kept) < min(len(entries), len(held))  # some come and others go
        if run.hold is not MenuHold.LINGER and (both or not in_order):
            same = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(kept, former, strict=False))))
            kept = kept[:same]
        order = []
        for entry in entries:
            row = held.get(entry.key)
            if row is None or row not in kept:
                row = self._add_node(node, NodeKind.of(entry), entry, run).id
            else:
                del held[entry.key]
            self._update_node(self.nodes[row], entry, run)
            order.append(row)
        if run.hold is MenuHold.LINGER:
            staying = {row for row in held.values() if self._still_lingers(self.nodes[row], run)}
            order = _insert_lingering(order, staying, former)
        order += self._spare_nodes(node, run)
        if order != former:
            for row in set(former).difference(order):
                self._remove_node(row)
            node.children = order
            run.change.layouts.append(node.id)

    def _can_keep(self, entry: MenuEntry, held: dict[str, int]) -> bool:
        row = held.get(entry.key)
        return row is not None and self.nodes[row].kind is NodeKind.of(entry)

    def _update_node(self, node: MenuNode, entry: MenuEntry, run: _Update) -> None:
        node.removed_at, node.entry = None, entry
        self._removed.discard(node.id)
        self._set_properties(node, node.entry_properties(self.escape), run)
        if node.kind is NodeKind.PARENT:
            self._merge_below(node, entry, run)

    # --- rows that end --------------------------------------------------------------------------------

    def _mark_removed(self, node: MenuNode, run: _Update) -> float:
        """Mark the row as ended and return since when; a row that only moved keeps its label."""
        entry = node.entry
        if node.removed_at is None:
            node.removed_at = run.now
            self._removed.add(node.id)
        if entry is None or node.kind is NodeKind.SEPARATOR:
            return node.removed_at
        if entry.subject in self._by_subject:
            elsewhere = self._by_subject[entry.subject] or entry
            self._set_properties(node, node.properties | {"label": self.escape(elsewhere.label)}, run)
        else:
            label = self.escape(ended_label(entry))
            self._set_properties(node, node.properties | {"label": label, "enabled": False}, run)
            self._disable_below(node, run)
        return node.removed_at

    def _disable_below(self, node: MenuNode, run: _Update) -> None:
        """Make the rows below an ended row readable, but not clickable."""
        for child in (self.nodes[row] for row in node.children):
            if child.entry is not None and child.kind is not NodeKind.SEPARATOR:
                child.removed_at = run.now
                self._set_properties(child, child.properties | {"enabled": False}, run)
                self._disable_below(child, run)

    def _still_lingers(self, node: MenuNode, run: _Update) -> bool:
        if node.entry is None or not node.entry.subject or node.entry.subject in self._by_subject:
            return False
        return run.now - self._mark_removed(node, run) < LINGER_SECONDS

    # --- nodes ----------------------------------------------------------------------------------------

    def _spare_nodes(self, node: MenuNode, run: _Update) -> list[int]:
        """Return the ids of the spare nodes at the end of a list on the screen, new ones for those used."""
        if node.id not in self._asked or not self._host.reports_opening:
            return []
        unused = [self.nodes[row] for row in node.children if self.nodes[row].entry is None]
        wanted = spare_kinds(node.entry)
        if [spare.kind for spare in unused] == list(wanted):
            return [spare.id for spare in unused]
        return [self._add_node(node, kind, None, run).id for kind in wanted]

    def _next_spare(self, node: MenuNode, kind: NodeKind) -> MenuNode | None:
        """Return the first spare node of this kind behind all visible ones."""
        children = [self.nodes[row] for row in node.children]
        used = max((place for place, child in enumerate(children) if child.entry is not None), default=-1)
        return next((child for child in children[used + 1 :] if child.kind is kind), None)

    def _use_spare(self, spare: MenuNode, entry: MenuEntry, run: _Update) -> None:
        """Give a spare node to this entry for good, with its children."""
        spare.entry = entry
        self._set_properties(spare, spare.entry_properties(self.escape), run)
        if spare.kind is NodeKind.PARENT:
            self._merge_below(spare, entry, run)

    def _add_node(self, parent: MenuNode, kind: NodeKind, entry: MenuEntry | None, run: _Update) -> MenuNode:
        self.last_id += 1
        hidden: Properties = {"visible": False} if entry is None else {}
        node = MenuNode(self.last_id, parent.id, kind, entry, base_properties(kind) | hidden)
        self.nodes[node.id] = node
        run.fresh.add(node.id)
        return node

    def _key(self, row: int) -> str:
        entry = self.nodes[row].entry
        return "" if entry is None else entry.key

    def _above(self, row: int) -> list[int]:
        """Return the ids of the rows that this one is below, the nearest first."""
        above = []
        while (row := self.nodes[row].parent) != ROOT:
            above.append(row)
        return above

    def _with_lists_below(self, row: int) -> list[int]:
        below = [row]
        for one in below:
            below += self.nodes[one].children
        return below

    def _set_properties(self, node: MenuNode, values: Properties, run: _Update) -> None:
        new = {name: value for name, value in values.items() if node.properties.get(name) != value}
        if new:
            run.change.updated[node.id] = run.change.updated.get(node.id, {}) | new
            node.properties = values

    def _remove_node(self, row: int) -> None:
        self._host.forget(row)
        self._removed.discard(row)
        self._unannounced.discard(row)
        if row in self._asked:
            self._asked.remove(row)
        for child in self.nodes.pop(row).children:
            self._remove_node(child)


def _insert_lingering(order: list[int], staying: set[int], former: Sequence[int]) -> list[int]:
    """Return `order` with the staying rows, each behind the row that it stood behind in `former`."""
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
