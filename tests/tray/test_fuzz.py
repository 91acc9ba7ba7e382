"""
A hand at the menu while everything changes: a click reaches what the row showed, or nothing.

Panels with the habits of the real ones open, close and click what they believe to see, late and with stale
ids, while processes come and go, PIDs are given anew, processes move between GPUs, and GPUs vanish.
"""

from __future__ import annotations

from typing import ClassVar

from dbus_fast import Variant  # the tests speak the protocol too
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gpuwatch_tray.tray.backends.menu_host import ASSUMED_OPEN, ASSUMED_OPEN_SUBMENU, ROOT
from gpuwatch_tray.tray.backends.menu_tree import LINGER_SECONDS
from gpuwatch_tray.tray.backends.nodes import MenuEntry
from tests.tray.panels import GNOME, GTK, LXQT, PLASMA, Habits, Loop, Menu, Panel

SHOWN = 3  # processes of a GPU before "… more"
GPUS = st.sampled_from([0, 1, 2])
PROCESSES = st.dictionaries(
    st.integers(1, 7), st.tuples(st.integers(1, 3), GPUS), max_size=7
)  # pid: (start, gpu)
CHANGES = {"Ended: ", "Over: ", "No data: ", "Until now: ", "Before: "}


def identity(label):
    """Return what a row is about, whatever its label: `PID 3@1`, `End 3@1`, `Ack a`."""
    for change in CHANGES:
        label = label.removeprefix(change)
    return label.split(" · ")[0]


class Hand(RuleBasedStateMachine):
    """One panel and one hand at one menu."""

    kinds: ClassVar[tuple[Habits, ...]] = (LXQT, PLASMA, GTK, GNOME)

    def __init__(self):
        super().__init__()
        self.loop = Loop()
        self.menu = Menu(self.loop)
        self.menu.on_layout = self.check_layout
        self.reached: list[str] = []
        self.meaning: dict[int, str] = {}  # of every id that was ever seen
        self.structures: dict[int, dict[int, list[int]]] = {}  # by revision
        self.seen: dict[int, list[int]] = {}  # the lists on the screen, as they were last looked at
        self.opening = False
        self.silent_too_long = False
        self.processes: dict[int, tuple[int, int]] = {}
        self.alerts: set[str] = set()
        self.notes: set[str] = set()
        self.gpus = {0, 1, 2}
        self.percent = 0
        self.panel: Panel | None = None

    # --- the model ------------------------------------------------------------------------------------

    def leaf(self, name, key):
        return MenuEntry(key, name, activate=lambda: self.reached.append(name))

    def process(self, parent, pid, start):
        key, name = f"{parent}/{pid}@{start}", f"{pid}@{start}"
        below = (self.leaf(f"End {name}", f"{key}/end"), MenuEntry(f"{key}/cwd", "Folder", enabled=False))
        label = f"PID {name} · {self.percent} MiB"
        return MenuEntry(key, label, children=below, subject=f"process {name}", gone="Ended")

    def gpu(self, index):
        key = f"gpu {index}"
        held = sorted((start, pid) for pid, (start, gpu) in self.processes.items() if gpu == index)
        rows = [self.process(key, pid, start) for start, pid in held[:SHOWN]]
        rest = [self.process(f"{key}/more", pid, start) for start, pid in held[SHOWN:]]
        if rest:
            label = f"… {len(rest)} more"
            rows.append(MenuEntry(f"{key}/more", label, children=tuple(rest), gone="Before"))
        none = MenuEntry(f"{key}/none", "no processes", enabled=False, gone="Until now", filler=True)
        children = tuple(rows) or (none,)
        return MenuEntry(key, f"GPU {index} · {self.percent} %", children=children, gone="No data")

    def entries(self):
        rows = [MenuEntry("status", f"Status · {self.percent}", enabled=False)]
        rows += [MenuEntry(f"note {one}", f"Note {one}", enabled=False) for one in sorted(self.notes)]
        rows += [self.gpu(index) for index in sorted(self.gpus)]
        rows += [MenuEntry("line:alerts")] if self.alerts else []
        for name in sorted(self.alerts):
            children = (self.leaf(f"Ack {name}", f"alert {name}/ack"),)
            rows.append(MenuEntry(f"alert {name}", f"Alert {name}", children=children))
        return [*rows, MenuEntry("line:quit"), self.leaf("Quit", "quit")]

    def can_be_done(self):
        """Return the actions that there are now, by the labels of their rows."""
        ends = {f"End {pid}@{start}" for pid, (start, gpu) in self.processes.items() if gpu in self.gpus}
        return ends | {f"Ack {name}" for name in self.alerts} | {"Quit"}

    def update(self, *, read=False):
        self.menu.update(self.entries())
        self.note_structure()
        if read:
            self.panel.deliver()

    # --- what happens ---------------------------------------------------------------------------------

    @initialize(data=st.data(), processes=PROCESSES)
    def start(self, data, processes):
        self.processes = processes
        self.update()
        self.panel = Panel(self.menu, data.draw(st.sampled_from(self.kinds)))

    @rule(processes=PROCESSES, alerts=st.sets(st.sampled_from("abc")), percent=st.integers(0, 100))
    def poll(self, processes, alerts, percent):
        self.processes, self.alerts, self.percent = processes, alerts, percent
        self.update()

    @rule(pid=st.integers(1, 7), start=st.integers(1, 3), gpu=GPUS)
    def one_process_changes(self, pid, start, gpu):
        """Start a process, reuse its PID, or move it."""
        self.processes = self.processes | {pid: (start, gpu)}
        self.update()

    @precondition(lambda self: self.processes)
    @rule(data=st.data(), read=st.booleans())
    def a_process_ends(self, data, read):
        gone = data.draw(st.sampled_from(sorted(self.processes)))
        self.processes = {pid: kept for pid, kept in self.processes.items() if pid != gone}
        self.update(read=read)

    @rule(notes=st.sets(st.sampled_from("xyz")), alerts=st.sets(st.sampled_from("abc")))
    def the_status_changes(self, notes, alerts):
        self.notes, self.alerts = notes, alerts
        self.update(read=True)

    @rule(gpus=st.sets(GPUS))
    def gpus_vanish_and_return(self, gpus):
        self.gpus = gpus
        self.update()

    @rule(seconds=st.sampled_from([0.05, 0.3, 2.0, ASSUMED_OPEN / 2, ASSUMED_OPEN + LINGER_SECONDS + 1]))
    def wait(self, seconds):
        for _ in range(10):
            self.loop.pass_(seconds / 10)
            self.silent_too_long = self.silent_too_long or self.lapsed()

    @rule()
    def read_the_signals(self):
        """Late or soon."""
        self.panel.deliver()

    @precondition(lambda self: not self.panel.displayed)
    @rule()
    def open_the_menu(self):
        self.opening = True
        self.panel.open(ROOT)
        self.opening, self.silent_too_long = False, False
        self.seen = {ROOT: self.panel.visible(ROOT)}

    @precondition(lambda self: not self.panel.displayed)
    @rule(data=st.data())
    def reach_for_a_process(self, data):
        """Down to what can be done to it."""
        self.open_the_menu()
        self.open_a_submenu(data, "GPU ")
        self.open_a_submenu(data, "PID ")

    @precondition(lambda self: self.panel.displayed)
    @rule(data=st.data())
    def open_a_submenu(self, data, kind=""):
        panel = self.panel
        choice = [
            row
            for parent in panel.displayed
            for row in panel.visible(parent)
            if panel.is_parent(row) and panel.shown[row].get("enabled", True) and row not in panel.displayed
            if panel.label(row).startswith(kind)
        ]
        if not choice:
            return
        row = data.draw(st.sampled_from(choice))
        parent = next(one for one in panel.displayed if row in panel.below.get(one, []))
        for other in panel.displayed[panel.displayed.index(parent) + 1 :][:1]:
            panel.close(other)
        panel.open(row)
        self.seen = {one: self.seen.get(one, []) for one in panel.displayed}
        self.seen[row] = panel.visible(row)

    @precondition(lambda self: self.panel.displayed and not self.panel.habits.reports_opening)
    @rule(data=st.data())
    def hover(self, data):
        panel = self.panel
        rows = [row for one in panel.displayed for row in panel.visible(one) if panel.is_parent(row)]
        if rows:
            panel.hover(data.draw(st.sampled_from(rows)))

    @precondition(lambda self: self.panel.displayed)
    @rule(whole=st.booleans())
    def close(self, whole):
        self.panel.close(ROOT if whole else self.panel.displayed[-1])

    @precondition(lambda self: self.panel.displayed)
    @rule(data=st.data())
    def click(self, data):
        """On what is to be seen, be it stale."""
        panel = self.panel
        choice = [row for one in panel.displayed for row in panel.visible(one) if not panel.is_parent(row)]
        if not choice:
            return
        row = data.draw(st.sampled_from(choice))
        label = panel.label(row)
        self.reached.clear()
        panel.click(row)
        assert self.reached in ([], [label])
        assert identity(label) == self.meaning.get(row, "")
        assert set(self.reached) <= self.can_be_done()
        # One that said nothing for so long counts as closed: its rows may be others by now, as it is told.
        assert self.reached or label != "Quit" or self.silent_too_long

    @rule(data=st.data(), kind=st.sampled_from(["clicked", "hovered"]))
    def a_stale_event(self, data, kind):
        """For any id that was ever seen, or never."""
        row = data.draw(st.sampled_from([*self.meaning, 0, -1, 10**6]))
        self.reached.clear()
        self.menu.ask("event_group", [[row, kind, Variant("i", 0), 0]])
        assert self.reached in ([], [self.meaning.get(row)])
        assert set(self.reached) <= self.can_be_done()
        assert not (kind == "hovered" and self.reached)

    @rule(row=st.integers(-1, 200), depth=st.integers(-1, 3))
    def somebody_reads(self, row, depth):
        """Another program looks at any row, and asks for it."""
        self.menu.ask("get_layout", row, depth, ["label"])
        self.menu.ask("get_group_properties", [row], [])
        self.menu.ask("get_property", row, "label")
        shown = row in self.menu.tree.nodes  # a question about a row that is gone says nothing of the menu
        if row != ROOT and self.menu.ask("about_to_show", row) is not None and shown:
            self.panel._record_message()

    @precondition(lambda self: not self.panel.displayed)
    @rule()
    def come_to_rest(self):
        """Once all has been closed, the panel's next view is the plain menu, list by list."""
        self.loop.pass_(ASSUMED_OPEN + LINGER_SECONDS + 1)
        self.open_the_menu()
        self.check_view(ROOT, self.entries())
        self.panel.close()

    # --- what must be true ----------------------------------------------------------------------------

    def check_layout(self, parent):
        """No LayoutUpdated names a list on the screen, and where that closes menus there is none at all."""
        panel = self.panel
        if panel is None or self.opening or not panel.displayed or self.lapsed() or self.silent_too_long:
            return
        assert not panel.habits.reports_opening
        assert parent not in panel.displayed

    def lapsed(self):
        """Whether a panel that does not tell of closing has been silent for too long."""
        longest = ASSUMED_OPEN if len(self.panel.displayed) < 2 else ASSUMED_OPEN_SUBMENU
        return not self.panel.habits.reports_opening and self.loop.now - self.panel.last_message >= longest

    def note_structure(self):
        now = {row: list(node.children) for row, node in self.menu.tree.nodes.items()}
        assert self.structures.setdefault(self.menu.tree.revision, now) == now

    @invariant()
    def an_id_has_one_meaning_for_ever(self):
        if self.panel is None:
            return
        self.note_structure()
        views = [(row, self.panel.label(row)) for row in self.panel.shown]
        for row, node in self.menu.tree.nodes.items():
            views.append((row, str(node.properties.get("label", ""))))
        for row, label in views:
            what = identity(label)
            if what and not what.startswith("…"):
                assert self.meaning.setdefault(row, what) == what

    @invariant()
    def rows_on_the_screen_keep_their_places(self):
        if self.panel is None:
            return
        for row in self.panel.displayed:
            now = self.panel.visible(row) if row in self.panel.below else []
            former = self.seen.get(row, now)
            if self.silent_too_long:
                former = now
            assert now[: len(former)] == former
            assert self.panel.habits.grows or now == former
            self.seen[row] = now

    def check_view(self, row, entries):
        """Check that the panel shows these rows, and each list of theirs once it is opened."""
        panel = self.panel
        shown = panel.visible(row)
        assert [panel.label(one) for one in shown] == [entry.label for entry in entries]
        for one, entry in zip(shown, entries, strict=True):
            assert panel.is_parent(one) is bool(entry.children)
            if entry.children:
                panel.open(one)
                self.check_view(one, entry.children)
                panel.close(one)


TestHand = Hand.TestCase
TestHand.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
