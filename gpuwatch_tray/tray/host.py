"""
What the host (the panel) says of opening and closing the menu, and what follows for the rows. Pure.

Seen on the bus: lxqt-panel, GNOME and Plasma tell when the root opens and when it closes. xfce4-panel and
waybar (libdbusmenu-gtk) only ask, by AboutToShow, before the root opens, and tell all about submenus.
"""

from __future__ import annotations

from enum import Enum

ROOT = 0
ASSUMED_OPEN = (
    30.0  # seconds after a host's last word that a menu whose closing is never told may still be open
)
ASSUMED_OPEN_SUBMENU = 1200.0  # the same while a submenu has been told to be open, and not to be closed
SAME_OPENING = 1.0  # seconds within which asking for the root and telling of its opening are one opening


class MenuHold(Enum):
    """How far the rows may change now."""

    CLOSED = "closed"  # they are put in order
    LINGER = "untold"  # this host has not said a word: in order, but what has ended stays for a while
    MAYBE_OPEN = "perhaps open"  # the root holds still, and what is told to be open below it
    OPEN = "open"  # everything holds still


class MenuHost:
    """One panel's words. Times are of any one clock that only goes forward, in seconds."""

    def __init__(self) -> None:
        self.reports_opening = (
            False  # whether it has told of an opening of the root, and so will of the closing
        )
        self._last_message: float | None = None  # when it last said anything about what it shows
        self._root_since: float | None = None  # since when the root is open, or perhaps open
        self._reported = False  # ... by an "opened", not by a question only
        self._open_submenus: set[int] = set()

    def root_opened(self, now: float, *, reported: bool) -> bool:
        """The root is shown (`told`) or about to be; whether this is an opening that was not known."""
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
        """A submenu is on the screen."""
        self._open_submenus.add(row)
        self._last_message = now

    def record_query(self, now: float) -> None:
        """Somebody has asked for a submenu: the hand may be at the menu."""
        if self._last_message is not None:
            self._last_message = now

    def closed(self, row: int, now: float) -> None:
        """A submenu, or with the root everything, has gone from the screen."""
        self._open_submenus.discard(row)
        self._last_message = now
        if row == ROOT:
            self._root_since = None
            self._open_submenus.clear()

    def forget(self, row: int) -> None:
        """The row is no more."""
        self._open_submenus.discard(row)

    def is_open(self, row: int) -> bool:
        """Whether this node's children are known to be on the screen."""
        return row in self._open_submenus

    def hold(self, now: float) -> MenuHold:
        """What this means for the rows."""
        if self._last_message is None:
            return MenuHold.LINGER
        if self.reports_opening and self._reported and self._root_since is not None:
            return MenuHold.OPEN
        return MenuHold.MAYBE_OPEN if now < self._assumed_until() else MenuHold.CLOSED

    def hold_changes_at(self, now: float) -> float | None:
        """When `hold` becomes another one by itself; None for never."""
        return self._assumed_until() if self.hold(now) is MenuHold.MAYBE_OPEN else None

    def _assumed_until(self) -> float:
        if self._last_message is None or (
            self._root_since is None and (self.reports_opening or not self._open_submenus)
        ):
            return 0.0
        return self._last_message + (ASSUMED_OPEN_SUBMENU if self._open_submenus else ASSUMED_OPEN)
