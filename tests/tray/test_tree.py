"""The menu as a host sees it: ids, changes, and what holds still under a hand."""

from __future__ import annotations

from functools import partial

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gpuwatch_tray.tray.tree import HOLD, LONGEST, ROOT, Entry, MenuTree


def process(name, label=None):
    return Entry(f"gpu/{name}", label or f"PID {name}", subject=f"process {name}", gone="Ended")


NONE = Entry("gpu/none", "no processes", enabled=False, gone="Until now", filler=True)


def alert(name="x"):
    return Entry(f"alert {name}", f"Warning: {name}", enabled=False, urgent=True)


def menu(*processes, headline="fine", extra=()):
    return [
        Entry("status", headline, enabled=False, urgent=True),
        Entry("gpu", "GPU 0", children=tuple(processes)),
        *extra,
        Entry("line"),
        Entry("quit", "Quit"),
    ]


def labels(tree, row=ROOT):
    return [tree.nodes[child].properties.get("label", "-") for child in tree.nodes[row].children]


def row_of(tree, key):
    (row,) = [node.id for node in tree.nodes.values() if node.entry.key == key]
    return row


def gpu_labels(tree):
    return labels(tree, row_of(tree, "gpu"))


def test_the_same_rows_again_change_nothing():
    """An idle menu has nothing to tell, and its revision stands."""
    tree = MenuTree()
    assert tree.update(menu(process(1)), 0.0)
    revision = tree.revision
    assert not tree.update(menu(process(1)), 5.0)
    assert tree.revision == revision


def test_a_text_change_touches_the_property_only():
    """No layout signal, no new revision: an open menu stays open."""
    tree = MenuTree()
    tree.update(menu(process(1)), 0.0)
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
    tree = MenuTree()
    tree.update(menu(process(1)), 0.0)
    revision = tree.revision
    change = tree.update(menu(process(1), process(2)), 1.0)
    assert change.layouts == [row_of(tree, "gpu")]
    assert not change.updated
    assert tree.revision == revision + 1


def test_an_id_is_never_given_to_another_row():
    """A process that ends takes its id with it, and one that comes back gets a new one."""
    tree = MenuTree()
    tree.opened(ROOT, 0.0)
    tree.closed(ROOT)  # a host that tells
    tree.update(menu(process(1)), 0.0)
    first = row_of(tree, "gpu/1")
    tree.update(menu(process(2)), 1.0)
    assert first not in tree.nodes
    tree.update(menu(process(1), process(2)), 2.0)
    assert row_of(tree, "gpu/1") > row_of(tree, "gpu/2") > first


def test_underscores_are_doubled_so_that_none_becomes_a_mnemonic():
    """`a_b` is shown as `a_b`."""
    tree = MenuTree()
    tree.update(menu(process(1, "batch_size__x")), 0.0)
    assert gpu_labels(tree) == ["batch__size____x"]


def test_an_ended_process_stays_as_ended_while_the_menu_is_open():
    """Nothing slides under the pointer; the row says what happened and cannot be clicked."""
    tree = MenuTree()
    tree.update(menu(process(1), process(2)), 0.0)
    tree.opened(ROOT, 1.0)
    change = tree.update(menu(process(2)), 2.0)
    assert gpu_labels(tree) == ["Ended: PID 1", "PID 2"]
    assert not change.layouts
    tree.closed(ROOT)
    tree.update(menu(process(2)), 3.0)
    assert gpu_labels(tree) == ["PID 2"]


def test_new_rows_wait_while_their_own_list_is_on_the_screen():
    """A GPU that comes while the menu is open is shown once it has closed."""
    tree = MenuTree()
    tree.update(menu(), 0.0)
    tree.opened(ROOT, 1.0)
    more = Entry("gpu 1", "GPU 1")
    tree.update(menu(extra=[more]), 2.0)
    assert labels(tree) == ["fine", "GPU 0", "-", "Quit"]
    tree.closed(ROOT)
    tree.update(menu(extra=[more]), 3.0)
    assert labels(tree) == ["fine", "GPU 0", "GPU 1", "-", "Quit"]


def test_an_urgent_row_waits_for_nothing():
    """An alert comes into an open menu at its place, and an ended process still keeps its own."""
    tree = MenuTree()
    tree.update(menu(process(1), process(2)), 0.0)
    tree.opened(ROOT, 1.0)
    change = tree.update(menu(process(2), process(3), extra=[alert("x"), alert("y")]), 2.0)
    assert labels(tree) == ["fine", "GPU 0", "Warning: x", "Warning: y", "-", "Quit"]
    assert gpu_labels(tree) == ["Ended: PID 1", "PID 2", "PID 3"]
    assert sorted(change.layouts) == sorted([ROOT, row_of(tree, "gpu")])
    tree.update(menu(process(2), process(3), extra=[alert("a"), alert("y")]), 3.0)
    assert labels(tree) == ["fine", "GPU 0", "Warning: a", "Over: Warning: x", "Warning: y", "-", "Quit"]


def test_a_host_that_never_tells_of_closing_gets_the_plain_menu_when_it_opens_it_again():
    """What an opening held back is there at the next one, and nothing of what is over."""
    tree = MenuTree()
    tree.update(menu(process(5)), 0.0)
    tree.shown_anew(menu(process(5)), 4.0, sure=False)
    late = [*menu(process(3), extra=[Entry("gpu 1", "GPU 1")])]
    tree.update(late, 6.0)
    assert gpu_labels(tree) == ["Ended: PID 5", "PID 3"]
    change = tree.shown_anew(late, 18.0, sure=False)
    assert sorted(change.layouts) == sorted([ROOT, row_of(tree, "gpu")])
    assert gpu_labels(tree) == ["PID 3"]
    assert labels(tree) == ["fine", "GPU 0", "GPU 1", "-", "Quit"]
    assert tree.is_open(18.0)
    assert not tree.shown_anew(late, 18.1)


def test_a_list_is_not_called_empty_beside_a_row():
    """With the first process the placeholder goes; while the process waits, it says that it is over."""
    tree = MenuTree()
    tree.update(menu(NONE), 0.0)
    tree.opened(ROOT, 1.0)
    tree.update(menu(process(1)), 2.0)
    assert gpu_labels(tree) == ["PID 1"]
    tree.update(menu(NONE), 3.0)
    assert gpu_labels(tree) == ["Ended: PID 1", "no processes"]
    tree.opened(row_of(tree, "gpu"), 4.0)
    tree.update(menu(process(2)), 5.0)
    assert gpu_labels(tree) == ["Ended: PID 1", "Until now: no processes"]


def test_new_processes_come_last_in_a_submenu_that_is_not_shown_yet():
    """With the menu open, the submenu that is opened next is up to date and its old rows did not move."""
    tree = MenuTree()
    tree.update(menu(process(5)), 0.0)
    tree.opened(ROOT, 1.0)
    tree.update(menu(process(3), process(5)), 2.0)
    assert gpu_labels(tree) == ["PID 5", "PID 3"]
    tree.opened(row_of(tree, "gpu"), 3.0)
    tree.update(menu(process(3), process(5), process(6)), 4.0)
    assert gpu_labels(tree) == ["PID 5", "PID 3"]


def test_a_host_that_never_tells_of_closing_gets_its_menu_after_the_hold():
    """A lost "closed" does not freeze the menu for good, and the tree says when to look again."""
    tree = MenuTree()
    tree.update(menu(process(1)), 0.0)
    tree.opened(ROOT, 10.0, sure=False)
    tree.update(menu(), 11.0)
    assert tree.settles(12.0) == 10.0 + HOLD
    tree.update(menu(), 11.0 + HOLD)
    assert gpu_labels(tree) == []
    assert tree.settles(11.0 + HOLD) is None


def test_a_silent_host_keeps_an_ended_process_for_the_hold():
    """Where nobody tells whether the menu is open, it may be."""
    tree = MenuTree()
    tree.update(menu(process(1), process(2)), 0.0)
    tree.update(menu(process(2)), 5.0)
    assert gpu_labels(tree) == ["Ended: PID 1", "PID 2"]
    assert tree.settles(6.0) == 5.0 + HOLD
    tree.update(menu(process(2)), 5.0 + HOLD)
    assert gpu_labels(tree) == ["PID 2"]


def test_a_host_that_tells_of_openings_only_keeps_nothing_long_after_the_last():
    """xfce4-panel tells when its menu opens: a process that ends much later is just gone."""
    tree = MenuTree()
    tree.update(menu(process(1), process(2)), 0.0)
    tree.opened(ROOT, 1.0, sure=False)
    tree.update(menu(process(2)), 100.0)
    assert gpu_labels(tree) == ["Ended: PID 1", "PID 2"]
    tree.update(menu(), 1.0 + LONGEST)
    assert gpu_labels(tree) == []


def test_a_new_host_starts_without_the_habits_of_the_last():
    """What the dead panel had open is closed, and whether the new one tells is not known."""
    tree = MenuTree()
    tree.opened(ROOT, 0.0)
    tree.new_host()
    assert not tree.is_open(0.1)
    tree.update(menu(process(1)), 0.2)
    tree.update(menu(), 0.3)
    assert gpu_labels(tree) == ["Ended: PID 1"]


def test_a_process_that_moved_to_another_submenu_is_not_called_ended():
    """Only what has ceased is said to have ceased."""
    tree = MenuTree()
    tree.update(menu(process(1)), 0.0)
    tree.opened(ROOT, 1.0)
    elsewhere = Entry("gpu/more/1", "PID 1", subject="process 1", gone="Ended")
    tree.update(menu(Entry("gpu/more", "… 1 more", children=(elsewhere,))), 2.0)
    assert gpu_labels(tree) == ["PID 1", "… 1 more"]


def test_a_click_on_an_ended_or_disabled_row_does_nothing():
    """Only a live, enabled row with something to do is clickable."""
    done = []
    tree = MenuTree()
    act = Entry("act", "Act", activate=lambda: done.append(1), subject="x")
    tree.update([act, Entry("off", "Off", enabled=False, activate=lambda: done.append(2))], 0.0)
    assert tree.clickable(row_of(tree, "off")) is None
    activate = tree.clickable(row_of(tree, "act"))
    assert activate is not None
    tree.opened(ROOT, 0.5)
    row = row_of(tree, "act")
    tree.update([], 1.0)
    assert tree.clickable(row) is None


def test_a_row_that_gains_or_loses_its_submenu_says_so_by_its_properties():
    """`children-display` is set and taken away again."""
    tree = MenuTree()
    tree.update([Entry("a", "A")], 0.0)
    row = row_of(tree, "a")
    change = tree.update([Entry("a", "A", children=(Entry("b", "B"),))], 1.0)
    assert change.updated == {row: {"children-display": "submenu"}}
    change = tree.update([Entry("a", "A")], 2.0)
    assert change.removed == {row: ["children-display"]}


class Hand(RuleBasedStateMachine):
    """A menu whose processes and alerts come and go while a host opens and closes it at any time."""

    def __init__(self):
        super().__init__()
        self.tree = MenuTree()
        self.now = 0.0
        self.given: dict[int, str] = {}
        self.order: dict[int, list[int]] = {}
        self.alive: set[int] = set()
        self.alerts: set[int] = set()
        self.update()

    def entries(self):
        held = [process(pid) for pid in sorted(self.alive)] or [NONE]
        return menu(*held, extra=[alert(name) for name in sorted(self.alerts)])

    def children(self):
        return {row: list(node.children) for row, node in self.tree.nodes.items()}

    def take_over(self, step):
        before, revision = self.children(), self.tree.revision
        change = step(self.entries(), self.now)
        changed = before != self.children()
        assert bool(change.layouts) == changed
        assert (self.tree.revision != revision) == changed

    def update(self):
        self.take_over(self.tree.update)
        assert not self.tree.update(self.entries(), self.now)

    @rule(pids=st.sets(st.integers(1, 6)), alerts=st.sets(st.integers(1, 3)))
    def poll(self, pids, alerts):
        self.alive, self.alerts = pids, alerts
        self.update()

    @rule(seconds=st.sampled_from([0.1, 5.0, HOLD + 1]))
    def wait(self, seconds):
        self.now += seconds
        if seconds > HOLD:
            self.order.clear()
        self.update()

    @rule(sure=st.booleans())
    def open_the_root(self, sure):
        self.take_over(partial(self.tree.shown_anew, sure=sure))
        plain = MenuTree()
        plain.update(self.entries(), 0.0)
        assert labels(self.tree) == labels(plain)
        assert gpu_labels(self.tree) == gpu_labels(plain)
        self.order, self.opened_at = self.children(), self.now

    @rule(data=st.data())
    def open(self, data):
        row = data.draw(st.sampled_from(sorted(self.tree.nodes)))
        self.tree.opened(row, self.now)
        self.order, self.opened_at = self.children(), self.now

    @rule()
    def close(self):
        self.tree.closed(ROOT)
        self.order.clear()
        self.update()

    @rule()
    def panel_restarts(self):
        self.tree.new_host()
        self.order.clear()
        self.update()

    @invariant()
    def an_id_stands_for_one_key(self):
        for row, node in self.tree.nodes.items():
            assert self.given.setdefault(row, node.entry.key) == node.entry.key

    @invariant()
    def open_rows_keep_their_order(self):
        if self.order and self.now - self.opened_at < HOLD:
            for row, children in self.order.items():
                if row not in self.tree.nodes:
                    continue  # the placeholder
                fillers = [child for child in children if child not in self.tree.nodes]
                assert [self.given[child] for child in fillers] in ([], [NONE.key])
                former = [child for child in children if child not in fillers]
                now = self.tree.nodes[row].children
                assert [child for child in now if child in former] == former
                if row != ROOT and not fillers:
                    assert now[: len(former)] == former

    @invariant()
    def every_alert_is_shown_at_once(self):
        shown = [label for label in labels(self.tree) if label.startswith("Warning")]
        assert sorted(shown) == [f"Warning: {name}" for name in sorted(self.alerts)]

    @invariant()
    def every_live_process_is_shown_once_nothing_is_open(self):
        if not self.tree.is_open(self.now):
            shown = [label for label in gpu_labels(self.tree) if label.startswith("PID")]
            assert shown == [f"PID {pid}" for pid in sorted(self.alive)]

    @invariant()
    def no_dead_process_is_shown_as_alive(self):
        pids = {int(label.split()[1]) for label in gpu_labels(self.tree) if label.startswith("PID")}
        assert pids <= self.alive
        assert not (pids and any("no processes" in label for label in gpu_labels(self.tree)))


TestHand = Hand.TestCase
TestHand.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
