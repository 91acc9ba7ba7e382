"""
GNOME's AppIndicator extension, played by what it does with a layout (versions 46 and 59).

It makes a row anew whenever it is told of the row's type or children-display, with all that is below; it
never moves a row, and adds new rows before it takes the old ones away. What the shell took for a submenu
that goes it never gives back, some 20 KiB each.
"""

from __future__ import annotations

import pytest
from dbus_fast import Variant  # the tests speak the protocol too

from gpuwatch_tray.tray.backends.dbusmenu import GNOME
from gpuwatch_tray.tray.backends.menu_host import ROOT
from gpuwatch_tray.tray.backends.menu_plan import MAX_ROWS
from gpuwatch_tray.tray.backends.nodes import MenuEntry
from tests.tray.panels import Loop, Menu

KINDS = ["type", "children-display"]


class Extension:
    """The extension's model of the menu and what it draws: rows `remade`, and submenus `lost`."""

    def __init__(self, menu, caller=":1.7"):
        self.menu = menu
        self.menu._caller = lambda: self.caller
        self.caller = caller
        self.properties = {ROOT: {}}
        self.children = {ROOT: []}
        self.drawn = {ROOT: []}
        self.remade = []
        self.lost = []
        self.fetched = 0
        self.new = []

    def read(self):
        """Do what the signals ask for."""
        sent, self.menu.sent = self.menu.sent, []
        for kind, *values in sent:
            if kind == "properties":
                for row, changed in values[0].items():
                    self.properties.get(row, {}).update(changed)
        if any(kind == "layout" for kind, *_ in sent):
            self.fetch()

    def fetch(self):
        _revision, layout = self.menu.ask("get_layout", ROOT, -1, KINDS)
        self.fetched += 1
        self.new = []
        self._update(layout)
        known = self._reachable(ROOT)
        gone = [row for row in self.properties if row not in known]
        self.lost += [row for row in gone if self.properties[row].get("children-display") == "submenu"]
        self.properties = {row: values for row, values in self.properties.items() if row in known}
        for row, values in self.menu.ask("get_group_properties", self.new, []) if self.new else ():
            self._tell(row, values)

    def _update(self, layout):
        row, values, children = layout
        for child in children:
            self._update(child.value)
        below = [child.value[0] for child in children]
        if row not in self.properties:
            self.properties[row] = {name: value.value for name, value in values.items()}
            self.children[row], self.drawn[row] = below, list(below)
            self.new.append(row)
            return
        self._tell(row, values)
        former, drawn = self.children[row], self.drawn[row]
        for place, child in enumerate(below):
            if child not in former:
                drawn.insert(place, child)
        self.drawn[row] = [child for child in drawn if child in below]
        self.children[row] = below

    def _tell(self, row, values):
        self.remade += [row for name in values if name in KINDS and row != ROOT]
        self.properties[row].update({name: value.value for name, value in values.items()})

    def _reachable(self, row):
        return {row}.union(*(self._reachable(child) for child in self.children[row]))

    def start(self):
        self.fetch()
        self.menu.ask("about_to_show", ROOT)

    def open(self, row):
        self._event(row, "opened")
        if self.menu.ask("about_to_show", row):
            self.fetch()
        self.read()

    def close(self, *rows):
        for row in rows:
            self._event(row, "closed")
        self.read()

    def _event(self, row, kind):
        self.menu.ask("event", row, kind, Variant("i", 0), 0)
        self.read()

    def labels(self, row=ROOT):
        shown = [self.properties[child] for child in self.drawn[row]]
        return [one.get("label", "-") for one in shown if one.get("visible", True)]

    def row(self, label, below=ROOT):
        return next(
            one for one in self.drawn[below] if self.properties[one].get("label", "").startswith(label)
        )


def process(gpu, number, percent=0):
    key = f"gpu{gpu}/{number}"
    below = (MenuEntry(f"{key}/end", "End"), MenuEntry(f"{key}/copy", "Copy"))
    return MenuEntry(key, f"PID {number} · {percent} %", children=below, subject=key, gone="Ended")


def entries(processes, percent=0, gpus=2):
    lists = [
        MenuEntry(
            f"gpu{gpu}",
            f"GPU {gpu} · {percent} %",
            children=tuple(process(gpu, n, percent) for n in processes),
        )
        for gpu in range(gpus)
    ]
    return [MenuEntry("status", f"{percent} %"), *lists, MenuEntry("quit", "Quit")]


@pytest.fixture
def menu():
    menu = Menu(Loop())
    menu.new_host(GNOME)
    return menu


@pytest.fixture
def shell(menu):
    menu.update(entries(range(3)))
    shell = Extension(menu)
    shell.start()
    menu._loop.pass_(10)
    shell.read()
    return shell


def test_no_row_is_made_anew_while_the_menu_is_open(menu, shell):
    """An open list would fold, and of a large tree each row was made many times: that froze the shell."""
    shell.open(ROOT)
    gpu = shell.row("GPU 0")
    shell.open(gpu)
    one = shell.row("PID 1", gpu)
    shell.open(one)
    assert shell.labels(one)[-2:] == ["End", "Copy"]
    for second in range(30):
        menu.update(entries(range(second % 4), second))
        menu._loop.pass_(1)
        shell.read()
    shell.close(one)
    shell.open(shell.row("GPU 1"))
    assert shell.remade == []
    assert shell.row("GPU 0") == gpu


def test_a_closed_menu_costs_the_shell_nothing(menu, shell):
    """Numbers move and processes come and go for a minute: not one message, and then all is right at once."""
    before = shell.fetched
    for second in range(60):
        menu.update(entries(range(second, second + 3), second))
        menu._loop.pass_(1)
        assert menu.sent == []
    shell.open(ROOT)
    assert shell.labels() == ["59 %", "GPU 0 · 59 %", "GPU 1 · 59 %", "Quit"]
    assert shell.fetched == before
    shell.open(shell.row("GPU 0"))
    assert shell.labels(shell.row("GPU 0")) == [f"PID {n} · 59 %" for n in (59, 60, 61)]


def test_a_look_at_the_menu_takes_no_memory_of_the_shell(menu, shell):
    """No submenu comes and goes with it; of those in a list that is opened, each goes once."""
    for percent in range(5):
        menu.update(entries(range(3), percent))
        shell.open(ROOT)
        shell.close(ROOT)
        menu._loop.pass_(5)
        shell.read()
    assert shell.lost == []
    shell.open(ROOT)
    gpu = shell.row("GPU 0")
    shell.open(gpu)
    held = [row for row in shell.drawn[gpu] if shell.properties[row].get("children-display") == "submenu"]
    shell.close(gpu, ROOT)
    menu._loop.pass_(5)
    menu.update(entries(range(3)))
    shell.open(ROOT)
    assert sorted(shell.lost) == held


def test_rows_that_came_and_went_stand_in_the_right_order(menu, shell):
    """The extension never moves a row."""
    for number, processes in enumerate(([0, 1, 2], [0, 2, 7], [7, 2, 0], [5, 0], [0, 1, 5, 9], [9])):
        menu.update(entries(processes))
        shell.open(ROOT)
        for gpu in (0, 1):
            row = shell.row(f"GPU {gpu}")
            shell.open(row)
            assert [label.split()[1] for label in shell.labels(row)] == [str(n) for n in processes], number
            shell.close(row)
        shell.close(ROOT)
        menu._loop.pass_(0.5 if number % 2 else 5)


def test_a_new_client_in_the_same_shell_is_told_everything(menu, shell):
    """Whether or not a signal of ours was on its way: it knows nothing yet, and its lists must be lists."""
    for open_first in (False, True):
        if open_first:
            menu.ask(
                "event", ROOT, "opened", Variant("i", 0), 0
            )  # its LayoutUpdated reaches the old client only
            menu.sent.clear()
        other = Extension(menu, shell.caller)
        other.start()
        for gpu in ("GPU 0", "GPU 1"):
            assert other.properties[other.row(gpu)]["children-display"] == "submenu"


def test_eight_gpus_with_a_hundred_processes_are_few_rows(menu):
    """Closed, open, and with each list open in turn."""
    menu.update(entries(range(12), gpus=8))
    shell = Extension(menu)
    shell.start()
    assert len(shell.properties) <= MAX_ROWS + 1
    shell.open(ROOT)
    for gpu in range(8):
        row = shell.row(f"GPU {gpu}")
        shell.open(row)
        assert len(shell.properties) <= MAX_ROWS + 1
        assert len(shell.labels(row)) == 12
        one = shell.row("PID 11", row)
        shell.open(one)
        assert shell.labels(one)[-2:] == ["End", "Copy"]
        shell.close(one, row)
    assert shell.remade == []
