"""
Which lists of the menu are made. Pure.

Some hosts fetch the whole menu at once and take milliseconds for each row, so that thousands of rows freeze
the desktop. What is served is bounded; other lists have one row until they are opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from gpuwatch_tray.tray.backends.nodes import MenuEntry


MAX_ROWS = 150  # rows served in all, as far as the lists on the screen allow


def plan_lists(
    entries: Sequence[MenuEntry], path: Sequence[str], before: Collection[str], *, ahead: bool, spares: int
) -> frozenset[str]:
    """
    Return the keys of the rows whose lists are made.

    `path` are the keys of the lists on the screen with those above them, the last opened one last: they are
    made in any case. As room is left follow those made `before`; where lists are made `ahead`, those below
    the last one come first, and any others last, the upper ones first. `spares` rows are served beside those
    of the entries.
    """
    made: set[str] = set()
    room = MAX_ROWS - _size(entries) - spares

    def make(wanted: Callable[[MenuEntry, str], bool], *, at_any_cost: bool = False) -> None:
        nonlocal room
        level = [(entry, "") for entry in entries if entry.children]
        while level:
            for entry, parent in level:
                if entry.key in made or not (room > 0 or at_any_cost) or not wanted(entry, parent):
                    continue
                cost = _size(entry.children) - 1  # its stand-in goes
                if at_any_cost or cost <= room:
                    room -= cost
                    made.add(entry.key)
            shown = [entry for entry, _parent in level if entry.key in made]
            level = [(child, entry.key) for entry in shown for child in entry.children if child.children]

    last = path[-1] if path else ""
    make(lambda entry, _parent: entry.key in path, at_any_cost=True)
    if ahead:
        make(lambda _entry, parent: parent == last)
    if before:
        make(lambda entry, _parent: entry.key in before)
    if ahead:
        make(lambda _entry, _parent: True)
    return frozenset(made)


def _size(entries: Sequence[MenuEntry]) -> int:
    """Return the number of rows of a list, with the stand-ins below them."""
    return sum(2 if entry.children else 1 for entry in entries)
