"""The menu as a host sees it: ids, changes, and what holds still under a hand."""

from __future__ import annotations

import re

import pytest

from gpuwatch_tray.tray.backends.menu_host import AFTER_CLOSING, ASSUMED_OPEN, ROOT
from gpuwatch_tray.tray.backends.menu_plan import MAX_ROWS
from gpuwatch_tray.tray.backends.menu_tree import AFTER_FOLDING, LINGER_SECONDS, MenuTree
from gpuwatch_tray.tray.backends.nodes import SPARES_FOR_SUBJECTS, MenuEntry, NodeKind, escape_for_gnome
from gpuwatch_tray.tray.menu.row import LazyRows


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


def on_screen(*processes, **more):
    """Return a tree whose root a host that reports has open; it has made all lists."""
    tree = served(*processes, **more)
    opened_by(tree, "lxqt")
    return tree


def silent(*processes, **more):
    """Return a tree of a host that reports nothing."""
    tree = MenuTree()
    tree.update(menu(*processes, **more), 0.0)
    return tree


def show(tree, key, at):
    """Ask for a list and report it open, as lxqt-panel does."""
    row = row_of(tree, key)
    answer = tree.about_to_show(row, at)
    tree.opened(row, at)
    return answer


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
    for tree in (silent(process(1)), on_screen(process(1))):
        revision = tree.revision
        change = tree.update(menu(process(1, "PID 1 · 5 min"), headline="hot"), 2.0)
        assert change.updated == {
            row_of(tree, "status"): {"label": "hot"},
            row_of(tree, "gpu/1"): {"label": "PID 1 · 5 min"},
        }
        assert not change.layouts
        assert tree.revision == revision


def test_a_new_row_is_a_layout_change_of_its_parent_only():
    """The submenu that grew is named, with a new revision, and the new row needs no property signal."""
    tree = silent(process(1))
    revision = tree.revision
    change = tree.update(menu(process(1), process(2)), 1.0)
    assert change.layouts == [row_of(tree, "gpu")]
    assert not change.updated
    assert tree.revision == revision + 1


def test_an_id_is_never_given_to_another_row():
    """A process that ends takes its id with it, and one that comes back gets a new one."""
    tree = silent(process(1))
    first = row_of(tree, "gpu/1")
    tree.update(menu(process(2)), 1.0)
    tree.update(menu(process(2)), 1.0 + LINGER_SECONDS)
    assert first not in tree.nodes
    tree.update(menu(process(1), process(2)), 100.0)
    assert row_of(tree, "gpu/1") > row_of(tree, "gpu/2") > first


# --- nobody looks -----------------------------------------------------------------------------------------


def test_a_menu_that_is_known_to_be_closed_sends_nothing():
    """Whatever changes: what has changed in between goes out when it opens."""
    tree = served(process(1))
    tree.refresh(5.0)
    for second in range(6, 60):
        held = [process(second), process(second + 1)]
        assert not tree.update(menu(*held, headline=f"at {second}"), float(second))
    change = tree.root_opened(60.0, reported=True)
    assert change.updated[row_of(tree, "status")] == {"label": "at 59"}
    assert change.layouts == [row_of(tree, "gpu")]
    assert gpu_labels(tree) == ["PID 59", "PID 60"]


def test_lists_are_forgotten_some_time_after_the_menu_has_closed():
    """One row stays in each; until then a click that comes after the closing finds its row."""
    tree = on_screen(process(1, act=print))
    end = row_of(tree, "gpu/1/end")
    tree.closed(ROOT, 5.0)
    tree.update(menu(process(1, act=print)), 5.5)
    assert tree.click_handler(end, 5.6) is print
    assert tree.next_refresh(5.6) == 5.0 + AFTER_CLOSING
    assert not tree.refresh(5.0 + AFTER_CLOSING)
    assert end not in tree.nodes
    assert gpu_labels(tree) == ["…"]
    assert len(tree.nodes) == 1 + 4 + 1


# --- a machine with hundreds of processes -----------------------------------------------------------------


def crowd(gpus=8, count=100):
    """Return a menu of many GPUs, each of which has many processes with two rows below each."""
    details = MenuEntry("details", "Show details…", activate=print)
    lists = [
        MenuEntry(f"g{gpu}", f"GPU {gpu}", children=tuple(process(f"{gpu}-{n}") for n in range(count)))
        for gpu in range(gpus)
    ]
    return [*lists, details]


@pytest.mark.parametrize("reports", [False, True])
def test_few_rows_are_served_whatever_the_machine_holds(reports):
    """Before anything is opened, with the root open, and with a list open that itself is within the bound."""
    tree = MenuTree()
    tree.update(crowd(count=12), 0.0)
    assert len(tree.nodes) <= 1 + MAX_ROWS
    tree.root_opened(1.0, reported=reports)
    assert len(tree.nodes) <= 1 + MAX_ROWS
    for key in ("g0", "gpu/0-0", "g7", "gpu/7-11"):
        show(tree, key, 2.0)
        assert len(tree.nodes) <= 1 + MAX_ROWS
        assert "…" not in labels(tree, row_of(tree, key))


def test_what_is_not_made_leads_to_the_details():
    """On a host that never asks for a list the one row in it is of use."""
    tree = MenuTree()
    tree.update(crowd(), 0.0)
    list_ = row_of(tree, "g7")
    assert labels(tree, list_) == ["Show details…"]
    (row,) = tree.nodes[list_].children
    assert tree.click_handler(row, 1.0) is print


def test_a_list_is_made_when_it_is_asked_for_and_the_host_fetches_it():
    """Also one that does not fit beside those that were made before, which are given up."""
    tree = MenuTree()
    tree.update(crowd(2, 60), 0.0)
    tree.root_opened(1.0, reported=True)
    assert labels(tree, row_of(tree, "g1")) == ["Show details…"]
    change, stale = tree.about_to_show(row_of(tree, "g1"), 2.0)
    assert (stale, change.layouts) == (True, [])
    assert labels(tree, row_of(tree, "g1"))[0] == "PID 1-0"


def test_a_list_made_at_its_opening_is_signalled_unless_it_is_asked_for():
    """A host that reports the opening and does not ask learns of it a little later."""
    tree = MenuTree()
    tree.update(crowd(2, 60), 0.0)
    tree.root_opened(1.0, reported=True)
    row = row_of(tree, "g1")
    assert not tree.opened(row, 2.0).layouts
    assert tree.remind(row).layouts == [row]
    assert not tree.remind(row).layouts
    assert labels(tree, row)[0] == "PID 1-0"


def test_a_host_that_never_moves_a_row_gets_a_list_in_order():
    """GNOME: where some rows go and others come, those behind the first difference are new ones."""
    tree = served(extra=[MenuEntry(key, key.upper()) for key in "abc"])
    tree.refresh(5.0)
    before = {key: row_of(tree, key) for key in ("status", "a", "b", "c")}
    tree.update(menu(extra=[MenuEntry(key, key.upper()) for key in "acx"]), 6.0)
    assert row_of(tree, "status") == before["status"]
    assert row_of(tree, "a") == before["a"]
    assert row_of(tree, "c") > max(before.values())


def test_where_a_host_unfolds_lists_the_rows_beside_an_open_one_give_way():
    """GNOME gives no height to what does not fit: the upper lists are folded first, and come back."""
    tree = MenuTree()
    tree.unfolds = True
    tree.update(crowd(3, 18), 0.0)
    tree.root_opened(1.0, reported=True)
    show(tree, "g0", 2.0)
    assert len(labels(tree, row_of(tree, "g0"))) == 18
    first, second = row_of(tree, "gpu/0-0"), row_of(tree, "gpu/0-1")
    show(tree, "gpu/0-1", 3.0)
    assert labels(tree, row_of(tree, "g0")) == ["PID 0-1"]
    end = row_of(tree, "gpu/0-1/end")
    assert tree.nodes[end].properties.get("visible", True)
    assert len(labels(tree)) == 4  # the root's rows stay
    change = tree.closed(second, 4.0)
    assert change.updated[first] == {"visible": True}
    assert len(labels(tree, row_of(tree, "g0"))) == 18


def test_a_click_is_nobodys_while_rows_have_just_moved_away():
    """The hand may have aimed at what stood there before."""
    tree = MenuTree()
    tree.unfolds = True
    tree.update(crowd(3, 18), 0.0)
    tree.root_opened(1.0, reported=True)
    show(tree, "g0", 2.0)
    show(tree, "gpu/0-1", 3.0)
    details = row_of(tree, "details")
    assert tree.click_handler(details, 3.0 + AFTER_FOLDING / 2) is None
    assert tree.click_handler(details, 3.0 + AFTER_FOLDING) is print


def test_what_is_moved_to_where_it_has_no_row_is_not_called_ended():
    """A row that stands for many knows their subjects."""
    tree = on_screen(process(1), process(2))
    show(tree, "gpu", 2.0)
    more = MenuEntry("gpu/more", "… 1 more", children=LazyRows(list), covers=("process 1",))
    tree.update(menu(process(2), more), 3.0)
    assert gpu_labels(tree)[:2] == ["PID 1", "PID 2"]


def test_a_host_that_fetches_everything_and_never_asks_gets_one_signal_a_poll():
    """However many lists have changed; and none where none has."""
    tree = MenuTree()
    tree.fetches_whole = True
    tree.update(crowd(3, 5), 0.0)
    for second, count in enumerate((6, 6, 7, 5, 5), start=1):
        before = tree.revision
        change = tree.update(crowd(3, count), float(second))
        assert change.layouts == ([ROOT] if tree.revision > before else [])
    assert labels(tree, row_of(tree, "g2"))[:5] == [f"PID 2-{n}" for n in range(5)]


# --- labels and kinds -------------------------------------------------------------------------------------


def test_underscores_are_doubled_so_that_none_becomes_a_mnemonic():
    """`a_b` is shown as `a_b`."""
    assert gpu_labels(silent(process(1, "batch_size__x"))) == ["batch__size____x"]


@pytest.mark.parametrize(
    ("written", "escaped"),
    [
        ("TO_EMAIL: add TO_EMAIL", "TO__EMAIL: add TO_EMAIL"),
        ("a__b_c", "a___b_c"),
        ("_x", "__x"),
        ("a_", "a_"),
        ("plain", "plain"),
    ],
)
def test_on_gnome_one_underscore_is_doubled(written, escaped):
    """It takes one out of the label, before the first other character, and no more."""
    assert escape_for_gnome(written) == escaped
    assert re.sub(r"_([^_])", r"\1", escaped, count=1) == written


def test_a_row_that_becomes_a_submenu_is_another_row_for_the_host():
    """Qt's hosts take that from a row's first properties only."""
    tree = silent(extra=[MenuEntry("a", "A")])
    plain = row_of(tree, "a")
    change = tree.update(menu(extra=[MenuEntry("a", "A", children=(MenuEntry("b", "B"),))]), 1.0)
    assert ROOT in change.layouts
    assert row_of(tree, "a") != plain
    assert tree.nodes[row_of(tree, "a")].properties["children-display"] == "submenu"


def test_spare_rows_are_in_the_layout_of_a_shown_list_and_not_to_be_seen():
    """They come last, and each says whether it can be a submenu, before anybody needs it."""
    tree = on_screen(process(1))
    show(tree, "gpu", 2.0)
    below = tree.nodes[row_of(tree, "gpu")].children
    spares = [node for row in below if (node := tree.nodes[row]).entry is None]
    assert [spare.kind for spare in spares] == list(SPARES_FOR_SUBJECTS)
    assert all(spare.properties["visible"] is False for spare in spares)
    assert {"children-display" in spare.properties for spare in spares if spare.kind is NodeKind.PARENT} == {
        True
    }
    assert below[-len(spares) :] == [spare.id for spare in spares]


# --- something is open ------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["lxqt", "xfce"])
def test_an_ended_process_stays_as_ended_while_its_list_is_open(host):
    """Nothing slides under the pointer; the row says what happened, and nothing of it can be clicked."""
    tree = silent(process(1, act=print), process(2))
    opened_by(tree, host)
    show(tree, "gpu", 1.5)
    end = row_of(tree, "gpu/1/end")
    assert tree.click_handler(end, 9.0) is print
    change = tree.update(menu(process(2)), 2.0)
    assert gpu_labels(tree) == ["Ended: PID 1", "PID 2"]
    assert not change.layouts
    assert tree.click_handler(end, 9.0) is None
    assert tree.nodes[end].properties["enabled"] is False
    tree.closed(row_of(tree, "gpu"), 2.5)
    tree.closed(ROOT, 2.5)
    opened_by(tree, host, 10.0)
    assert gpu_labels(tree) == ["PID 2"]
    assert end not in tree.nodes


def test_an_ended_row_is_no_wider_than_it_was():
    """An open menu does not grow wider: the end of a long line gives way."""
    tree = on_screen(process(1, "PID 1 · " + "x" * 60))
    tree.update(menu(), 2.0)
    (label,) = gpu_labels(tree)
    assert label.startswith("Ended: PID 1 · xxx")
    assert label.endswith("x…")
    # the mark of what is cut is wider than a letter
    assert len(label) == len("PID 1 · " + "x" * 60) - 2


def test_new_rows_take_spare_ones_at_the_end_of_a_list_that_can_grow():
    """lxqt-panel: properties only, and no row has moved; at the next opening all are in order."""
    tree = on_screen(process(2))
    show(tree, "gpu", 1.5)
    before = layout(tree)
    change = tree.update(menu(process(1), process(2)), 2.0)
    assert gpu_labels(tree) == ["PID 2", "PID 1"]
    assert not change.layouts
    new = row_of(tree, "gpu/1")
    assert change.updated[new] == {"label": "PID 1", "enabled": True, "visible": True}
    assert {row: layout(tree)[row] for row in before if row != new} == {
        row: children for row, children in before.items() if row != new
    }
    tree.closed(ROOT, 3.0)
    opened_by(tree, "lxqt", 10.0)
    assert gpu_labels(tree) == ["PID 1", "PID 2"]


def test_a_new_row_of_the_root_waits_for_the_next_opening():
    """All that is urgent has a row there; an open menu does not change its height."""
    tree = on_screen(process(1))
    change = tree.update(menu(process(1), extra=[alert("x")]), 2.0)
    assert not change.layouts
    assert labels(tree) == ["fine", "GPU 0", "-", "Quit"]
    tree.closed(ROOT, 3.0)
    opened_by(tree, "lxqt", 10.0)
    assert labels(tree) == ["fine", "GPU 0", "Warning: x", "-", "Quit"]


def test_a_new_row_comes_behind_all_that_came_before_it():
    """Rows of both kinds in any order: none is put in front of one that is already seen."""
    text = MenuEntry("gpu/trouble", "processes unknown")
    tree = on_screen(process(1))
    show(tree, "gpu", 1.5)
    tree.update(menu(text, process(1)), 2.0)
    tree.update(menu(text, process(0), process(1)), 3.0)
    assert gpu_labels(tree) == ["PID 1", "processes unknown"]  # the spare submenus stand in front of it
    tree.update(menu(process(0), process(1)), 4.0)
    assert gpu_labels(tree) == ["PID 1", "Over: processes unknown"]


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
    """A fourth new process within one opening is shown at the next; nothing closes for it."""
    tree = on_screen(process(1))
    show(tree, "gpu", 1.5)
    many = [process(number) for number in range(1, 8)]
    assert not tree.update(menu(*many), 2.0).layouts
    assert gpu_labels(tree) == ["PID 1", "PID 2", "PID 3", "PID 4"]
    tree.closed(ROOT, 3.0)
    opened_by(tree, "lxqt", 10.0)
    assert len(gpu_labels(tree)) == 7


def test_a_submenu_that_is_asked_for_is_put_in_order_without_a_signal():
    """It is not on the screen yet; the host fetches it at the answer."""
    tree = on_screen(process(1), process(5))
    gpu = row_of(tree, "gpu")
    tree.update(menu(process(3), process(5)), 2.0)
    assert gpu_labels(tree) == ["Ended: PID 1", "PID 5"]
    revision = tree.revision
    change, stale = tree.about_to_show(gpu, 3.0)
    assert (stale, change.layouts) == (True, [])
    assert tree.revision == revision + 1
    assert gpu_labels(tree) == ["PID 3", "PID 5"]
    tree.opened(gpu, 3.1)
    tree.update(menu(process(5)), 4.0)
    tree.about_to_show(gpu, 4.1)  # another program's question
    assert gpu_labels(tree) == ["Ended: PID 3", "PID 5"]  # on the screen


def test_a_new_rows_own_submenu_is_there_when_it_is_asked_for():
    """A process that came while its list was open has its details."""
    tree = on_screen(process(1))
    show(tree, "gpu", 1.5)
    tree.update(menu(process(1), process(2)), 2.0)
    new = row_of(tree, "gpu/2")
    assert labels(tree, new) == ["End process…", "Folder: /"]  # GNOME opens no empty list
    assert tree.about_to_show(new, 2.5)[1]
    assert labels(tree, new) == ["End process…", "Folder: /"]


def test_a_row_that_was_shut_comes_back_in_its_place():
    """An alert that fires again within one opening is the same row."""
    tree = on_screen(process(1), extra=[alert("x")])
    row = row_of(tree, "alert x")
    tree.update(menu(process(1)), 2.0)
    assert "Over: Warning: x" in labels(tree)
    tree.update(menu(process(1), extra=[alert("x")]), 3.0)
    assert "Warning: x" in labels(tree)
    assert row_of(tree, "alert x") == row


def test_a_process_whose_gpu_comes_back_can_be_clicked_again():
    """What was shut with the row opens with it."""
    tree = on_screen(process(1, act=print))
    end = row_of(tree, "gpu/1/end")
    tree.update([entry for entry in menu() if entry.key != "gpu"], 2.0)
    assert tree.click_handler(end, 9.0) is None
    tree.update(menu(process(1, act=print)), 3.0)
    assert tree.click_handler(end, 9.0) is print


def test_a_process_that_moved_to_another_submenu_is_not_called_ended():
    """Only what has ceased is said to have ceased; its numbers run on in both places."""
    tree = on_screen(process(1))
    show(tree, "gpu", 1.5)
    elsewhere = MenuEntry("gpu/more/1", "PID 1 · 5 min", subject="process 1", gone="Ended")
    tree.update(menu(MenuEntry("gpu/more", "… 1 more", children=(elsewhere,))), 2.0)
    assert gpu_labels(tree) == ["PID 1 · 5 min", "… 1 more"]


def test_a_list_is_not_called_empty_beside_a_row():
    """The placeholder keeps its place, and says that it is over."""
    tree = on_screen(NONE)
    show(tree, "gpu", 1.5)
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
    tree = on_screen(process(1))
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
    assert tree.click_handler(row_of(tree, "act"), 9.0) is print
    others = [row for row in tree.nodes if row not in {ROOT, row_of(tree, "act")}]
    assert [tree.click_handler(row, 9.0) for row in others] == [None] * len(others)


def test_a_tick_is_one_from_the_first_and_changes_by_its_state_alone():
    """Qt's hosts take the type from a row's first properties: only the state changes, on the same row."""
    tree = silent(extra=(MenuEntry("tick", "Start at login", ticked=False),))
    row = row_of(tree, "tick")
    properties = tree.nodes[row].properties
    assert (properties["toggle-type"], properties["toggle-state"]) == ("checkmark", 0)
    change = tree.update(menu(extra=(MenuEntry("tick", "Start at login", ticked=True),)), 1.0)
    assert (change.updated, change.layouts) == ({row: {"toggle-state": 1}}, [])
    assert "toggle-type" not in tree.nodes[row_of(tree, "quit")].properties
