"""The tray's life without a desktop: headless, clicks, and pystray's own backend played by its dummy."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from gpuwatch_tray import drawing
from gpuwatch_tray.common.text import clip_utf16
from gpuwatch_tray.drawing import IconLook
from gpuwatch_tray.model import IconStyle, Level, PendingReminder
from gpuwatch_tray.tray import ActionKind, MenuAction, MenuExtras, Tray, TrayView, controller, menu
from gpuwatch_tray.tray.backends import nodes, toolkit
from gpuwatch_tray.tray.backends.pystray_native import NativeBackend
from gpuwatch_tray.tray.controller import MAX_PENDING, ActionWorker
from gpuwatch_tray.tray.menu import build_menu
from tests.support.lab_status import OF_LAB
from tests.support.timing import wait_until
from tests.support.tray_status import NOW, process, snapshot, status


class Hands:
    """Actions that note who called them, and where."""

    def __init__(self):
        self.done = []
        self.threads = set()
        self.told = threading.Event()
        self.hold = threading.Event()
        self.hold.set()

    def act(self, name):
        def work(target):
            self.hold.wait(60)
            self.done.append((name, target))
            self.threads.add(threading.current_thread().name)
            self.told.set()

        return work

    def actions(self):
        return {act: self.act(act) for act in ActionKind}


class FakeIcon:
    """What pystray's Icon promises, with its main loop as an Event."""

    HAS_NOTIFICATION = True

    def __init__(self, name, icon, title, menu):
        self.name = name
        self.icon, self.title, self.menu, self.visible = icon, title, menu, False
        self.loop = threading.Event()
        self.popups = []

    def run(self, setup):
        starting = threading.Thread(target=setup, args=(self,))
        starting.start()
        self.loop.wait(60)
        starting.join()

    def stop(self):
        self.loop.set()

    def notify(self, message, title=None):
        self.popups.append((title, message))


@pytest.fixture
def native(monkeypatch):
    monkeypatch.setattr(toolkit, "Icon", FakeIcon)
    clicked = []
    return NativeBackend("gpuwatch-tray", clicked.append), clicked


def view(shown):
    return TrayView(IconLook(shown.level), "gpuwatch " + shown.headline, build_menu(shown))


@pytest.fixture
def make_worker():
    """Make a running ActionWorker for some handlers; it ends after the test."""
    made = []

    def make(actions):
        made.append(ActionWorker(actions))
        return made[-1]

    yield make
    for one in made:
        assert one.stop(5)


def test_without_a_bus_the_tray_runs_headless_until_it_is_stopped():
    """`ready` is called, `show` is harmless, and `stop` from another thread ends `run`."""
    tray = Tray(None, Hands().actions())
    assert not tray.has_icon
    assert tray.notify is None

    def ready():
        tray.show(status())
        threading.Thread(target=tray.stop).start()

    tray.run(ready)
    tray.stop()


def test_stop_before_run_makes_run_return():
    """A signal that comes early is not lost."""
    tray = Tray(None, Hands().actions())
    tray.stop()
    tray.run(lambda: None)


def test_what_ready_raises_is_raised_by_run():
    """A failure to start the watching ends the tray instead of leaving an icon without news."""
    tray = Tray(None, Hands().actions())

    def ready():
        raise RuntimeError("no poller")

    with pytest.raises(RuntimeError, match="no poller"):
        tray.run(ready)


class Canvas:
    """A backend that keeps what it is given to draw, and draws when it is told to."""

    def __init__(self):
        self.views = []
        self.jobs = []

    def post(self, job):
        self.jobs.append(job)

    def present(self, view):
        self.views.append(view)

    def draw(self):
        while self.jobs:
            self.jobs.pop(0)()
        return self.views[-1] if self.views else None


@pytest.fixture
def canvas(monkeypatch):
    """Fake the backend of every Tray of the test."""
    made = Canvas()
    monkeypatch.setattr(controller, "select_backend", lambda *_: made)
    return made


def test_the_view_is_the_look_the_title_and_the_rows_of_what_works(canvas):
    """Style and badge are the tray's, the state the status's; rows are those of the actions at hand."""
    tray = Tray(None, {ActionKind.QUIT: print}, style=IconStyle.DARK, badge=True)
    shown = status(Level.WARNING, in_use=3)
    tray.show(shown)
    drawn = canvas.draw()
    title, *details = menu.tooltip(shown)
    rows = build_menu(shown, {ActionKind.QUIT})
    assert (drawn.look, drawn.title) == (IconLook(Level.WARNING, IconStyle.DARK, 3), title)
    assert (tuple(drawn.rows), drawn.details) == (rows, tuple(details))


@pytest.mark.parametrize(
    ("badge", "in_use", "borne"), [(False, 3, None), (True, 3, 3), (True, 0, 0), (True, None, None)]
)
def test_the_badge_is_the_number_of_gpus_in_use_where_it_is_wanted_and_known(canvas, badge, in_use, borne):
    """An unknown number is no number, and never 0."""
    tray = Tray(None, {}, badge=badge)
    tray.show(status(in_use=in_use))
    assert canvas.draw().look == IconLook(Level.OK, IconStyle.AUTO, borne)


def test_of_several_statuses_the_latest_is_drawn_once(canvas):
    """A busy loop is not given a queue of pictures to work off."""
    tray = Tray(None, {})
    for level in (Level.OK, Level.WARNING, Level.CRITICAL):
        tray.show(status(level))
    tray.show_extras(MenuExtras(about=("x",)))
    assert len(canvas.jobs) == 1
    assert canvas.draw().look.level is Level.CRITICAL
    assert len(canvas.views) == 1
    tray.show(status(Level.OK))
    assert canvas.draw().look.level is Level.OK


def test_what_is_told_beside_the_status_is_shown_with_it(canvas):
    """Before the first status nothing is drawn; after it each of the two brings a new menu."""
    tray = Tray(None, dict.fromkeys(ActionKind, print))
    tray.show_extras(MenuExtras(settings_file="/x/gpu-watch.env"))
    assert canvas.draw() is None
    tray.show(status())
    rows = {row.key: row for row in canvas.draw().rows}
    assert "settings" in [row.key for row in rows["more"].children]
    tray.show_extras(MenuExtras(frozenset({(7, "9")})))
    rows = {row.key: row for row in canvas.draw().rows}
    assert rows["alerts"].label == "PID 7 did not end: kill it…"
    assert "settings" not in [row.key for row in rows["more"].children]


def test_clicks_are_carried_out_in_order_away_from_the_caller(make_worker):
    """On the thread of the actions, each with its target."""
    hands = Hands()
    working = make_worker(hands.actions())
    wanted = [
        MenuAction(ActionKind.CHECK_NOW),
        MenuAction(ActionKind.SNOOZE, "a1"),
        MenuAction(ActionKind.END, "7:9"),
        MenuAction(ActionKind.SNOOZE, "a2"),
    ]
    for action in wanted:
        working.perform(action)
    wait_until(lambda: len(hands.done) == len(wanted), "all to be done")
    assert hands.done == [(action.kind, action.target) for action in wanted]
    assert hands.threads == {"tray-actions"}


def test_a_second_click_on_an_action_under_way_is_not_a_second_action(make_worker):
    """An impatient hand sends one test alert, not five; afterwards it may send another."""
    hands = Hands()
    hands.hold.clear()
    working = make_worker(hands.actions())
    for _ in range(5):
        working.perform(MenuAction(ActionKind.TEST_ALERT))
        working.perform(MenuAction(ActionKind.ACKNOWLEDGE, "a1"))
        working.perform(MenuAction(ActionKind.ACKNOWLEDGE, "a2"))
    hands.hold.set()
    wait_until(lambda: not working._pending, "all to be done")
    once = [(ActionKind.ACKNOWLEDGE, "a1"), (ActionKind.ACKNOWLEDGE, "a2"), (ActionKind.TEST_ALERT, "")]
    assert sorted(hands.done, key=str) == sorted(once, key=str)
    working.perform(MenuAction(ActionKind.TEST_ALERT))
    wait_until(lambda: len(hands.done) == 4, "the next one")


@pytest.mark.parametrize(
    ("slow", "quick"),
    [
        (ActionKind.TEST_ALERT, ActionKind.ACKNOWLEDGE),
        (ActionKind.TEST_ALERT, ActionKind.COPY_PID),
        (ActionKind.OPEN_SETTINGS, ActionKind.SNOOZE_ALL),
        (ActionKind.CHECK_NOW, ActionKind.QUIT),
        (ActionKind.TEST_ALERT, ActionKind.QUIT),
    ],
)
def test_a_quick_action_does_not_wait_behind_a_slow_one(make_worker, slow, quick):
    """A mail takes minutes, a program of the desktop seconds, and Quit waits for nothing."""
    hanging, done = threading.Event(), threading.Event()
    working = make_worker({slow: lambda _: hanging.wait(30), quick: lambda _: done.set()})
    working.perform(MenuAction(slow))
    working.perform(MenuAction(quick))
    assert done.wait(60)
    hanging.set()


def test_more_clicks_than_a_hand_can_make_are_dropped(make_worker, caplog):
    """What waits is bounded, and Quit still passes."""
    hanging, done = threading.Event(), threading.Event()
    seen = []

    def snooze(target):
        hanging.wait(30)
        seen.append(target)

    working = make_worker({ActionKind.SNOOZE: snooze, ActionKind.QUIT: lambda _: done.set()})
    for number in range(MAX_PENDING + 10):
        working.perform(MenuAction(ActionKind.SNOOZE, str(number)))
    working.perform(MenuAction(ActionKind.QUIT))
    assert done.wait(60)
    hanging.set()
    wait_until(lambda: not working._pending, "all to be done")
    assert len(seen) == MAX_PENDING
    assert caplog.text.count("too much is under way") == 10


def test_an_action_that_fails_is_logged_and_the_next_click_works(make_worker, caplog):
    """A fault in one does not leave a dead menu, and the log has no target in it."""
    caplog.set_level("INFO")
    hands = Hands()
    working = make_worker({**hands.actions(), ActionKind.COPY_COMMAND: lambda _: 1 / 0})
    for _ in range(2):
        working.perform(MenuAction(ActionKind.COPY_COMMAND, "python --password hunter22"))
        wait_until(lambda: not working._pending, "it to fail")
    working.perform(MenuAction(ActionKind.COPY_PID, "7"))
    assert hands.told.wait(60)
    assert caplog.text.count("'copy the command' failed") == 2
    assert "hunter22" not in caplog.text


def test_importing_pystray_needs_no_display_and_leaves_the_environment_alone():
    """On Linux pystray is given its dummy backend for the import only."""
    environment = {
        key: value for key, value in os.environ.items() if key not in {"DISPLAY", "PYSTRAY_BACKEND"}
    }
    code = (
        "import os\nfrom gpuwatch_tray.tray.backends.toolkit import Icon\n"
        "print(Icon.__module__, 'PYSTRAY_BACKEND' in os.environ)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert answer.stdout.split() == ["pystray._base", "False"]


def test_every_row_of_the_menu_is_served_as_it_is():
    """Its entry has the key, label, state and submenu of the row, and each click does the row's action."""
    clicked = []
    extras = MenuExtras(frozenset({(7, "9")}), "/x/gpu-watch.env", log_file="/x/tray.log", without_mail=True)
    told = (PendingReminder(5, "9", "9 GPUs are free"),)
    shown = build_menu(
        status(Level.WARNING, mail_possible=True, snoozed_until=NOW, awaited=told), extras=extras
    )
    entries = nodes.menu_entries(shown, clicked.append)
    wanted = []

    def same(row, entry):
        if row.separator:
            assert entry.label == ""
            return
        assert (entry.key, entry.label, entry.enabled, entry.subject, entry.gone) == (
            row.key,
            row.label,
            row.enabled,
            row.subject,
            row.gone,
        )
        assert (entry.activate is not None) is (row.action is not None)
        if row.action:
            wanted.append(row.action)
            entry.activate()
        for below, entry_below in zip(row.children, entry.children, strict=True):
            same(below, entry_below)

    for row, entry in zip(shown, entries, strict=True):
        same(row, entry)
    assert clicked == wanted
    assert {action.kind for action in clicked} == set(ActionKind) - OF_LAB


def test_pystrays_own_icon_shows_the_status(native):
    """Windows and macOS: icon, tooltip and menu follow the view, and a click asks for its action."""
    backend, clicked = native
    backend.present(view(status(Level.CRITICAL)))
    assert backend.icon.title == "gpuwatch GPU 1 is lost"
    assert backend.icon.icon is drawing.icon_image(IconLook(Level.CRITICAL))
    (details,) = [item for item in backend.icon.menu.items if item.text == "Show details…"]
    details(backend.icon)
    assert clicked == [MenuAction(ActionKind.SHOW_DETAILS)]


def test_a_tooltip_of_windows_has_the_lines_that_fit_whole(native):
    """It takes 127 characters: a line of a GPU is there from end to end, or not at all."""
    backend, _ = native
    lines = tuple(f"GPU {number} · {'x' * 32}" for number in range(4))
    backend.present(TrayView(IconLook(Level.OK), "2 GPUs in use", build_menu(status()), lines))
    assert backend.icon.title == "\n".join(("2 GPUs in use", *lines[:2]))


def test_pystrays_own_icon_is_drawn_anew_only_when_its_look_changes(native):
    """Style and badge are part of the look; numbers in the menu are not."""
    backend, _ = native
    shown = status()
    backend.present(TrayView(IconLook(Level.OK, IconStyle.DARK, 2), "t", build_menu(shown)))
    before = backend.icon.icon
    assert before is drawing.icon_image(IconLook(Level.OK, IconStyle.DARK, 2))
    backend.icon.icon = None
    backend.present(TrayView(IconLook(Level.OK, IconStyle.DARK, 2), "u", build_menu(status(Level.WARNING))))
    assert backend.icon.icon is None
    backend.present(TrayView(IconLook(Level.OK, IconStyle.DARK, 1), "u", build_menu(shown)))
    assert backend.icon.icon is drawing.icon_image(IconLook(Level.OK, IconStyle.DARK, 1))


def test_a_menu_that_is_open_is_not_replaced(native):
    """What comes meanwhile waits, the latest wins, and it is shown when the menu closes."""
    backend, _ = native
    backend.present(view(status()))
    before = backend.icon.menu
    backend.menu_toggled(is_open=True)
    backend.present(view(status(Level.WARNING)))
    backend.present(view(status(Level.CRITICAL)))
    assert backend.icon.menu is before
    backend.menu_toggled(is_open=False)
    assert backend.icon.title.endswith("GPU 1 is lost")
    assert backend.icon.menu is not before


def test_an_unchanged_menu_is_not_rebuilt(native):
    """Windows destroys a menu at each change, so there must be one."""
    backend, _ = native
    backend.present(view(status()))
    before = backend.icon.menu
    backend.present(view(status()))
    assert backend.icon.menu is before
    backend.present(view(status(shown=snapshot(processes=[process(7)]))))
    assert backend.icon.menu is not before


def test_the_native_tray_drains_its_jobs_and_stops(native):
    """Jobs posted before and during `run` are done, and `stop` ends it."""
    backend, _ = native
    done = []
    backend.post(lambda: done.append("before"))

    def ready():
        backend.post(lambda: done.append("during"))
        backend.stop()

    backend.run(ready)
    assert done == ["before", "during"]
    assert backend.icon.visible


def test_the_native_popup_is_the_icons_own(native):
    """Title and body reach pystray's notify in its order."""
    backend, _ = native
    backend.notify("GPU limit", "3 of 2")
    assert backend.icon.popups == [("GPU limit", "3 of 2")]


def test_a_tooltip_is_cut_between_characters():
    """Windows takes 127 UTF-16 units; a pair is never split."""
    assert clip_utf16("a" + "\N{ROBOT FACE}" * 80, 127) == "a" + "\N{ROBOT FACE}" * 63
    assert clip_utf16("short", 127) == "short"
