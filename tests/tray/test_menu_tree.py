"""The menu as a host sees it: ids, changes, and what holds still under a hand."""

from __future__ import annotations

import pytest

from gpuwatch_tray.tray.backends.menu_host import ASSUMED_OPEN, ROOT
from gpuwatch_tray.tray.backends.menu_tree import LINGER_SECONDS, MenuTree
from gpuwatch_tray.tray.backends.nodes import SPARES_AT_TOP, MenuEntry, NodeKind


def process(name, label=None, *, act=None):
    below = (
        MenuEntry(f"gpu/{name}/end", "End process…", activate=act),
        MenuEntry(f"gpu/{name}/cwd", "Folder: /"),
    )
    label = label or f"PID {name}"
    return MenuEntry(f"gpu/{name}", label, subject=f"process {name}", gone="Ended", children=below)


NONE = MenuEntry("gpu/none", "no processes", enabled=False, gone="Until now", filler=True)


def alert(name="x"):
    return MenuEntry(f"alert {name}", f"Warning: {name}", enabled=False)


def menu(*processes, headline="fine", extra=()):
    return [
        MenuEntry("status", headline, enabled=False),
        MenuEntry("gpu", "GPU 0", children=tuple(processes)),
        *extra,
        MenuEntry("line"),
        MenuEntry("quit", "Quit"),
    ]


def labels(tree, row=ROOT):
    """Return the visible labels."""
    nodes = [tree.nodes[child] for child in tree.nodes[row].children]
    return [
        node.properties.get("label", "-") for node in nodes if node.properties.get("visible") is not False
    ]


def row_of(tree, key):
    (row,) = [node.id for node in tree.nodes.values() if node.entry is not None and node.entry.key == key]
    return row


def gpu_labels(tree):
    return labels(tree, row_of(tree, "gpu"))


def layout(tree):
    return {row: list(node.children) for row, node in tree.nodes.items()}


def served(*processes, **more):
    """Return a tree that a host knows and has closed: it has reported an opening and a closing."""
    tree = MenuTree()
    tree.update(menu(*processes, **more), 0.0)
    tree.root_opened(0.1, reported=True)
    tree.closed(ROOT, 0.2)
    return tree


def opened_by(tree, host, at=1.0):
    """lxqt-panel asks and tells; xfce4-panel only asks."""
    change = tree.root_opened(at, reported=False)
    if host == "lxqt":
        assert not tree.root_opened(at, reported=True)
    return change


# --- nothing is open --------------------------------------------------------------------------------------


def test_the_same_rows_again_change_nothing():
    """An idle menu has nothing to tell, and its revision stands."""
    tree = MenuTree()
    assert tree.update(menu(process(1)), 0.0)
    revision = tree.revision
    assert not tree.update(menu(process(1)), 5.0)
    assert tree.revision == revision


def test_a_text_change_touches_the_property_only():
    """No layout signal, no new revision: an open menu stays open."""
    tree = served(process(1))
    revision = tree.revision
    change = tree.update(menu(process(1, "PID 1 · 5 min"), headline="hot"), 1.0)
    assert change.updated == {
        row_of(tree, "status"): {"label": "hot"},
        row_of(tree, "gpu/1"): {"label": "PID 1 · 5 min"},
    }
    assert not change.layouts
    assert tree.revision == revision


def test_a_new_row_is_a_layout_change_of_its_parent_only():
    """The submenu that grew is named, with a new revision, and the new row needs no property signal."""
    tree = served(process(1))
    revision = tree.revision
    change = tree.update(menu(process(1), process(2)), 1.0)
    assert change.layouts == [row_of(tree, "gpu")]
    assert not change.updated
    assert tree.revision == revision + 1


def test_an_id_is_never_given_to_another_row():
    """A process that ends takes its id with it, and one that comes back gets a new one."""
    tree = served(process(1))
    first = row_of(tree, "gpu/1")
    tree.update(menu(process(2)), 1.0)
    assert first not in tree.nodes
    tree.update(menu(process(1), process(2)), 2.0)
    assert row_of(tree, "gpu/1") > row_of(tree, "gpu/2") > first


def test_underscores_are_doubled_so_that_none_becomes_a_mnemonic():
    """`a_b` is shown as `a_b`."""
    assert gpu_labels(served(process(1, "batch_size__x"))) == ["batch__size____x"]


def test_a_row_that_becomes_a_submenu_is_another_row_for_the_host():
    """Qt's hosts take that from a row's first properties only."""
    tree = served(extra=[MenuEntry("a", "A")])
    plain = row_of(tree, "a")
    change = tree.update(menu(extra=[MenuEntry("a", "A", children=(MenuEntry("b", "B"),))]), 1.0)
    assert ROOT in change.layouts
    assert row_of(tree, "a") != plain
    assert tree.nodes[row_of(tree, "a")].properties["children-display"] == "submenu"


def test_spare_rows_are_in_the_layout_and_not_to_be_seen():
    """They come last, and each says whether it can be a submenu, before anybody needs it."""
    tree = served(process(1))
    spares = [node for row in tree.nodes[ROOT].children if (node := tree.nodes[row]).entry is None]
    assert [spare.kind for spare in spares] == list(SPARES_AT_TOP)
    assert all(spare.properties["visible"] is False for spare in spares)
    assert {"children-display" in spare.properties for spare in spares if spare.kind is NodeKind.PARENT} == {
        True
    }
    assert tree.nodes[ROOT].children[-len(spares) :] == [spare.id for spare in spares]


# --- something is open ------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["lxqt", "xfce"])
def test_an_ended_process_stays_as_ended_while_its_list_is_open(host):
    """Nothing slides under the pointer; the row says what happened, and nothing of it can be clicked."""
    tree = served(process(1, act=print), process(2)) if host == "lxqt" else MenuTree()
    tree.update(menu(process(1, act=print), process(2)), 0.5)
    opened_by(tree, host)
    tree.opened(row_of(tree, "gpu"), 1.5)
    end = row_of(tree, "gpu/1/end")
    assert tree.click_handler(end) is print
    change = tree.update(menu(process(2)), 2.0)
    assert gpu_labels(tree) == ["Ended: PID 1", "PID 2"]
    assert not change.layouts
    assert tree.click_handler(end) is None
    assert tree.nodes[end].properties["enabled"] is False
    tree.closed(row_of(tree, "gpu"), 2.5)
    tree.closed(ROOT, 2.5)
    assert tree.refresh(3.0).layouts == [row_of(tree, "gpu")]
    assert gpu_labels(tree) == ["PID 2"]
    assert end not in tree.nodes


def test_an_ended_row_is_no_wider_than_it_was():
    """An open menu does not grow wider: the end of a long line gives way."""
    tree = served(process(1, "PID 1 · " + "x" * 60))
    opened_by(tree, "lxqt")
    tree.update(menu(), 2.0)
    (label,) = gpu_labels(tree)
    assert label.startswith("Ended: PID 1 · xxx")
    assert label.endswith("x…")
    assert len(label) == len("PID 1 · " + "x" * 60)


def test_new_rows_take_spare_ones_at_the_end_of_a_list_that_can_grow():
    """lxqt-panel: properties only; an alert stands behind a line at the end, and no row has moved."""
    tree = served(process(1))
    opened_by(tree, "lxqt")
    tree.opened(row_of(tree, "gpu"), 1.5)
    before = layout(tree)
    more = [MenuEntry("line:alerts"), alert("x"), alert("y")]
    change = tree.update(menu(process(1), process(2), extra=more), 2.0)
    assert labels(tree) == ["fine", "GPU 0", "-", "Quit", "-", "Warning: x", "Warning: y"]
    assert gpu_labels(tree) == ["PID 1", "PID 2"]
    assert not change.layouts
    assert change.updated[row_of(tree, "gpu/2")] == {"label": "PID 2", "enabled": True, "visible": True}
    assert {row: layout(tree)[row] for row in before if row != row_of(tree, "gpu/2")} == {
        row: children for row, children in before.items() if row != row_of(tree, "gpu/2")
    }
    tree.closed(ROOT, 3.0)
    change = tree.refresh(3.2)
    assert {ROOT, row_of(tree, "gpu")} <= set(change.layouts)
    assert labels(tree) == ["fine", "GPU 0", "-", "Warning: x", "Warning: y", "-", "Quit"]


def test_a_new_row_comes_behind_all_that_came_before_it():
    """Rows of both kinds in any order: none is put in front of one that is already seen."""
    tree = served(process(1))
    opened_by(tree, "lxqt")
    submenu = MenuEntry("snooze", "Snooze", children=(MenuEntry("hour", "1 h"),))
    tree.update(menu(process(1), extra=[alert("x")]), 2.0)
    tree.update(menu(process(1), extra=[submenu, alert("x")]), 3.0)
    tree.update(menu(process(1), extra=[alert("a"), submenu, alert("x")]), 4.0)
    assert labels(tree)[-3:] == ["Warning: x", "Snooze", "Warning: a"]


def test_a_gtk_menu_on_the_screen_gets_no_new_row():
    """It would put scroll arrows over its rows and shift them all: the status line tells of the alert."""
    tree = MenuTree()
    tree.update(menu(process(1)), 0.0)
    opened_by(tree, "xfce")
    late = menu(process(1), process(2), extra=[alert("x")], headline="Warning: x")
    change = tree.update(late, 2.0)
    assert labels(tree) == ["Warning: x", "GPU 0", "-", "Quit"]
    assert gpu_labels(tree) == ["PID 1", "PID 2"]  # not on the screen, and so in order
    assert change.layouts == [row_of(tree, "gpu")]
    change = opened_by(tree, "xfce", 4.0)
    assert change.layouts == [ROOT]
    assert labels(tree) == ["Warning: x", "GPU 0", "Warning: x", "-", "Quit"]


def test_a_gtk_submenu_on_the_screen_holds_still_until_it_is_told_to_be_closed():
    """However long that takes."""
    tree = MenuTree()
    tree.update(menu(process(1), process(2)), 0.0)
    opened_by(tree, "xfce")
    gpu = row_of(tree, "gpu")
    tree.opened(gpu, 2.0)
    assert not tree.update(menu(process(2), process(3)), 3 * ASSUMED_OPEN).layouts
    assert gpu_labels(tree) == ["Ended: PID 1", "PID 2"]
    tree.closed(gpu, 3 * ASSUMED_OPEN + 1)
    tree.refresh(3 * ASSUMED_OPEN + 1)
    assert gpu_labels(tree) == ["PID 2", "PID 3"]


def test_rows_beyond_the_spare_ones_wait():
    """A thirteenth alert within one opening is shown at the next; nothing closes for it."""
    tree = served(process(1))
    opened_by(tree, "lxqt")
    many = [alert(f"{number:02}") for number in range(30)]
    assert not tree.update(menu(process(1), extra=many), 2.0).layouts
    assert sum(label.startswith("Warning") for label in labels(tree)) == SPARES_AT_TOP.count(NodeKind.PLAIN)
    tree.closed(ROOT, 3.0)
    tree.refresh(3.2)
    assert sum(label.startswith("Warning") for label in labels(tree)) == 30


def test_a_submenu_that_is_asked_for_is_put_in_order_without_a_signal():
    """It is not on the screen yet; the host fetches it at the answer, and its next signal is doubled."""
    tree = served(process(1), process(5))
    opened_by(tree, "lxqt")
    gpu = row_of(tree, "gpu")
    tree.update(menu(process(3), process(5)), 2.0)
    assert gpu_labels(tree) == ["Ended: PID 1", "PID 5", "PID 3"]
    revision = tree.revision
    change, stale = tree.about_to_show(gpu, 3.0)
    assert (stale, change.layouts) == (True, [])
    assert tree.revision == revision + 1
    assert gpu_labels(tree) == ["PID 3", "PID 5"]
    tree.opened(gpu, 3.1)
    tree.update(menu(process(5)), 4.0)
    assert gpu_labels(tree) == ["Ended: PID 3", "PID 5"]
    assert tree.about_to_show(gpu, 4.1)[1]  # not told yet, be it another host's question
    assert gpu_labels(tree) == ["Ended: PID 3", "PID 5"]  # on the screen
    tree.closed(ROOT, 5.0)
    # libdbusmenu-qt skips one LayoutUpdated of a menu that it has fetched at an answer
    assert tree.refresh(5.2).layouts.count(gpu) == 2


def test_a_new_rows_own_submenu_is_there_when_it_is_asked_for():
    """A process that came while the menu was open has its details."""
    tree = served(process(1))
    opened_by(tree, "lxqt")
    tree.update(menu(process(1), process(2)), 2.0)
    new = row_of(tree, "gpu/2")
    assert labels(tree, new) == ["End process…", "Folder: /"]
    assert tree.about_to_show(new, 2.5)[1]


def test_a_row_that_was_shut_comes_back_in_its_place():
    """An alert that fires again within one opening is the same row."""
    tree = served(process(1), extra=[alert("x")])
    opened_by(tree, "lxqt")
    row = row_of(tree, "alert x")
    tree.update(menu(process(1)), 2.0)
    assert "Over: Warning: x" in labels(tree)
    tree.update(menu(process(1), extra=[alert("x")]), 3.0)
    assert "Warning: x" in labels(tree)
    assert row_of(tree, "alert x") == row


def test_a_process_whose_gpu_comes_back_can_be_clicked_again():
    """What was shut with the row opens with it."""
    tree = served(process(1, act=print))
    opened_by(tree, "lxqt")
    end = row_of(tree, "gpu/1/end")
    tree.update([entry for entry in menu() if entry.key != "gpu"], 2.0)
    assert tree.click_handler(end) is None
    tree.update(menu(process(1, act=print)), 3.0)
    assert tree.click_handler(end) is print


def test_a_process_that_moved_to_another_submenu_is_not_called_ended():
    """Only what has ceased is said to have ceased; its numbers run on in both places."""
    tree = served(process(1))
    opened_by(tree, "lxqt")
    elsewhere = MenuEntry("gpu/more/1", "PID 1 · 5 min", subject="process 1", gone="Ended")
    tree.update(menu(MenuEntry("gpu/more", "… 1 more", children=(elsewhere,))), 2.0)
    assert gpu_labels(tree) == ["PID 1 · 5 min", "… 1 more"]


def test_a_list_is_not_called_empty_beside_a_row():
    """The placeholder keeps its place, and says that it is over."""
    tree = served(NONE)
    opened_by(tree, "lxqt")
    tree.update(menu(process(1)), 2.0)
    assert gpu_labels(tree) == ["Until now: no processes", "PID 1"]
    tree.update(menu(NONE), 3.0)
    assert gpu_labels(tree) == ["no processes", "Ended: PID 1"]


# --- hosts that say little --------------------------------------------------------------------------------


def test_a_host_that_only_asks_gets_its_menu_in_order_after_a_while():
    """The tree says when to look again."""
    tree = MenuTree()
    tree.update(menu(process(1)), 0.0)
    opened_by(tree, "xfce", 10.0)
    tree.update(menu(process(1), extra=[alert()]), 11.0)
    assert "Warning: x" not in labels(tree)
    assert tree.next_refresh(12.0) == 10.0 + ASSUMED_OPEN
    assert tree.refresh(10.0 + ASSUMED_OPEN).layouts == [ROOT]
    assert "Warning: x" in labels(tree)
    assert tree.next_refresh(10.0 + ASSUMED_OPEN) is None


def test_a_silent_host_keeps_an_ended_process_for_the_hold():
    """Where nobody tells whether the menu is open, it may be."""
    tree = MenuTree()
    tree.update(menu(process(1), process(2), process(3)), 0.0)
    tree.update(menu(process(1), process(3)), 5.0)
    assert gpu_labels(tree) == ["PID 1", "Ended: PID 2", "PID 3"]
    assert tree.next_refresh(6.0) == 5.0 + LINGER_SECONDS
    tree.refresh(5.0 + LINGER_SECONDS)
    assert gpu_labels(tree) == ["PID 1", "PID 3"]
    assert tree.next_refresh(6.0 + LINGER_SECONDS) is None


def test_a_new_host_starts_without_the_habits_of_the_last():
    """What the dead panel had open is closed, and whether the new one tells is not known."""
    tree = served(process(1))
    opened_by(tree, "lxqt")
    tree.new_host()
    assert tree.next_refresh(0.2) is None
    tree.update(menu(NONE), 2.0)
    assert gpu_labels(tree) == ["Ended: PID 1", "no processes"]
    assert tree.next_refresh(3.0) == 2.0 + LINGER_SECONDS


def test_a_click_on_a_disabled_or_spare_row_does_nothing():
    """Only a live, enabled row with something to do is clickable."""
    tree = MenuTree()
    act = MenuEntry("act", "Act", activate=print)
    tree.update([act, MenuEntry("off", "Off", enabled=False, activate=print), MenuEntry("text", "Text")], 0.0)
    assert tree.click_handler(row_of(tree, "act")) is print
    others = [row for row in tree.nodes if row not in {ROOT, row_of(tree, "act")}]
    assert [tree.click_handler(row) for row in others] == [None] * len(others)


def test_a_tick_is_one_from_the_first_and_changes_by_its_state_alone():
    """Qt's hosts take the type from a row's first properties: only the state changes, on the same row."""
    tree = served(extra=(MenuEntry("tick", "Start at login", ticked=False),))
    row = row_of(tree, "tick")
    properties = tree.nodes[row].properties
    assert (properties["toggle-type"], properties["toggle-state"]) == ("checkmark", 0)
    change = tree.update(menu(extra=(MenuEntry("tick", "Start at login", ticked=True),)), 1.0)
    assert (change.updated, change.layouts) == ({row: {"toggle-state": 1}}, [])
    assert "toggle-type" not in tree.nodes[row_of(tree, "quit")].properties
