"""What the host (panel) has open, by its reports. Pure; times are seconds of one monotonic clock."""

from __future__ import annotations

from enum import Enum

ROOT = 0
ASSUMED_OPEN = 30.0  # seconds for which a menu whose closing is not reported counts as open
ASSUMED_OPEN_SUBMENU = 1200.0  # the same with a submenu reported open
SAME_OPENING = 1.0  # seconds within which AboutToShow and "opened" are one opening
AFTER_CLOSING = 1.0  # seconds in which a click may still come: Plasma sends it after the closing


class MenuHold(Enum):
    """How far the rows may change now."""

    CLOSED = "closed"  # the rows are put in order
    LINGER = "untold"  # nothing reported yet: in order, but what has ended stays for a while
    MAYBE_OPEN = "perhaps open"  # the root and the submenus reported open hold still
    OPEN = "open"  # everything holds still


class MenuHost:
    """
    The host that shows the menu.

    Seen on the bus: lxqt-panel, GNOME and Plasma report when the root opens and closes. xfce4-panel and
    waybar (libdbusmenu-gtk) only ask, by AboutToShow, before the root opens, and report all submenus.
    """

    def __init__(self, *, reports_opening: bool = False, asks: bool = False) -> None:
        self.reports_opening = reports_opening  # whether it reports the root's opening, and so its closing
        self._asks = asks or reports_opening  # whether it asks or reports before somebody sees the root
        self._last_message: float | None = None  # time of the last report
        self._root_since: float | None = None  # since when the root is open, or may be
        self._reported = False  # ... by "opened", not by AboutToShow only
        self._closed_at = float("-inf")
        self._open_submenus: dict[int, None] = {}  # in the order of their opening

    @property
    def open_submenus(self) -> tuple[int, ...]:
        """The submenus reported open, the last one last."""
        return tuple(self._open_submenus)

    def root_opened(self, now: float, *, reported: bool) -> bool:
        """Record that the root is open (`reported`) or about to be; return whether this opening is new."""
        known = (
            self._root_since is not None
            and self._reported is not reported
            and now - self._root_since < SAME_OPENING
        )
        self.reports_opening = self.reports_opening or reported
        self._asks = True
        if not known:
            self._open_submenus.clear()
        self._reported = reported or (known and self._reported)
        self._root_since = self._last_message = now
        return not known

    def opened(self, row: int, now: float) -> None:
        """Record that a submenu is open."""
        self._open_submenus[row] = None
        self._last_message = now

    def record_query(self, now: float) -> None:
        """Record a question about a submenu: the menu may be in use."""
        if self._last_message is not None:
            self._last_message = now

    def closed(self, row: int, now: float) -> None:
        """Record that a submenu, or with the root everything, has closed."""
        self._open_submenus.pop(row, None)
        self._last_message = now
        if row == ROOT:
            self._root_since, self._closed_at = None, now
            self._open_submenus.clear()

    def forget(self, row: int) -> None:
        """Forget a row that was removed."""
        self._open_submenus.pop(row, None)

    def is_open(self, row: int) -> bool:
        """Return whether this submenu is reported open."""
        return row in self._open_submenus

    def is_away(self, now: float) -> bool:
        """Return whether the menu is known to be closed, so that nobody sees what changes."""
        if not self.reports_opening:
            return False
        return self._root_since is None or not (self._reported or now < self._root_since + SAME_OPENING)

    def may_be_seen(self, now: float) -> bool:
        """Return whether somebody may look at the menu without a question or report before."""
        if self.reports_opening or not self._asks:
            return not self.is_away(now)
        return self._last_message is not None and now < self._last_message + ASSUMED_OPEN_SUBMENU

    def hold(self, now: float) -> MenuHold:
        """Return how far the rows may change at `now`."""
        if self.is_away(now):
            return MenuHold.OPEN if now < self._closed_at + AFTER_CLOSING else MenuHold.CLOSED
        if self._last_message is None:
            return MenuHold.LINGER
        if self.reports_opening and self._reported:
            return MenuHold.OPEN
        return MenuHold.MAYBE_OPEN if now < self._assumed_until() else MenuHold.CLOSED

    def hold_changes_at(self, now: float) -> float | None:
        """Return when `hold` changes by itself; None for never."""
        hold = self.hold(now)
        if hold is MenuHold.OPEN and self.is_away(now):
            return self._closed_at + AFTER_CLOSING
        return self._assumed_until() if hold is MenuHold.MAYBE_OPEN else None

    def _assumed_until(self) -> float:
        if self._last_message is None or (self._root_since is None and not self._open_submenus):
            return 0.0
        if self.reports_opening:  # it has only asked, and will report at once
            return 0.0 if self._root_since is None else self._root_since + SAME_OPENING
        return self._last_message + (ASSUMED_OPEN_SUBMENU if self._open_submenus else ASSUMED_OPEN)
