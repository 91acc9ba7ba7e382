"""What a panel's words say of the menu's being open."""

from __future__ import annotations

from gpuwatch_tray.tray.host import LONGEST, LONGEST_BELOW, ROOT, SAME, Hold, Host


def test_a_host_that_has_said_nothing_may_show_anything():
    """Nobody knows, and it never changes by itself."""
    host = Host()
    assert host.hold(0.0) is Hold.LINGER
    assert host.changes(0.0) is None


def test_a_host_that_tells_is_believed_for_as_long_as_it_takes():
    """lxqt-panel: open from "opened" to "closed", and closed after that."""
    host = Host()
    assert host.root_shown(0.0, told=False)
    assert not host.root_shown(0.1, told=True)
    assert host.hold(5000.0) is Hold.STILL
    host.closed(ROOT, 5000.0)
    assert host.hold(5000.0) is Hold.NONE


def test_the_question_and_the_news_of_one_opening_count_once_in_either_order():
    """Plasma asks first, GNOME tells first; later than a moment it is another opening."""
    for first in (True, False):
        host = Host()
        assert host.root_shown(0.0, told=first)
        assert not host.root_shown(SAME / 2, told=not first)
        assert host.hold(1.0) is Hold.STILL
        assert host.root_shown(10.0, told=first)


def test_a_host_that_only_asks_may_have_the_menu_open_for_a_while():
    """xfce4-panel: a hand at a submenu prolongs it."""
    host = Host()
    assert host.root_shown(0.0, told=False)
    assert host.hold(LONGEST - 1) is Hold.PERHAPS
    assert host.changes(1.0) == LONGEST
    host.asked(LONGEST - 1)
    assert host.hold(LONGEST + 1) is Hold.PERHAPS
    assert host.hold(2 * LONGEST) is Hold.NONE
    assert host.changes(2 * LONGEST) is None
    assert host.root_shown(2 * LONGEST + SAME / 2, told=False)


def test_a_submenu_that_is_told_to_be_open_keeps_the_menu_open():
    """GTK tells of submenus, opening and closing, and the root cannot be gone before them."""
    host = Host()
    host.root_shown(0.0, told=False)
    host.opened(7, 1.0)
    assert host.shows(7)
    assert host.hold(10 * LONGEST) is Hold.PERHAPS
    assert host.hold(1.0 + LONGEST_BELOW) is Hold.NONE
    host.closed(7, 20.0)
    assert not host.shows(7)
    assert host.hold(20.0 + LONGEST) is Hold.NONE


def test_the_root_closes_everything_below_it():
    """And a new opening starts without the submenus of the last."""
    host = Host()
    host.root_shown(0.0, told=True)
    host.opened(7, 1.0)
    host.closed(ROOT, 2.0)
    assert not host.shows(7)
    host.opened(7, 3.0)
    host.root_shown(10.0, told=True)
    assert not host.shows(7)


def test_a_host_that_tells_and_only_asks_once_is_not_held_open_for_ever():
    """A question that no opening follows is forgotten."""
    host = Host()
    host.root_shown(0.0, told=True)
    host.closed(ROOT, 1.0)
    host.root_shown(2.0, told=False)
    assert host.hold(3.0) is Hold.PERHAPS
    assert host.hold(2.0 + LONGEST) is Hold.NONE
