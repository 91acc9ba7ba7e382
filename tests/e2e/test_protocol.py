"""StatusNotifierItem and dbusmenu as a panel speaks them, to a running tray on a private bus."""

from __future__ import annotations

import logging
import os
import signal
import time
from contextlib import ExitStack

import pytest
from dbus_fast import Variant  # the tests speak the protocol too
from msgspec.structs import replace

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level
from gpuwatch_tray.tray.backends import statusnotifier
from tests.e2e import rig
from tests.e2e.client import DAEMON, BusClient, CallError
from tests.e2e.peers import FakeWatcher, running_tray
from tests.e2e.programs import session_bus
from tests.e2e.rig import WATCHER, menu_row
from tests.support.timing import slowness, wait_until
from tests.support.tray_status import gpu, process, snapshot, status

pytestmark = pytest.mark.desktop

ITEM_PROPERTIES = {
    *("Category", "Id", "Title", "Status", "WindowId", "ItemIsMenu", "Menu", "ToolTip"),
    *(
        "IconName",
        "IconPixmap",
        "IconThemePath",
        "IconAccessibleDesc",
        "OverlayIconName",
        "OverlayIconPixmap",
    ),
    *("AttentionIconName", "AttentionIconPixmap", "AttentionMovieName", "AttentionAccessibleDesc"),
}
ONE_GPU = status(shown=snapshot([gpu(0)], [process(1, ran=500.0), process(2, ran=90.0)]))


@pytest.fixture
def tray(address, client):
    with running_tray(address, client, ONE_GPU) as running:
        client.listen(f"type='signal',sender='{running.name}'")
        yield running


def show(tray, *processes, level=Level.OK, **more):
    tray.show(status(level, snapshot([gpu(0)], list(processes)), **more))


def flat(layout):
    """Every row of a layout with its properties, those that are not to be seen among them."""
    row, properties, children = layout
    yield row, properties
    for child in children:
        yield from flat(child)


def wait_for_panel(client):
    watcher = FakeWatcher()
    client.serve("/StatusNotifierWatcher", watcher, WATCHER)
    return watcher


# --- the icon ---------------------------------------------------------------------------------------------


def test_the_item_is_complete(tray):
    """Every property that a host may want is there, and the icon has all sizes."""
    item = tray.item()
    assert set(item) == ITEM_PROPERTIES
    assert (item["Id"], item["Status"], item["ItemIsMenu"]) == ("gpuwatch-tray", "Active", True)
    assert item["Menu"] == "/MenuBar"
    assert [tuple(pixmap) for pixmap in item["IconPixmap"]] == list(drawing.icon_pixmaps(Level.OK))
    assert item["IconAccessibleDesc"] == "gpuwatch-tray: ok"


ITEM_PEER = ("/StatusNotifierItem", "org.kde.StatusNotifierItem")


@pytest.mark.parametrize("program", sorted(statusnotifier.MENU_AT_CLICK))
def test_a_click_on_a_host_that_opens_the_menu_is_left_to_it(tray, client, program):
    """Plasma opens the menu on a left click when Activate is an unknown method."""
    tray.tray._backend.new_host(program)
    with pytest.raises(CallError, match="UnknownMethod"):
        client.call((tray.name, *ITEM_PEER), "Activate", "ii", 0, 0)
    assert not tray.done


@pytest.mark.parametrize("program", ["", "mate-panel", "xapp-sn-watcher", "lxqt-panel"])
def test_a_click_on_any_other_host_shows_the_details(tray, client, program):
    """Cinnamon and MATE call Activate and do nothing when there is none."""
    tray.tray._backend.new_host(program)
    client.call((tray.name, *ITEM_PEER), "Activate", "ii", 0, 0)
    wait_until(lambda: tray.done, "the click")
    assert tray.asked == [("show the details", "")]


def test_the_tooltip_gives_the_reason_as_valid_markup(tray):
    """The title reads the same as text and as markup; what is below it is markup, a line for each GPU."""
    shown = snapshot([gpu(0, name="A & <b>"), gpu(1)], [])
    tray.show(status(shown=shown, headline="a < b & c > d"))
    _icon, _pixmaps, title, below = tray.item()["ToolTip"]
    assert title == "a \u2039 b \uff06 c > d"
    first, second = below.split("\n")
    assert first.startswith("GPU 0 · A &amp; &lt;b&gt; · ")
    assert second.startswith("GPU 1 · RTX 4090 · ")


def test_plasma_gets_its_lines_in_its_markup(tray):
    """There a line break is a tag."""
    tray.tray._backend.new_host("kded5")
    tray.show(status(shown=snapshot([gpu(0), gpu(1)], [])))
    assert tray.item()["ToolTip"][3].count("<br>") == 1


def test_numbers_move_no_tooltip_that_nobody_sees(tray):
    """GNOME shows none: a new number signals nothing, a new reason does."""
    tray.tray._backend.new_host("gnome-shell")
    tray.show(status(shown=snapshot([gpu(0)])))
    tray.signals()
    tray.show(status(shown=snapshot([gpu(0, utilisation=12)])))
    assert "NewToolTip" not in tray.signals()
    tray.show(status(shown=snapshot([gpu(0, utilisation=12)]), headline="another reason"))
    assert "NewToolTip" in tray.signals()


def test_the_icon_is_sent_only_when_the_state_changes(tray, client):
    """A new reason moves the tooltip; only a new state moves the picture."""
    tray.show(status(headline="other words"))
    assert "NewIcon" not in tray.signals()
    tray.show(status(Level.CRITICAL))
    assert tray.signals().count("NewIcon") == 1
    assert tray.item()["IconAccessibleDesc"] == "gpuwatch-tray: critical"


def test_nothing_changed_is_nothing_sent(tray, client):
    """The same status again puts no signal on the bus."""
    tray.signals()
    for _ in range(5):
        tray.show(ONE_GPU)
    assert tray.signals() == []


# --- registration -----------------------------------------------------------------------------------------


def test_a_panel_that_starts_later_gets_the_icon(tray, client):
    """Registered by path, complete at that moment, once the watcher is there."""
    watcher = wait_for_panel(client)
    wait_until(lambda: watcher.registered, "the registration")
    assert watcher.registered == ["/StatusNotifierItem"]
    assert set(tray.item()) == ITEM_PROPERTIES


def test_the_icon_is_registered_once_there_is_something_to_show(address, client, monkeypatch):
    """A panel takes the first picture that it gets: not the question mark of a program that is starting."""
    monkeypatch.setattr(statusnotifier, "FIRST_VIEW", 3600.0)
    watcher = wait_for_panel(client)
    with running_tray(address, client) as tray:
        tray.show(status(Level.NO_DATA))
        rig.settle()
        assert watcher.registered == []
        tray.show(status(Level.WARNING))
        wait_until(lambda: watcher.registered, "the registration")
        assert [tuple(one) for one in tray.item()["IconPixmap"]] == list(drawing.icon_pixmaps(Level.WARNING))


def test_without_anything_to_show_the_icon_is_registered_after_a_second(address, client):
    """A machine without a driver has an icon as well."""
    watcher = wait_for_panel(client)
    began = time.monotonic()
    with running_tray(address, client):
        wait_until(lambda: watcher.registered, "the registration", pause=0.01)
        assert time.monotonic() - began > 0.9


def test_the_picture_is_signalled_again_after_a_hosts_first_call(address, client):
    """GNOME drops a NewIcon that follows its GetAll by some milliseconds, and would keep the old picture."""
    wait_for_panel(client)
    with running_tray(address, client, ONE_GPU) as tray:
        client.listen(f"type='signal',sender='{tray.name}',member='NewIcon'")
        rig.settle(max(statusnotifier.ICON_REPEATS) + 0.5)
        client.heard.clear()
        with BusClient(address) as host:
            host.get_all((tray.name, *ITEM_PEER))
            wait_until(lambda: len(client.of("NewIcon")) == len(statusnotifier.ICON_REPEATS), "the signals")
            host.get_all((tray.name, *ITEM_PEER))
            rig.settle()
        assert len(client.of("NewIcon")) == len(statusnotifier.ICON_REPEATS)


@pytest.mark.parametrize(
    ("program", "more"), [("gnome-shell", len(statusnotifier.ICON_REPEATS)), ("waybar", 0)]
)
def test_gnome_is_told_of_each_new_picture_again(tray, client, program, more):
    """Its extension drops a NewIcon that comes while it fetches the picture for another."""
    tray.tray._backend.new_host(program)
    client.listen(f"type='signal',sender='{tray.name}',member='NewIcon'")
    rig.settle(max(statusnotifier.ICON_REPEATS) + 0.5)
    client.heard.clear()
    tray.show(status(Level.CRITICAL))
    wait_until(lambda: len(client.of("NewIcon")) == 1 + more, "the signals")
    rig.settle()
    assert len(client.of("NewIcon")) == 1 + more


def test_a_panel_that_comes_back_gets_the_icon_again(address, tray):
    """Every new owner of the watcher's name is registered with."""
    for _ in range(3):
        with BusClient(address) as panel:
            watcher = wait_for_panel(panel)
            wait_until(lambda watcher=watcher: watcher.registered, "the registration")
            assert panel.of("RegisterStatusNotifierItem")[0].sender == tray.name


def test_a_panel_that_never_asks_is_told_again_but_not_for_ever(monkeypatch, address, client):
    """GNOME can lose an icon that it has taken; the third time is the last."""
    monkeypatch.setattr(statusnotifier, "REGISTER_PAUSES", (0.05, 0.05, 0.05))
    watcher = wait_for_panel(client)
    with running_tray(address, client):
        wait_until(lambda: len(watcher.registered) == 3, "three registrations")
        time.sleep(0.2)
        assert len(watcher.registered) == 3


def test_a_panel_that_asks_is_not_told_again(monkeypatch, address, client):
    """One question after the properties or the menu is enough."""
    monkeypatch.setattr(statusnotifier, "REGISTER_PAUSES", (0.3, 0.05))
    watcher = wait_for_panel(client)
    with running_tray(address, client) as tray:
        wait_until(lambda: watcher.registered, "the registration")
        tray.item()
        time.sleep(0.5)
        assert len(watcher.registered) == 1


# --- the menu ---------------------------------------------------------------------------------------------


def test_the_menu_is_served_at_every_depth(tray):
    """All, one level, and none, for the root and for a submenu."""
    whole = menu_row(tray.layout()[1])
    gpu_row = next(row for row in whole.children if row.label.startswith("GPU 0"))
    ends = [row.label.split(" · ")[-1] for row in gpu_row.children]
    assert ends == ["fan 55 %", "PID 1", "PID 2"]
    one = menu_row(tray.layout(depth=1)[1])
    assert [row.id for row in one.children] == [row.id for row in whole.children]
    assert not any(row.children for row in one.children)
    assert menu_row(tray.layout(depth=0)[1]).children == ()
    assert menu_row(tray.layout(gpu_row.id)[1]) == gpu_row


def test_the_layouts_properties_can_be_filtered(tray):
    """Only the named ones, the root's `children-display` among them."""
    _, (_, properties, children) = tray.layout(depth=1, names=("children-display", "enabled"))
    assert properties == {"children-display": "submenu"}
    assert {name for one in children for name in one[1]} == {"children-display", "enabled"}
    _, (_, properties, children) = tray.layout(depth=1, names=("colour",))
    assert not properties
    assert not any(one[1] for one in children)


def test_group_properties_of_no_ids_are_those_of_all_rows(tray, client):
    """And ids that are no rows are left out."""
    (everything,) = client.call(tray.menu_peer, "GetGroupProperties", "aias", [], [])
    assert {one[0]: one[1] for one in everything} == dict(flat(tray.layout()[1]))
    (some,) = client.call(tray.menu_peer, "GetGroupProperties", "aias", [0, 99999, -3], ["label"])
    assert some == [(0, {})]


def test_a_property_has_its_default(tray, client):
    """`visible` is not sent, and true; a name that dbusmenu does not know is an error."""
    row = tray.rows()["Quit"].id
    assert client.call(tray.menu_peer, "GetProperty", "is", row, "visible") == [True]
    assert client.call(tray.menu_peer, "GetProperty", "is", row, "label") == ["Quit"]
    with pytest.raises(CallError, match="no property 'colour'"):
        client.call(tray.menu_peer, "GetProperty", "is", row, "colour")


@pytest.mark.parametrize(
    ("member", "signature", "body"),
    [
        ("GetLayout", "iias", [4711, -1, []]),
        ("GetProperty", "is", [4711, "label"]),
        ("Event", "isvu", [4711, "clicked", Variant("i", 0), 0]),
        ("AboutToShow", "i", [-1]),
        ("EventGroup", "a(isvu)", [[[4711, "clicked", Variant("i", 0), 0]]]),
        ("AboutToShowGroup", "ai", [[4711, 4712]]),
    ],
)
def test_unknown_rows_are_an_error_and_harm_nobody(tray, client, member, signature, body):
    """The spec's answer, and the menu is served as before."""
    with pytest.raises(CallError, match=r"InvalidArgs.*no such menu row"):
        client.call(tray.menu_peer, member, signature, *body)
    assert "Quit" in tray.rows()


def test_groups_report_the_rows_they_do_not_know(tray, client):
    """The known ones are served all the same."""
    check = tray.rows()["Check now"].id
    events = [[4711, "clicked", Variant("i", 0), 0], [check, "clicked", Variant("i", 0), 0]]
    assert client.call(tray.menu_peer, "EventGroup", "a(isvu)", events) == [[4711]]
    wait_until(lambda: tray.done, "the click")
    assert client.call(tray.menu_peer, "AboutToShowGroup", "ai", [check, 4711]) == [[], [4711]]


def test_a_click_is_carried_out_away_from_the_loop(tray):
    """On the worker thread, and only for a row that is enabled."""
    rows = tray.rows()
    tray.event(tray.layout()[1][2][0][0], "clicked")  # the status line
    tray.event(rows["Check now"].id, "clicked")
    wait_until(lambda: tray.done, "the click")
    assert tray.done == [("check now", "tray-actions")]


def test_the_menu_says_which_protocol_it_speaks(tray, client):
    """Version 3, in which hosts use the group calls."""
    values = client.get_all(tray.menu_peer)
    assert values == {"Version": 3, "TextDirection": "ltr", "Status": "normal", "IconThemePath": []}


def test_underscores_are_doubled_on_the_bus(tray):
    """The raw label has two for each one."""
    show(tray, process(5, command=("run_a_b",)))
    assert "run__a__b" in str(tray.layout()[1])


def test_a_bus_that_reads_slowly_is_waited_for(tray, client):
    """More than the socket holds is sent while the daemon stands still, and nothing is lost."""
    (daemon,) = client.call(DAEMON, "GetConnectionUnixProcessID", "s", "org.freedesktop.DBus")
    many = [process(pid, ran=pid * 60.0) for pid in range(1, 101)]
    show(tray, *many)
    os.kill(daemon, signal.SIGSTOP)
    try:
        for minutes in range(1, 60):
            show(tray, *(replace(one, elapsed=one.elapsed + 60.0 * minutes) for one in many))
    finally:
        os.kill(daemon, signal.SIGCONT)
    wait_until(lambda: len(client.of("ItemsPropertiesUpdated")) >= 59, "all the signals")
    assert tray.bus.connected
    assert len(tray.rows()) > 60


# --- the end ----------------------------------------------------------------------------------------------


def test_quit_ends_the_tray_at_once(address, client):
    """The click calls the action away from the loop, `run` returns, and the icon is off the bus."""
    with running_tray(address, client, ONE_GPU) as tray:
        began = time.monotonic()
        tray.event(tray.rows()["Quit"].id, "clicked")
        tray.thread.join(60)
        assert not tray.thread.is_alive()
        tray.bus.close()
        wait_until(lambda: not client.owner(tray.name), "the tray's name to go")
        assert time.monotonic() - began < slowness()
    assert tray.done == [("quit", "tray-quit")]


def test_a_bus_that_goes_away_ends_the_drawing_and_not_the_tray(tmp_path, caplog):
    """In the middle of the traffic: `run` goes on, `show` is harmless, and one line says it."""
    lost = []
    with ExitStack() as stack, session_bus(tmp_path) as where, BusClient(where) as other:
        tray = stack.enter_context(running_tray(where, other, ONE_GPU))
        tray.bus.on_lost(lambda: lost.append(1))
        (daemon,) = other.call(DAEMON, "GetConnectionUnixProcessID", "s", "org.freedesktop.DBus")
        os.kill(daemon, signal.SIGSTOP)  # what is sent now is never read
        for percent in range(20):
            tray.show(status(Level(percent % 4), snapshot([gpu(0, utilisation=percent)], [])))
        os.kill(daemon, signal.SIGKILL)
        wait_until(lambda: lost, "the loss to be noticed")
        assert tray.thread.is_alive()
        tray.show(status(Level.CRITICAL))
    warnings = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == [
        "the session bus is gone: no tray icon and no desktop popups any more, watching goes on"
    ]
