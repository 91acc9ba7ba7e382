"""
What the host (the panel) says of opening and closing the menu, and what follows for the rows. Pure.

Seen on the bus: lxqt-panel, GNOME and Plasma tell when the root opens and when it closes. xfce4-panel and
waybar (libdbusmenu-gtk) only ask, by AboutToShow, before the root opens, and tell all about submenus.
"""

from __future__ import annotations

from enum import Enum

ROOT = 0
LONGEST = 30.0  # seconds after a host's last word that a menu whose closing is never told may still be open
LONGEST_BELOW = 1200.0  # the same while a submenu has been told to be open, and not to be closed
SAME = 1.0  # seconds within which asking for the root and telling of its opening are one opening


class Hold(Enum):
    """How far the rows may change now."""

    NONE = "closed"  # they are put in order
    LINGER = "untold"  # this host has not said a word: in order, but what has ended stays for a while
    PERHAPS = "perhaps open"  # the root holds still, and what is told to be open below it
    STILL = "open"  # everything holds still


class Host:
    """One panel's words. Times are of any one clock that only goes forward, in seconds."""

    def __init__(self) -> None:
        self.tells = False  # whether it has told of an opening of the root, and so will of the closing
        self._last: float | None = None  # when it last said anything about what it shows
        self._root: float | None = None  # since when the root is open, or perhaps open
        self._told = False  # ... by an "opened", not by a question only
        self._below: set[int] = set()

    def root_shown(self, now: float, *, told: bool) -> bool:
        """The root is shown (`told`) or about to be; whether this is an opening that was not known."""
        known = self._root is not None and self._told is not told and now - self._root < SAME
        self.tells = self.tells or told
        if not known:
            self._below.clear()
        self._root, self._told, self._last = now, told or (known and self._told), now
        return not known

    def opened(self, row: int, now: float) -> None:
        """A submenu is on the screen."""
        self._below.add(row)
        self._last = now

    def asked(self, now: float) -> None:
        """Somebody has asked for a submenu: the hand may be at the menu."""
        if self._last is not None:
            self._last = now

    def closed(self, row: int, now: float) -> None:
        """A submenu, or with the root everything, has gone from the screen."""
        self._below.discard(row)
        self._last = now
        if row == ROOT:
            self._root = None
            self._below.clear()

    def forget(self, row: int) -> None:
        """The row is no more."""
        self._below.discard(row)

    def shows(self, row: int) -> bool:
        """Whether this node's children are known to be on the screen."""
        return row in self._below

    def hold(self, now: float) -> Hold:
        """What this means for the rows."""
        if self._last is None:
            return Hold.LINGER
        if self.tells and self._told and self._root is not None:
            return Hold.STILL
        return Hold.PERHAPS if now < self._until() else Hold.NONE

    def changes(self, now: float) -> float | None:
        """When `hold` becomes another one by itself; None for never."""
        return self._until() if self.hold(now) is Hold.PERHAPS else None

    def _until(self) -> float:
        if self._last is None or (self._root is None and (self.tells or not self._below)):
            return 0.0
        return self._last + (LONGEST_BELOW if self._below else LONGEST)
