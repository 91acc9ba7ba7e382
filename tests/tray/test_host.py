"""What a panel's words say of the menu's being open."""

from __future__ import annotations

from gpuwatch_tray.tray.backends.menu_host import (
    AFTER_CLOSING,
    ASSUMED_OPEN,
    ASSUMED_OPEN_SUBMENU,
    ROOT,
    SAME_OPENING,
    MenuHold,
    MenuHost,
)


def test_a_host_that_has_said_nothing_may_show_anything():
    """Nobody knows, and it never changes by itself."""
    host = MenuHost()
    assert host.hold(0.0) is MenuHold.LINGER
    assert host.hold_changes_at(0.0) is None


def test_a_host_that_tells_is_believed_for_as_long_as_it_takes():
    """lxqt-panel: open from "opened" to "closed", and closed after that."""
    host = MenuHost()
    assert host.root_opened(0.0, reported=False)
    assert not host.root_opened(0.1, reported=True)
    assert host.hold(5000.0) is MenuHold.OPEN
    host.closed(ROOT, 5000.0)
    assert host.hold(5000.5) is MenuHold.OPEN  # a click may still come
    assert host.hold_changes_at(5000.5) == 5000.0 + AFTER_CLOSING
    assert host.hold(5000.0 + AFTER_CLOSING) is MenuHold.CLOSED


def test_the_question_and_the_news_of_one_opening_count_once_in_either_order():
    """Plasma asks first, GNOME tells first; later than a moment it is another opening."""
    for first in (True, False):
        host = MenuHost()
        assert host.root_opened(0.0, reported=first)
        assert not host.root_opened(SAME_OPENING / 2, reported=not first)
        assert host.hold(1.0) is MenuHold.OPEN
        assert host.root_opened(10.0, reported=first)


def test_a_host_that_only_asks_may_have_the_menu_open_for_a_while():
    """xfce4-panel: a hand at a submenu prolongs it."""
    host = MenuHost()
    assert host.root_opened(0.0, reported=False)
    assert host.hold(ASSUMED_OPEN - 1) is MenuHold.MAYBE_OPEN
    assert host.hold_changes_at(1.0) == ASSUMED_OPEN
    host.record_query(ASSUMED_OPEN - 1)
    assert host.hold(ASSUMED_OPEN + 1) is MenuHold.MAYBE_OPEN
    assert host.hold(2 * ASSUMED_OPEN) is MenuHold.CLOSED
    assert host.hold_changes_at(2 * ASSUMED_OPEN) is None
    assert host.root_opened(2 * ASSUMED_OPEN + SAME_OPENING / 2, reported=False)


def test_a_submenu_that_is_told_to_be_open_keeps_the_menu_open():
    """GTK tells of submenus, opening and closing, and the root cannot be gone before them."""
    host = MenuHost()
    host.root_opened(0.0, reported=False)
    host.opened(7, 1.0)
    assert host.is_open(7)
    assert host.hold(10 * ASSUMED_OPEN) is MenuHold.MAYBE_OPEN
    assert host.hold(1.0 + ASSUMED_OPEN_SUBMENU) is MenuHold.CLOSED
    host.closed(7, 20.0)
    assert not host.is_open(7)
    assert host.hold(20.0 + ASSUMED_OPEN) is MenuHold.CLOSED


def test_the_root_closes_everything_below_it():
    """And a new opening starts without the submenus of the last."""
    host = MenuHost()
    host.root_opened(0.0, reported=True)
    host.opened(7, 1.0)
    host.closed(ROOT, 2.0)
    assert not host.is_open(7)
    host.opened(7, 3.0)
    host.root_opened(10.0, reported=True)
    assert not host.is_open(7)


def test_a_host_that_tells_and_only_asks_once_is_not_held_open_for_ever():
    """A question that no opening follows is forgotten."""
    host = MenuHost()
    host.root_opened(0.0, reported=True)
    host.closed(ROOT, 1.0)
    host.root_opened(3.0, reported=False)
    assert host.hold(3.1) is MenuHold.MAYBE_OPEN
    assert not host.is_away(3.1)
    assert host.hold(3.0 + SAME_OPENING) is MenuHold.CLOSED
    assert host.is_away(3.0 + SAME_OPENING)


def test_a_menu_may_be_seen_without_a_word_only_with_a_host_that_says_nothing():
    """One that asks or reports first shows nothing before; one of which that is not known may at any time."""
    assert MenuHost().may_be_seen(0.0)
    assert not MenuHost(asks=True).may_be_seen(0.0)
    assert not MenuHost(reports_opening=True).may_be_seen(0.0)


def test_a_menu_that_was_asked_for_may_be_seen_until_it_is_closed_or_for_long():
    """A reported opening counts until the closing; GTK's root for as long as a hand may stay with it."""
    asking, reporting = MenuHost(asks=True), MenuHost(reports_opening=True)
    asking.root_opened(0.0, reported=False)
    assert asking.may_be_seen(ASSUMED_OPEN_SUBMENU - 1)
    assert not asking.may_be_seen(ASSUMED_OPEN_SUBMENU)
    reporting.root_opened(0.0, reported=True)
    assert reporting.may_be_seen(10 * ASSUMED_OPEN_SUBMENU)
    reporting.closed(ROOT, 10 * ASSUMED_OPEN_SUBMENU)
    assert not reporting.may_be_seen(10 * ASSUMED_OPEN_SUBMENU)
