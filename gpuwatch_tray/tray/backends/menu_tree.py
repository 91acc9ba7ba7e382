"""
The menu as a host sees it: nodes with ids. Pure.

An id stands for one key and is never reused. In a list that may be open no row moves, and a row whose
subject has ended stays and says so. The hosts differ in what else they bear:

- At a LayoutUpdated lxqt-panel closes the menu and GNOME folds it: while it is open only properties change,
  a new row takes a spare node at the end of its list, or waits. A submenu is put in order before it opens.
- A GTK menu (xfce4-panel, waybar) bears a LayoutUpdated, but never grows: it would put scroll arrows over the
  rows and shift them. New rows wait for the next opening of their list; other lists are kept in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from gpuwatch_tray.tray.backends.nodes import (
    MenuEntry,
    MenuNode,
    NodeKind,
    Properties,
    base_properties,
    ended_label,
    escape_label,
    spare_kinds,
    walk_entries,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


ROOT = 0
ASSUMED_OPEN = 30.0  # seconds for which a menu whose closing is not reported counts as open
ASSUMED_OPEN_SUBMENU = 1200.0  # the same with a submenu reported open
SAME_OPENING = 1.0  # seconds within which AboutToShow and "opened" are one opening


class MenuHold(Enum):
    """How far the rows may change now."""

    CLOSED = "closed"  # the rows are put in order
    LINGER = "untold"  # nothing reported yet: in order, but what has ended stays for a while
    MAYBE_OPEN = "perhaps open"  # the root and the submenus reported open hold still
    OPEN = "open"  # everything holds still


class MenuHost:
    """
    The host (panel) that shows the menu, by its reports; times are seconds of one monotonic clock.

    Seen on the bus: lxqt-panel, GNOME and Plasma report when the root opens and closes. xfce4-panel and
    waybar (libdbusmenu-gtk) only ask, by AboutToShow, before the root opens, and report all submenus.
    """

    def __init__(self) -> None:
        self.reports_opening = False  # whether it reports the root's opening, and so its closing
        self._last_message: float | None = None  # time of the last report
        self._root_since: float | None = None  # since when the root is open, or may be
        self._reported = False  # ... by "opened", not by AboutToShow only
        self._open_submenus: set[int] = set()

    def root_opened(self, now: float, *, reported: bool) -> bool:
        """Record that the root is open (`reported`) or about to be; return whether this opening is new."""
        known = (
            self._root_since is not None
            and self._reported is not reported
            and now - self._root_since < SAME_OPENING
        )
        self.reports_opening = self.reports_opening or reported
        if not known:
            self._open_submenus.clear()
        self._root_since, self._reported, self._last_message = (
            now,
            reported or (known and self._reported),
            now,
        )
        return not known

    def opened(self, row: int, now: float) -> None:
        """Record that a submenu is open."""
        self._open_submenus.add(row)
        self._last_message = now

    def record_query(self, now: float) -> None:
        """Record a question about a submenu: the menu may be in use."""
        if self._last_message is not None:
            self._last_message = now

    def closed(self, row: int, now: float) -> None:
        """Record that a submenu, or with the root everything, has closed."""
        self._open_submenus.discard(row)
        self._last_message = now
        if row == ROOT:
            self._root_since = None
            self._open_submenus.clear()

    def forget(self, row: int) -> None:
        """Forget a row that was removed."""
        self._open_submenus.discard(row)

    def is_open(self, row: int) -> bool:
        """Return whether this submenu is reported open."""
        return row in self._open_submenus

    def hold(self, now: float) -> MenuHold:
        """Return how far the rows may change at `now`."""
        if self._last_message is None:
            return MenuHold.LINGER
        if self.reports_opening and self._reported and self._root_since is not None:
            return MenuHold.OPEN
        return MenuHold.MAYBE_OPEN if now < self._assumed_until() else MenuHold.CLOSED

    def hold_changes_at(self, now: float) -> float | None:
        """Return when `hold` changes by itself; None for never."""
        return self._assumed_until() if self.hold(now) is MenuHold.MAYBE_OPEN else None

    def _assumed_until(self) -> float:
        if self._last_message is None or (
            self._root_since is None and (self.reports_opening or not self._open_submenus)
        ):
            return 0.0
        return self._last_message + (ASSUMED_OPEN_SUBMENU if self._open_submenus else ASSUMED_OPEN)


LINGER_SECONDS = 30.0  # seconds for which an ended row stays with a host that reports nothing


@dataclass(slots=True)
class MenuChange:
    """The result of an update: properties set, and the nodes whose children differ."""

    updated: dict[int, Properties] = field(default_factory=dict)
    layouts: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.updated or self.layouts)


@dataclass(slots=True)
class _Update:
    """One update of the tree; `fresh` are the nodes that it made, which no host knows yet."""

    now: float
    hold: MenuHold
    change: MenuChange = field(default_factory=MenuChange)
    fresh: set[int] = field(default_factory=set)


class MenuTree:
    """The nodes by id; times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self.revision = 1
        self.nodes = {ROOT: MenuNode(ROOT, NodeKind.PARENT, None, base_properties(NodeKind.PARENT))}
        self._last_id = ROOT
        self._host = MenuHost()
        self._entries: Sequence[MenuEntry] = ()
        self._by_subject: dict[str, MenuEntry] = {}  # by subject
        self._removed: set[int] = set()  # the topmost nodes whose rows have ended
        self._unannounced: set[int] = set()  # nodes whose changed children no LayoutUpdated has announced
        self._fetched_early: set[int] = (
            set()
        )  # nodes that Qt fetched early: it skips their next LayoutUpdated

    def update(self, entries: Sequence[MenuEntry], now: float) -> MenuChange:
        """Apply `entries` as far as an open menu allows; return what changed."""
        self._entries = entries
        self._by_subject = {entry.subject: entry for entry in walk_entries(entries) if entry.subject}
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
        return self._apply(_Update(now, MenuHold.CLOSED))

    def about_to_show(self, row: int, now: float) -> tuple[MenuChange, bool]:
        """
        Put a submenu in order that is about to open; return the change and whether to fetch its rows again.

        Nothing of it is visible yet, so nothing moves; the answer replaces a LayoutUpdated where that harms.
        """
        self._host.record_query(now)
        node = self.nodes[row]
        if node.kind is not NodeKind.PARENT:
            return MenuChange(), False
        run = _Update(now, MenuHold.CLOSED)
        if node.entry is not None and node.removed_at is None and not self._host.is_open(row):
            self._merge(node, node.entry.children, run)
            self._announce(run, silent=self._host.hold(now) is MenuHold.OPEN)
        self._fetched_early.add(row)
        return run.change, row in self._unannounced

    def opened(self, row: int, now: float) -> None:
        """Record that the host shows this submenu."""
        self._host.opened(row, now)

    def closed(self, row: int, now: float) -> None:
        """Record that the host has closed this list; with the root, everything."""
        self._host.closed(row, now)

    def new_host(self) -> None:
        """Forget the former host."""
        self._host = MenuHost()

    def click_handler(self, row: int) -> Callable[[], None] | None:
        """Return what a click on the node does, bound to the node's one key; None for nothing."""
        node = self.nodes[row]
        if node.entry is None or node.removed_at is not None or not node.properties.get("enabled"):
            return None
        return node.entry.activate

    # --- applying -------------------------------------------------------------------------------

    def _apply(self, run: _Update) -> MenuChange:
        self._merge(self.nodes[ROOT], self._entries, run)
        self._announce(run, silent=run.hold is MenuHold.OPEN)
        return run.change

    def _announce(self, run: _Update, *, silent: bool) -> None:
        """Leave out nodes that no host knows yet; announce the changed layouts, or note them for later."""
        change = run.change
        change.updated = {row: values for row, values in change.updated.items() if row not in run.fresh}
        known = [row for row in change.layouts if row not in run.fresh]
        if change.layouts:
            self.revision += 1
        self._unannounced.update(known)
        change.layouts = []
        if not silent:
            twice = self._unannounced & self._fetched_early if self._host.reports_opening else ()
            change.layouts = sorted([*self._unannounced, *twice])
            self._fetched_early -= self._unannounced
            self._unannounced.clear()

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

    def _holds_still(self, node: MenuNode, run: _Update) -> bool:
        if node.id in run.fresh:
            return False
        on_screen = node.id == ROOT or self._host.is_open(node.id)
        return run.hold is MenuHold.OPEN or (run.hold is MenuHold.MAYBE_OPEN and on_screen)

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

    def _merge_in_order(
        self, node: MenuNode, entries: Sequence[MenuEntry], held: dict[str, int], run: _Update
    ) -> None:
        """Put the wanted rows in order, then the spare nodes."""
        order = []
        for entry in entries:
            row = held.get(entry.key)
            if row is None or self.nodes[row].kind is not NodeKind.of(entry):
                row = self._add_node(NodeKind.of(entry), entry, run).id
            else:
                del held[entry.key]
            self._update_node(self.nodes[row], entry, run)
            order.append(row)
        if run.hold is MenuHold.LINGER:
            staying = {row for row in held.values() if self._still_lingers(self.nodes[row], run)}
            order = _insert_lingering(order, staying, node.children)
        order += self._spare_nodes(node, run)
        if order != node.children:
            for row in set(node.children).difference(order):
                self._remove_node(row)
            node.children = order
            run.change.layouts.append(node.id)

    def _update_node(self, node: MenuNode, entry: MenuEntry, run: _Update) -> None:
        former = node.entry
        plain = former is not None and (former.label, former.enabled, former.ticked) == (
            entry.label,
            entry.enabled,
            entry.ticked,
        )
        revived, node.removed_at, node.entry = node.removed_at is not None, None, entry
        self._removed.discard(node.id)
        if revived or not plain or node.id in run.fresh:
            self._set_properties(node, node.entry_properties(), run)
        if node.kind is NodeKind.PARENT:
            self._merge(node, entry.children, run)

    # --- rows that end --------------------------------------------------------------------------------

    def _mark_removed(self, node: MenuNode, run: _Update) -> float:
        """Mark the row as ended and return since when; a row that only moved keeps its label."""
        entry = node.entry
        if node.removed_at is None:
            node.removed_at = run.now
            self._removed.add(node.id)
        if entry is None or node.kind is NodeKind.SEPARATOR:
            return node.removed_at
        elsewhere = self._by_subject.get(entry.subject)
        if elsewhere is not None:
            self._set_properties(node, node.properties | {"label": escape_label(elsewhere.label)}, run)
        else:
            label = escape_label(ended_label(entry))
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

    def _spare_nodes(self, node: MenuNode, run: _Update) -> Iterable[int]:
        """Return the ids of the spare nodes at the end of a list, with new ones for those in use."""
        unused = [self.nodes[row] for row in node.children if self.nodes[row].entry is None]
        wanted = spare_kinds(node.entry)
        if [spare.kind for spare in unused] == list(wanted):
            return [spare.id for spare in unused]
        return [self._add_node(kind, None, run).id for kind in wanted]

    def _next_spare(self, node: MenuNode, kind: NodeKind) -> MenuNode | None:
        """Return the first spare node of this kind behind all visible ones."""
        children = [self.nodes[row] for row in node.children]
        used = max((place for place, child in enumerate(children) if child.entry is not None), default=-1)
        return next((child for child in children[used + 1 :] if child.kind is kind), None)

    def _use_spare(self, spare: MenuNode, entry: MenuEntry, run: _Update) -> None:
        """Give a spare node to this entry for good, with its children."""
        spare.entry = entry
        self._set_properties(spare, spare.entry_properties(), run)
        if spare.kind is NodeKind.PARENT:
            self._merge_in_order(spare, entry.children, {}, run)

    def _add_node(self, kind: NodeKind, entry: MenuEntry | None, run: _Update) -> MenuNode:
        self._last_id += 1
        hidden: Properties = {"visible": False} if entry is None else {}
        node = MenuNode(self._last_id, kind, entry, base_properties(kind) | hidden)
        self.nodes[node.id] = node
        run.fresh.add(node.id)
        return node

    def _set_properties(self, node: MenuNode, values: Properties, run: _Update) -> None:
        new = {name: value for name, value in values.items() if node.properties.get(name) != value}
        if new:
            run.change.updated[node.id] = run.change.updated.get(node.id, {}) | new
            node.properties = values

    def _remove_node(self, row: int) -> None:
        self._host.forget(row)
        self._removed.discard(row)
        self._unannounced.discard(row)
        self._fetched_early.discard(row)
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
