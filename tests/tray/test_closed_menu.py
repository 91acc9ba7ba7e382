"""The menu that nobody has open: what is built of it, and when."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level
from gpuwatch_tray.tray import MenuExtras, TrayView, menu
from gpuwatch_tray.tray.backends.dbusmenu import DBusMenu
from gpuwatch_tray.tray.backends.menu_host import ROOT
from gpuwatch_tray.tray.backends.statusnotifier import ROWS_AGE, StatusNotifierBackend
from tests.support.tray_status import alert, gpu, process, snapshot, status
from tests.tray.panels import Loop

POLL = 5.0
ASKING = ["xfce4-panel", "panel-2-systray", "panel-13-systray", "waybar"]
REPORTING = ["gnome-shell", "plasmashell", "lxqt-panel"]


class Bus:
    """A session bus on which nobody listens; jobs are done at once."""

    caller = ":1.1"

    def __init__(self):
        self.loop = Loop()

    def export(self, path, interface):
        pass

    def post(self, job):
        job()

    def observe_calls(self, handler):
        pass

    def follow_owner(self, name, handler):
        pass


class Tray:
    """The backend shown a status at each poll; `built` counts the menus that were built."""

    def __init__(self, program):
        self.bus = Bus()
        self.backend = StatusNotifierBackend(self.bus, "gpuwatch-tray", print)
        self.menu = self.backend.dbus_menu
        if program is not None:
            self.menu.new_host(program)
        self.built = 0

    def show(self, shown, extras=None):
        """Show this and let a poll's time pass."""
        extras = extras or MenuExtras()

        def build():
            self.built += 1
            return menu.build_menu(shown, extras=extras)

        title, *details = menu.tooltip(shown)
        look = drawing.IconLook(shown.level)
        rows = menu.LazyRows(build)
        self.backend.present(TrayView(look, title, rows, tuple(details), menu.menu_outline(shown, extras)))
        self.bus.loop.pass_(POLL)

    def ask(self, member, *body):
        """Call a method of the menu as the panel does."""
        return getattr(DBusMenu, member).__dict__["__DBUS_METHOD"].fn(self.menu, *body)

    def labels(self):
        """The labels of the served root."""
        nodes = self.menu.tree.nodes
        return [nodes[row].properties.get("label", "") for row in nodes[ROOT].children]


def at(percent, **more):
    """A status whose GPU is busy so much."""
    return status(Level.OK, snapshot([gpu(0, utilisation=percent)], [process(7)]), **more)


def busy(tray, percent):
    """Whether the served root shows this use of the GPU."""
    return any(f"{percent} %" in label for label in tray.labels())


@pytest.mark.parametrize("program", [*ASKING, *REPORTING])
def test_numbers_alone_build_no_menu_that_nobody_looks_at(program):
    """A panel that asks or reports gets the numbers at the opening, before its answer."""
    tray = Tray(program)
    for percent in (11, 22, 33, 44):
        tray.show(at(percent))
    assert tray.built == 1
    assert busy(tray, 11)
    tray.ask("about_to_show", ROOT)
    assert tray.built == 2
    assert busy(tray, 44)


@pytest.mark.parametrize("program", REPORTING)
def test_a_panel_that_reports_only_sees_the_last_numbers(program):
    """GNOME may tell that the menu is open without having asked."""
    tray = Tray(program)
    tray.show(at(11))
    tray.show(at(22))
    tray.menu._handle_event(ROOT, "opened")
    assert busy(tray, 22)
    tray.show(at(33))  # it is open: each poll counts
    assert busy(tray, 33)
    tray.menu._handle_event(ROOT, "closed")
    tray.bus.loop.pass_(POLL)
    tray.show(at(44))
    assert busy(tray, 33)


@pytest.mark.parametrize("program", ASKING)
def test_a_menu_that_has_been_asked_for_is_built_at_each_poll_for_a_while(program):
    """The closing of GTK's root is not reported."""
    tray = Tray(program)
    tray.show(at(11))
    tray.ask("about_to_show", ROOT)
    for percent in (22, 33):
        tray.show(at(percent))
        assert busy(tray, percent)


@pytest.mark.parametrize("program", [None, "", "some-panel"])
def test_of_a_panel_that_is_not_known_each_poll_is_shown(program):
    """It may open the menu without a word."""
    tray = Tray(program)
    for percent in (11, 22, 33):
        tray.show(at(percent))
        assert busy(tray, percent)


def test_whoever_fetches_the_layout_gets_the_last_numbers():
    """Also one that is not the panel."""
    tray = Tray("waybar")
    tray.show(at(11))
    tray.show(at(22))
    _revision, (_root, _properties, rows) = tray.ask("get_layout", ROOT, 1, ["label"])
    assert any("22 %" in row.value[1]["label"].value for row in rows if "label" in row.value[1])


def test_numbers_that_nobody_looks_at_are_half_a_minute_old_at_most():
    """A panel may break its habits."""
    tray = Tray("waybar")
    tray.show(at(11))
    for _poll in range(int(ROWS_AGE / POLL)):
        tray.show(at(22))
    assert busy(tray, 22)
    assert tray.built == 2


@pytest.mark.parametrize(
    "news",
    [
        {"headline": "GPU 0 is hot"},
        {"level": Level.WARNING},
        {"notes": ("Email is off",)},
        {"snoozed_until": 9e9},
        {"alerts": (alert("a1"),)},
        {"mail_possible": True},
    ],
)
def test_news_is_served_at_once(news):
    """All but the numbers: an alert, a note, the headline."""
    tray = Tray("waybar")
    tray.show(at(11))
    tray.show(replace(at(22), **news))
    assert tray.built == 2
    assert busy(tray, 22)


def test_a_gpu_more_or_a_problem_is_served_at_once():
    """The root has another row then, and an open GTK menu does not grow."""
    tray = Tray("waybar")
    tray.show(at(11))
    tray.show(status(Level.OK, snapshot([gpu(0), gpu(1)])))
    assert tray.built == 2
    tray.show(replace(at(11), snapshot=None))
    assert tray.built == 3


def test_what_is_shown_beside_the_status_is_served_at_once():
    """Such as the start at login after a click."""
    tray = Tray("waybar")
    tray.show(at(11))
    tray.show(at(11), MenuExtras(autostart=True))
    assert tray.built == 2
