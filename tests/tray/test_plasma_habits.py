"""Plasma fetches a list ahead only when it is told to, and places it by the rows that it has by then."""

from __future__ import annotations

import pytest

from gpuwatch_tray.tray.backends.menu_host import ROOT
from gpuwatch_tray.tray.backends.nodes import MenuEntry
from tests.tray.panels import Loop, Menu

ENTRIES = [
    MenuEntry("gpu0", "GPU 0", children=(MenuEntry("a", "PID 1"),)),
    MenuEntry("gpu1", "GPU 1", children=(MenuEntry("b", "PID 2"),)),
    MenuEntry("quit", "Quit"),
]


@pytest.mark.parametrize(
    ("program", "told"), [("kded5", 2), ("kded6", 2), ("lxqt-panel", 0), ("gnome-shell", 0), ("", 0)]
)
def test_after_a_fetch_of_one_level_each_list_below_is_signalled_once(program, told):
    """For Plasma alone: lxqt-panel would clear each of those lists, also the open one."""
    menu = Menu(Loop())
    menu.new_host(program)
    menu.update(ENTRIES)
    menu.sent.clear()
    for expected in (told, 0):
        menu.ask("get_layout", ROOT, 1, [])
        parents = [parent for kind, *_, parent in menu.sent if kind == "layout"]
        assert len(parents) == expected
        assert ROOT not in parents
        menu.sent.clear()
